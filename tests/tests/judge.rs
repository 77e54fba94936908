//! Contract: `sentinel judge` reads the usual formats as they come, says what is wrong with a line, finds the usual faults
//! of metric series with one threshold for all of them, and is fast.
//!
//! Needs no root.

use std::{collections::BTreeSet, fmt::Write as _, io::Write as _, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, ensure};
use sentinel::judge::series::Series;
use sentinel_tests::{
    invoke::{
        Ended,
        code::{DONE, FAILED, REACHED, USAGE},
        file, finish, invoke, refused, text,
    },
    lines::Lines,
    paths,
    process::Process,
    series::{
        LASTS, Labelled, corpus,
        quality::{self, Judged},
    },
};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);

/// Even and odd by turns, and something else at a point.
fn values(points: usize, odd: Option<(usize, f64)>) -> impl Iterator<Item = (usize, f64)> {
    (0..points).map(move |index| match odd {
        Some((at, value)) if at == index => (index, value),
        _ => (index, 10.0 + (index * 7919 % 13) as f64 / 10.0),
    })
}

fn csv(points: usize, odd: Option<(usize, f64)>) -> String {
    values(points, odd).fold("timestamp,value\n".to_owned(), |mut text, (index, value)| {
        let _ = writeln!(text, "{},{value}", 1_767_225_600 + index * 60);
        text
    })
}

fn judge(content: &str, args: &[&str]) -> Result<Ended> {
    let (_dir, path) = file("series.csv", content.as_bytes())?;
    let mut all = vec!["judge", text(&path)];
    all.extend(args);
    invoke(&all, LIMIT)
}

fn only(ended: &Ended, key: &str) -> Result<Vec<Value>> {
    Ok(ended.json()?.iter().map(|line| line[key].clone()).collect())
}

#[test]
fn every_point_is_a_line_and_the_same_in_every_format() -> Result<()> {
    let csv = csv(300, Some((250, 90.0)));
    let expected = judge(&csv, &[])?;
    ensure!(
        expected.code == Some(DONE) && expected.stderr.is_empty(),
        "{expected:?}"
    );
    let lines = expected.json()?;
    ensure!(lines.len() == 300);
    let first = json!({"series":"value","time":1_767_225_600,"value":10.0,"score":null,"level":"unknown"});
    ensure!(lines[0] == first, "{}", lines[0]);
    ensure!(lines[250]["level"] == "veto", "{}", lines[250]);
    ensure!(lines[249]["level"] == "nominal" && lines[299]["level"] == "nominal");

    let (mut long, mut jsonl, mut spaced) = ("series,timestamp,value\n".to_owned(), String::new(), String::new());
    for (index, value) in values(300, Some((250, 90.0))) {
        let unix_s = 1_767_225_600 + index * 60;
        writeln!(long, "value,{unix_s},{value}")?;
        writeln!(jsonl, "{{\"series\":\"value\",\"time\":{unix_s},\"value\":{value}}}")?;
        writeln!(spaced, "\"{unix_s}\" , {value}\r")?;
    }
    for (format, content) in [("long", long), ("json", jsonl), ("csv", spaced)] {
        for args in [&[][..], &["--format", format]] {
            let ended = judge(&content, args)?;
            ensure!(ended.stdout == expected.stdout, "{format} {args:?}: {:?}", ended.stderr);
        }
    }
    let schema = invoke(&["schema", "score"], LIMIT)?;
    let schema: Value = serde_json::from_str(&schema.stdout.join("\n"))?;
    let properties = schema["properties"].as_object().context("no properties")?;
    let line = lines[0].as_object().context("no object")?;
    ensure!(properties.keys().eq(line.keys()), "{schema:#}");
    Ok(())
}

#[test]
fn several_columns_are_several_series_with_a_past_of_their_own() -> Result<()> {
    let wide = values(400, None).fold("time,a,\"b, c\"\n".to_owned(), |mut text, (index, value)| {
        let b = if index == 350 { 500.0 } else { 3.0 * value };
        let minute = format!("2026-01-01 {:02}:{:02}:00.5", index / 60, index % 60);
        let _ = writeln!(text, "{minute},{value},{b}");
        text
    });
    let ended = judge(&wide, &["--only", "watch"])?;
    ensure!(ended.code == Some(DONE), "{ended:?}");
    ensure!(only(&ended, "series")?.contains(&json!("b, c")), "{ended:?}");
    ensure!(!only(&ended, "series")?.contains(&json!("a")), "{ended:?}");
    ensure!(
        only(&ended, "time")?.contains(&json!("2026-01-01 05:50:00.5")),
        "{ended:?}"
    );
    Ok(())
}

