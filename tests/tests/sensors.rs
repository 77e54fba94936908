//! Contract: the sensors tell the truth, by the kernel's own books.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use sentinel::{
    sense::Source as _,
    time::{Now, monotonic_ns},
};
use sentinel_tests::{
    books::{Interface, Stack, Tasks},
    cgroup::Family,
    netns::Netns,
    probe::{Probe, close},
    workload::{Workload, exchange::Done, port::Closed},
};

/// Emulated kernels may be twenty times slower than this machine: how much is done decides, and not how long it takes.
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn run_queue_waits_and_switches_are_those_of_schedstat() -> Result<()> {
    for (args, name) in [(&["--pin"][..], "pinned"), (&[][..], "free to migrate")] {
        let family = Family::new()?;
        let cgroup = family.cgroup("busy")?;
        let mut all = vec!["spin", "--threads", "6", "--work-seconds", "3", "--seconds", "30"];
        all.extend(args);
        let mut probe = Probe::new(64)?;
        let busy = Workload::start(&cgroup, &all)?;
        for _ in 0..3 {
            thread::sleep(Duration::from_secs(1));
            probe.read();
        }
        busy.event("idle", LIMIT)?;
        thread::sleep(Duration::from_millis(300));
        probe.read();
        let books = Tasks::of(busy.pid())?;
        let counted = &probe.of(&cgroup.scope())?.sched;
        close(&format!("run-queue wait, {name}"), counted.wait_ns, books.run_delay_ns);
        close(&format!("time on CPU, {name}"), counted.on_cpu_ns, books.on_cpu_ns);
        close(&format!("schedulings, {name}"), counted.waits, books.runs);
        close(
            &format!("involuntary switches, {name}"),
            counted.involuntary,
            books.involuntary,
        );
        let in_buckets: u64 = counted.buckets.iter().map(|count| u64::from(*count)).sum();
        assert_eq!(in_buckets, counted.waits, "every wait is in a bucket");
        println!(
            "MATRIX waits that fell back, {name}={}",
            probe.losses.get("wait_fallback").unwrap_or(&0)
        );
    }
    Ok(())
}

#[test]
fn the_variance_of_waits_is_that_of_the_histogram_within_a_bucket() -> Result<()> {
    let family = Family::new()?;
    let cgroup = family.cgroup("busy")?;
    let mut probe = Probe::new(64)?;
    let _busy = Workload::start(&cgroup, &["spin", "--threads", "5", "--seconds", "20"])?;
    thread::sleep(Duration::from_secs(2));
    probe.read();
    let counted = &probe.of(&cgroup.scope())?.sched;
    ensure!(counted.waits > 100, "{counted:?}");
    let unit = sentinel_common::sched::WAIT_UNIT_NS as f64;
    let rms = (counted.wait_units_squared as f64 / counted.waits as f64).sqrt() * unit;
    let (mut low, mut high) = (0.0, 0.0);
    for (bucket, count) in counted.buckets.iter().enumerate() {
        let floor = sentinel_common::histogram::bucket_floor_ns(bucket) as f64;
        low += floor.powi(2) * f64::from(*count);
        high += (floor * 2.0).max(1024.0).powi(2) * f64::from(*count);
    }
    let bound = |sum: f64| (sum / counted.waits as f64).sqrt();
    assert!(
        (bound(low)..=bound(high)).contains(&rms),
        "{} <= {rms} <= {}",
        bound(low),
        bound(high)
    );
    Ok(())
}

