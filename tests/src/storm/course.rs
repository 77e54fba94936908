//! What happened in one run, as the client, the gateway, the backend and the neighbour measured it.
//!
//! Comes in: slices of time. Goes out: shares and times. What is true of a run is what these say, not what was meant.

use serde::{Deserialize, Serialize};

/// Goodput is looked at over a second.
const SECOND_S: f64 = 1.0;
/// Goodput from this share of what is asked on is back.
pub const BACK: f64 = 0.9;

/// What came back to a client in a slice of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answers {
    /// Its end, `CLOCK_MONOTONIC`, nanoseconds.
    pub monotonic_ns: u64,
    /// Its length.
    pub seconds: f64,
    /// Requests sent.
    pub asked: u64,
    /// Requests answered with success.
    pub ok: u64,
    /// How long each answer took, microseconds.
    pub latencies_us: Vec<u64>,
}

/// What a gateway did in a slice of time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempts {
    /// Its end, `CLOCK_MONOTONIC`, nanoseconds.
    pub monotonic_ns: u64,
    /// Its length.
    pub seconds: f64,
    /// Requests that came.
    pub requests: u64,
    /// Attempts made for them.
    pub attempts: u64,
    /// Attempts that were refused before anything was sent.
    pub denied: u64,
    /// When the last of all was, `CLOCK_MONOTONIC`, nanoseconds; 0 when none ever was.
    pub last_denied_ns: u64,
}

/// What reached a backend in a slice of time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Arrivals {
    /// Its end, `CLOCK_MONOTONIC`, nanoseconds.
    pub monotonic_ns: u64,
    /// Its length.
    pub seconds: f64,
    /// Attempts that reached it.
    pub accepted: u64,
    /// Requests it did.
    pub served: u64,
    /// Of those, work that nobody waited for any more.
    pub wasted: u64,
}

/// One run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Course {
    /// When the trigger began, `CLOCK_MONOTONIC`, nanoseconds.
    pub begins_ns: u64,
    /// When it ended.
    pub ends_ns: u64,
    /// The client, in order of time.
    pub client: Vec<Answers>,
    /// The gateway; empty where it is a proxy that does not tell.
    pub gateway: Vec<Attempts>,
    /// The backend.
    pub stock: Vec<Arrivals>,
    /// The neighbour's client.
    pub neighbour: Vec<Answers>,
    /// When the first attempt of the gateway was refused.
    pub first_denied_ns: Option<u64>,
}

impl Course {
    /// Seconds from the trigger's end; negative before it.
    #[must_use]
    pub fn after_end_s(&self, monotonic_ns: u64) -> f64 {
        (monotonic_ns as f64 - self.ends_ns as f64) / 1e9
    }

    /// Requests answered per second before the trigger, without the first second.
    #[must_use]
    pub fn usual_per_s(&self) -> Option<f64> {
        let first_ns = self.client.first()?.monotonic_ns;
        let before: Vec<&Answers> = self
            .client
            .iter()
            .filter(|slice| slice.monotonic_ns > first_ns + 1_000_000_000 && slice.monotonic_ns <= self.begins_ns)
            .collect();
        let seconds: f64 = before.iter().map(|slice| slice.seconds).sum();
        let ok: u64 = before.iter().map(|slice| slice.ok).sum();
        (seconds > 0.0 && ok > 0).then(|| ok as f64 / seconds)
    }

    /// Requests answered per second between two times after the trigger's end, as a share of the usual.
    #[must_use]
    pub fn goodput(&self, from_s: f64, to_s: f64) -> Option<f64> {
        let during: Vec<&Answers> = between(&self.client, self, from_s, to_s).collect();
        let seconds: f64 = during.iter().map(|slice| slice.seconds).sum();
        let ok: u64 = during.iter().map(|slice| slice.ok).sum();
        (seconds > 0.0).then_some(())?;
        Some(ok as f64 / seconds / self.usual_per_s()?)
    }

    /// Seconds from the trigger's end until goodput was back for good: from then on, of what was asked in any second, at
    /// least [`BACK`] was answered. `None` when it was not back a second before the end.
    #[must_use]
    pub fn back_after_s(&self) -> Option<f64> {
        let length = (SECOND_S / self.client.first()?.seconds).round().max(1.0) as usize;
        let good = |slices: &[Answers]| {
            let asked: u64 = slices.iter().map(|slice| slice.asked).sum();
            let ok: u64 = slices.iter().map(|slice| slice.ok).sum();
            ok as f64 >= BACK * asked as f64
        };
        let bad = self.client.windows(length).rposition(|slices| !good(slices));
        let Some(bad) = bad else { return Some(0.0) };
        let end_ns = self.client.get(bad + length - 1)?.monotonic_ns;
        let last_ns = self.client.last()?.monotonic_ns;
        let back = end_ns + (SECOND_S * 1e9) as u64 <= last_ns;
        back.then(|| self.after_end_s(end_ns).max(0.0))
    }

