//! Contract: pages are counted, and belong to who took them, by the kernel's own books.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sentinel::{
    sense::{Source as _, spare::Spared},
    time::Now,
};
use sentinel_tests::{
    books::Pages,
    cgroup::Family,
    probe::{Probe, close},
    wait,
    workload::Workload,
};

/// Emulated kernels may be twenty times slower than this machine: how much is done decides, and not how long it takes.
const LIMIT: Duration = Duration::from_secs(60);

/// Pages a leak must hold before it is compared with its book: what it takes before it first leaves the CPU counts elsewhere.
const LEAKED_PAGES: f64 = 60_000.0;

/// Anonymous pages of a process, by its own book.
fn resident_pages(pid: u32) -> Result<f64> {
    let status = procfs::process::Process::new(pid.cast_signed())?.status()?;
    Ok(status.rssanon.context("no RssAnon")? as f64 / 4.0)
}

#[test]
fn pages_are_those_of_vmstat_and_belong_to_the_cgroup_that_took_them() -> Result<()> {
    pages_belong_to_who_took_them(Probe::new(64)?, "")
}

/// Where the kernel lets no run-queue be sampled, as for Debian's units, pages are counted as well.
#[test]
fn pages_belong_to_the_cgroup_that_took_them_though_no_run_queue_is_sampled() -> Result<()> {
    let probe = Probe::unsampled(64)?;
    ensure!(!probe.live.kernel().runs("sched.run_queue"), "run-queues are sampled");
    pages_belong_to_who_took_them(probe, ", no run-queue sampled")
}

fn pages_belong_to_who_took_them(mut probe: Probe, how: &str) -> Result<()> {
    let family = Family::new()?;
    let (leaks, idles) = (family.cgroup("leaks")?, family.cgroup("idles")?);
    let _idle = Workload::start(&idles, &["sleep", "--seconds", "30"])?;
    // What came before is nobody's, or the host's alone.
    probe.read();
    let (before, counted) = (Pages::read()?, probe.host.mem);
    let mut leak = Workload::start(
        &leaks,
        &["leak", "--mb-per-s", "100", "--max-mb", "400", "--seconds", "60"],
    )?;
    let mut churn = Workload::start(&idles, &["pages", "--seconds", "60"])?;
    let leaked = |pid| resident_pages(pid).is_ok_and(|pages| pages > LEAKED_PAGES);
    ensure!(wait::until_true(LIMIT, || leaked(leak.pid())), "too little was leaked");
    // Both go on while they are read, so that the books are read on both sides of the probe: what it counted lies between them.
    let low = Pages::read()? - before;
    let low_resident = resident_pages(leak.pid())?;
    probe.read_now();
    let high_resident = resident_pages(leak.pid())?;
    let high = Pages::read()? - before;
    let allocated = probe.host.mem.allocated_pages - counted.allocated_pages;
    let freed = probe.host.mem.freed_pages - counted.freed_pages;
    close(
        "pages allocated",
        allocated,
        allocated.clamp(low.allocated, high.allocated),
    );
    close(&format!("pages freed{how}"), freed, freed.clamp(low.freed, high.freed));
    let leaked = &probe.of(&leaks.scope())?.mem;
    let net = leaked.allocated_pages as f64 - leaked.freed_pages as f64;
    let anonymous = leaked.rss_anon_pages.context("resident pages are not measured")? as f64;
    let share = |pages: f64| pages / pages.clamp(low_resident, high_resident);
    println!(
        "MATRIX leaked pages, share of the process's own book{how}={:.1} %",
        100.0 * share(net)
    );
    println!(
        "MATRIX leaked resident pages, share of that book{how}={:.1} %",
        100.0 * share(anonymous)
    );
    let books = format!("{low_resident} to {high_resident}");
    assert!((0.97..1.08).contains(&share(net)), "{net} pages of {books}");
    assert!((0.95..1.03).contains(&share(anonymous)), "{anonymous} pages of {books}");
    for loss in ["pages_unread", "pages_moved"] {
        assert_eq!(probe.losses.get(loss), None, "{loss}");
    }
    drop((leak.kill(), churn.kill()));
    let scope = leaks.scope();
    let mut left_mb = || {
        probe.read();
        let pages = probe.of(&scope).ok()?.mem.rss_anon_pages?;
        Some(pages * 4096 / 1_000_000)
    };
    // Who has hundreds of megabytes takes a while to end, the longer the less of a CPU there is for it.
    let returned = wait::until_true(LIMIT, || left_mb().is_some_and(|left| left.abs() < 10));
    assert!(returned, "what ended gave everything back, {:?} MB are left", left_mb());
    Ok(())
}

#[test]
fn pages_that_came_while_the_sensor_was_left_out_are_nobodys() -> Result<()> {
    const TAKEN: u64 = 50_000;
    let family = Family::new()?;
    let cgroup = family.cgroup("churns")?;
    let mut probe = Probe::new(64)?;
    let _churn = Workload::start(&cgroup, &["pages", "--seconds", "60"])?;
    let left_out = Spared { mem: true, net: false };
    for (spared, counts) in [(left_out, false), (Spared::default(), true)] {
        probe.live.spare(spared, Now::read());
        // The book is read around what is counted; the first reading ends what was before.
        let before = Pages::read()?;
        probe.read_now();
        let counted = probe.host.mem.allocated_pages;
        let taken = || Pages::read().is_ok_and(|now| (now - before).allocated > TAKEN);
        ensure!(wait::until_true(LIMIT, taken), "too few pages were taken");
        probe.read_now();
        let counted = probe.host.mem.allocated_pages - counted;
        println!("counted {counted} of {TAKEN} pages and more, {spared:?}");
        if counts {
            let all = (Pages::read()? - before).allocated;
            assert!(
                (TAKEN * 9 / 10..=all).contains(&counted),
                "{counted} of {TAKEN} to {all}"
            );
        } else {
            assert_eq!(counted, 0);
        }
    }
    Ok(())
}