#[test]
fn missing_values_are_unknown_and_never_an_alarm() -> Result<()> {
    let mut content = csv(200, None);
    for (index, missing) in ["", "NaN", "null", "inf", "-inf", "n/a"].iter().enumerate() {
        writeln!(content, "{},{missing}", 1_767_225_600 + (200 + index) * 60)?;
    }
    let ended = judge(&content, &["--fail-on", "watch"])?;
    ensure!(ended.code == Some(DONE) && ended.stderr.is_empty(), "{ended:?}");
    for line in &ended.json()?[200..] {
        ensure!(
            line["level"] == "unknown" && line["score"].is_null() && line["value"].is_null(),
            "{line}"
        );
    }
    Ok(())
}

#[test]
fn bad_lines_are_named_with_a_remedy_and_the_others_are_judged() -> Result<()> {
    let mut content = csv(100, None);
    content.push_str("yesterday,1\n1767300000,many\n1767300060,1,2\n\n1767300120,10.5\n");
    let ended = judge(&content, &[])?;
    ensure!(ended.code == Some(FAILED) && ended.stdout.len() == 101, "{ended:?}");
    for (said, parts) in ended.stderr.iter().zip([
        ["series.csv:102", "RFC 3339"],
        ["series.csv:103", "leave it empty"],
        ["series.csv:104", "3 fields instead of 2"],
        ["3 of 106 lines", "could not be read"],
    ]) {
        ensure!(parts.iter().all(|part| said.contains(part)), "{said}");
    }
    let strict = judge(&content, &["--strict"])?;
    ensure!(strict.code == Some(FAILED) && strict.stdout.len() == 100, "{strict:?}");
    Ok(())
}

#[test]
fn a_point_that_is_not_later_is_said_and_not_judged() -> Result<()> {
    let mut content = csv(100, None);
    content.push_str("1767225600,5000\n1767231540,5000\n");
    let ended = judge(&content, &["--fail-on", "watch"])?;
    ensure!(ended.code == Some(DONE), "{ended:?}");
    ensure!(
        ended.json()?[100..].iter().all(|line| line["level"] == "unknown"),
        "{ended:?}"
    );
    let said = ended.stderr.join("\n");
    ensure!(
        said.contains("series.csv:102") && said.contains("2 points were not later"),
        "{said}"
    );
    Ok(())
}

#[test]
fn a_level_that_was_asked_to_fail_on_is_an_exit_code_of_its_own() -> Result<()> {
    let odd = csv(300, Some((250, 90.0)));
    ensure!(judge(&odd, &["--fail-on", "veto"])?.code == Some(REACHED));
    ensure!(judge(&csv(300, None), &["--fail-on", "veto"])?.code == Some(DONE));
    // With almost no false alarms accepted the same point is not rare enough.
    let strict = ["--false-alarms-per-week", "0.001", "--only", "veto"];
    let (strict, usual) = (judge(&odd, &strict)?, judge(&odd, &["--only", "veto"])?);
    ensure!(strict.stdout.len() <= usual.stdout.len() && !usual.stdout.is_empty());
    Ok(())
}

#[test]
fn mistakes_are_refused_in_one_sentence() -> Result<()> {
    refused(
        &invoke(&["judge", "/nowhere/at/all.csv"], LIMIT)?,
        FAILED,
        &["/nowhere/at/all.csv"],
    )?;
    let wrong = ["judge", "--false-alarms-per-week", "0"];
    refused(&invoke(&wrong, LIMIT)?, USAGE, &["0.001 to 1000"])?;
    refused(&invoke(&["judge", "--format", "xml"], LIMIT)?, USAGE, &["xml", "json"])?;
    let many = (0..20).fold("series,timestamp,value\n".to_owned(), |text, index| {
        text + &format!("s{index},1,1\n")
    });
    let ended = judge(&many, &["--max-series", "10"])?;
    ensure!(ended.code == Some(FAILED), "{ended:?}");
    let said = ended.sentence()?;
    ensure!(
        said.contains("more than 10 series") && said.contains("--max-series"),
        "{said}"
    );
    Ok(())
}

#[test]
fn a_point_is_judged_as_soon_as_its_line_is_there() -> Result<()> {
    let mut command = std::process::Command::new(paths::sentinel()?);
    command.arg("judge").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = Process::spawn(&mut command)?;
    let lines = Lines::read(process.child().stdout.take().context("no stdout")?);
    let mut stdin = process.child().stdin.take().context("no stdin")?;
    for point in 0..5 {
        // Half a line, a pause, and the rest.
        write!(stdin, "{point},")?;
        stdin.flush()?;
        std::thread::sleep(Duration::from_millis(50));
        ensure!(lines.texts().len() == point, "before its end: {:?}", lines.texts());
        writeln!(stdin, "{point}.5")?;
        stdin.flush()?;
        let came = sentinel_tests::wait::until(Duration::from_secs(5), || {
            (lines.texts().len() == point + 1).then_some(())
        });
        ensure!(came.is_some(), "point {point}: {:?}", lines.texts());
    }
    drop(stdin);
    ensure!(process.wait(LIMIT)?.code() == Some(DONE));
    Ok(())
}

