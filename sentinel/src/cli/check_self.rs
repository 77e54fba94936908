//! `sentinel check --self`: what the running agent, and each process it has to act, may still do, as the kernel tells it.

use std::path::Path;

use anyhow::anyhow;

use super::{Failure, exit};
use crate::{
    privileges::Standing,
    show::{rights, screen::Screen},
    single,
};

pub(super) fn run(lock: &Path, json: bool) -> Result<u8, Failure> {
    let pid = single::running(lock).ok_or_else(|| {
        Failure::host(anyhow!(
            "no agent holds {}; start one with `sentinel run`, or name its lock with --lock",
            lock.display()
        ))
    })?;
    let all = Standing::of_all(i32::try_from(pid)?).map_err(Failure::host)?;
    if json {
        for standing in &all {
            println!("{}", rights::json(standing)?);
        }
    } else {
        let screen = Screen::stdout()?;
        for standing in &all {
            print!("{}", rights::table(standing, &screen.style()));
        }
    }
    Ok(exit::DONE)
}