#[test]
fn the_sampled_run_queue_length_is_the_number_of_busy_tasks() -> Result<()> {
    let family = Family::new()?;
    let cgroup = family.cgroup("busy")?;
    let cpus = thread::available_parallelism()?.get();
    // Loading the programs takes a slow machine longer than a load lasts: they come first.
    let mut probe = Probe::new(64)?;
    let _busy = Workload::start(&cgroup, &["spin", "--threads", "6", "--pin", "--seconds", "20"])?;
    thread::sleep(Duration::from_millis(500));
    probe.read();
    // Reading takes a slow machine a while too: the time lies between what is around the readings and what is between them.
    let outer = monotonic_ns();
    probe.read_now();
    let (before, inner) = (probe.run_queue, monotonic_ns());
    thread::sleep(Duration::from_secs(3));
    let at_least_s = (monotonic_ns() - inner) as f64 / 1e9;
    probe.read_now();
    let at_most_s = (monotonic_ns() - outer) as f64 / 1e9;
    let samples = (probe.run_queue.samples - before.samples) as f64;
    let length = (probe.run_queue.length - before.length) as f64 / samples;
    let per_cpu = samples / cpus as f64;
    println!(
        "MATRIX run-queue samples per CPU and second={:.1}",
        per_cpu / at_least_s
    );
    println!("MATRIX run-queue length per CPU with 6 busy tasks on {cpus} CPUs={length:.2}");
    // Others on this host may run too.
    let least = 6.0 / cpus as f64 * 0.95;
    assert!((least..least * 2.0).contains(&length), "{length} on {cpus} CPUs");
    assert!(
        per_cpu / at_least_s >= 80.0 && per_cpu / at_most_s < 110.0,
        "{samples} samples in {at_least_s} to {at_most_s} s"
    );
    Ok(())
}

#[test]
fn roles_attempts_failures_and_turns_are_exactly_those_of_a_scripted_exchange() -> Result<()> {
    for family_args in [&[][..], &["--ipv6"][..]] {
        let family = Family::new()?;
        let (opens, accepts) = (family.cgroup("opens")?, family.cgroup("accepts")?);
        let mut probe = Probe::new(64)?;
        let mut args = vec!["exchange-server", "--seconds", "20"];
        args.extend(family_args);
        let server = Workload::start(&accepts, &args)?;
        let to = server.listen()?.to_string();
        let script = "exchange --connections 40 --turns 5 --failures 17 --udp-sockets 3 --udp-turns 4 --seconds 3";
        let mut args: Vec<&str> = script.split(' ').collect();
        args.extend(["--to", &to]);
        args.extend(family_args);
        let mut client = Workload::start(&opens, &args)?;
        client.event("idle", LIMIT)?;
        probe.read();
        let done: Done = serde_json::from_value(client.report(LIMIT)?["done"].clone())?;
        let version = if family_args.is_empty() { "IPv4" } else { "IPv6" };

        let net = probe.of(&opens.scope())?.net;
        println!("{version} opener: {net:?}");
        assert_eq!(net.connect_attempts, done.connect_attempts);
        assert_eq!(net.connect_failures, done.connect_failures);
        assert_eq!(net.connects, done.connects);
        assert_eq!(net.accepts, 0);
        assert_eq!(net.opened_turns_out, done.tcp_turns + done.udp_turns);
        assert_eq!(net.opened_turns_in, done.tcp_turns + done.udp_turns);
        assert_eq!(net.opened_first_turns, done.connects);
        assert_eq!((net.accepted_turns_in, net.accepted_turns_out), (0, 0));
        assert_eq!(net.resets_in, done.connect_failures);
        assert_eq!(net.given_up, 0, "every request was answered");
        assert_eq!(
            (net.udp_egress_packets, net.udp_ingress_packets),
            (done.udp_turns, done.udp_turns)
        );
        // Every attempt, each turn beyond a connection's first, and every datagram asked.
        let work = done.connect_attempts + done.tcp_turns - done.connects + done.udp_turns;
        assert_eq!(net.work_out(), work);
        assert_eq!(net.work_in(), 0);

        let net = probe.of(&accepts.scope())?.net;
        println!("{version} accepter: {net:?}");
        assert_eq!(net.accepts, done.connects);
        assert_eq!(net.connect_attempts, 0);
        assert_eq!((net.opened_turns_in, net.opened_turns_out), (0, 0));
        // The one UDP socket answers all: it turns with each datagram.
        assert_eq!(net.accepted_turns_in, done.tcp_turns + done.udp_turns);
        assert_eq!(net.accepted_turns_out, done.tcp_turns + done.udp_turns);
        assert_eq!(net.accepted_first_turns, done.connects);
        assert_eq!(net.work_in(), done.tcp_turns + done.udp_turns);
        assert_eq!(net.external.egress_packets, 0, "loopback is told apart");
        println!("MATRIX exchange over {version}=exact");
    }
    Ok(())
}

