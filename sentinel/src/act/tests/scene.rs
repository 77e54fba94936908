//! A host with some services, hands that only write down what they are told, and time that goes by when it is told to.

use std::sync::Mutex;

use tokio::sync::mpsc::UnboundedReceiver;

use super::*;
use crate::{
    act::{
        action::{Order, Target, Ttl},
        actuator::{Actuator, ActuatorError, Knob, Tally},
        hands::{Done, Open, Threads},
        message::{Applied, Ending, PutBack, Why},
    },
    judge::verdict::Baseline,
    sense::sample::{Net, ScopeSample},
};

/// What the hands were told, and how they behave.
#[derive(Clone, Default)]
pub(in crate::act) struct Book {
    pub(in crate::act) told: Arc<Mutex<Vec<String>>>,
    pub(in crate::act) refuses: bool,
    pub(in crate::act) forgets: bool,
}

struct Fake {
    book: Book,
    held: Vec<(LeaseId, Target)>,
}

impl Book {
    /// What makes the hand that writes into this book.
    pub(in crate::act) fn open(&self) -> Open {
        let fake = Fake {
            book: self.clone(),
            held: Vec::new(),
        };
        Box::new(move || Ok((Box::new(fake), Vec::new())))
    }

    pub(in crate::act) fn told(&self) -> Vec<String> {
        self.told.lock().expect("nobody panicked").clone()
    }

    fn write(&self, what: String) {
        self.told.lock().expect("nobody panicked").push(what);
    }
}

impl Actuator for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn apply(&mut self, order: &Order, _: Now) -> Result<Applied, ActuatorError> {
        self.book.write(format!("apply {}", order.target().path()));
        if self.book.refuses {
            return Err(ActuatorError::Vanished {
                path: order.target().path().into(),
            });
        }
        self.held.push((order.lease().clone(), order.target().clone()));
        Ok(Applied {
            lease: order.lease().clone(),
            knob: Knob::Connect,
            found: "no limit".into(),
            wrote: "a limit".into(),
        })
    }

    fn renew(&mut self, lease: &LeaseId, _: Ttl, _: Now) -> Result<(), ActuatorError> {
        if self.book.forgets {
            return Err(ActuatorError::Lapsed { lease: lease.clone() });
        }
        self.book.write("renew".into());
        Ok(())
    }

    fn adjust(&mut self, _: &LeaseId, overloaded: bool) {
        self.book
            .write(if overloaded { "take more" } else { "give back" }.into());
    }

    fn revert(&mut self, lease: &LeaseId, now: Now) -> Result<PutBack, ActuatorError> {
        self.book.write("revert".into());
        let at = self.held.iter().position(|(id, _)| id == lease).expect("a lease");
        let (lease, target) = self.held.remove(at);
        Ok(PutBack {
            lease,
            target,
            knob: Knob::Connect,
            found: String::new(),
            wrote: String::new(),
            why: Why::Asked,
            ending: Ending::Restored,
            unix_ms: now.unix_ms,
        })
    }

    fn tally(&self, _: &LeaseId) -> Option<Tally> {
        Some(Tally::default())
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.book.write(format!("ends with {} held", self.held.len()));
    }
}

/// An actor with hands, a host with some services, and time that goes by when it is told to.
pub(super) struct Scene {
    pub(super) actor: Actor,
    pub(super) done: UnboundedReceiver<Done>,
    pub(super) book: Book,
    pub(super) sample: Arc<Sample>,
    pub(super) now_ns: u64,
    pub(super) outcomes: Vec<Outcome>,
}

pub(super) fn service(unit: &str, cgroup_id: u64, work_out: u64) -> ScopeSample {
    let mut net = Net {
        connect_attempts: work_out,
        accepts: 20,
        ..Net::default()
    };
    net.loopback.egress_packets = work_out;
    ScopeSample {
        scope: Arc::new(Scope {
            kind: ScopeKind::Cgroup,
            path: format!("/system.slice/{unit}"),
            unit: Some(unit.into()),
            container: None,
            cgroup_id,
        }),
        net: Some(net),
        ..ScopeSample::default()
    }
}

/// A fifth of a second of a host on which the shop sends so much.
pub(super) fn host(work_out: u64) -> Arc<Sample> {
    let mut sample = Sample::default();
    sample.elapsed.net_ns = Some(SECOND / 5);
    sample.scopes = vec![service("shop.service", 4711, work_out), service("ssh.service", 22, 1)];
    sample
        .scopes
        .extend((1..20).map(|id| service(&format!("s{id}.service"), 100 + id, 20)));
    Arc::new(sample)
}

impl Scene {
    pub(super) fn new(toml: &str, book: Book) -> Self {
        let config = Config::from_toml(toml, Path::new("test.toml")).unwrap_or_else(|error| panic!("{error}"));
        let (hands, done) = Threads::start(Some(book.open()), None).expect("a thread");
        let protected = Protected::named(&config.veto.protect);
        Self {
            actor: Actor::new(&config).with_hands(Box::new(hands), protected, Vec::new()),
            done,
            book,
            sample: host(80),
            now_ns: 0,
            outcomes: Vec::new(),
        }
    }

    pub(super) fn auto() -> Self {
        Self::new("autonomy = \"auto\"\n", Book::default())
    }

    /// Plans for a verdict and carries out; the plans.
    pub(super) fn meet(&mut self, mut verdict: Verdict) -> Vec<Plan> {
        verdict.monotonic_ns = self.now_ns;
        let plans = self.actor.plan(&mut verdict, &self.sample, self.now_ns);
        for plan in &plans {
            self.actor.carry_out(plan, &verdict, at(self.now_ns));
        }
        plans
    }

    /// Lets the hands do what they were told.
    pub(super) fn settle(&mut self) {
        for _ in 0..50 {
            while let Ok(done) = self.done.try_recv() {
                self.actor.hear(done, at(self.now_ns));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.outcomes.append(&mut self.actor.outcomes());
    }

    /// So many seconds at this level.
    pub(super) fn pass(&mut self, seconds: u64, level: Option<Level>) {
        for _ in 0..seconds {
            for _ in 0..5 {
                self.now_ns += SECOND / 5;
                let level_of = |id, _| level.filter(|_| id == 4711);
                self.actor.observe(&self.sample, &level_of, at(self.now_ns));
                while let Ok(done) = self.done.try_recv() {
                    self.actor.hear(done, at(self.now_ns));
                }
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.settle();
    }

    pub(super) fn results(&self) -> Vec<&ActionResult> {
        self.outcomes.iter().map(|outcome| &outcome.result).collect()
    }

    pub(super) fn ask(&mut self, request: Request) -> Reply {
        let (answer, mut reply) = oneshot::channel();
        let by = Caller::Socket { uid: 0, pid: 1 };
        self.actor.command(Command { request, by, answer }, at(self.now_ns));
        self.settle();
        reply.try_recv().expect("an answer")
    }
}

pub(super) fn in_a_storm(id: u64, unit: &str) -> Verdict {
    let mut verdict = verdict_of(unit, Level::Watch, Level::Veto);
    let mut scope = Scope::clone(&verdict.scope);
    scope.cgroup_id = id;
    verdict.scope = Arc::new(scope);
    verdict.id = format!("01J{id:023}");
    verdict.baseline = Some(Baseline {
        mean: 1.0,
        sigma: 0.1,
        samples: 100,
    });
    verdict
}

pub(super) fn shop_storms() -> Verdict {
    in_a_storm(4711, "shop.service")
}

pub(super) fn why(plan: &Plan) -> &str {
    plan.forbidden.as_deref().unwrap_or_default()
}
