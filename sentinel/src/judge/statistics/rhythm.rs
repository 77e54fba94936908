//! What a series is used to at this hour: the highest value of each hour of the week. It looks only back.
//!
//! A backup at three each night is no news on the third night. It excuses, it never accuses.

use crate::judge::learned::{Hours, short};

/// Hours in a week.
const HOURS: usize = 168;
const HOUR_S: u64 = 3600;
/// Hours of other days in which it must have been as high, of the last six, and this hour of earlier weeks.
const DAYS: usize = 2;
/// Share of an hour that may have been anomalous for the hour to be learned: what lasts is a fault and not a rhythm.
const ANOMALOUS_SHARE: f64 = 0.5;
/// Least share of an hour that has to be measured.
const MEASURED_S: f64 = 900.0;
/// A value this many times what it is used to is still that.
const SLACK: f64 = 1.25;

#[derive(Clone, Copy, Debug, Default)]
struct Open {
    /// Hours since the epoch.
    hour: u64,
    peak: f32,
    measured_s: f32,
    anomalous_s: f32,
}

/// Peaks by hour of the week.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rhythm {
    /// The last peak of each hour of the week, and the one a week before; negative when not known.
    peaks: [[f32; 2]; HOURS],
    open: Open,
}

impl Rhythm {
    /// Of a series whose past is not known.
    #[must_use]
    pub(super) const fn new() -> Self {
        Self {
            peaks: [[-1.0; 2]; HOURS],
            open: Open {
                hour: 0,
                peak: -1.0,
                measured_s: 0.0,
                anomalous_s: 0.0,
            },
        }
    }

    /// Takes in a value at a wall-clock time, seconds since the epoch, that stands for `seconds`.
    pub(super) fn learn(&mut self, unix_s: u64, value: f64, seconds: f64, anomalous: bool) {
        let hour = unix_s / HOUR_S;
        if hour != self.open.hour {
            self.close();
            self.open = Open {
                hour,
                peak: -1.0,
                ..Open::default()
            };
        }
        self.open.peak = self.open.peak.max(value as f32);
        self.open.measured_s += seconds as f32;
        if anomalous {
            self.open.anomalous_s += seconds as f32;
        }
    }

    fn close(&mut self) {
        let measured_s = f64::from(self.open.measured_s);
        if measured_s < MEASURED_S || f64::from(self.open.anomalous_s) > ANOMALOUS_SHARE * measured_s {
            return;
        }
        let [last, before] = &mut self.peaks[self.open.hour as usize % HOURS];
        *before = *last;
        *last = self.open.peak;
    }

    /// True when it was about this high at this hour on two other days of the last week, or in this hour of the last two
    /// weeks.
    #[must_use]
    pub(super) fn excuses(&self, unix_s: u64, value: f64) -> bool {
        let hour = (unix_s / HOUR_S) as usize % HOURS;
        let reached = |peak: f32| SLACK * f64::from(peak) >= value && peak > 0.0;
        let days = (1..7)
            .filter(|day| reached(self.peaks[(hour + day * 24) % HOURS][0]))
            .count();
        let [last, before] = self.peaks[hour];
        days >= DAYS || reached(last) && reached(before)
    }
}

impl Rhythm {
    /// As it is written down.
    #[must_use]
    pub(super) fn learned(&self) -> Hours {
        let known = |(_, [last, before]): &(usize, &[f32; 2])| *last >= 0.0 || *before >= 0.0;
        let open = &self.open;
        Hours {
            peaks: (self.peaks.iter().enumerate())
                .filter(known)
                .map(|(hour, [last, before])| (hour as u16, short(f64::from(*last)), short(f64::from(*before))))
                .collect(),
            open: (open.hour, open.peak, open.measured_s, open.anomalous_s),
        }
    }

    /// What was written down; `None` when that makes no sense.
    #[must_use]
    pub(super) fn taken_back(hours: &Hours) -> Option<Self> {
        let mut rhythm = Self::new();
        let (hour, peak, measured_s, anomalous_s) = hours.open;
        if ![peak, measured_s, anomalous_s].iter().all(|value| value.is_finite()) {
            return None;
        }
        rhythm.open = Open {
            hour,
            peak,
            measured_s,
            anomalous_s,
        };
        for (hour, last, before) in &hours.peaks {
            if !last.is_finite() || !before.is_finite() {
                return None;
            }
            *rhythm.peaks.get_mut(usize::from(*hour))? = [*last, *before];
        }
        Some(rhythm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_S: u64 = 24 * HOUR_S;

    /// Ten minutes at 100 each day at three, else 1.
    fn value(unix_s: u64) -> f64 {
        let of_day = unix_s % DAY_S;
        if (3 * HOUR_S..3 * HOUR_S + 600).contains(&of_day) {
            100.0
        } else {
            1.0
        }
    }

    fn lived(days: u64, value: impl Fn(u64) -> f64, anomalous: impl Fn(f64) -> bool) -> Rhythm {
        let mut rhythm = Rhythm::new();
        for minute in 0..days * 1440 {
            let unix_s = minute * 60;
            let value = value(unix_s);
            rhythm.learn(unix_s, value, 60.0, anomalous(value));
        }
        rhythm
    }

    #[test]
    fn a_nightly_job_is_excused_on_the_third_night_at_its_hour_and_no_other() {
        let at = |day: u64, hour: u64| day * DAY_S + hour * HOUR_S + 60;
        let rhythm = lived(2, value, |value| value > 50.0);
        assert!(rhythm.excuses(at(2, 3), 100.0));
        assert!(!rhythm.excuses(at(2, 15), 100.0));
        assert!(!rhythm.excuses(at(2, 3), 200.0), "higher than ever is news");
        assert!(
            !lived(1, value, |value| value > 50.0).excuses(at(1, 3), 100.0),
            "once is no rhythm"
        );
    }

    #[test]
    fn a_rhythm_that_was_written_down_and_taken_back_is_the_same() {
        let rhythm = lived(2, value, |value| value > 50.0);
        let back = Rhythm::taken_back(&rhythm.learned()).unwrap();
        for hour in 0..24 {
            let at = 2 * DAY_S + hour * HOUR_S + 60;
            assert_eq!(back.excuses(at, 100.0), rhythm.excuses(at, 100.0), "{hour}");
        }
        assert!(back.excuses(2 * DAY_S + 3 * HOUR_S + 60, 100.0));
        let mut wrong = rhythm.learned();
        wrong.peaks.push((HOURS as u16, 1.0, 1.0));
        assert!(Rhythm::taken_back(&wrong).is_none());
    }

    #[test]
    fn a_weekly_job_is_excused_in_its_third_week() {
        let weekly = |unix_s: u64| if unix_s % (7 * DAY_S) < 600 { 100.0 } else { 1.0 };
        assert!(lived(14, weekly, |value| value > 50.0).excuses(14 * DAY_S, 100.0));
        assert!(!lived(7, weekly, |value| value > 50.0).excuses(7 * DAY_S, 100.0));
    }

    #[test]
    fn what_is_anomalous_most_of_the_time_does_not_become_a_rhythm() {
        let rhythm = lived(6, |_| 100.0, |_| true);
        assert!(!rhythm.excuses(6 * DAY_S, 100.0));
    }
}
