//! Parses, builds, runs, drains.
fn main() {}
