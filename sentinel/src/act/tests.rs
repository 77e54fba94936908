//! Acting as a contract: what runs, what does not, and what is left of it afterwards.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use super::*;
use crate::{
    config::Config,
    judge::{
        Verdict,
        verdict::{self, Cause, Level, Phase, Signal},
    },
    sense::sample::{Scope, ScopeKind},
    time::monotonic_ns,
};

const SECOND: u64 = 1_000_000_000;

/// A config with one hook named `it`, whose command is a shell script, and these keys besides.
fn config(autonomy: &str, script: &str, more: &str) -> Config {
    let text = format!(
        "autonomy = \"{autonomy}\"\n[[hook]]\nname = \"it\"\ncommand = [\"/bin/sh\", \"-c\", '''{script}''']\n{more}\n"
    );
    Config::from_toml(&text, Path::new("test.toml")).unwrap_or_else(|error| panic!("{error}"))
}

fn verdict_of(unit: &str, previous: Level, level: Level) -> Verdict {
    Verdict {
        schema: verdict::SCHEMA.into(),
        id: "01JTEST".into(),
        seq: 1,
        time: "2026-01-01T00:00:00.000Z".into(),
        boot_id: "boot".into(),
        monotonic_ns: 0,
        host: "host".into(),
        scope: Arc::new(Scope {
            kind: ScopeKind::Cgroup,
            path: format!("/system.slice/{unit}"),
            unit: Some(unit.into()),
            container: None,
            cgroup_id: 4711,
        }),
        signal: Signal::Amplification,
        level,
        previous,
        cause: Cause::RetryStorm,
        phase: Some(Phase::Amplifying),
        value: Some(3.5),
        unit: "ratio".into(),
        baseline: None,
        sigma: None,
        velocity_per_s: None,
        acceleration_per_s2: None,
        forecast: None,
        features: BTreeMap::new(),
        window_ms: 2000,
        coverage: 1.0,
        lost: 0,
        autonomy: crate::config::Autonomy::Auto,
        plan: Vec::new(),
        summary: "shop.service sends 3.5 requests for each one it receives".into(),
    }
}

fn storm() -> Verdict {
    verdict_of("shop.service", Level::Watch, Level::Veto)
}

/// Plans and carries out; the plans.
fn act(actor: &mut Actor, verdict: &mut Verdict, now_ns: u64) -> Vec<Plan> {
    let plans = actor.plan(verdict, now_ns);
    for plan in &plans {
        actor.carry_out(plan, verdict);
    }
    plans
}

