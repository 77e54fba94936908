//! The governor against loads that come and go.

use super::*;

const BUDGET: f64 = 0.005;
const S: u64 = 1_000_000_000;

fn can() -> Can {
    Can {
        readings: true,
        sensors: Spared { mem: true, net: true },
    }
}

/// A host on which each sensor costs so much while it runs.
#[derive(Clone, Copy)]
struct Host {
    agent: f64,
    between: f64,
    programs: [f64; 3],
}

impl Host {
    fn spent(&self, governor: &Governor) -> Spent {
        let spared = governor.spared();
        let reads = !governor.taken().contains(&Step::Readings);
        let share = |share: f64, off: bool| (!off).then_some(share);
        Spent {
            agent: Some(self.agent + if reads { self.between } else { 0.0 }),
            between: reads.then_some(self.between),
            programs: ProgramShares {
                sched: Some(self.programs[0]),
                mem: share(self.programs[1], spared.mem),
                net: share(self.programs[2], spared.net),
            },
        }
    }

    fn cost(&self, governor: &Governor) -> f64 {
        self.spent(governor).total()
    }
}

const CALM: Host = Host {
    agent: 0.001,
    between: 0.0005,
    programs: [0.0005, 0.0005, 0.0005],
};

/// Runs for so many seconds; gives what was said, and the dearest minute.
fn run(governor: &mut Governor, host: &Host, seconds: std::ops::Range<u64>) -> (Vec<Cost>, f64) {
    let (mut said, mut costs) = (Vec::new(), Vec::new());
    for second in seconds {
        let spent = host.spent(governor);
        costs.push(host.cost(governor));
        said.extend(governor.tick(&spent, BUDGET, false, second * S));
    }
    let minute = |costs: &[f64]| costs.iter().sum::<f64>() / costs.len() as f64;
    let dearest = costs.chunks(60).map(minute).fold(0.0, f64::max);
    (said, dearest)
}

#[test]
fn what_costs_little_is_left_alone() {
    let mut governor = Governor::new(can());
    let (said, _) = run(&mut governor, &CALM, 0..3600);
    assert_eq!(said, []);
}

#[test]
fn packets_that_cost_too_much_are_left_out_alone_and_within_seconds() {
    let mut governor = Governor::new(can());
    run(&mut governor, &CALM, 0..60);
    let storm = Host {
        programs: [0.0005, 0.0005, 0.02],
        ..CALM
    };
    let (said, dearest) = run(&mut governor, &storm, 60..80);
    assert_eq!(governor.taken(), [Step::Packets], "{said:?}");
    assert_eq!(
        (said.len(), said[0].turned, said[0].over),
        (1, Some(Step::Packets), false)
    );
    assert!(dearest < 3.0 * BUDGET, "twenty seconds that began with it: {dearest}");
    assert_eq!(
        governor.spared(),
        Spared {
            net: true,
            ..Spared::default()
        }
    );
}

#[test]
fn the_first_step_in_the_order_that_suffices_is_taken() {
    let mut governor = Governor::new(can());
    let host = Host {
        agent: 0.002,
        between: 0.0015,
        programs: [0.0005, 0.0005, 0.0015],
    };
    let (said, _) = run(&mut governor, &host, 0..100);
    assert_eq!(governor.taken(), [Step::Readings], "{said:?}");
}

#[test]
fn what_is_left_out_is_tried_again_more_and_more_rarely_and_kept_when_it_can_be() {
    let mut governor = Governor::new(can());
    let storm = Host {
        programs: [0.0005, 0.0005, 0.02],
        ..CALM
    };
    // The start is work that does not come again, and is not judged.
    run(&mut governor, &storm, 0..60);
    let (said, dearest) = run(&mut governor, &storm, 60..3660);
    let tries = said.iter().filter(|cost| cost.taken.is_empty()).count();
    assert!((3..=8).contains(&tries), "{tries} tries in an hour");
    assert!(dearest < BUDGET, "{dearest}");
    let (said, _) = run(&mut governor, &CALM, 3660..3660 + 2000);
    assert_eq!(governor.taken(), [], "{said:?}");
    assert_eq!(said.last().map(|cost| cost.turned), Some(Some(Step::Packets)));
}

#[test]
fn switches_are_never_left_out_and_what_they_cost_too_much_is_said() {
    let mut governor = Governor::new(can());
    let host = Host {
        programs: [0.02, 0.004, 0.004],
        ..CALM
    };
    let (said, _) = run(&mut governor, &host, 0..60);
    assert!(governor.spared().mem && governor.spared().net);
    assert!(said.last().is_some_and(|cost| cost.over), "{said:?}");
}

#[test]
fn an_agent_that_costs_too_much_itself_says_so_once_and_switches_nothing_off_for_it() {
    let mut governor = Governor::new(can());
    let host = Host {
        agent: 0.012,
        between: 0.008,
        programs: [0.0001, 0.0001, 0.0001],
    };
    let (said, _) = run(&mut governor, &host, 0..600);
    assert_eq!(governor.taken(), [Step::Readings]);
    let over: Vec<_> = said.iter().filter(|cost| cost.over).collect();
    assert_eq!(over.len(), 1, "{said:?}");
    let (said, _) = run(&mut governor, &CALM, 600..700);
    assert!(said.iter().any(|cost| !cost.over), "and when it holds again: {said:?}");
}

#[test]
fn nothing_is_blinded_while_something_is_done_about_a_scope() {
    let mut governor = Governor::new(can());
    let storm = Host {
        programs: [0.0005, 0.0005, 0.02],
        ..CALM
    };
    for second in 0..120 {
        governor.tick(&storm.spent(&governor), BUDGET, true, second * S);
    }
    assert_eq!(governor.spared(), Spared::default());
    run(&mut governor, &storm, 120..125);
    assert!(governor.spared().net);
}

#[test]
fn what_is_not_known_is_not_counted_and_what_cannot_be_left_out_is_not() {
    let mut governor = Governor::new(Can {
        readings: false,
        sensors: Spared::default(),
    });
    let (said, _) = run(
        &mut governor,
        &Host {
            programs: [0.01, 0.01, 0.01],
            ..CALM
        },
        0..60,
    );
    assert_eq!(governor.taken(), []);
    assert!(said.iter().all(|cost| cost.over && cost.turned.is_none()), "{said:?}");
    let mut blind = Governor::new(can());
    for second in 0..60 {
        assert_eq!(blind.tick(&Spent::default(), BUDGET, false, second * S), None);
    }
}
