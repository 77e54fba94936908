//! The loads do what they say, by the kernel's own books. Without this, a contract that holds might hold for nothing.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use sentinel_tests::{
    books::{Interface, Stack, Tasks},
    cgroup::Family,
    haproxy::{Haproxy, RETRIES},
    netns::{self, Netns},
    wait,
    workload::{Workload, exchange::Done, port::Closed},
};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(15);

#[test]
fn a_workload_lives_in_its_cgroup_and_both_are_gone_with_their_guards() -> Result<()> {
    let family = Family::new()?;
    let cgroup = family.cgroup("bystander")?;
    let dir = cgroup.dir().to_owned();
    let workload = Workload::start(&cgroup, &["sleep", "--seconds", "60"])?;
    let pid = workload.pid();
    assert_eq!(cgroup.pids(), [pid.cast_signed()]);
    let seen = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    ensure!(
        seen.lines().any(|line| line == format!("0::{}", cgroup.scope())),
        "{seen}"
    );
    assert!(cgroup.id()? > 0);
    drop((workload, cgroup, family));
    assert!(!dir.exists() && !dir.parent().context("no parent")?.exists());
    assert!(!fs::exists(format!("/proc/{pid}"))?);
    Ok(())
}

#[test]
fn a_panic_takes_the_cgroup_and_what_runs_in_it_along() -> Result<()> {
    let family = Family::new()?;
    let scope = std::panic::catch_unwind(|| {
        let cgroup = family.cgroup("panics").expect("a cgroup");
        let _workload = Workload::start(&cgroup, &["sleep", "--seconds", "60"]).expect("a workload");
        std::panic::resume_unwind(Box::new(cgroup.dir().to_owned()));
    })
    .err()
    .and_then(|payload| payload.downcast::<std::path::PathBuf>().ok())
    .context("no panic")?;
    assert!(!scope.exists());
    Ok(())
}

#[test]
fn busy_tasks_wait_for_each_other_and_their_books_stay_readable() -> Result<()> {
    let family = Family::new()?;
    let cgroup = family.cgroup("busy")?;
    let args = [
        "spin",
        "--threads",
        "6",
        "--pin",
        "--work-seconds",
        "2",
        "--seconds",
        "30",
    ];
    let workload = Workload::start(&cgroup, &args)?;
    workload.event("idle", LIMIT)?;
    thread::sleep(Duration::from_millis(200));
    let (first, second) = (Tasks::of(workload.pid())?, Tasks::of(workload.pid())?);
    println!("books of 6 busy tasks: {first:?}");
    assert_eq!(first.tasks, 7, "the tasks and the main thread");
    assert!(first.run_delay_ns > 1_000_000_000, "{first:?}");
    assert_eq!(
        first.run_delay_ns, second.run_delay_ns,
        "nothing moves once the work is done"
    );
    Ok(())
}

#[test]
fn a_leak_grows_at_its_pace() -> Result<()> {
    let family = Family::new()?;
    let cgroup = family.cgroup("leak")?;
    let workload = Workload::start(&cgroup, &["leak", "--mb-per-s", "20", "--seconds", "30"])?;
    let resident = || -> Result<u64> {
        let status = procfs::process::Process::new(workload.pid().cast_signed())?.status()?;
        Ok(status.vmrss.context("no VmRSS")? * 1024)
    };
    let (start_ns, before) = (wait::now_ns(), resident()?);
    thread::sleep(Duration::from_secs(4));
    let grown = resident()? - before;
    let mb_per_s = grown as f64 / 1e6 / wait::since(start_ns).as_secs_f64();
    println!("leak: {mb_per_s:.2} MB/s");
    assert!((18.0..22.0).contains(&mb_per_s), "{mb_per_s}");
    Ok(())
}

#[test]
fn a_clean_load_hardly_waits() -> Result<()> {
    let family = Family::new()?;
    let cgroup = family.cgroup("clean")?;
    let args = [
        "duty",
        "--percent",
        "20",
        "--then-percent",
        "85",
        "--after-seconds",
        "2",
        "--seconds",
        "6",
    ];
    let workload = Workload::start(&cgroup, &args)?;
    let read = |seconds| -> Result<(Tasks, Tasks)> {
        let before = Tasks::of(workload.pid())?;
        thread::sleep(Duration::from_millis(seconds));
        Ok((before, Tasks::of(workload.pid())?))
    };
    let share = |(before, after): (Tasks, Tasks), ms: u64| (after.on_cpu_ns - before.on_cpu_ns) / (ms * 10_000);
    let low = share(read(1500)?, 1500);
    thread::sleep(Duration::from_millis(800));
    let high = share(read(1500)?, 1500);
    println!("duty: {low} % before the step, {high} % after");
    assert!((15..=25).contains(&low), "{low} %");
    assert!((70..=90).contains(&high), "{high} %");
    Ok(())
}