/// Waits until every hook has ended by itself.
async fn ended(actor: &mut Actor) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for _ in 0..2000 {
        outcomes.extend(actor.outcomes());
        if actor.running() == 0 {
            return outcomes;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("a hook still runs after 20 s");
}

/// Runs the script once for a storm.
async fn run(script: &str, more: &str) -> Outcome {
    let mut actor = Actor::new(&config("auto", script, more));
    act(&mut actor, &mut storm(), 0);
    ended(&mut actor).await.pop().expect("an outcome")
}

fn exited(code: i32) -> ActionResult {
    ActionResult::Exited { code }
}

/// Whether a process is gone, given a moment: a signal was sent to it, and it may still be on its way.
async fn gone(pid: &str) -> bool {
    for _ in 0..100 {
        if !lives(pid) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

/// Whether a process of this number is there and not a zombie.
fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    let state = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next());
    state.is_some_and(|state| state != "Z" && state != "X")
}

#[tokio::test]
async fn a_hook_runs_once_with_the_verdict_on_stdin() {
    let mut actor = Actor::new(&config("auto", "cat", ""));
    let mut verdict = storm();
    let plans = act(&mut actor, &mut verdict, 0);
    assert_eq!(plans.len(), 1);
    assert!(plans[0].runs());
    assert_eq!(
        (plans[0].schema.as_str(), plans[0].action.as_str()),
        ("sentinel.plan/1", "hook:it")
    );
    assert_eq!(verdict.plan, [plans[0].planned_action()]);
    let outcomes = ended(&mut actor).await;
    assert_eq!(outcomes.len(), 1);
    let outcome = &outcomes[0];
    assert_eq!(outcome.result, exited(0));
    let got: Verdict = serde_json::from_str(outcome.output_tail.trim_end()).expect("valid JSON");
    assert_eq!(got, verdict);
    assert_eq!(outcome.output_tail.matches('\n').count(), 1);
    assert_eq!(
        (outcome.action.as_str(), outcome.scope.as_str()),
        ("hook:it", "/system.slice/shop.service")
    );
    assert_eq!(outcome.verdict_id, verdict.id);
    // It stays at veto: nothing new, so nothing runs.
    let mut still = verdict_of("shop.service", Level::Veto, Level::Veto);
    assert!(act(&mut actor, &mut still, 3600 * SECOND).is_empty());
    assert!(still.plan.is_empty());
}

#[tokio::test]
async fn the_environment_holds_the_verdict_and_nothing_of_the_agent() {
    let outcome = run("env; pwd", "").await;
    let lines: Vec<_> = outcome.output_tail.lines().collect();
    for expected in [
        "SENTINEL_VERDICT_ID=01JTEST",
        "SENTINEL_SIGNAL=amplification",
        "SENTINEL_LEVEL=veto",
        "SENTINEL_PREVIOUS=watch",
        "SENTINEL_SCOPE=/system.slice/shop.service",
        "SENTINEL_UNIT=shop.service",
        "SENTINEL_CONTAINER=",
        "SENTINEL_CAUSE=retry_storm",
        "SENTINEL_VALUE=3.5",
        "SENTINEL_HOOK=it",
        "SENTINEL_SUMMARY=shop.service sends 3.5 requests for each one it receives",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "/",
    ] {
        assert!(lines.contains(&expected), "{expected} in {lines:?}");
    }
    assert!(lines.iter().all(|line| !line.starts_with("CARGO")), "{lines:?}");
}

#[tokio::test]
async fn a_hostile_scope_name_reaches_the_hook_escaped() {
    let mut actor = Actor::new(&config("auto", "printf %s \"$SENTINEL_SCOPE\"", ""));
    let mut verdict = storm();
    verdict.scope = Arc::new(Scope {
        path: "/a\0b\nPATH=evil\u{1b}[31m".into(),
        ..Scope::clone(&verdict.scope)
    });
    act(&mut actor, &mut verdict, 0);
    let outcome = ended(&mut actor).await.pop().expect("an outcome");
    assert_eq!(outcome.output_tail, "/a\\x00b\\x0aPATH=evil\\x1b[31m");
}

#[tokio::test]
async fn a_hook_past_its_timeout_is_killed_with_its_grandchild() {
    let script = "sleep 300 & echo $!; (sleep 300; true) & echo $!; sleep 300";
    let outcome = run(script, "timeout = \"300ms\"").await;
    assert_eq!(outcome.result, ActionResult::TimedOut);
    assert!((300..2000).contains(&outcome.duration_ms), "{} ms", outcome.duration_ms);
    let pids: Vec<_> = outcome.output_tail.lines().collect();
    assert_eq!(pids.len(), 2);
    for pid in pids {
        assert!(gone(pid).await, "{pid} is gone");
    }
}

#[tokio::test]
async fn a_bystander_outside_the_group_lives() {
    let mut bystander = std::process::Command::new("/bin/sleep")
        .arg("60")
        .spawn()
        .expect("a bystander");
    assert_eq!(
        run("sleep 300", "timeout = \"100ms\"").await.result,
        ActionResult::TimedOut
    );
    assert_eq!(run("sleep 300 & exit 0", "").await.result, exited(0));
    assert!(lives(&bystander.id().to_string()));
    bystander.kill().and_then(|()| bystander.wait()).expect("ended");
}

#[tokio::test]
async fn a_straggler_in_the_group_is_killed_when_the_leader_ends() {
    let outcome = run("sleep 300 & echo $!; exit 7", "").await;
    assert_eq!(outcome.result, exited(7));
    assert!(outcome.duration_ms < 2000, "{} ms", outcome.duration_ms);
    assert!(gone(&outcome.output_tail).await);
}

#[tokio::test]
async fn a_process_that_left_the_group_does_not_hold_the_outcome() {
    let outcome = run("setsid sh -c 'echo $$; sleep 5' & sleep 0.2; exit 0", "").await;
    assert_eq!(outcome.result, exited(0));
    assert!(outcome.duration_ms < 2000, "{} ms", outcome.duration_ms);
    assert!(
        lives(&outcome.output_tail),
        "it is out of reach, and the manual says so"
    );
    let pid = outcome.output_tail.trim().parse().expect("a pid");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).expect("ended");
}

