//! `sentinel status`: the state of the running agent, once, as its API gives it.

use std::{io::IsTerminal as _, path::PathBuf};

use anyhow::Context as _;
use clap::Args;

use super::{Failure, exit};
use crate::{
    config::Config,
    show::{
        state::{Document, SCHEMA},
        summary,
        view::Style,
        web::{Token, client},
    },
};

/// Options of `status`.
#[derive(Debug, Args)]
pub struct Options {
    /// Configuration file of the agent; without it /etc/sentinel/sentinel.toml, where that exists
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the agent listens: an address with a port, or unix:PATH; overrides the file
    #[arg(long, value_name = "ADDR")]
    at: Option<String>,
    /// File with the agent's token; overrides the file
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Print the document as the API gives it, schema sentinel.state/1
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: &Options) -> Result<u8, Failure> {
    let mut config = Config::load(options.config.as_deref()).map_err(Failure::usage)?;
    if options.token_file.is_some() {
        config.listen_token_file.clone_from(&options.token_file);
    }
    let token = config.listen_token_file.as_deref().map(Token::text);
    let token = token.transpose().map_err(Failure::usage)?;
    if let Some(at) = &options.at {
        config = config.asked_at(at).map_err(Failure::usage)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let body = runtime.block_on(client::fetch(&config.listen, "/api/v1/state", token.as_deref()))?;
    let document: Document = serde_json::from_slice(&body).with_context(|| {
        format!(
            "what {} serves is not {SCHEMA}; is it a sentinel of this version?",
            config.listen
        )
    })?;
    if options.json {
        println!("{}", String::from_utf8_lossy(&body));
    } else {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        print!("{}", summary::render(&document, &Style { colour, columns: None }));
    }
    Ok(exit::DONE)
}