#[test]
fn an_exchange_leaves_exactly_its_numbers_in_the_books() -> Result<()> {
    for family_args in [&[][..], &["--ipv6"][..]] {
        let family = Family::new()?;
        let (opens, accepts) = (family.cgroup("opens")?, family.cgroup("accepts")?);
        let mut args = vec!["exchange-server", "--seconds", "20"];
        args.extend(family_args);
        let server = Workload::start(&accepts, &args)?;
        let to = server.listen()?.to_string();
        let script = [
            "exchange",
            "--connections",
            "20",
            "--turns",
            "5",
            "--failures",
            "7",
            "--udp-sockets",
            "3",
        ];
        let mut args = script.to_vec();
        args.extend(["--to", &to, "--seconds", "2"]);
        args.extend(family_args);
        let before = Stack::read()?;
        let mut client = Workload::start(&opens, &args)?;
        client.event("idle", LIMIT)?;
        let after = Stack::read()?;
        let done: Done = serde_json::from_value(client.report(LIMIT)?["done"].clone())?;
        let expected = Done {
            connect_attempts: 27,
            connect_failures: 7,
            connects: 20,
            tcp_turns: 100,
            tcp_bytes: 10_000,
            udp_turns: 15,
            udp_bytes: 1_500,
        };
        assert_eq!(done, expected);
        // Others on this host may open connections too: the books say at least this.
        assert!(after.growth(&before, "Tcp.ActiveOpens") >= 27);
        assert!(after.growth(&before, "Tcp.PassiveOpens") >= 20);
        assert!(after.growth(&before, "Tcp.AttemptFails") >= 7);
        let udp = if family_args.is_empty() {
            "Udp.InDatagrams"
        } else {
            "Udp6InDatagrams"
        };
        assert!(after.growth(&before, udp) >= 30, "{udp}");
    }
    Ok(())
}

#[test]
fn a_transfer_over_loopback_and_into_a_namespace_is_in_the_books() -> Result<()> {
    let family = Family::new()?;
    let (from, into) = (family.cgroup("from")?, family.cgroup("into")?);
    const BYTES: u64 = 20_000_000;
    let bytes = BYTES.to_string();
    let before = Interface::read("lo")?;
    let mut local = Workload::start(&from, &["transfer", "--bytes", &bytes, "--seconds", "3"])?;
    assert_eq!(local.report(LIMIT)?["bytes_out"], BYTES);
    let moved = Interface::read("lo")? - before;
    assert!(moved.egress_bytes >= BYTES, "{moved:?}");

    let netns = Netns::new()?;
    let link = netns.interface().to_owned();
    for ipv6 in [false, true] {
        let listen = SocketAddr::new(Netns::there(ipv6), 0).to_string();
        let args = ["tcp-server", "--listen", &listen, "--seconds", "20"];
        let server = Workload::start_through(&into, &netns.through(), &args)?;
        let to = server.listen()?.to_string();
        let before = Interface::read(&link)?;
        let mut client = Workload::start(&from, &["transfer", "--to", &to, "--bytes", &bytes, "--seconds", "3"])?;
        assert_eq!(client.report(LIMIT)?["bytes_out"], BYTES);
        let moved = Interface::read(&link)? - before;
        println!("namespace, {to}: {moved:?}");
        assert!((BYTES..BYTES + BYTES / 10).contains(&moved.egress_bytes), "{moved:?}");
    }
    drop(netns);
    assert!(!netns::link_exists(&link)?);
    Ok(())
}

#[test]
fn haproxy_with_dead_backends_makes_four_attempts_of_each_request() -> Result<()> {
    let family = Family::new()?;
    let (proxy, load) = (family.cgroup("proxy")?, family.cgroup("load")?);
    let dead = Closed::take(IpAddr::from(Ipv4Addr::LOCALHOST))?;
    let haproxy = Haproxy::start(&proxy, &[dead.address(); 4])?;
    let storm = storm(&load, &haproxy)?;
    println!("dead backend: {storm}");
    let expected = f64::from(RETRIES + 1);
    let attempts = storm["attempts_per_request"].as_f64().context("no figure")?;
    assert!((attempts - expected).abs() < 0.2, "{storm}");
    assert!(
        storm["mean_latency_us"].as_u64().context("no latency")? < 100_000,
        "no wait between attempts: {storm}"
    );
    Ok(())
}

#[test]
fn haproxy_with_a_slow_backend_makes_four_attempts_of_each_request() -> Result<()> {
    let family = Family::new()?;
    let (proxy, load, stock) = (family.cgroup("proxy")?, family.cgroup("load")?, family.cgroup("stock")?);
    let backend = Workload::start(&stock, &["http-backend", "--delay-ms", "1000", "--seconds", "30"])?;
    let haproxy = Haproxy::start(&proxy, &[backend.listen()?; 4])?;
    let storm = storm(&load, &haproxy)?;
    println!("slow backend: {storm}");
    let attempts = storm["attempts_per_request"].as_f64().context("no figure")?;
    assert!(attempts > 3.0, "{storm}");
    Ok(())
}

#[test]
fn haproxy_with_a_healthy_backend_passes_every_request_once() -> Result<()> {
    let family = Family::new()?;
    let (proxy, load, stock) = (family.cgroup("proxy")?, family.cgroup("load")?, family.cgroup("stock")?);
    let backend = Workload::start(&stock, &["http-backend", "--seconds", "30"])?;
    let haproxy = Haproxy::start(&proxy, &[backend.listen()?; 4])?;
    let storm = storm(&load, &haproxy)?;
    println!("healthy backend: {storm}");
    assert_eq!(storm["ok"], storm["sent"]);
    Ok(())
}

/// Puts an open-loop load on a proxy; what the client saw, and attempts per request by the kernel's books.
fn storm(load: &sentinel_tests::cgroup::Cgroup, haproxy: &Haproxy) -> Result<Value> {
    let to = haproxy.frontend().to_string();
    let before = Stack::read()?;
    let mut client = Workload::start(load, &["http-client", "--to", &to, "--rps", "100", "--seconds", "4"])?;
    let mut report = client.report(LIMIT)?;
    let after = Stack::read()?;
    let sent = report["sent"].as_u64().context("no requests")?;
    ensure!(sent > 300, "an open loop keeps its rate: {report}");
    let opened = after.growth(&before, "Tcp.ActiveOpens").saturating_sub(sent);
    report["attempts_per_request"] = (opened as f64 / sent as f64).into();
    report["attempt_fails"] = after.growth(&before, "Tcp.AttemptFails").into();
    Ok(report)
}
