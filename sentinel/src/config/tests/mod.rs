//! The config as a contract.

mod mistakes;
mod values;

use std::{io::Write, path::Path, time::Duration};

use super::*;

const FILE: &str = "/etc/sentinel/sentinel.toml";

fn config(text: &str) -> Config {
    Config::from_toml(text, Path::new(FILE)).unwrap_or_else(|error| panic!("{error}"))
}

const HOOK: &str = "[[hook]]\nname = \"page\"\ncommand = [\"/bin/true\"]\n";
