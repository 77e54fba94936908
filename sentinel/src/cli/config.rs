//! `sentinel config`: what is in force, and whether a file is right.

use clap::{Args, Subcommand};

use super::{Failure, exit, options::Configured};

/// What can be asked of the configuration.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print every setting with its value, unit and origin
    Show(Show),
    /// Check the file and say what could go wrong with it
    Check(Check),
}

/// Options of `config show`.
#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    configured: Configured,
    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

/// Options of `config check`.
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    configured: Configured,
}

pub(super) fn run(command: &Command) -> Result<u8, Failure> {
    match command {
        Command::Show(options) => {
            let config = options.configured.load()?;
            if options.json {
                println!("{}", serde_json::to_string(&config.settings())?);
            } else {
                print!("{}", config.render());
            }
        }
        Command::Check(options) => {
            let config = options.configured.load()?;
            let warnings = config.warnings();
            warnings.iter().for_each(|warning| eprintln!("sentinel: {warning}"));
            let source = config
                .source
                .map_or_else(|| "the defaults".into(), |path| path.display().to_string());
            println!("{source}: no errors, {} warnings", warnings.len());
        }
    }
    Ok(exit::DONE)
}
