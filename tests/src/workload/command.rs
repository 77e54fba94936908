//! The command line of `sentinel-workload`.

use anyhow::Result;
use clap::Parser;

use super::{attempts, cpu, exchange, growth, hold, http, memory, overload, tcp, wander};

/// Loads for the contracts: each does one thing, for a bounded time, and says in JSON lines what it did.
#[derive(Debug, Parser)]
#[command(name = "sentinel-workload")]
pub enum Command {
    /// Busy tasks, more than the CPUs can run.
    Spin(cpu::Spin),
    /// A clean load: busy for a share of the time, then asleep.
    Duty(cpu::Duty),
    /// An idle bystander with a small heartbeat.
    Sleep(cpu::Sleep),
    /// Takes memory at a steady pace and never gives it back.
    Leak(memory::Leak),
    /// Holds memory along a known course.
    Growth(growth::Growth),
    /// Takes memory once and keeps it.
    AllocOnce(memory::AllocOnce),
    /// Maps and unmaps memory in a loop.
    Pages(memory::Pages),
    /// Writes and reads a file in a loop.
    Pagecache(memory::Pagecache),
    /// Answers HTTP requests.
    HttpBackend(http::Backend),
    /// Sends HTTP requests on a schedule that does not wait for answers.
    HttpClient(http::Client),
    /// A backend of known capacity, which also does work nobody waits for any more.
    OverloadBackend(overload::backend::Backend),
    /// A gateway that retries.
    OverloadGateway(overload::gateway::Gateway),
    /// An open-loop client whose load can rise for a while, and that says what came back.
    OverloadClient(overload::client::Client),
    /// Accepts connections and reads, or echoes, what arrives.
    TcpServer(tcp::Server),
    /// Sends a number of bytes over one connection.
    Transfer(tcp::Transfer),
    /// A scripted exchange with a known number of everything.
    Exchange(exchange::Exchange),
    /// The other side of an exchange.
    ExchangeServer(exchange::Server),
    /// Connection attempts at a steady pace.
    Attempts(attempts::Attempts),
    /// Holds a policy on a cgroup, as an agent would.
    Hold(attempts::Hold),
    /// Holds one action on a cgroup through a guard, as the agent does.
    HoldAction(hold::Hold),
    /// Goes through every cgroup of a directory.
    Wander(wander::Wander),
}

impl Command {
    /// Runs it to its end.
    ///
    /// # Errors
    /// What kept it from doing its work.
    pub fn run(self) -> Result<()> {
        match self {
            Self::Spin(load) => load.run(),
            Self::Duty(load) => load.run(),
            Self::Sleep(load) => load.run(),
            Self::Leak(load) => load.run(),
            Self::Growth(load) => load.run(),
            Self::AllocOnce(load) => load.run(),
            Self::Pages(load) => load.run(),
            Self::Pagecache(load) => load.run(),
            Self::HttpBackend(load) => load.run(),
            Self::HttpClient(load) => load.run(),
            Self::OverloadBackend(load) => load.run(),
            Self::OverloadGateway(load) => load.run(),
            Self::OverloadClient(load) => load.run(),
            Self::TcpServer(load) => load.run(),
            Self::Transfer(load) => load.run(),
            Self::Exchange(load) => load.run(),
            Self::ExchangeServer(load) => load.run(),
            Self::Attempts(load) => load.run(),
            Self::Hold(load) => load.run(),
            Self::HoldAction(load) => load.run(),
            Self::Wander(load) => load.run(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Command::command().debug_assert();
    }
}
