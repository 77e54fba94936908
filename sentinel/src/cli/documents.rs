//! What the binary says about itself: schemas, completions, the manual page.

use std::{io, path::PathBuf};

use anyhow::Context as _;
use clap::{Args, CommandFactory as _, ValueEnum};
use clap_complete::Shell;
use schemars::schema_for;

use super::{Cli, Failure, exit};
use crate::{
    act::{Outcome, plan::Plan},
    judge::Verdict,
    sense::Sample,
    show::{score::Score, state::Document},
};

/// Options of `schema`.
#[derive(Debug, Args)]
pub struct Schema {
    /// Which one
    name: Name,
}

/// Documents with a schema.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Name {
    /// What is said about one signal of one scope
    Verdict,
    /// What would be done or is done about it
    Plan,
    /// What became of it
    Outcome,
    /// How rare a point of a metric series is: one line of `judge`
    Score,
    /// How a run stands: what the API, the page and `status` show
    State,
    /// What was measured: one line of a recording
    Sample,
}

pub(super) fn schema(options: &Schema) -> Result<u8, Failure> {
    let schema = match options.name {
        Name::Verdict => schema_for!(Verdict),
        Name::Plan => schema_for!(Plan),
        Name::Outcome => schema_for!(Outcome),
        Name::Score => schema_for!(Score),
        Name::State => schema_for!(Document),
        Name::Sample => schema_for!(Sample),
    };
    println!("{}", serde_json::to_string_pretty(&schema)?);
    Ok(exit::DONE)
}

/// Options of `completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// Which shell
    shell: Shell,
}

pub(super) fn completions(options: &Completions) -> Result<u8, Failure> {
    clap_complete::generate(options.shell, &mut Cli::command(), "sentinel", &mut io::stdout());
    Ok(exit::DONE)
}

/// Options of `man`.
#[derive(Debug, Args)]
pub struct Man {
    /// Write the page of every command into this directory, which must exist
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn man(options: &Man) -> Result<u8, Failure> {
    match &options.dir {
        Some(dir) => clap_mangen::generate_to(Cli::command(), dir)
            .with_context(|| format!("the manual pages could not be written to {}", dir.display()))?,
        None => clap_mangen::Man::new(Cli::command()).render(&mut io::stdout())?,
    }
    Ok(exit::DONE)
}
