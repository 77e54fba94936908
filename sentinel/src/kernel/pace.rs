//! When to read: a timer of the kernel, for the agent's loop.
//!
//! In: a period. Out: that it is due, and how late. Never decides what to read.

use std::{io, os::fd::OwnedFd, time::Duration};

use rustix::{
    fs::Timespec,
    time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime},
};
use tokio::io::{Interest, unix::AsyncFd};

use crate::time::monotonic_ns;

/// Due again and again, by a timer of the kernel: it costs one wake-up and two system calls each time. The runtime's own
/// timers are armed anew for each, and wake up in between.
#[derive(Debug)]
pub struct Pace {
    timer: AsyncFd<OwnedFd>,
    period: Duration,
    /// When it was last due, `CLOCK_MONOTONIC`, nanoseconds.
    due_ns: u64,
}

impl Pace {
    /// Due for the first time after `first`, then after every `period`. To be made within the runtime.
    ///
    /// # Errors
    /// The kernel gives no timer.
    pub fn new(first: Duration, period: Duration) -> io::Result<Self> {
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        // Zero would mean never.
        let due_ns = set(&timer, first.max(Duration::from_nanos(1)), period)?;
        Ok(Self {
            // SAFETY: an owned descriptor is the same one, and open, until it is dropped, and it is dropped with this.
            timer: unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) }?,
            period,
            due_ns,
        })
    }

    /// Another period, zero for never. Where that is a change it costs a system call, and from then on it is due in step with another
    /// one, so that both make one wake-up where their times meet.
    ///
    /// # Errors
    /// The kernel does not set the timer.
    pub fn change(&mut self, period: Duration, other: &Self) -> io::Result<()> {
        if std::mem::replace(&mut self.period, period) != period {
            let past = Duration::from_nanos(monotonic_ns().saturating_sub(other.due_ns));
            let past = past.as_nanos().checked_rem(period.as_nanos()).unwrap_or(0);
            let past = Duration::from_nanos(u64::try_from(past).unwrap_or(0));
            self.due_ns = set(self.timer.get_ref(), period - past, period)?;
        }
        Ok(())
    }

    /// Waits until it is due; how late that is said. What was missed is not made up for: it is due once.
    ///
    /// # Errors
    /// The timer cannot be read.
    pub async fn due(&mut self) -> io::Result<Duration> {
        loop {
            let mut ready = self.timer.readable().await?;
            let mut times = [0; size_of::<u64>()];
            let read = ready.try_io(|timer| Ok(rustix::io::read(timer.get_ref(), &mut times)?));
            let Ok(read) = read else { continue };
            read?;
            // It is due no more until the kernel says so again: no second reading to find that out.
            ready.clear_ready();
            let period_ns = u64::try_from(self.period.as_nanos()).unwrap_or(u64::MAX);
            let passed_ns = period_ns.saturating_mul(u64::from_ne_bytes(times));
            self.due_ns = self.due_ns.saturating_add(passed_ns);
            return Ok(Duration::from_nanos(monotonic_ns().saturating_sub(self.due_ns)));
        }
    }
}

/// Sets the timer, for a first time of zero to never; a period before it is due first.
fn set(timer: &OwnedFd, first: Duration, period: Duration) -> io::Result<u64> {
    let now_ns = monotonic_ns();
    let spec = Itimerspec {
        it_interval: timespec(period)?,
        it_value: timespec(first)?,
    };
    timerfd_settime(timer, TimerfdTimerFlags::empty(), &spec)?;
    let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    Ok(now_ns.saturating_add(ns(first)).saturating_sub(ns(period)))
}

fn timespec(duration: Duration) -> io::Result<Timespec> {
    Timespec::try_from(duration).map_err(|_| io::ErrorKind::InvalidInput.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_due_once_after_periods_that_were_missed() -> io::Result<()> {
        let period = Duration::from_millis(50);
        let mut pace = Pace::new(Duration::ZERO, period)?;
        assert!(pace.due().await? < period, "at once");
        std::thread::sleep(period * 7 / 2);
        let start_ns = monotonic_ns();
        let late = pace.due().await?;
        assert!(late < period, "late by the last one missed, {late:?}");
        pace.due().await?;
        let waited = Duration::from_nanos(monotonic_ns() - start_ns);
        assert!(waited >= period / 5, "the missed ones are not made up for, {waited:?}");
        Ok(())
    }

    #[tokio::test]
    async fn it_is_never_due_without_a_period_and_in_step_with_another_when_it_has_one_again() -> io::Result<()> {
        let period = Duration::from_millis(50);
        let other = Pace::new(Duration::ZERO, period)?;
        let mut pace = Pace::new(period, period)?;
        pace.due().await?;
        // One that is due already is not due any more either.
        std::thread::sleep(period * 2);
        pace.change(Duration::ZERO, &other)?;
        let waited = tokio::time::timeout(period * 3, pace.due()).await;
        assert!(waited.is_err(), "{waited:?}");
        pace.change(period, &other)?;
        let set_ns = monotonic_ns();
        let first_ns = pace.due_ns + u64::try_from(period.as_nanos()).unwrap_or(0);
        assert!(first_ns <= set_ns + 50_000_000, "within a period");
        let off_ns = (first_ns - other.due_ns) % 50_000_000;
        assert!(off_ns.min(50_000_000 - off_ns) < 5_000_000, "in step, {off_ns}");
        assert!(pace.due().await? < period * 3);
        Ok(())
    }
}
