//! What a hook gets and gives.

use super::*;

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
    assert_eq!(outcome.verdict_id.as_deref(), Some(verdict.id.as_str()));
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
