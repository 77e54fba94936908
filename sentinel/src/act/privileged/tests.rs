//! Both sides over a real socket: the agent's, and the process's on a thread of the test.

use std::{os::fd::AsRawFd as _, path::Path, thread, time::Duration};

use nix::sys::socket::{Shutdown, shutdown};
use tokio::{
    sync::{mpsc::UnboundedReceiver, watch},
    time::timeout,
};

use super::*;
use crate::{
    act::{
        action::{Action, LeaseId, Order, Target, Ttl},
        actuator::{Tally, wire},
        hands::{Hands as _, Threads},
        outcome::ActionResult,
        runner::HooksHere,
        tests::{scene::Book, storm},
    },
    config::Config,
};

const LIMIT: Duration = Duration::from_secs(20);

/// Both sides.
struct Scene {
    agent: Privileged,
    done: UnboundedReceiver<Done>,
    /// What the hands were told.
    book: Book,
    process: thread::JoinHandle<std::io::Result<()>>,
}

fn hooks(scripts: &[(&str, &str)]) -> Config {
    let hooks = scripts.iter().map(|(name, script)| {
        format!("[[hook]]\nname = \"{name}\"\ncommand = [\"/bin/sh\", \"-c\", '''{script}''']\ntimeout = \"30s\"\n")
    });
    let text = format!("autonomy = \"auto\"\nrule = []\n{}", hooks.collect::<String>());
    Config::from_toml(&text, Path::new("test.toml")).unwrap_or_else(|error| panic!("{error}"))
}

fn scene(scripts: &[(&str, &str)]) -> Scene {
    let (ours, theirs) = wire::pair().expect("a socket");
    let book = Book::default();
    let open = book.open();
    let here = HooksHere::new(&hooks(scripts));
    let process = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (hands, done) = Threads::start(Some(open), None)?;
        let serving = Serving {
            socket: theirs,
            standing: "runs as nobody".into(),
            hands,
            done,
            hooks: here,
            load: Box::new(|| Ok(hooks(&[("late", "echo late")]))),
        };
        runtime.block_on(serve(serving))
    });
    let (agent, done) = Started::with(ours).attend().expect("threads");
    Scene {
        agent,
        done,
        book,
        process,
    }
}

impl Scene {
    async fn next(&mut self) -> Done {
        timeout(LIMIT, self.done.recv())
            .await
            .expect("in time")
            .expect("it goes on")
    }

    async fn hook(&self, name: &str) -> Ran {
        let (_stop, stopped) = watch::channel(false);
        let run = self.agent.runner().run(name, &storm(), stopped);
        timeout(LIMIT, run).await.expect("in time")
    }
}

fn order() -> Order {
    let lease = LeaseId::new("l1").expect("an id");
    let target = Target::new("/shop.service", 4711).expect("a target");
    let action = Action::RetryBudget {
        per_s: 10,
        fan_out_milli: 1000,
    };
    Order::new(lease, target, action, Ttl::default(), "a test").expect("an order")
}

#[tokio::test]
async fn an_order_is_done_and_undone_and_what_came_of_it_is_said() {
    let mut scene = scene(&[]);
    assert_eq!(scene.next().await, Done::Ready(Hand::Kernel, Ok(Vec::new())));
    let order = order();
    let lease = order.lease().clone();
    assert!(scene.agent.give(Hand::Kernel, Task::Apply(order)));
    assert!(matches!(scene.next().await, Done::Applied(of, Ok(applied)) if of == lease && applied.wrote == "a limit"));
    assert!(
        scene
            .agent
            .give(Hand::Kernel, Task::Renew(lease.clone(), Ttl::default(), Some(true)))
    );
    assert_eq!(
        scene.next().await,
        Done::Renewed(lease.clone(), Ok(Some(Tally::default())))
    );
    assert!(scene.agent.give(Hand::Kernel, Task::Revert(lease.clone())));
    assert!(matches!(scene.next().await, Done::Reverted(of, Ok(_), Some(_)) if of == lease));
    Box::new(scene.agent).finish();
    scene.process.join().expect("no panic").expect("served");
    let told = [
        "apply /shop.service",
        "take more",
        "renew",
        "revert",
        "ends with 0 held",
    ];
    assert_eq!(scene.book.told(), told);
}

