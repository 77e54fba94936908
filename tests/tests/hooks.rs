//! Hooks on a real storm: run once, with the verdict; and a bad hook harms nothing but itself.
//!
//! Needs root and `haproxy`.

use std::{fs, path::Path, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use sentinel::{
    act::{Outcome, outcome::ActionResult},
    judge::{
        Verdict,
        verdict::{Level, Signal},
    },
};
use sentinel_tests::{
    agent::Options,
    scene::Scene,
    shop::{SERVICES, Shop},
    wait,
};

const LIMIT: Duration = Duration::from_secs(15);
const SOON: Duration = Duration::from_secs(3);
const LOAD: [&str; 2] = ["--rps", "100"];
const FLOOD_BYTES: u64 = 10 * 1024 * 1024;

/// A configuration whose hooks are for storms only.
fn config(hooks: &[(&str, &str)]) -> String {
    let hook = |(name, rest): &(&str, &str)| {
        format!("[[hook]]\nname = \"{name}\"\nsignals = [\"amplification\"]\nlevel = \"veto\"\n{rest}\n")
    };
    let hooks: String = hooks.iter().map(hook).collect();
    format!("interval = \"1s\"\n{hooks}")
}

/// A command line of the shell, as a TOML list.
fn shell(line: &str) -> String {
    format!("command = [\"/bin/sh\", \"-c\", '''{line}''']")
}

/// A storm under an agent, until its veto; the scene and the shop still stand.
fn storm(options: Options) -> Result<(Scene, Shop, Verdict)> {
    let mut scene = Scene::start(&SERVICES, options)?;
    let mut shop = Shop::open(&scene, &LOAD)?;
    scene.warm_up()?;
    let onset_ns = shop.lose_backend()?;
    let seen = scene.veto("shop", Signal::Amplification, onset_ns, SOON)?;
    Ok((scene, shop, seen.verdict))
}

fn outcome(scene: &Scene, name: &str) -> Result<Outcome> {
    let action = format!("hook:{name}");
    let found = scene.agent.outcome(LIMIT, |outcome| outcome.action == action);
    found.with_context(|| format!("no outcome of {action}; the agent said {:?}", scene.agent.stderr()))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("the hook did not write {}", path.display()))
}

#[test]
fn a_storm_runs_the_hook_once_with_the_verdict_on_stdin() -> Result<()> {
    let options = Options::new()?.arg("--autonomy").arg("auto");
    let dir = options.dir().to_owned();
    let line = format!(
        "cat > {0}/stdin; env > {0}/env; echo run >> {0}/runs; echo done; exit 3",
        dir.display()
    );
    let options = options.config(&config(&[("shed", &shell(&line))]));
    let (mut scene, _shop, verdict) = storm(options)?;
    let outcome = outcome(&scene, "shed")?;
    assert_eq!(outcome.result, ActionResult::Exited { code: 3 });
    assert_eq!(outcome.schema, "sentinel.outcome/1");
    assert_eq!((outcome.output_tail.as_str(), outcome.output_bytes), ("done\n", 5));
    assert_eq!(
        (outcome.verdict_id.as_ref(), &outcome.scope),
        (Some(&verdict.id), &verdict.scope.path)
    );

    let stdin = read(&dir.join("stdin"))?;
    let given: Verdict = serde_json::from_str(&stdin).context("stdin is not a verdict")?;
    assert_eq!(stdin.lines().count(), 1);
    assert_eq!(given, verdict, "stdin and stdout say the same");
    let planned = verdict
        .plan
        .iter()
        .find(|planned| planned.action == "hook:shed")
        .context("no plan")?;
    assert!(!planned.would && planned.forbidden.is_none(), "{planned:?}");

    let env = read(&dir.join("env"))?;
    for expected in [
        "SENTINEL_HOOK=shed".to_owned(),
        "SENTINEL_SIGNAL=amplification".to_owned(),
        "SENTINEL_LEVEL=veto".to_owned(),
        format!("SENTINEL_SCOPE={}", verdict.scope.path),
        format!("SENTINEL_VERDICT_ID={}", verdict.id),
        format!("SENTINEL_CAUSE={}", verdict.cause.name()),
    ] {
        ensure!(env.lines().any(|line| line == expected), "no {expected} in {env}");
    }
    ensure!(
        !env.contains("SENTINEL_TEST_CANARY"),
        "the agent's environment leaks: {env}"
    );

    thread::sleep(Duration::from_secs(5));
    assert_eq!(
        read(&dir.join("runs"))?,
        "run\n",
        "the storm goes on and the hook ran once"
    );
    let ended = scene.end()?;
    assert_eq!(ended.late_ticks()?, 0);
    scene.bystander_is_nominal()
}