#[test]
fn requests_that_are_given_up_are_exactly_those_whose_connection_ended_without_an_answer() -> Result<()> {
    let family = Family::new()?;
    let opens = family.cgroup("opens")?;
    let mut probe = Probe::new(64)?;
    let script = "exchange --connections 20 --turns 3 --failures 5 --given-up 23 --seconds 2";
    let args: Vec<&str> = script.split(' ').collect();
    let mut client = Workload::start(&opens, &args)?;
    client.event("idle", LIMIT)?;
    probe.read();
    client.report(LIMIT)?;
    let net = probe.of(&opens.scope())?.net;
    println!("{net:?}");
    assert_eq!((net.given_up, net.connect_failures, net.connects), (23, 5, 43));
    println!("MATRIX requests given up=exact");
    Ok(())
}

#[test]
fn the_worst_destination_is_the_one_that_refuses() -> Result<()> {
    let family = Family::new()?;
    let load = family.cgroup("load")?;
    let dead = Closed::take(IpAddr::from(Ipv4Addr::LOCALHOST))?;
    let to = dead.address();
    let mut probe = Probe::new(64)?;
    // Both refuse, one more often.
    let _client = Workload::start(
        &load,
        &[
            "http-client",
            "--to",
            &to.to_string(),
            "--rps",
            "200",
            "--seconds",
            "20",
        ],
    )?;
    let _other = Workload::start(
        &load,
        &["exchange", "--connections", "3", "--failures", "9", "--seconds", "20"],
    )?;
    thread::sleep(Duration::from_secs(4));
    let sample = probe.live.read(Now::read(), true);
    let part = sample.scopes.iter().find(|part| part.scope.path == load.scope());
    let worst = part.and_then(|part| part.worst_destination).context("no destination")?;
    ensure!(
        SocketAddr::new(worst.address, worst.port) == to,
        "{worst:?} is not {to}"
    );
    ensure!(worst.failures > 100 && worst.failures <= worst.attempts, "{worst:?}");
    Ok(())
}

#[test]
fn loopback_packets_and_bytes_are_those_of_its_interface() -> Result<()> {
    let family = Family::new()?;
    let from = family.cgroup("from")?;
    let mut probe = Probe::new(64)?;
    let (before, stack) = (Interface::read("lo")?, Stack::read()?);
    let mut local = Workload::start(&from, &["transfer", "--bytes", "50000000", "--seconds", "4"])?;
    local.report(LIMIT)?;
    let (moved, after) = (Interface::read("lo")? - before, Stack::read()?);
    probe.read();
    let net = &probe.host.net;
    close("loopback bytes sent", net.loopback.egress_bytes, moved.egress_bytes);
    close(
        "loopback bytes received",
        net.loopback.ingress_bytes,
        moved.ingress_bytes,
    );
    // The interface counts what it carries at once, the stack counts segments: ours are segments.
    let segments = after.growth(&stack, "Tcp.OutSegs") + after.growth(&stack, "Udp.OutDatagrams");
    close(
        "segments sent",
        net.loopback.egress_packets + net.external.egress_packets,
        segments,
    );
    Ok(())
}

#[test]
fn packets_and_bytes_into_a_namespace_are_those_of_its_link() -> Result<()> {
    if std::env::var_os("SENTINEL_VM").is_some() {
        println!("skipped: the guest has no `ip netns`");
        return Ok(());
    }
    let family = Family::new()?;
    let (from, into) = (family.cgroup("from")?, family.cgroup("into")?);
    let netns = Netns::new()?;
    let link = netns.interface().to_owned();
    const ETHERNET_HEADER: u64 = 14;
    for ipv6 in [false, true] {
        let listen = SocketAddr::new(Netns::there(ipv6), 0).to_string();
        let args = ["tcp-server", "--listen", &listen, "--seconds", "20"];
        let server = Workload::start_through(&into, &netns.through(), &args)?;
        let to = server.listen()?.to_string();
        let mut probe = Probe::new(64)?;
        let before = Interface::read(&link)?;
        let args = ["transfer", "--to", &to, "--bytes", "50000000", "--seconds", "3"];
        let mut client = Workload::start(&from, &args)?;
        client.report(LIMIT)?;
        let moved = Interface::read(&link)? - before;
        probe.read();
        let version = if ipv6 { "IPv6" } else { "IPv4" };
        let sender = probe.of(&from.scope())?.net.external;
        // The link carries an Ethernet header more on each of its packets, which are fewer than the segments.
        let without_headers = |bytes: u64, packets: u64| bytes - packets * ETHERNET_HEADER;
        let sent = without_headers(moved.egress_bytes, moved.egress_packets);
        let received = without_headers(moved.ingress_bytes, moved.ingress_packets);
        close(&format!("namespace bytes sent, {version}"), sender.egress_bytes, sent);
        close(
            &format!("namespace bytes received, {version}"),
            sender.ingress_bytes,
            received,
        );
        let receiver = probe.of(&into.scope())?.net.external;
        close(
            &format!("namespace bytes at the other end, {version}"),
            receiver.ingress_bytes,
            sent,
        );
    }
    Ok(())
}