#[tokio::test]
async fn when_the_agent_is_gone_everything_held_and_every_hook_goes() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("pid");
    let script = format!("echo $$ > {0}.new; mv {0}.new {0}; exec sleep 60", file.display());
    let mut scene = scene(&[("long", &script)]);
    assert!(scene.agent.give(Hand::Kernel, Task::Apply(order())));
    while !matches!(scene.next().await, Done::Applied(_, Ok(_))) {}
    let (_stop, stopped) = watch::channel(false);
    let run = tokio::spawn(scene.agent.runner().run("long", &storm(), stopped));
    let pid = loop {
        match std::fs::read_to_string(&file) {
            Ok(pid) => break pid.trim().to_owned(),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    // It ends without a word to the process, as by `kill -9`: its end of the socket is closed.
    shutdown(scene.agent.socket.as_raw_fd(), Shutdown::Both).expect("a socket");
    scene.process.join().expect("no panic").expect("served");
    assert_eq!(scene.book.told().last().map(String::as_str), Some("ends with 1 held"));
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "the hook runs on");
    // What became of it, nobody has said.
    let ran = timeout(LIMIT, run).await.expect("in time").expect("no panic");
    assert!(matches!(ran.result, ActionResult::Failed { .. }), "{ran:?}");
}

#[tokio::test]
async fn hooks_are_those_that_the_process_has_read_and_no_others() {
    let scene = scene(&[("greets", "read line; echo \"$SENTINEL_HOOK ${#line}\"")]);
    let ran = scene.hook("greets").await;
    let length = serde_json::to_string(&storm()).expect("JSON").len();
    assert_eq!(ran.result, ActionResult::Exited { code: 0 });
    assert_eq!(ran.output_tail, format!("greets {length}\n"));
    let unknown = scene.hook("late").await;
    assert!(
        matches!(&unknown.result, ActionResult::NotStarted { reason } if reason.contains("\"late\"")),
        "{unknown:?}"
    );
    scene.agent.runner().take_over(&hooks(&[]));
    assert_eq!(scene.hook("late").await.output_tail, "late\n");
    assert!(matches!(
        scene.hook("greets").await.result,
        ActionResult::NotStarted { .. }
    ));
}

#[tokio::test]
async fn a_hook_that_is_to_stop_is_killed_there() {
    let scene = scene(&[("long", "exec sleep 60")]);
    let (stop, stopped) = watch::channel(false);
    let run = tokio::spawn(scene.agent.runner().run("long", &storm(), stopped));
    tokio::time::sleep(Duration::from_millis(100)).await;
    stop.send_replace(true);
    let ran = timeout(LIMIT, run).await.expect("in time").expect("no panic");
    assert_eq!(ran.result, ActionResult::Killed { signal: 9 });
}

#[tokio::test]
async fn a_process_that_is_gone_is_said_once_and_nothing_more_is_asked_of_it() {
    let (ours, theirs) = wire::pair().expect("a socket");
    let (agent, mut done) = Started::with(ours).attend().expect("threads");
    drop(theirs);
    let gone = timeout(LIMIT, done.recv()).await.expect("in time").expect("a word");
    assert!(
        matches!(&gone, Done::Gone(reason) if reason.contains("restart the agent")),
        "{gone:?}"
    );
    assert!(!agent.give(Hand::Kernel, Task::Apply(order())));
    let (_stop, stopped) = watch::channel(false);
    let ran = timeout(LIMIT, agent.runner().run("any", &storm(), stopped))
        .await
        .expect("in time");
    assert!(matches!(ran.result, ActionResult::NotStarted { .. }));
}

#[tokio::test]
async fn what_is_too_long_to_be_asked_is_answered_all_the_same() {
    let scene = scene(&[("greets", "true")]);
    let mut verdict = storm();
    verdict.summary = "x".repeat(crate::act::message::MAX_BYTES);
    let (_stop, stopped) = watch::channel(false);
    let run = scene.agent.runner().run("greets", &verdict, stopped);
    let ran = timeout(LIMIT, run).await.expect("in time");
    assert!(
        matches!(&ran.result, ActionResult::NotStarted { reason } if reason.contains("at most")),
        "{ran:?}"
    );
    assert_eq!(scene.hook("greets").await.result, ActionResult::Exited { code: 0 });
}

#[test]
fn a_message_that_is_none_of_the_set_is_refused() {
    for text in [
        r#"{"schema":"sentinel.action/1","message":{"exec":"/bin/sh"}}"#,
        r#"{"schema":"sentinel.action/1","message":{"run":{"run":1,"hook":"a"}}}"#,
        r#"{"schema":"sentinel.action/2","message":"reload"}"#,
        r#"{"schema":"sentinel.action/1","message":{"task":["kernel",{"apply":{"lease":"../x"}}]}}"#,
    ] {
        assert!(crate::act::message::decode::<Ask>(text.as_bytes()).is_err(), "{text}");
    }
    let reload = r#"{"schema":"sentinel.action/1","message":"reload"}"#;
    assert_eq!(crate::act::message::decode::<Ask>(reload.as_bytes()), Ok(Ask::Reload));
}
