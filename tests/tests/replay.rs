//! What was recorded is judged again as it was judged live, without root.
//!
//! Recording needs root.

use std::{fs, path::Path, time::Duration};

use anyhow::{Result, ensure};
use sentinel::judge::verdict::{Level, Signal};
use sentinel_tests::{
    agent::Options,
    invoke::{Ended, as_nobody, finish, invoke, text},
    scene::Scene,
    workload::Workload,
};

const LIMIT: Duration = Duration::from_secs(30);
const SOON: Duration = Duration::from_secs(3);

fn replay(file: &Path) -> Result<Ended> {
    let ended = invoke(&["replay", text(file), "--output", "json"], LIMIT)?;
    ensure!(ended.code == Some(0), "{}: {:?}", ended.ending, ended.stderr);
    Ok(ended)
}

/// A recording of this host for some seconds.
fn record(file: &Path, seconds: u32) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (lock, duration) = (dir.path().join("lock"), format!("{seconds}s"));
    let args = ["record", text(file), "--duration", &duration, "--lock", text(&lock)];
    let ended = invoke(&args, LIMIT)?;
    ensure!(ended.code == Some(0), "{}: {:?}", ended.ending, ended.stderr);
    Ok(())
}

#[test]
fn a_replay_gives_the_verdicts_that_were_given_live() -> Result<()> {
    let options = Options::new()?;
    let file = options.dir().join("recording");
    let mut scene = Scene::start(&["busy"], options.arg("--record").arg(&file))?;
    scene.warm_up()?;
    let spin = Workload::start(scene.cgroup("busy"), &["spin", "--threads", "6", "--seconds", "30"])?;
    scene.veto("busy", Signal::Jitter, spin.onset_ns(), SOON)?;
    drop(spin);
    scene.agent.warm_up(SOON)?;
    let live = scene.end()?;
    let again = replay(&file)?;
    ensure!(!live.stdout.is_empty());
    for (live, again) in live.stdout.iter().zip(&again.stdout) {
        ensure!(live == again, "live:   {live}\nreplay: {again}");
    }
    ensure!(
        live.stdout.len() == again.stdout.len(),
        "{} live, {} again",
        live.stdout.len(),
        again.stdout.len()
    );
    ensure!(
        scene
            .agent
            .verdicts()
            .iter()
            .any(|seen| seen.verdict.level == Level::Veto)
    );
    Ok(())
}

const EVERYTHING: [&str; 3] = ["--output", "json", "--every-tick"];

#[test]
fn two_replays_are_the_same_byte_for_byte_and_need_no_root() -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir()?;
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
    let file = dir.path().join("recording");
    record(&file, 5)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644))?;
    // A quiet recording has no change to tell of: every reading is judged aloud.
    let first = invoke(&[&["replay", text(&file)], &EVERYTHING[..]].concat(), LIMIT)?;
    let mut command = as_nobody(dir.path())?;
    let second = finish(command.arg("replay").arg(&file).args(EVERYTHING), LIMIT)?;
    ensure!(second.code == Some(0), "{}: {:?}", second.ending, second.stderr);
    ensure!(first.stdout == second.stdout && !first.stdout.is_empty());
    Ok(())
}

#[test]
fn a_truncated_recording_is_judged_as_far_as_it_goes_and_said_to_be_truncated() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (file, cut) = (dir.path().join("recording"), dir.path().join("cut"));
    record(&file, 5)?;
    let whole = fs::read(&file)?;
    for length in [whole.len() - 2, whole.len() * 2 / 3, whole.len() / 3, 10] {
        fs::write(&cut, &whole[..length])?;
        let ended = invoke(&["replay", text(&cut), "--output", "json"], LIMIT)?;
        ensure!(
            ended.code == Some(1),
            "cut at {length}: {}: {:?}",
            ended.ending,
            ended.stderr
        );
        let sentence = ended.sentence()?;
        println!("cut at {length} of {}: {sentence}", whole.len());
        ensure!(sentence.contains("cut"), "does not name the file: {sentence}");
        ended.json()?;
    }
    Ok(())
}

#[test]
fn a_recording_in_which_a_bit_fell_over_does_not_panic() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (file, bad) = (dir.path().join("recording"), dir.path().join("bad"));
    record(&file, 3)?;
    let whole = fs::read(&file)?;
    for position in (0..whole.len()).step_by((whole.len() / 16).max(1)) {
        let mut bytes = whole.clone();
        bytes[position] ^= 0x10;
        fs::write(&bad, &bytes)?;
        let ended = invoke(&["replay", text(&bad), "--output", "json"], LIMIT)?;
        ensure!(
            matches!(ended.code, Some(0 | 1)),
            "byte {position}: {}: {:?}",
            ended.ending,
            ended.stderr
        );
        ensure!(
            !ended.stderr.iter().any(|line| line.contains("panicked")),
            "{:?}",
            ended.stderr
        );
    }
    Ok(())
}