#[tokio::test]
async fn ten_megabytes_of_output_leave_their_tail_and_count_and_delay_no_tick() {
    let script = "head -c 10000000 /dev/zero | tr '\\0' x; printf end >&2";
    let mut actor = Actor::new(&config("auto", script, ""));
    act(&mut actor, &mut storm(), 0);
    let (mut latest, mut outcomes) = (0, Vec::new());
    while actor.running() > 0 {
        let before = monotonic_ns();
        tokio::time::sleep(Duration::from_millis(10)).await;
        outcomes.extend(actor.outcomes());
        latest = latest.max(monotonic_ns() - before);
    }
    let outcome = outcomes.pop().expect("an outcome");
    assert_eq!((outcome.result, outcome.output_bytes), (exited(0), 10_000_003));
    assert_eq!(outcome.output_tail.len(), TAIL_BYTES);
    assert!(outcome.output_tail.ends_with("xxxend"));
    assert!(latest < 100_000_000, "a 10 ms pause took {latest} ns");
}

#[tokio::test]
async fn endless_output_ends_at_the_timeout() {
    let outcome = run("exec yes", "timeout = \"200ms\"").await;
    assert_eq!(outcome.result, ActionResult::TimedOut);
    assert!(outcome.output_bytes > 100_000);
}

#[tokio::test]
async fn a_large_verdict_on_an_unread_stdin_holds_nobody() {
    let mut actor = Actor::new(&config("auto", "exec sleep 0.2", ""));
    let mut verdict = storm();
    verdict.summary = "x".repeat(4 << 20);
    act(&mut actor, &mut verdict, 0);
    let outcome = ended(&mut actor).await.pop().expect("an outcome");
    assert_eq!(outcome.result, exited(0));
    assert!(outcome.duration_ms < 2000, "{} ms", outcome.duration_ms);

    let mut actor = Actor::new(&config("auto", "exec <&-; sleep 0.2; wc -c < /dev/null", ""));
    act(&mut actor, &mut verdict, 0);
    assert_eq!(ended(&mut actor).await.pop().expect("an outcome").result, exited(0));

    let mut actor = Actor::new(&config("auto", "wc -c", ""));
    act(&mut actor, &mut verdict, 0);
    let read = ended(&mut actor).await.pop().expect("an outcome").output_tail;
    assert!(read.trim().parse::<usize>().expect("a count") > 4 << 20);
}

#[tokio::test]
async fn a_command_that_cannot_start_says_why() {
    async fn reason(command: &str) -> String {
        let mut config = config("auto", "", "");
        config.hooks[0].command = vec![command.into()];
        let mut actor = Actor::new(&config);
        act(&mut actor, &mut storm(), 0);
        match ended(&mut actor).await.pop().map(|outcome| outcome.result) {
            Some(ActionResult::NotStarted { reason }) => reason,
            other => panic!("{other:?}"),
        }
    }
    assert!(
        reason("/nonexistent/notify")
            .await
            .starts_with("/nonexistent/notify cannot be found")
    );
    assert!(reason("/etc/passwd").await.contains("chmod +x"));
    assert!(reason("/etc").await.contains("may not be executed"));
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("script");
    std::fs::write(&script, "neither ELF nor a script\n").expect("written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, mode).expect("executable");
    assert!(reason(script.to_str().expect("a path")).await.contains("#!"));
}

#[tokio::test]
async fn a_hook_that_crashes_names_its_signal() {
    assert_eq!(
        run("kill -SEGV $$", "").await.result,
        ActionResult::Killed { signal: 11 }
    );
    assert_eq!(run("exit 3", "").await.result, exited(3));
}

#[tokio::test]
async fn in_observe_nothing_runs_and_the_plan_says_what_would() {
    let folder = tempfile::tempdir().expect("a folder");
    let trace = folder.path().join("trace");
    let mut actor = Actor::new(&config("observe", &format!("touch {}", trace.display()), ""));
    let mut verdict = storm();
    let plans = act(&mut actor, &mut verdict, 0);
    assert!(plans[0].would && plans[0].forbidden.is_none() && !plans[0].runs());
    assert!(verdict.plan[0].would);
    assert_eq!(actor.running(), 0);
    // The cooldown counts as in auto, so that the plan is what auto would do.
    let plans = act(&mut actor, &mut storm(), 10 * SECOND);
    assert_eq!(
        plans[0].forbidden.as_deref(),
        Some("its cooldown of 1m for this scope ends in 50s")
    );
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!trace.exists() && actor.outcomes().is_empty());
    // A plan that somebody else made up does not run either.
    let forged = Plan {
        would: false,
        ..plans[0].clone()
    };
    actor.carry_out(
        &Plan {
            forbidden: None,
            ..forged
        },
        &verdict,
    );
    assert_eq!(actor.running(), 0);
}

