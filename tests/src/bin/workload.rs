//! Loads for the contracts: each does one thing, for a bounded time, and says what it did.
#![forbid(unsafe_code)]

use clap::Parser as _;
use sentinel_tests::workload::command::Command;

fn main() -> anyhow::Result<()> {
    // A test that was killed takes its loads with it.
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
    Command::parse().run()
}