#[test]
fn refused_connections_cost_no_socket_and_lose_nothing() -> Result<()> {
    let family = Family::new()?;
    let load = family.cgroup("load")?;
    let dead = Closed::take(IpAddr::from(Ipv4Addr::LOCALHOST))?;
    let to = dead.address().to_string();
    let mut probe = Probe::new(64)?;
    let mut client = Workload::start(&load, &["http-client", "--to", &to, "--rps", "500", "--seconds", "6"])?;
    let report = client.report(LIMIT)?;
    probe.read();
    let net = &probe.of(&load.scope())?.net;
    let sent = report["sent"].as_u64().context("no figure")?;
    assert!(sent > 1000, "{report}");
    assert_eq!(net.connect_attempts, net.connect_failures);
    close("refused attempts", net.connect_attempts, sent);
    for kind in [
        "no_socket_storage",
        "no_socket_callbacks",
        "event_dropped",
        "slot_not_stored",
        "no_cgroup_id",
    ] {
        assert_eq!(probe.losses.get(kind), None, "{kind}");
    }
    Ok(())
}

#[test]
fn more_cgroups_than_slots_count_as_other_and_the_loss_shows() -> Result<()> {
    let family = Family::new()?;
    let mut probe = Probe::new(16)?;
    let cgroups: Vec<_> = (0..24)
        .map(|n| family.cgroup(&format!("crowd-{n}")))
        .collect::<Result<_>>()?;
    let loads: Vec<_> = cgroups
        .iter()
        .map(|cgroup| Workload::start(cgroup, &["sleep", "--seconds", "20"]))
        .collect::<Result<_>>()?;
    thread::sleep(Duration::from_millis(1500));
    probe.read();
    let named = cgroups
        .iter()
        .filter(|cgroup| probe.scopes.contains_key(&cgroup.scope()))
        .count();
    assert!(named < 24, "{named} cgroups have one of 16 slots");
    assert!(
        probe.losses.get("no_free_slot").is_some_and(|count| *count > 0),
        "{:?}",
        probe.losses
    );
    assert!(probe.of("other")?.sched.waits > 0);
    drop((loads, cgroups));
    Ok(())
}

#[test]
fn a_slot_is_used_again_and_nothing_of_its_past_shows() -> Result<()> {
    let family = Family::new()?;
    let mut probe = Probe::new(16)?;
    // Each round fills the free slots with cgroups that switch a lot, and removes them.
    for round in 0..6 {
        let name = format!("round-{round}");
        let cgroup = family.cgroup(&name)?;
        let others: Vec<_> = (0..5)
            .map(|n| family.cgroup(&format!("{name}-{n}")))
            .collect::<Result<_>>()?;
        let _loads: Vec<_> = others
            .iter()
            .map(|cgroup| Workload::start(cgroup, &["duty", "--threads", "1", "--percent", "5", "--seconds", "9"]))
            .collect::<Result<_>>()?;
        let load = Workload::start(&cgroup, &["sleep", "--seconds", "9"])?;
        thread::sleep(Duration::from_millis(700));
        probe.read();
        let books = Tasks::of(load.pid())?;
        let counted = probe
            .of(&cgroup.scope())
            .with_context(|| format!("round {round}"))?
            .sched;
        ensure!(counted.waits > 0, "round {round}: {counted:?}");
        // Nothing but what this process did, by its own book.
        let most = books.on_cpu_ns + books.on_cpu_ns / 20 + 20_000_000;
        ensure!(counted.on_cpu_ns <= most, "round {round}: {counted:?}, {books:?}");
        drop((load, _loads, others, cgroup));
        for _ in 0..4 {
            probe.read();
        }
    }
    assert_eq!(probe.losses.get("no_free_slot"), None);
    Ok(())
}
