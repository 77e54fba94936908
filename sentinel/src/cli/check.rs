//! `sentinel check`: what this host offers.

use std::path::PathBuf;

use clap::Args;

use super::{Failure, check_self, exit};
use crate::{
    config::Config,
    kernel::{
        Kernel, Options as KernelOptions, describe,
        enforce::{Enforcer, Refusal},
        support,
    },
    sense::{mount, origin},
    show::{
        check, journald,
        needs::{Need, Status, can_run},
        screen::Screen,
    },
    single,
};

/// Options of `check`.
#[derive(Debug, Args)]
pub struct Options {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Configuration file to check too
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Say what the running agent may still do, as the kernel tells it
    #[arg(long = "self", conflicts_with = "config")]
    own: bool,
    /// Lock of the agent to look at
    #[arg(long, value_name = "FILE", default_value = single::DEFAULT_PATH, requires = "own")]
    lock: PathBuf,
}

pub(super) fn run(options: &Options) -> Result<u8, Failure> {
    if options.own {
        return check_self::run(&options.lock, options.json);
    }
    let needs = needs(options);
    if options.json {
        println!("{}", check::json(&needs)?);
    } else {
        let screen = Screen::stdout()?;
        print!("{}", check::table(&needs, &screen.style()));
    }
    Ok(if can_run(&needs) { exit::DONE } else { exit::HOST })
}

fn needs(options: &Options) -> Vec<Need> {
    let origin = origin::read();
    let mut needs = vec![
        ok(
            "kernel",
            &format!(
                "Linux {}, {} CPUs, pages of {} bytes",
                origin.kernel, origin.cpus, origin.page_bytes
            ),
        ),
        match support::missing_privileges() {
            None => ok("privileges", "root, or the capabilities that eBPF needs"),
            Some(remedy) => missing("privileges", "not enough to load eBPF programs", &remedy, true),
        },
        match support::type_information() {
            Ok(bytes) => ok("type information (BTF)", &format!("{} KiB", bytes / 1024)),
            Err(error) => missing(
                "type information (BTF)",
                &error.to_string(),
                "boot a kernel with BTF",
                true,
            ),
        },
    ];
    let root = mount::find();
    needs.push(match &root {
        Ok(path) => ok("cgroup v2", &path.display().to_string()),
        Err(error) => missing(
            "cgroup v2",
            &error.to_string(),
            "mount -t cgroup2 none /sys/fs/cgroup/unified",
            true,
        ),
    });
    needs.extend(sensors(root.as_ref().ok().cloned()));
    needs.push(retry_budget());
    if let Ok(path) = &root {
        needs.push(controllers(path));
    }
    needs.push(if journald::is_there() {
        ok("journald", "listens")
    } else {
        degraded(
            "journald",
            "nothing listens",
            "start systemd-journald; verdicts go to standard output without it",
        )
    });
    needs.push(match single::running(single::DEFAULT_PATH.as_ref()) {
        None => ok("other agent", "none is running"),
        Some(pid) => degraded("other agent", &format!("pid {pid} is running"), &format!("kill {pid}")),
    });
    needs.push(match Config::load(options.config.as_deref()) {
        Ok(config) => match config.source {
            Some(path) => ok("configuration", &path.display().to_string()),
            None => ok("configuration", "defaults"),
        },
        Err(error) => missing("configuration", &error.to_string(), "see docs/CONFIG.md", true),
    });
    needs
}

/// Loads every sensor for a moment: nothing else tells for sure. They count, and are gone when this returns.
fn sensors(cgroup_root: Option<PathBuf>) -> Vec<Need> {
    let options = KernelOptions {
        max_cgroups: 16,
        sched: true,
        mem: true,
        net: true,
        cgroup_root,
        debug: false,
    };
    let kernel = match Kernel::open(&options) {
        Ok(kernel) => kernel,
        Err(error) => return vec![missing("sensors", &error.to_string(), "see the lines above", true)],
    };
    let names = [
        ("sched", "run-queue wait"),
        ("sched.run_queue", "run-queue length"),
        ("mem", "page allocations"),
        ("mem.rss", "resident pages"),
        ("mem.oom", "out-of-memory kills"),
        ("net", "packets"),
        ("net.connections", "connections"),
        ("cgroups", "removed cgroups"),
    ];
    let shown = |name: &str| {
        names
            .iter()
            .find(|(sensor, _)| *sensor == name)
            .map_or_else(|| name.into(), |(_, shown)| (*shown).to_owned())
    };
    let mut needs: Vec<Need> = kernel
        .sensors()
        .iter()
        .map(|sensor| match &sensor.unavailable {
            None => ok(&shown(sensor.name), "runs"),
            Some(reason) => degraded(&shown(sensor.name), reason, "the other sensors run without it"),
        })
        .collect();
    if !["sched", "mem", "net"].iter().any(|name| kernel.runs(name)) {
        needs.push(missing(
            "sensors",
            "none runs on this kernel",
            "boot a distribution kernel from 5.10 on",
            true,
        ));
    }
    needs
}

/// Loads the enforcing programs for a moment; they are attached to nothing.
fn retry_budget() -> Need {
    let name = "retry budget";
    match Enforcer::open() {
        Ok(enforcer) => ok(
            name,
            match enforcer.refusal() {
                Refusal::ConnectionRefused => "can be held; refuses with ECONNREFUSED",
                Refusal::NotPermitted => {
                    "can be held; refuses with EPERM, because this kernel lets a program choose no error"
                }
            },
        ),
        Err(error) => degraded(
            name,
            &describe(&error),
            "everything else runs without it; storms are told and not shed",
        ),
    }
}

/// Limits of cgroups, for forecasts and for the cause `throttled`.
fn controllers(root: &std::path::Path) -> Need {
    let found = std::fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
    let lacks: Vec<_> = ["memory", "cpu"]
        .into_iter()
        .filter(|name| !found.split_whitespace().any(|f| f == *name))
        .collect();
    if lacks.is_empty() {
        return ok("cgroup limits", "memory and cpu controllers");
    }
    degraded(
        "cgroup limits",
        &format!("no {} controller in cgroup v2", lacks.join(" and no ")),
        "boot with systemd.unified_cgroup_hierarchy=1; forecasts use the host's memory without it",
    )
}

fn ok(name: &str, found: &str) -> Need {
    Need {
        name: name.into(),
        status: Status::Ok,
        found: found.into(),
        remedy: None,
        required: true,
    }
}

fn degraded(name: &str, found: &str, remedy: &str) -> Need {
    let status = Status::Degraded;
    Need {
        name: name.into(),
        status,
        found: found.into(),
        remedy: Some(remedy.into()),
        required: false,
    }
}

fn missing(name: &str, found: &str, remedy: &str, required: bool) -> Need {
    Need {
        name: name.into(),
        status: Status::Missing,
        found: found.into(),
        remedy: Some(remedy.into()),
        required,
    }
}
