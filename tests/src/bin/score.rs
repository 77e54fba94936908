//! `sentinel-score`: runs the corpus through the judge and prints how it did. `cargo xtask score` builds and runs it.
//! Exit codes: 0 every bound holds, 1 one is broken, 2 bad usage.

use std::{collections::BTreeMap, fs, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use rayon::prelude::*;
use sentinel::judge::verdict::Signal;
use sentinel_tests::{
    corpus::{KINDS, Kind, recorded::recordings},
    score::{
        bounds::bounds,
        outcome::Outcome,
        picture,
        run::{run, run_recorded},
        table,
        tally::{Summary, Tally},
    },
};

/// Runs the corpus through the judge and prints how it did.
#[derive(Parser)]
#[command(name = "sentinel-score", bin_name = "cargo xtask score")]
struct Cli {
    /// Only kinds whose name contains this; may be given several times.
    #[arg(long, value_name = "NAME")]
    kind: Vec<String>,
    /// Seeds of each kind.
    #[arg(long, default_value_t = 50, value_name = "N")]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1, value_name = "N")]
    first_seed: u64,
    /// Healthy scenarios last this many times as long.
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR")]
    healthy: f64,
    /// One line for each miss and each wrong verdict.
    #[arg(long)]
    verbose: bool,
    /// The numbers as JSON, one object.
    #[arg(long)]
    json: bool,
    /// Also draws a picture: delays of each faulty kind, false verdicts of each healthy one.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Folder of recordings of real runs, each with its label.
    #[arg(long, value_name = "FOLDER", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/recordings"), hide_default_value = true)]
    recordings: PathBuf,
    /// Names of the kinds, and nothing else.
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match score(&cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn score(cli: &Cli) -> Result<ExitCode> {
    let wanted = |name: &str| cli.kind.is_empty() || cli.kind.iter().any(|part| name.contains(part.as_str()));
    let kinds: Vec<&Kind> = KINDS.iter().filter(|kind| wanted(kind.name)).collect();
    let mut recorded = recordings(&cli.recordings)?;
    recorded.retain(|recorded| wanted(&recorded.label.kind));
    ensure!(
        !kinds.is_empty() || !recorded.is_empty(),
        "no kind has such a name; --list names them"
    );
    if cli.list {
        let generated = kinds.iter().map(|kind| (kind.faulty, kind.name));
        let real = recorded
            .iter()
            .map(|recorded| (recorded.label.faulty, recorded.label.kind.as_str()));
        for (faulty, name) in generated.chain(real) {
            println!("{} {name}", if faulty { "faulty " } else { "healthy" });
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut outcomes = generated(&kinds, cli);
    for recorded in &recorded {
        outcomes.push(run_recorded(recorded)?);
    }
    let bounds = bounds(&outcomes);
    print(&outcomes, &bounds, cli);
    if let Some(file) = &cli.svg {
        fs::write(file, picture::svg(&outcomes)?).with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(ExitCode::from(u8::from(bounds.iter().any(|bound| !bound.holds()))))
}

/// Every scenario, on all CPUs; in order, whoever was first.
fn generated(kinds: &[&Kind], cli: &Cli) -> Vec<Outcome> {
    let seeds = cli.first_seed..cli.first_seed + cli.seeds;
    let jobs: Vec<(&Kind, u64)> = kinds
        .iter()
        .flat_map(|kind| seeds.clone().map(move |seed| (*kind, seed)))
        .collect();
    jobs.into_par_iter()
        .map(|(kind, seed)| run(kind, seed, cli.healthy))
        .collect()
}

fn print(outcomes: &[Outcome], bounds: &[sentinel_tests::score::bounds::Bound], cli: &Cli) {
    if cli.verbose {
        for line in outcomes.iter().flat_map(table::details) {
            eprintln!("{line}");
        }
    }
    if cli.json {
        let signals: BTreeMap<&str, Summary> = Signal::ALL
            .iter()
            .map(|signal| (signal.name(), Tally::of(outcomes.iter(), Some(*signal)).summary()))
            .collect();
        let all = Tally::of(outcomes.iter(), None).summary();
        let value = serde_json::json!({ "signals": signals, "all": all, "bounds": bounds, "outcomes": outcomes });
        println!("{value}");
        return;
    }
    println!("{}\n", table::by_signal(outcomes));
    println!("{}\n", table::by_kind(outcomes));
    println!("{}", table::bounds(bounds));
}