#[test]
fn the_same_points_give_the_same_bytes() -> Result<()> {
    let series = corpus(3..4);
    let mut content = "series,timestamp,value\n".to_owned();
    for (number, one) in series.iter().take(6).enumerate() {
        for (index, value) in one.values.iter().enumerate() {
            writeln!(content, "s{number},{},{value}", index as f64 * one.step_s)?;
        }
    }
    let (first, second) = (judge(&content, &[])?, judge(&content, &[])?);
    ensure!(first.stdout.len() > 20_000 && first.stdout == second.stdout);
    Ok(())
}

/// The bounds leave a fifth to what was measured (docs/JUDGE.md).
#[test]
fn the_usual_faults_are_found_with_one_threshold_for_all_series() {
    let all = corpus(200..203);
    let judged: Vec<_> = all
        .iter()
        .map(|truth| Judged {
            truth,
            scores: scores(truth),
        })
        .collect();
    let curve = quality::curve(&judged);
    let (area, usual) = (quality::area(&curve), quality::at(&judged, THRESHOLD));
    println!(
        "{} series, area {area:.3}, at {THRESHOLD}: {usual:?}, F1 {:.3}",
        all.len(),
        usual.f1()
    );
    print_by("kind", &judged, |truth| format!("{:?}", truth.kind));
    print_by("fault", &judged, |truth| {
        truth.fault.map_or_else(String::new, |fault| format!("{fault:?}"))
    });
    assert!(area > 0.6, "{area}");
    assert!(usual.precision > 0.55 && usual.recall > 0.55, "{usual:?}");
    assert!(usual.false_per_10k < 0.7, "{usual:?}");
    assert!(usual.median_delay <= LASTS as f64 / 20.0, "{usual:?}");
}

/// Rows of the table in docs/JUDGE.md.
fn print_by(what: &str, judged: &[Judged<'_>], group: impl Fn(&Labelled) -> String) {
    let groups: BTreeSet<_> = judged.iter().map(|one| group(one.truth)).collect();
    for name in groups {
        let part: Vec<_> = judged.iter().filter(|one| group(one.truth) == name).cloned().collect();
        let quality = quality::at(&part, THRESHOLD);
        println!(
            "{what} {name}: found {:.0} %, delay {}, false alarms per 10,000 points {:.2}",
            100.0 * quality.recall,
            quality.median_delay,
            quality.false_per_10k
        );
    }
}

const THRESHOLD: f32 = 0.68;
/// A tenth of a series: what is ordinary has to be seen before anything can be odd.
const PROBATION: usize = 400;

fn scores(truth: &Labelled) -> Vec<f32> {
    let mut series = Series::new();
    let values = truth.values.iter().enumerate();
    values
        .map(|(index, value)| {
            let scored = series.observe(index as f64 * truth.step_s, *value);
            scored.score.filter(|_| index >= PROBATION).unwrap_or(0.0)
        })
        .collect()
}

#[test]
fn a_point_costs_little_and_no_memory() -> Result<()> {
    let mut series = Series::new();
    let mut point = 0_u32;
    let mut feed = |points: u32| {
        for _ in 0..points {
            point += 1;
            series.observe(f64::from(point) * 300.0, f64::from(point * 7919 % 1013));
        }
    };
    feed(1000);
    let steady = allocation_counter::measure(|| feed(20_000));
    ensure!(steady.count_total == 0, "{steady:?}");
    // Also without optimisation: a bound against a wrong order of growth. Speed is measured in a release build.
    let began_ns = sentinel_tests::wait::now_ns();
    feed(100_000);
    let each_ns = (sentinel_tests::wait::now_ns() - began_ns) / 100_000;
    println!("{each_ns} ns for a point");
    ensure!(each_ns < 50_000, "{each_ns} ns");
    Ok(())
}

#[test]
fn stats_tell_how_fast_it_was() -> Result<()> {
    let mut command = std::process::Command::new(paths::sentinel()?);
    let (_dir, path) = file("many.csv", csv(50_000, None).as_bytes())?;
    let ended = finish(command.args(["judge", "--stats", "--only", "veto", text(&path)]), LIMIT)?;
    let said = ended.sentence()?;
    ensure!(
        said.contains("50000 points of 1 series") && said.contains("points per second"),
        "{said}"
    );
    println!("{said}");
    Ok(())
}
