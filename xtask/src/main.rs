//! Everything a developer or CI runs: parses the command line, calls one task, turns its end into an exit code.
//! 0 done, 1 failed, 2 bad usage, 3 this machine lacks something that could not be installed.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand, builder::PossibleValuesParser};

mod apt;
mod bench;
mod bpf;
mod check;
mod fuzz;
mod layers;
mod linker;
mod package;
mod policy;
mod process;
mod programs;
mod report;
mod run;
mod score;
mod setup;
mod storm;
mod test;
mod toolchain;
mod trial;
mod vm;
mod workspace;

/// What a developer or CI runs.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Finds or installs what the eBPF half needs, and builds its object.
    Setup {
        /// Also build the object under another path, and want the same bytes.
        #[arg(long)]
        twice: bool,
    },
    /// Format, clippy and layers: what needs no kernel.
    Check,
    /// Everything: checks, unit tests, contracts on the running kernel, and the QEMU matrix.
    Test {
        /// Boot no kernels.
        #[arg(long)]
        no_vm: bool,
        /// Only tests whose name contains this; leaves out the static checks.
        #[arg(long, value_name = "NAME")]
        filter: Option<String>,
    },
    /// Boots the kernels of the matrix in QEMU and runs the contracts in them.
    Vm {
        /// Series such as 5.10, or `service-` and one of those with systemd as init; all of them if none is named. `suspend-6.12` only
        /// when it is named.
        #[arg(value_parser = PossibleValuesParser::new(vm::KERNELS.iter().map(|kernel| kernel.name).chain(vm::service::NAMES).chain(vm::service::SUSPENDED)))]
        kernels: Vec<String>,
        /// Also runs here, and writes docs/KERNELS.md from the results.
        #[arg(long)]
        write_docs: bool,
    },
    /// Checks the order of the stages and the other rules of the house.
    Layers,
    /// Whether what is depended on is what `.deny.toml` allows, and free of known flaws.
    Policy {
        /// Get RustSec's database of flaws first; needs the Internet.
        #[arg(long)]
        fetch: bool,
    },
    /// Real faults on this machine, repeated and measured: `cargo xtask trial --help`.
    Trial {
        /// The trial and its options.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// A retry storm with and without sentinel, measured: `cargo xtask storm --help`.
    Storm {
        /// Options of the storm.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// What sentinel costs on this machine: `cargo xtask bench --help`.
    Bench {
        /// What to measure, and options.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Looks for bytes that break a parser of foreign bytes.
    Fuzz {
        /// Parsers, by the names of their folders in tests/fuzz/seeds; all of them if none is named.
        targets: Vec<String>,
        /// How long to look into each.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Or how many executions of each, if that is less.
        #[arg(long)]
        executions: Option<u64>,
    },
    /// Runs the labelled corpus through the judge and prints how it did; `cargo xtask score --help` for its options.
    Score {
        /// Arguments for the score, such as `--kind leak --seeds 5 --verbose`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Makes what sentinel is installed by: a `.deb`, an SBOM and checksums, in target/package.
    Package {
        /// Write no list of what it is made of.
        #[arg(long)]
        no_sbom: bool,
        /// Do not try it in a copy of this system.
        #[arg(long)]
        no_trial: bool,
    },
    /// Sets up, builds the agent and runs `sentinel run` as root.
    Run {
        /// Arguments for `sentinel run`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

fn main() -> ExitCode {
    match perform(Cli::parse().task) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            let lacking = error.chain().any(|cause| cause.is::<process::Missing>());
            ExitCode::from(if lacking { 3 } else { 1 })
        }
    }
}

fn perform(task: Task) -> Result<ExitCode> {
    let workspace = workspace::Workspace::new();
    match task {
        Task::Setup { twice } => {
            let tools = setup::setup(&workspace)?;
            if twice {
                bpf::twice(&workspace, &tools)?;
            }
        }
        Task::Check => {
            let tools = setup::setup(&workspace)?;
            let mut report = report::Report::default();
            check::check(&workspace, &tools, &mut report);
            return Ok(report.end());
        }
        Task::Policy { fetch } => policy::policy(&workspace, fetch)?,
        Task::Layers => layers::check(workspace.root())?,
        Task::Test { no_vm, filter } => return test::test(&workspace, &test::Choice { no_vm, filter }),
        Task::Vm { kernels, write_docs } => return vm::vm(&workspace, &kernels, write_docs),
        Task::Trial { args } => return trial::trial(&workspace, &args),
        Task::Storm { args } => return storm::storm(&workspace, &args),
        Task::Bench { args } => return bench::bench(&workspace, &args),
        Task::Fuzz {
            targets,
            seconds,
            executions,
        } => {
            setup::setup(&workspace)?;
            let mut report = report::Report::default();
            fuzz::fuzz(&workspace, &targets, fuzz::Effort { seconds, executions }, &mut report);
            return Ok(report.end());
        }
        Task::Score { args } => return score::score(&workspace, &args),
        Task::Package { no_sbom, no_trial } => {
            package::package(&workspace, &package::Choice { no_sbom, no_trial })?;
        }
        Task::Run { args } => run::run(&workspace, &args)?,
    }
    Ok(ExitCode::SUCCESS)
}
