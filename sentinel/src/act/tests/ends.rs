//! How a hook ends, and that nothing of it is left.

use super::*;

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
async fn endless_output_ends_at_the_timeout() {
    let outcome = run("exec yes", "timeout = \"200ms\"").await;
    assert_eq!(outcome.result, ActionResult::TimedOut);
    assert!(outcome.output_bytes > 100_000);
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
async fn shutdown_waits_its_grace_and_then_kills_every_group() {
    let script = "sleep 300 & echo $!; sleep 300";
    let mut actor = Actor::new(&config("auto", script, "timeout = \"1m\""));
    act(&mut actor, &mut storm(), 0);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let outcome = actor
        .drain(Duration::from_millis(100), None)
        .await
        .pop()
        .expect("an outcome");
    assert_eq!(outcome.result, ActionResult::Killed { signal: 9 });
    assert!(!outcome.output_tail.is_empty() && gone(&outcome.output_tail).await);

    let mut actor = Actor::new(&config("auto", "sleep 0.1", ""));
    act(&mut actor, &mut storm(), 0);
    assert_eq!(
        actor
            .drain(Duration::from_secs(10), None)
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