    /// Share of what the neighbour's client asked that was answered, between two times after the trigger's end.
    #[must_use]
    pub fn neighbour_share(&self, from_s: f64, to_s: f64) -> Option<f64> {
        let during: Vec<&Answers> = between(&self.neighbour, self, from_s, to_s).collect();
        let asked: u64 = during.iter().map(|slice| slice.asked).sum();
        let ok: u64 = during.iter().map(|slice| slice.ok).sum();
        (asked > 0).then(|| ok as f64 / asked as f64)
    }

    /// How long the neighbour's answers took between two times after the trigger's end, microseconds.
    pub fn neighbour_latencies_us(&self, from_s: f64, to_s: f64) -> impl Iterator<Item = u64> + '_ {
        between(&self.neighbour, self, from_s, to_s).flat_map(|slice| slice.latencies_us.iter().copied())
    }

    /// How long it is, from the first slice to the last, in seconds after the trigger's end.
    #[must_use]
    pub fn span_s(&self) -> Option<(f64, f64)> {
        let (first, last) = (self.client.first()?, self.client.last()?);
        Some((
            self.after_end_s(first.monotonic_ns),
            self.after_end_s(last.monotonic_ns),
        ))
    }
}

fn between<'a>(slices: &'a [Answers], course: &'a Course, from_s: f64, to_s: f64) -> impl Iterator<Item = &'a Answers> {
    slices.iter().filter(move |slice| {
        let end_s = course.after_end_s(slice.monotonic_ns);
        end_s - slice.seconds >= from_s - 1e-6 && end_s <= to_s + 1e-6
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One slice for each number: answers to ten requests in a tenth of a second.
    fn course(ok: &[u64], begins: u64, ends: u64) -> Course {
        let slice = |(index, ok): (u64, &u64)| Answers {
            monotonic_ns: index * 100_000_000,
            seconds: 0.1,
            asked: 10,
            ok: *ok,
            latencies_us: vec![index; *ok as usize],
        };
        let client: Vec<Answers> = (1..).zip(ok).map(slice).collect();
        Course {
            begins_ns: begins * 100_000_000,
            ends_ns: ends * 100_000_000,
            neighbour: client.clone(),
            client,
            ..Course::default()
        }
    }

    #[test]
    fn goodput_is_a_share_of_what_was_before_the_trigger() {
        let ok: Vec<u64> = (0..60).map(|index| if index < 30 { 10 } else { 1 }).collect();
        let course = course(&ok, 30, 40);
        assert!((course.usual_per_s().unwrap() - 100.0).abs() < 1e-6);
        assert!((course.goodput(0.5, 2.0).unwrap() - 0.1).abs() < 1e-6);
        assert_eq!(course.goodput(10.0, 12.0), None, "nobody looked");
        assert_eq!(course.back_after_s(), None);
    }

    #[test]
    fn what_is_back_is_back_for_good_and_not_only_at_the_very_end() {
        let down = |from: u64, to: u64| {
            let ok: Vec<u64> = (0..80)
                .map(|index| if (from..to).contains(&index) { 0 } else { 10 })
                .collect();
            course(&ok, 30, 40)
        };
        let after_s = down(30, 50).back_after_s().unwrap();
        assert!((1.0..2.0).contains(&after_s), "{after_s}");
        assert_eq!(down(0, 0).back_after_s(), Some(0.0));
        assert_eq!(down(30, 79).back_after_s(), None, "a tenth of a second is no recovery");
        let mut again = down(30, 50);
        again.client[60].ok = 0;
        again.client[61].ok = 0;
        assert!(again.back_after_s().unwrap() > 2.0, "it broke down again");
    }

    #[test]
    fn the_neighbour_is_measured_in_the_same_stretch_of_time() {
        let ok: Vec<u64> = (0..60).map(|index| if index < 45 { 10 } else { 5 }).collect();
        let course = course(&ok, 30, 40);
        assert_eq!(course.neighbour_share(-1.0, 0.0), Some(1.0));
        assert_eq!(course.neighbour_share(1.0, 2.0), Some(0.5));
        assert_eq!(
            course.neighbour_latencies_us(1.0, 1.2).collect::<Vec<_>>(),
            [vec![51; 5], vec![52; 5]].concat()
        );
    }
}
