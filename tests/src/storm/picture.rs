//! The cliff as a picture: goodput, attempts that reach the backend, and alpha over time, without and with sentinel.
//! Draws; counts nothing itself.

use anyhow::{Result, anyhow};
use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::run::Run;
use crate::{
    overload::{Setting, Trigger},
    trial::figures::Figures,
};

const WIDTH: u32 = 1100;
const HEAD: u32 = 92;
const PANEL: u32 = 190;
const FOOT: u32 = 40;
const LEFT: u32 = 62;
const RIGHT: u32 = 138;
const FONT: &str = "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif";

const INK: RGBColor = RGBColor(31, 41, 55);
const SOFT: RGBColor = RGBColor(107, 114, 128);
const GRID: RGBColor = RGBColor(229, 231, 235);
const SHADE: RGBColor = RGBColor(243, 244, 246);
const WITHOUT: RGBColor = RGBColor(200, 50, 50);
const WITH: RGBColor = RGBColor(5, 150, 105);

/// Length of a point in time, seconds.
const BIN_S: f64 = 0.5;
/// Quiet time that is shown before the trigger.
const BEFORE_S: f64 = 4.0;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// Seconds after the trigger's end; low, middle and high over the runs.
type Point = (f64, [f64; 3]);

/// What one panel shows.
struct Panel {
    title: &'static str,
    /// Points of the arms without and with.
    lines: [Vec<Point>; 2],
    /// A line to compare with, and what it is.
    level: Option<(f64, &'static str)>,
}

/// The picture as SVG.
///
/// # Errors
/// When there are no runs, or it cannot be drawn, which is a mistake in here.
pub fn svg(without: &[Run], with: &[Run], setting: &Setting) -> Result<String> {
    let (from_s, to_s) = span(with, setting).ok_or_else(|| anyhow!("no runs to draw"))?;
    let bins: Vec<f64> = (0..)
        .map(|bin| from_s + f64::from(bin) * BIN_S)
        .take_while(|at_s| *at_s < to_s)
        .collect();
    let both = |value: fn(&Run, f64) -> Option<f64>| [without, with].map(|runs| points(runs, &bins, value));
    let panels = [
        Panel {
            title: "requests answered, per second",
            lines: both(goodput),
            level: Some((setting.rps, "usual load")),
        },
        Panel {
            title: "attempts that reach the backend, per second",
            lines: both(attempts),
            level: Some((setting.capacity_per_s(), "its capacity")),
        },
        Panel {
            title: "alpha as the agent measures it: attempts that leave the gateway for each request that comes",
            lines: both(alpha),
            level: Some((1.0, "one for one")),
        },
    ];
    let veto_s = Figures::of(
        with.iter()
            .map(|run| run.said.veto_ns.map(|at_ns| run.course.after_end_s(at_ns))),
    );
    let veto_s = veto_s.quantile(0.5).filter(|at_s| at_s.is_finite());
    let mut text = String::new();
    {
        let height = HEAD + PANEL * panels.len() as u32 + FOOT;
        let root = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
        root.fill(&WHITE).map_err(drawn)?;
        let (head, rest) = root.split_vertically(HEAD);
        title(&head, without.len(), with.len(), setting)?;
        let (panels_area, foot) = rest.split_vertically(PANEL * panels.len() as u32);
        let areas = panels_area.split_evenly((panels.len(), 1));
        for (index, (area, panel)) in areas.iter().zip(&panels).enumerate() {
            let shared = Shared {
                from_s,
                to_s,
                trigger_s: setting.trigger_s,
                veto_s,
                first: index == 0,
                last: index + 1 == panels.len(),
                never: never(without),
            };
            draw(area, panel, &shared)?;
        }
        let middle = (LEFT + (WIDTH - LEFT - RIGHT) / 2) as i32;
        write(
            &foot,
            "seconds after the trigger's end",
            (middle, 16),
            14,
            SOFT,
            HPos::Center,
        )?;
        root.present().map_err(drawn)?;
    }
    Ok(text)
}

fn drawn(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("the picture could not be drawn: {error}")
}

/// What all panels share.
struct Shared {
    from_s: f64,
    to_s: f64,
    trigger_s: f64,
    veto_s: Option<f64>,
    first: bool,
    last: bool,
    /// What to say of the arm without at the end of its line.
    never: Option<String>,
}

fn span(with: &[Run], setting: &Setting) -> Option<(f64, f64)> {
    let ends = with.iter().filter_map(|run| run.course.span_s());
    let to_s = ends.map(|(_, last_s)| last_s).reduce(f64::min)?;
    Some((-setting.trigger_s - BEFORE_S, (to_s - BIN_S).floor()))
}

/// How long nothing came back without sentinel: the shortest of the runs that were watched, if it holds for all.
fn never(without: &[Run]) -> Option<String> {
    let ended = without.iter().any(|run| run.course.back_after_s().is_some());
    let watched = without.iter().filter_map(|run| run.course.span_s());
    let watched_s = watched.map(|(_, last_s)| last_s).reduce(f64::min)?;
    (!ended).then(|| format!("none for all of {watched_s:.0} s"))
}

/// The middle over runs at each point in time, and where nine of ten runs lie.
fn points(runs: &[Run], bins: &[f64], value: fn(&Run, f64) -> Option<f64>) -> Vec<Point> {
    bins.iter()
        .filter_map(|at_s| {
            let values: Vec<f64> = runs.iter().filter_map(|run| value(run, *at_s)).collect();
            let figures = Figures::of(values.into_iter().map(Some));
            let at = |share| figures.quantile(share);
            Some((*at_s + BIN_S / 2.0, [at(0.05)?, at(0.5)?, at(0.95)?]))
        })
        .collect()
}

/// Per second, from what slices that end in a bin counted.
fn rate(slices: impl Iterator<Item = (f64, f64, u64)>, at_s: f64) -> Option<f64> {
    let (mut seconds, mut count) = (0.0, 0);
    for (end_s, length_s, counted) in slices {
        if end_s > at_s && end_s <= at_s + BIN_S {
            seconds += length_s;
            count += counted;
        }
    }
    (seconds > 0.0).then(|| count as f64 / seconds)
}

fn goodput(run: &Run, at_s: f64) -> Option<f64> {
    let course = &run.course;
    let slices = course.client.iter();
    rate(
        slices.map(|slice| (course.after_end_s(slice.monotonic_ns), slice.seconds, slice.ok)),
        at_s,
    )
}

fn attempts(run: &Run, at_s: f64) -> Option<f64> {
    let course = &run.course;
    let slices = course.stock.iter();
    rate(
        slices.map(|slice| (course.after_end_s(slice.monotonic_ns), slice.seconds, slice.accepted)),
        at_s,
    )
}

/// What the agent said last before the end of the bin.
fn alpha(run: &Run, at_s: f64) -> Option<f64> {
    let said = run.said.alpha.iter();
    said.take_while(|(at_ns, _)| run.course.after_end_s(*at_ns) <= at_s + BIN_S)
        .last()
        .map(|(_, alpha)| *alpha)
}

fn title(area: &Area<'_>, without: usize, with: usize, setting: &Setting) -> Result<()> {
    let factor = match setting.trigger {
        Trigger::Load(factor) | Trigger::Backend(factor) => factor,
    };
    write(
        area,
        "A retry storm, without and with sentinel",
        (24, 26),
        22,
        INK,
        HPos::Left,
    )?;
    let text = format!(
        "Load {:.0}/s, capacity {:.0}/s, {} retries after {} ms. Grey: {factor:.0} times the load for {} s. Median of {without} runs \
         without and {with} with; bands hold nine of ten runs.",
        setting.rps,
        setting.capacity_per_s(),
        setting.retries,
        setting.timeout_ms,
        setting.trigger_s
    );
    write(area, &text, (24, 52), 14, SOFT, HPos::Left)?;
    let mut x = 24;
    for (colour, name, width) in [(WITHOUT, "without", 110), (WITH, "with sentinel", 0)] {
        let bar = Rectangle::new([(x, 73), (x + 22, 77)], colour.filled());
        area.draw(&bar).map_err(drawn)?;
        write(area, name, (x + 30, 75), 14, INK, HPos::Left)?;
        x += width;
    }
    Ok(())
}

fn draw(area: &Area<'_>, panel: &Panel, shared: &Shared) -> Result<()> {
    let highest = panel
        .lines
        .iter()
        .flatten()
        .map(|(_, [.., high])| *high)
        .chain(panel.level.map(|(level, _)| level))
        .fold(0.0, f64::max)
        * 1.08;
    let mut chart = ChartBuilder::on(area)
        .margin_top(26)
        .margin_right(RIGHT)
        .x_label_area_size(if shared.last { 24 } else { 6 })
        .y_label_area_size(LEFT)
        .build_cartesian_2d(shared.from_s..shared.to_s, 0.0..highest)
        .map_err(drawn)?;
    let shade = Rectangle::new([(-shared.trigger_s, 0.0), (0.0, highest)], SHADE.filled());
    chart.draw_series([shade]).map_err(drawn)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .y_labels(5)
        .x_labels(if shared.last {
            ((shared.to_s - shared.from_s) / 2.0) as usize
        } else {
            0
        })
        .x_label_formatter(&|at_s| format!("{at_s:.0}"))
        .y_label_formatter(&|value| {
            if highest < 10.0 {
                format!("{value:.1}")
            } else {
                format!("{value:.0}")
            }
        })
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(GRID)
        .label_style((FONT, 13).into_font().color(&SOFT))
        .draw()
        .map_err(drawn)?;
    write(area, panel.title, (LEFT as i32, 12), 15, INK, HPos::Left)?;
    let right = (WIDTH - RIGHT) as i32 + 8;
    if let Some((level, name)) = panel.level {
        let dashed = DashedLineSeries::new(
            [(shared.from_s, level), (shared.to_s, level)],
            5,
            4,
            SOFT.stroke_width(1),
        );
        chart.draw_series(dashed).map_err(drawn)?;
        let (_, y) = chart.backend_coord(&(shared.to_s, level));
        write_absolute(area, name, (right, y), SOFT)?;
    }
    for (points, colour) in panel.lines.iter().zip([WITHOUT, WITH]) {
        let upper = points.iter().map(|(at_s, [.., high])| (*at_s, *high));
        let lower = points.iter().rev().map(|(at_s, [low, ..])| (*at_s, *low));
        let band = Polygon::new(upper.chain(lower).collect::<Vec<_>>(), colour.mix(0.15).filled());
        chart.draw_series([band]).map_err(drawn)?;
        let middle = points.iter().map(|(at_s, [_, middle, _])| (*at_s, *middle));
        chart
            .draw_series(LineSeries::new(middle, colour.stroke_width(2)))
            .map_err(drawn)?;
    }
    if let Some(veto_s) = shared.veto_s {
        let line = DashedLineSeries::new([(veto_s, 0.0), (veto_s, highest)], 3, 3, WITH.stroke_width(1));
        chart.draw_series(line).map_err(drawn)?;
        if shared.first {
            let (x, _) = chart.backend_coord(&(veto_s, highest));
            write_absolute(area, "veto", (x + 4, area.get_pixel_range().1.start + 34), WITH)?;
        }
    }
    if let Some(never) = shared.never.as_deref().filter(|_| shared.first) {
        let (_, y) = chart.backend_coord(&(shared.to_s, 0.0));
        write_absolute(area, never, (right, y - 6), WITHOUT)?;
    }
    Ok(())
}

fn write(area: &Area<'_>, text: &str, at: (i32, i32), size: i32, colour: RGBColor, horizontal: HPos) -> Result<()> {
    let style = (FONT, size)
        .into_font()
        .color(&colour)
        .pos(Pos::new(horizontal, VPos::Center));
    area.draw(&Text::new(text.to_owned(), at, style)).map_err(drawn)
}

/// The same at a place counted from the corner of the whole picture.
fn write_absolute(area: &Area<'_>, text: &str, (x, y): (i32, i32), colour: RGBColor) -> Result<()> {
    let (across, down) = area.get_pixel_range();
    write(area, text, (x - across.start, y - down.start), 13, colour, HPos::Left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storm::{
        arm::{Arm, Said},
        course::{Answers, Arrivals, Course},
    };

    fn run(arm: Arm, ok: u64) -> Run {
        let answers = |index: u64| Answers {
            monotonic_ns: index * 100_000_000,
            seconds: 0.1,
            asked: 10,
            ok,
            latencies_us: Vec::new(),
        };
        let arrivals = |index: u64| Arrivals {
            monotonic_ns: index * 100_000_000,
            seconds: 0.1,
            accepted: 40,
            served: 20,
            wasted: 20,
        };
        Run {
            arm,
            setting: Setting::default(),
            course: Course {
                begins_ns: 9_000_000_000,
                ends_ns: 12_000_000_000,
                client: (1..200).map(answers).collect(),
                stock: (1..200).map(arrivals).collect(),
                ..Course::default()
            },
            said: Said {
                alpha: vec![(8_000_000_000, 1.0), (11_000_000_000, 4.0)],
                veto_ns: Some(10_500_000_000),
                ..Said::default()
            },
        }
    }

    #[test]
    fn a_point_is_the_middle_of_the_runs_and_the_band_holds_them() {
        let runs = [run(Arm::Auto, 2), run(Arm::Auto, 4), run(Arm::Auto, 9)];
        let points = points(&runs, &[-1.0, 3.0], goodput);
        let close = |values: [f64; 3]| values.iter().zip([20.0, 40.0, 90.0]).all(|(a, b)| (a - b).abs() < 0.1);
        assert!(
            points.len() == 2 && points.iter().all(|(_, values)| close(*values)),
            "{points:?}"
        );
        assert_eq!((alpha(&runs[0], -3.0), alpha(&runs[0], 2.0)), (Some(1.0), Some(4.0)));
    }

    #[test]
    fn the_picture_shows_both_arms_every_panel_and_the_veto() {
        let (without, with) = ([run(Arm::Observe, 0)], [run(Arm::Auto, 10)]);
        let svg = svg(&without, &with, &Setting::default()).expect("a picture");
        for part in [
            "without",
            "with sentinel",
            "requests answered",
            "reach the backend",
            "alpha",
            "veto",
            "capacity",
        ] {
            assert!(svg.contains(part), "{part} is missing");
        }
        assert!(super::svg(&[], &[], &Setting::default()).is_err(), "nothing to draw");
    }
}
