//! The score as a picture: how long each kind of fault took to be found, and how often each healthy kind was called
//! faulty. Draws; counts nothing itself.

use anyhow::{Result, anyhow};
use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};
use sentinel::judge::verdict::Signal;

use super::{
    bounds::FALSE_VERDICTS_PER_WEEK,
    outcome::Outcome,
    tally::{Tally, WEEK_H, quantile},
};
use crate::corpus::KINDS;

const WIDTH: u32 = 1200;
const ROW: u32 = 22;
const HEAD: u32 = 96;
const FOOT: u32 = 52;
const LEFT: i32 = 190;
const RIGHT: i32 = 120;
const FONT: &str = "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif";

const INK: RGBColor = RGBColor(31, 41, 55);
const SOFT: RGBColor = RGBColor(107, 114, 128);
const GRID: RGBColor = RGBColor(229, 231, 235);
const STRIPE: RGBColor = RGBColor(249, 250, 251);
const JITTER: RGBColor = RGBColor(37, 99, 235);
const FEVER: RGBColor = RGBColor(217, 119, 6);
const AMPLIFICATION: RGBColor = RGBColor(5, 150, 105);
const WATCH: RGBColor = RGBColor(245, 180, 80);
const VETO: RGBColor = RGBColor(200, 50, 50);

/// Delays are drawn between these, seconds.
const DELAY_S: (f64, f64) = (0.1, 1000.0);
/// Verdicts per host-week are drawn up to this.
const RATE_MOST: f64 = 100_000.0;

type Panel<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// The picture as SVG.
///
/// # Errors
/// When it cannot be drawn, which is a mistake in here.
pub fn svg(outcomes: &[Outcome]) -> Result<String> {
    let faulty = rows(outcomes, true);
    let healthy = rows(outcomes, false);
    let (upper, lower) = (height(faulty.len()), height(healthy.len()));
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, (WIDTH, upper + lower)).into_drawing_area();
        root.fill(&WHITE).map_err(drawn)?;
        let (above, below) = root.split_vertically(upper);
        delays(&above, outcomes, &faulty)?;
        rates(&below, &healthy)?;
        root.present().map_err(drawn)?;
    }
    Ok(text)
}

fn drawn(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("the picture could not be drawn: {error}")
}

fn height(rows: usize) -> u32 {
    if rows == 0 { 0 } else { HEAD + FOOT + ROW * rows as u32 }
}

/// Kinds with outcomes, in the order of the corpus, those only recorded after them.
fn rows(outcomes: &[Outcome], faulty: bool) -> Vec<(String, Tally)> {
    let mut names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    for outcome in outcomes {
        if !names.contains(&outcome.kind.as_str()) {
            names.push(&outcome.kind);
        }
    }
    let row = |name: &str| {
        let mine = outcomes
            .iter()
            .filter(|outcome| outcome.kind == name && outcome.faulty == faulty);
        let tally = Tally::of(mine, None);
        (tally.runs > 0).then(|| (name.to_owned(), tally))
    };
    names.into_iter().filter_map(row).collect()
}

/// A panel's scale: decades along the bottom, one row for each kind.
struct Scale {
    from: f64,
    to: f64,
    rows: usize,
}

impl Scale {
    fn x(&self, value: f64) -> i32 {
        let share =
            (value.clamp(self.from, self.to).log10() - self.from.log10()) / (self.to.log10() - self.from.log10());
        LEFT + (share * f64::from(WIDTH as i32 - LEFT - RIGHT)) as i32
    }

    fn y(&self, row: usize) -> i32 {
        (HEAD + ROW * row as u32 + ROW / 2) as i32
    }

    fn bottom(&self) -> i32 {
        (HEAD + ROW * self.rows as u32) as i32
    }
}

fn write(panel: &Panel<'_>, text: &str, at: (i32, i32), size: i32, colour: RGBColor, horizontal: HPos) -> Result<()> {
    let style = (FONT, size)
        .into_font()
        .color(&colour)
        .pos(Pos::new(horizontal, VPos::Center));
    panel.draw(&Text::new(text.to_owned(), at, style)).map_err(drawn)
}

