//! Helpers shared by the contracts: guards that put something into the world and take it away again when they are
//! dropped, also by a panic, and readers of the kernel's own books.
//!
//! Loads stay on loopback or in a network namespace of their own and are bounded in time. Only processes that were
//! started here are ended, each by its id.
#![forbid(unsafe_code)]

pub mod agent;
pub mod asked;
pub mod bench;
pub mod books;
pub mod bpf;
pub mod browser;
pub mod caller;
pub mod cgroup;
pub mod co_tenant;
#[cfg(feature = "otlp")]
pub mod collector;
pub mod corpus;
pub mod crowd;
pub mod foreign;
pub mod haproxy;
pub mod holder;
pub mod http;
pub mod invoke;
pub mod journald;
pub mod judging;
pub mod lines;
pub mod netns;
pub mod overload;
pub mod paths;
pub mod probe;
pub mod process;
pub mod prometheus;
pub mod queueing;
pub mod scene;
pub mod score;
pub mod series;
pub mod services;
pub mod shop;
pub mod shops;
pub mod stage;
pub mod storm;
pub mod surfaces;
pub mod synthetic;
pub mod trial;
pub mod wait;
pub mod workload;