#[tokio::test]
async fn in_approve_nothing_runs_and_the_plan_says_why() {
    let mut actor = Actor::new(&config("approve", "true", ""));
    let plans = act(&mut actor, &mut storm(), 0);
    assert!(plans[0].would && !plans[0].runs());
    assert!(
        plans[0]
            .forbidden
            .as_deref()
            .is_some_and(|why| why.contains("approval is not available yet"))
    );
    assert_eq!(actor.running(), 0);
}

#[tokio::test]
async fn a_cooldown_holds_for_its_scope_only() {
    let mut actor = Actor::new(&config("auto", "true", "cooldown = \"60s\""));
    assert!(act(&mut actor, &mut storm(), 0)[0].runs());
    ended(&mut actor).await;
    let plan = act(&mut actor, &mut storm(), 59 * SECOND).remove(0);
    assert_eq!(
        plan.forbidden.as_deref(),
        Some("its cooldown of 1m for this scope ends in 1s")
    );
    let mut other = verdict_of("other.service", Level::Nominal, Level::Veto);
    assert!(act(&mut actor, &mut other, 59 * SECOND)[0].runs());
    assert!(act(&mut actor, &mut storm(), 60 * SECOND)[0].runs());
    assert_eq!(ended(&mut actor).await.len(), 2);
}

#[tokio::test]
async fn the_hourly_cap_slides_over_all_scopes() {
    let mut actor = Actor::new(&config("observe", "true", "cooldown = \"0s\"\nmax_per_hour = 2"));
    let mut at = |unit: &str, second: u64| {
        let mut verdict = verdict_of(unit, Level::Watch, Level::Veto);
        actor.plan(&mut verdict, second * SECOND).remove(0).forbidden
    };
    assert_eq!(at("a.service", 0), None);
    assert_eq!(at("b.service", 1800), None);
    let full = "its max_per_hour is 2, and that many runs began in the last 60 minutes";
    assert_eq!(at("c.service", 3599).as_deref(), Some(full));
    assert_eq!(at("c.service", 3600), None);
    assert_eq!(at("c.service", 3601).as_deref(), Some(full));
}

#[tokio::test]
async fn a_hook_does_not_run_twice_at_once_for_a_scope_nor_more_than_eight_in_all() {
    let mut actor = Actor::new(&config(
        "auto",
        "sleep 300",
        "cooldown = \"0s\"\nmax_per_hour = 100\ntimeout = \"1m\"",
    ));
    assert!(act(&mut actor, &mut storm(), 0)[0].runs());
    let again = act(&mut actor, &mut storm(), 1).remove(0);
    assert_eq!(again.forbidden.as_deref(), Some("it still runs for this scope"));
    for index in 1..veto::MAX_RUNNING {
        let mut verdict = verdict_of(&format!("{index}.service"), Level::Watch, Level::Veto);
        assert!(act(&mut actor, &mut verdict, 2)[0].runs());
    }
    let mut verdict = verdict_of("one-more.service", Level::Watch, Level::Veto);
    let plan = act(&mut actor, &mut verdict, 3).remove(0);
    assert_eq!(
        plan.forbidden.as_deref(),
        Some("8 hooks run already, the most at a time")
    );
    assert_eq!(actor.running(), veto::MAX_RUNNING);
    let outcomes = actor.drain(Duration::ZERO).await;
    assert_eq!(outcomes.len(), veto::MAX_RUNNING);
}

#[tokio::test]
async fn shutdown_waits_its_grace_and_then_kills_every_group() {
    let script = "sleep 300 & echo $!; sleep 300";
    let mut actor = Actor::new(&config("auto", script, "timeout = \"1m\""));
    act(&mut actor, &mut storm(), 0);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let outcome = actor.drain(Duration::from_millis(100)).await.pop().expect("an outcome");
    assert_eq!(outcome.result, ActionResult::Killed { signal: 9 });
    assert!(!outcome.output_tail.is_empty() && gone(&outcome.output_tail).await);

    let mut actor = Actor::new(&config("auto", "sleep 0.1", ""));
    act(&mut actor, &mut storm(), 0);
    assert_eq!(
        actor
            .drain(Duration::from_secs(10))
            .await
            .pop()
            .expect("an outcome")
            .result,
        exited(0)
    );
}