fn line(panel: &Panel<'_>, from: (i32, i32), to: (i32, i32), style: impl Into<ShapeStyle>) -> Result<()> {
    panel.draw(&PathElement::new(vec![from, to], style)).map_err(drawn)
}

fn frame(panel: &Panel<'_>, scale: &Scale, title: &str, subtitle: &str, unit: &str, names: &[&str]) -> Result<()> {
    write(panel, title, (24, 28), 22, INK, HPos::Left)?;
    write(panel, subtitle, (24, 54), 14, SOFT, HPos::Left)?;
    for row in (0..scale.rows).step_by(2) {
        let y = scale.y(row) - ROW as i32 / 2;
        let corners = [(24, y), (WIDTH as i32 - 16, y + ROW as i32)];
        panel.draw(&Rectangle::new(corners, STRIPE.filled())).map_err(drawn)?;
    }
    let mut decade = scale.from;
    while decade <= scale.to * 1.001 {
        let x = scale.x(decade);
        line(panel, (x, HEAD as i32 - 6), (x, scale.bottom()), GRID.stroke_width(1))?;
        write(
            panel,
            &decimal(decade),
            (x, scale.bottom() + 14),
            13,
            SOFT,
            HPos::Center,
        )?;
        decade *= 10.0;
    }
    let middle = (scale.x(scale.from) + scale.x(scale.to)) / 2;
    write(panel, unit, (middle, scale.bottom() + 34), 13, SOFT, HPos::Center)?;
    for (row, name) in names.iter().enumerate() {
        write(panel, name, (LEFT - 14, scale.y(row)), 14, INK, HPos::Right)?;
    }
    Ok(())
}

fn decimal(value: f64) -> String {
    if value >= 1000.0 {
        format!("{:.0} 000", value / 1000.0)
    } else if value >= 1.0 {
        format!("{value:.0}")
    } else {
        format!("{value}")
    }
}

const fn colour(signal: Signal) -> RGBColor {
    match signal {
        Signal::Jitter => JITTER,
        Signal::Fever => FEVER,
        // No scope has a cost: it would be drawn, if ever, as the last.
        Signal::Amplification | Signal::Cost => AMPLIFICATION,
    }
}

/// Entries of a legend, right of the title.
fn legend(panel: &Panel<'_>, entries: &[(&str, RGBColor)]) -> Result<()> {
    let width = |name: &str| 7 * name.len() as i32 + 34;
    let mut x = WIDTH as i32 - 24 - entries.iter().map(|(name, _)| width(name)).sum::<i32>();
    for (name, colour) in entries {
        panel
            .draw(&Circle::new((x + 10, 28), 5, colour.filled()))
            .map_err(drawn)?;
        write(panel, name, (x + 22, 28), 14, INK, HPos::Left)?;
        x += width(name);
    }
    Ok(())
}

fn delays(panel: &Panel<'_>, outcomes: &[Outcome], kinds: &[(String, Tally)]) -> Result<()> {
    if kinds.is_empty() {
        return Ok(());
    }
    let scale = Scale {
        from: DELAY_S.0,
        to: DELAY_S.1,
        rows: kinds.len(),
    };
    let names: Vec<&str> = kinds.iter().map(|(name, _)| name.as_str()).collect();
    let subtitle = "one dot for each fault found in time; the bar holds the middle half, the mark is the median";
    frame(panel, &scale, "From onset to verdict", subtitle, "seconds", &names)?;
    legend(panel, &Signal::ALL.map(|signal| (signal.name(), colour(signal))))?;
    for (row, (name, tally)) in kinds.iter().enumerate() {
        let y = scale.y(row);
        let mine = outcomes
            .iter()
            .filter(|outcome| outcome.faulty && outcome.kind == *name);
        for (signal, delay_s, seed) in mine.flat_map(found) {
            // Spread over the row, so that equal delays are seen as many.
            let aside = (seed.wrapping_mul(7919) % 13) as i32 - 6;
            let dot = colour(signal).mix(0.30).filled();
            panel
                .draw(&Circle::new((scale.x(delay_s), y + aside), 3, dot))
                .map_err(drawn)?;
        }
        middle(panel, &scale, y, tally)?;
        let all = tally.found == tally.faults;
        let text = format!("{} of {}", tally.found, tally.faults);
        write(
            panel,
            &text,
            (WIDTH as i32 - 24, y),
            14,
            if all { SOFT } else { VETO },
            HPos::Right,
        )?;
    }
    Ok(())
}