#[test]
fn hooks_that_sleep_flood_or_do_not_exist_are_reported_and_no_tick_is_late() -> Result<()> {
    let options = Options::new()?.arg("--autonomy").arg("auto");
    let dir = options.dir().to_owned();
    let sleepy = format!("sleep 60 & echo $! > {}/child; wait", dir.display());
    let sleepy = format!("{}\ntimeout = \"1s\"", shell(&sleepy));
    let flood = shell(&format!("head -c {FLOOD_BYTES} /dev/zero | tr '\\0' x"));
    let options = options.config(&config(&[
        ("sleepy", &sleepy),
        ("flood", &flood),
        ("absent", "command = [\"/nonexistent/hook\"]"),
        ("crash", &shell("kill -SEGV $$")),
    ]));
    let (mut scene, _shop, _) = storm(options)?;

    let sleepy = outcome(&scene, "sleepy")?;
    assert_eq!(sleepy.result, ActionResult::TimedOut);
    assert!((900..2500).contains(&sleepy.duration_ms), "{sleepy:?}");
    let child = read(&dir.join("child"))?.trim().to_owned();
    let gone = wait::until_true(SOON, || !Path::new("/proc").join(&child).join("exe").exists());
    assert!(gone, "the whole process group is killed; {child} is still there");

    let flood = outcome(&scene, "flood")?;
    assert_eq!(flood.result, ActionResult::Exited { code: 0 });
    assert_eq!(flood.output_bytes, FLOOD_BYTES);
    assert!(
        (1..=4096).contains(&flood.output_tail.len()),
        "{}",
        flood.output_tail.len()
    );

    let absent = outcome(&scene, "absent")?;
    let ActionResult::NotStarted { reason } = &absent.result else {
        panic!("{absent:?}")
    };
    assert!(reason.contains("/nonexistent/hook"), "{reason}");

    assert!(matches!(
        outcome(&scene, "crash")?.result,
        ActionResult::Killed { signal: 11 }
    ));
    let ended = scene.end()?;
    assert_eq!(ended.late_ticks()?, 0);
    scene.bystander_is_nominal()
}

#[test]
fn a_hook_runs_as_its_user() -> Result<()> {
    let hook = "command = [\"/usr/bin/id\"]\nuser = \"nobody\"";
    let options = Options::new()?
        .arg("--autonomy")
        .arg("auto")
        .config(&config(&[("who", hook)]));
    let (mut scene, _shop, _) = storm(options)?;
    let who = outcome(&scene, "who")?;
    assert!(
        who.output_tail.contains("(nobody)") && !who.output_tail.contains("(root)"),
        "{who:?}"
    );
    scene.end().map(drop)
}

#[test]
fn to_observe_is_to_say_what_would_run_and_not_to_run_it() -> Result<()> {
    let options = Options::new()?;
    let file = options.dir().join("ran");
    let hook = shell(&format!("touch {}", file.display()));
    let (mut scene, _shop, verdict) = storm(options.config(&config(&[("shed", &hook)])))?;
    assert_eq!(verdict.level, Level::Veto);
    let planned = verdict
        .plan
        .iter()
        .find(|planned| planned.action == "hook:shed")
        .context("no plan")?;
    assert!(planned.would, "{planned:?}");
    thread::sleep(SOON);
    scene.end()?;
    assert!(!file.exists() && scene.agent.outcomes().is_empty());
    Ok(())
}