#[tokio::test]
async fn an_actor_that_is_dropped_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("pid");
    let script = format!("sleep 300 & echo $! > {}; sleep 300", file.display());
    let mut actor = Actor::new(&config("auto", &script, "timeout = \"1m\""));
    act(&mut actor, &mut storm(), 0);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let pid = std::fs::read_to_string(&file).expect("it ran");
    assert!(lives(&pid));
    drop(actor);
    assert!(gone(&pid).await);
}

#[tokio::test]
async fn a_hook_runs_as_its_user_with_that_users_group_only() {
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("skipped: only root can run a hook as another user");
        return;
    }
    let script = "id -u; id -g; id -G; echo $USER $LOGNAME $HOME; grep -E 'Groups|CapEff' /proc/self/status";
    let outcome = run(script, "user = \"nobody\"").await;
    let nobody = crate::config::Account::named("nobody").expect("a user");
    let lines: Vec<_> = outcome.output_tail.lines().map(str::trim_end).collect();
    assert_eq!(
        lines[..3],
        [nobody.uid.to_string(), nobody.gid.to_string(), nobody.gid.to_string()]
    );
    assert_eq!(lines[3], format!("nobody nobody {}", nobody.home.display()));
    assert_eq!(lines[4], "Groups:");
    assert_eq!(lines[5], "CapEff:\t0000000000000000");
}

#[test]
fn a_hook_is_for_a_rise_into_its_level_of_its_signals_and_scopes() {
    let concerned = |more: &str, verdict: &Verdict| plan::concerns(verdict, &config("observe", "true", more).hooks[0]);
    let rise = |previous, level| verdict_of("shop.service", previous, level);
    assert!(concerned("", &rise(Level::Nominal, Level::Veto)));
    assert!(concerned("", &rise(Level::Unknown, Level::Veto)));
    assert!(!concerned("", &rise(Level::Nominal, Level::Watch)));
    assert!(!concerned("", &rise(Level::Veto, Level::Unknown)));
    assert!(concerned("level = \"watch\"", &rise(Level::Nominal, Level::Watch)));
    assert!(concerned("level = \"watch\"", &rise(Level::Nominal, Level::Veto)));
    assert!(
        !concerned("level = \"watch\"", &rise(Level::Watch, Level::Veto)),
        "it ran at watch"
    );
    assert!(!concerned("level = \"watch\"", &rise(Level::Veto, Level::Watch)));
    assert!(concerned("signals = [\"amplification\", \"jitter\"]", &storm()));
    assert!(!concerned("signals = [\"fever\"]", &storm()));
    assert!(concerned("scope = \"shop*.service\"", &storm()));
    assert!(concerned("scope = \"/system.slice/*\"", &storm()));
    assert!(!concerned("scope = \"/user.slice/**\"", &storm()));
    let host = Verdict {
        scope: Arc::new(Scope::host()),
        ..storm()
    };
    assert!(concerned("scope = \"host\"", &host) && concerned("", &host));
    assert!(!concerned("scope = \"/**\"", &host));
}

#[test]
fn incomplete_data_forbids_and_unknown_never_matches() {
    let mut actor = Actor::new(&config("auto", "true", ""));
    for coverage in [0.49, 0.0, f64::NAN] {
        let plan = actor.plan(&mut Verdict { coverage, ..storm() }, 0).remove(0);
        assert!(
            plan.forbidden
                .is_some_and(|why| why.contains("of the window was measured"))
        );
    }
    assert!(
        actor
            .plan(&mut verdict_of("a.service", Level::Nominal, Level::Unknown), 0)
            .is_empty()
    );
    assert!(
        actor.plan(
            &mut Verdict {
                coverage: 0.5,
                ..storm()
            },
            0
        )[0]
        .runs()
    );
}

#[test]
fn a_further_rule_can_forbid() {
    struct Never;
    impl Veto for Never {
        fn name(&self) -> &'static str {
            "never"
        }
        fn forbids(&self, context: &PlanContext<'_>) -> Option<String> {
            Some(format!("{} is protected", context.verdict.scope.name()))
        }
    }
    let mut actor = Actor::new(&config("auto", "true", "")).with_veto(Box::new(Never));
    assert_eq!(
        actor.plan(&mut storm(), 0)[0].forbidden.as_deref(),
        Some("shop.service is protected")
    );
    assert!(format!("{actor:?}").contains("never"));
}