fn found(outcome: &Outcome) -> impl Iterator<Item = (Signal, f64, u64)> + '_ {
    let seed = outcome.seed;
    let delays = outcome.findings.iter();
    delays.filter_map(move |finding| finding.delay_s.map(|delay_s| (finding.signal, delay_s, seed)))
}

fn middle(panel: &Panel<'_>, scale: &Scale, y: i32, tally: &Tally) -> Result<()> {
    let at = |share| quantile(&tally.delays_s, share).map(|delay_s| scale.x(delay_s));
    let (Some(low), Some(median), Some(high)) = (at(0.25), at(0.5), at(0.75)) else {
        return Ok(());
    };
    line(panel, (low, y), (high, y), INK.stroke_width(3))?;
    line(panel, (median, y - 7), (median, y + 7), INK.stroke_width(3))
}

fn rates(panel: &Panel<'_>, kinds: &[(String, Tally)]) -> Result<()> {
    if kinds.is_empty() {
        return Ok(());
    }
    let scale = Scale {
        from: 0.1,
        to: RATE_MOST,
        rows: kinds.len(),
    };
    let names: Vec<&str> = kinds.iter().map(|(name, _)| name.as_str()).collect();
    let subtitle =
        "per host-week of each healthy kind, which does its worst every few minutes; without a bar there was none";
    frame(panel, &scale, "False verdicts", subtitle, "per host-week", &names)?;
    legend(panel, &[("watch and above", WATCH), ("veto", VETO)])?;
    let most = scale.x(FALSE_VERDICTS_PER_WEEK);
    for (row, (_, tally)) in kinds.iter().enumerate() {
        let (y, weeks) = (scale.y(row), tally.healthy_h / WEEK_H);
        bar(panel, &scale, y, tally.false_verdicts, weeks, WATCH)?;
        bar(panel, &scale, y, tally.false_vetoes, weeks, VETO)?;
        let text = format!("{} in {:.0} h", tally.false_verdicts, tally.healthy_h);
        let none = tally.false_verdicts == 0;
        write(
            panel,
            &text,
            (WIDTH as i32 - 24, y),
            14,
            if none { SOFT } else { INK },
            HPos::Right,
        )?;
    }
    // What is allowed of all of them together.
    line(
        panel,
        (most, HEAD as i32 - 6),
        (most, scale.bottom()),
        INK.stroke_width(1),
    )?;
    write(
        panel,
        "allowed over all",
        (most, HEAD as i32 - 14),
        13,
        INK,
        HPos::Center,
    )
}

fn bar(panel: &Panel<'_>, scale: &Scale, y: i32, events: u64, weeks: f64, colour: RGBColor) -> Result<()> {
    if events == 0 || weeks <= 0.0 {
        return Ok(());
    }
    let corners = [(scale.x(scale.from), y - 6), (scale.x(events as f64 / weeks), y + 6)];
    panel.draw(&Rectangle::new(corners, colour.filled())).map_err(drawn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decades_lie_evenly_and_what_is_beyond_stays_inside() {
        let scale = Scale {
            from: 0.1,
            to: 1000.0,
            rows: 1,
        };
        let step = scale.x(1.0) - scale.x(0.1);
        assert!((scale.x(100.0) - scale.x(10.0) - step).abs() <= 1);
        assert_eq!(scale.x(1e9), scale.x(1000.0));
        assert_eq!(scale.x(0.0), LEFT);
    }
}
