//! `vm`: the same programs on every kernel of the matrix, in an emulator. Owns the list of kernels.
//! Comes in: built programs; goes out: steps of a report and, when asked, docs/KERNELS.md. Never touches the running kernel.

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result};

mod docs;
mod guest;
mod initramfs;
mod kernels;
mod qemu;
mod serial;
pub(crate) mod service;
mod sources;
mod trial;

pub(crate) use trial::trial;

use crate::{
    report::{Job, Report, Tally},
    setup,
    test::{
        contracts::{self, Contract},
        libtest::Row,
        needs, prepare,
    },
    workspace::Workspace,
};

/// A kernel of the matrix.
#[derive(Debug)]
pub(crate) struct Kernel {
    /// Its series, which is its name here.
    pub(crate) name: &'static str,
    /// Debian suites that carry it, the steadiest first.
    suites: &'static [&'static str],
    /// The emulator's cmpxchg16b crashes some kernels, and others need it for socket storage.
    cx16: bool,
}

/// The matrix: the oldest kernel supported, three of distributions, and a recent one.
pub(crate) static KERNELS: [Kernel; 4] = [
    Kernel {
        name: "5.10",
        suites: &["bullseye", "bullseye-security"],
        cx16: false,
    },
    Kernel {
        name: "6.1",
        suites: &["bookworm", "bookworm-security"],
        cx16: false,
    },
    Kernel {
        name: "6.12",
        suites: &["trixie", "bookworm-backports"],
        cx16: false,
    },
    Kernel {
        name: "7.2",
        suites: &["sid", "testing", "trixie-backports"],
        cx16: true,
    },
];

/// The contracts that also run in guests; the others need more of a distribution than a guest has.
const IN_GUESTS: [&str; 6] = ["actuators", "enforcement", "leases", "pages", "sensors", "verifier"];

/// What runs in a guest.
pub(crate) struct Programs {
    /// The shipped agent.
    pub(crate) agent: PathBuf,
    /// Contracts, all of them.
    pub(crate) contracts: Vec<Contract>,
}

impl Programs {
    /// The loads that contracts start: cargo puts them above the contracts.
    fn workload(&self) -> Result<PathBuf> {
        let contract = self.contracts.first().context("there is no contract")?;
        let folder = contract
            .program
            .ancestors()
            .nth(2)
            .context("a contract lies two folders deep")?;
        Ok(folder.join("sentinel-workload"))
    }

    fn for_guests(&self) -> Vec<&Contract> {
        self.contracts
            .iter()
            .filter(|contract| IN_GUESTS.contains(&contract.name.as_str()))
            .collect()
    }
}

/// One column of the table: a kernel's name and its rows.
type Column = (String, Vec<Row>);

/// Guests that run at once. The emulator is told to use one thread for each, however many CPUs the guest sees.
const AT_ONCE: usize = 2;

/// Boots the guests named (all, if none is) and prints the summary.
pub(crate) fn vm(workspace: &Workspace, names: &[String], write_docs: bool) -> Result<ExitCode> {
    setup::setup(workspace)?;
    let mut report = Report::default();
    report.check("matrix needs", || needs::find_or_install(needs::For::Matrix));
    if let Some(programs) = prepare(workspace, &mut report) {
        let by_default = |guest: &str| names.is_empty() && !service::SUSPENDED.contains(&guest);
        let wanted = |guest: &str| by_default(guest) || names.iter().any(|name| name == guest);
        let mut columns = steps(workspace, &programs, wanted, None, &mut report);
        if write_docs {
            report.step("this machine", || {
                let (tally, rows) = here(&programs)?;
                columns.push(("this machine".into(), rows));
                Ok((tally, String::new()))
            });
            report.check("docs/KERNELS.md", || docs::write(workspace, &columns));
        }
    }
    Ok(report.end())
}

/// One step per guest that is wanted. What they boot is fetched and made one after the other; they run side by side.
pub(crate) fn steps(
    workspace: &Workspace,
    programs: &Programs,
    wanted: impl Fn(&str) -> bool,
    filter: Option<&str>,
    report: &mut Report,
) -> Vec<Column> {
    let columns = Mutex::new(Vec::new());
    let mut jobs = Vec::new();
    for (place, kernel) in KERNELS.iter().enumerate().filter(|(_, kernel)| wanted(kernel.name)) {
        let image = kernels::fetch(workspace, kernel);
        let columns = &columns;
        jobs.push(Job::new(format!("kernel {}", kernel.name), move || {
            let done = guest::run(workspace, kernel, &image?, programs, filter)?;
            let column = (kernel.name.to_owned(), done.rows);
            columns
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((place, column));
            Ok((done.tally, done.note))
        }));
    }
    let services = service::NAMES.into_iter().chain(service::SUSPENDED);
    for name in services.filter(|name| wanted(name)) {
        let guest = service::Guest::made(workspace, programs, name);
        jobs.push(Job::new(name, move || guest?.run()));
    }
    report.side_by_side(AT_ONCE, jobs);
    let mut columns = columns.into_inner().unwrap_or_else(PoisonError::into_inner);
    columns.sort_by_key(|(place, _)| *place);
    columns.into_iter().map(|(_, column)| column).collect()
}

/// The guests' contracts on the running kernel, for the table.
fn here(programs: &Programs) -> Result<(Tally, Vec<Row>)> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut rows = vec![("kernel".to_owned(), release.trim().to_owned())];
    let mut sum = Tally::default();
    for contract in programs.for_guests() {
        let ran = contracts::run(contract, &programs.agent, None)?;
        sum.add(ran.tally);
        rows.extend(ran.rows);
    }
    Ok((sum, rows))
}
