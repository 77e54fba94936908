//! Forecasts of one leak, kept until it is known when memory did run out, and scored then.

use sentinel::judge::verdict::Forecast;

use super::outcome::ForecastScore;
use crate::corpus::truth::Shape;

/// A forecast within this share of the true time left is good.
const GOOD: f64 = 0.25;

/// The forecasts of one leak.
#[derive(Clone, Debug, Default)]
pub struct Forecasts {
    readings: Vec<(f64, Option<Forecast>)>,
    alarm_s: Option<f64>,
}

impl Forecasts {
    /// A reading, with or without a forecast.
    pub fn hear(&mut self, at_s: f64, forecast: Option<Forecast>) {
        self.readings.push((at_s, forecast));
    }

    /// It was detected now.
    pub fn alarm(&mut self, at_s: f64) {
        self.alarm_s = Some(at_s);
    }

    /// How they did, now that memory ran out at `end_s`.
    #[must_use]
    pub fn score(&self, shape: Shape, onset_s: f64, end_s: f64) -> ForecastScore {
        let alive = || self.readings.iter().filter(|(at_s, _)| *at_s < end_s);
        let given = || alive().filter_map(|(at_s, forecast)| forecast.map(|forecast| (*at_s, forecast)));
        let inside = |(at_s, forecast): &(f64, Forecast)| holds(forecast, end_s - at_s);
        let good = |(at_s, forecast): &(f64, Forecast)| {
            let left_s = end_s - at_s;
            (forecast.exhaustion_s - left_s).abs() <= GOOD * left_s
        };
        let share = |part: usize, whole: usize| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        let (all, some) = (alive().count(), given().count());
        let at_alarm = self
            .alarm_s
            .and_then(|alarm_s| given().find(|(at_s, _)| *at_s >= alarm_s));
        ForecastScore {
            shape,
            life_s: end_s - onset_s,
            lead_s: given().next().map(|(at_s, _)| end_s - at_s),
            given: share(some, all),
            inside: share(given().filter(inside).count(), some),
            alarm_inside: at_alarm.as_ref().map(inside),
            good: share(given().filter(good).count(), all),
        }
    }
}

fn holds(forecast: &Forecast, left_s: f64) -> bool {
    forecast.earliest_s <= left_s && forecast.latest_s.is_none_or(|latest_s| left_s <= latest_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forecast(exhaustion_s: f64) -> Forecast {
        Forecast {
            exhaustion_s,
            earliest_s: exhaustion_s * 0.9,
            latest_s: Some(exhaustion_s * 1.1),
            limit_bytes: 1,
            score: None,
        }
    }

    #[test]
    fn forecasts_are_scored_against_the_time_it_really_took() {
        let mut forecasts = Forecasts::default();
        forecasts.hear(10.0, None);
        forecasts.hear(20.0, Some(forecast(160.0)));
        forecasts.alarm(30.0);
        forecasts.hear(30.0, Some(forecast(75.0)));
        forecasts.hear(40.0, Some(forecast(70.0)));
        forecasts.hear(120.0, Some(forecast(1.0)));
        let score = forecasts.score(Shape::Linear, 0.0, 100.0);
        assert_eq!(score.lead_s, Some(80.0));
        assert_eq!(score.alarm_inside, Some(true));
        assert_eq!(score.given, 0.75);
        assert_eq!(score.good, 0.5, "what is said after the end does not count");
        assert!((score.inside - 1.0 / 3.0).abs() < 1e-9);
    }
}
