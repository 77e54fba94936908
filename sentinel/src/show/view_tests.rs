//! Golden text: what a reader sees, byte for byte, and what a hostile name can not make of it.

use super::{
    super::{
        samples::{HOSTILE, origin, outcome as sample_outcome, snapshot, verdict as sample_verdict},
        status::{Rates, status},
    },
    *,
};
use crate::act::outcome::ActionResult;

const SHOP: &str = "/system.slice/shop.service";
const TERMINAL: Style = Style {
    colour: false,
    columns: Some(200),
};

fn sample_opening() -> Opening {
    Opening {
        version: "0.1.0".to_owned(),
        origin: origin(),
        sensors: ["sched", "mem", "net"].map(str::to_owned).to_vec(),
        unavailable: Arc::new(vec![Unavailable {
            sensor: "mem.rss".to_owned(),
            reason: "this kernel has no rss_stat tracepoint; boot 5.10 or later".to_owned(),
        }]),
        destinations: vec!["journald".to_owned(), "this terminal".to_owned()],
        page: Some("http://127.0.0.1:9464/".to_owned()),
        interval: Duration::from_secs(1),
        autonomy: Autonomy::Observe,
        hooks: vec!["page".to_owned()],
    }
}

#[test]
fn the_head_says_what_runs_and_what_does_not() {
    let expected = "\
sentinel 0.1.0 on web-1, Linux 6.12.1, 8 CPUs; a tick every 1s
  watches   sched, mem, net
  does not  mem.rss: this kernel has no rss_stat tracepoint; boot 5.10 or later
  verdicts  to journald, this terminal
  page      http://127.0.0.1:9464/
  hooks     page
  autonomy  observe: says what it would do, does nothing
";
    assert_eq!(opening(&sample_opening(), &TERMINAL), expected);
}

#[test]
fn a_verdict_is_a_line_and_its_plan_another() {
    let expected = "\
12:30:45  veto     shop.service              amplification  shop.service sends 3.1 requests for each one it receives (baseline 1.02) (retry_storm)
          → would run hook page
";
    assert_eq!(verdict(&sample_verdict(SHOP), &TERMINAL), expected);
}

#[test]
fn a_log_line_carries_the_whole_time() {
    assert!(verdict(&sample_verdict(SHOP), &Style::plain()).starts_with("2026-01-01T12:30:45.007Z  veto     shop"));
}

#[test]
fn a_plan_held_back_says_why() {
    let mut held = sample_verdict(SHOP);
    held.plan[0].forbidden = Some("cooldown, 48 s left".to_owned());
    assert!(verdict(&held, &TERMINAL).ends_with("→ hook page held back: cooldown, 48 s left\n"));
}

#[test]
fn an_outcome_says_how_it_ended_and_what_it_printed_last() {
    let table = [
        (
            ActionResult::Exited { code: 0 },
            "a\nb\n\n",
            "hook page succeeded after 12 ms; printed 5 bytes, last: b",
        ),
        (
            ActionResult::Exited { code: 3 },
            "",
            "hook page failed with exit code 3 after 12 ms",
        ),
        (
            ActionResult::Killed { signal: 9 },
            "",
            "hook page was killed by signal 9 after 12 ms",
        ),
        (
            ActionResult::TimedOut,
            "",
            "hook page was still running after 12 ms and was killed with its process group",
        ),
        (
            ActionResult::NotStarted {
                reason: "/no/such: not found".to_owned(),
            },
            "",
            "hook page could not be started: /no/such: not found",
        ),
    ];
    for (result, tail, expected) in table {
        let line = outcome(&sample_outcome(SHOP, result, tail), &TERMINAL);
        let head = "12:30:46  action   shop.service              amplification  ";
        assert_eq!(line, format!("{head}{expected}\n"));
    }
}

#[test]
fn the_status_line_shows_the_host_and_the_worst_scope() {
    let snapshot = snapshot(SHOP);
    let mut rates = Rates::default();
    rates.update(&snapshot.sample, 4096);
    let expected = "shop.service amplification 3.10 veto · run queue 1.25 · waiting 35 ms/s · memory +4.1 MB/s · \
                    30000 packets/s · 4700 attempts/s · 2 scopes";
    assert_eq!(status(&snapshot, &rates, &TERMINAL), expected);
    let gone = |sensor: &str| Unavailable {
        sensor: sensor.to_owned(),
        reason: String::new(),
    };
    rates.forget(&[gone("net"), gone("mem")]);
    let expected = "shop.service amplification 3.10 veto · run queue 1.25 · waiting 35 ms/s · memory - MB/s · \
                    - packets/s · - attempts/s · 2 scopes";
    assert_eq!(
        status(&snapshot, &rates, &TERMINAL),
        expected,
        "what does not run any more is not known"
    );
}

#[test]
fn the_status_line_fits_the_terminal() {
    use unicode_width::UnicodeWidthStr;
    for columns in 0..150 {
        let style = Style {
            colour: false,
            columns: Some(columns),
        };
        let line = status(&snapshot(SHOP), &Rates::default(), &style);
        assert!(line.width() < columns.max(1), "{columns}: {line}");
    }
}

#[test]
fn what_was_not_measured_is_a_dash_and_an_old_value_stays() {
    let mut snapshot = snapshot(SHOP);
    let mut rates = Rates::default();
    assert!(status(&snapshot, &rates, &TERMINAL).contains("run queue - · waiting - ms/s"));
    rates.update(&snapshot.sample, 4096);
    let before = rates;
    snapshot.sample = Arc::default();
    rates.update(&snapshot.sample, 4096);
    assert_eq!(rates, before);
}

#[test]
fn the_end_counts_everything() {
    let totals = Totals {
        ticks: 120,
        late_ticks: 1,
        verdicts: BTreeMap::from([(Level::Veto, 2), (Level::Nominal, 3)]),
        actions_well: 1,
        actions_failed: 2,
        losses: BTreeMap::from([("switch_unseen".to_owned(), 4)]),
        cost: Some((0.00124, 0.005)),
    };
    let expected = "\
120 ticks, 1 late; verdicts: 2 veto, 0 watch, 3 nominal, 0 unknown; actions: 1 succeeded, 2 failed
lost: switch_unseen 4
cost: 0.12 % of one CPU, budget 0.50 %
";
    assert_eq!(closing(&totals, &TERMINAL), expected);
    let calm = "0 ticks, none late; verdicts: 0 veto, 0 watch, 0 nominal, 0 unknown\nlost: nothing\n";
    assert_eq!(closing(&Totals::default(), &TERMINAL), calm);
}

#[test]
fn no_foreign_string_commands_the_terminal() {
    let mut hostile = sample_verdict(HOSTILE);
    hostile.plan[0].action = HOSTILE.to_owned();
    hostile.plan[0].forbidden = Some(HOSTILE.to_owned());
    hostile.time = HOSTILE.to_owned();
    let mut head = sample_opening();
    head.sensors = vec![HOSTILE.to_owned()];
    head.hooks = vec![HOSTILE.to_owned()];
    let reason = ActionResult::NotStarted {
        reason: HOSTILE.to_owned(),
    };
    let drawn = [
        verdict(&hostile, &TERMINAL),
        outcome(&sample_outcome(HOSTILE, reason, HOSTILE), &TERMINAL),
        opening(&head, &TERMINAL),
        status(&snapshot(HOSTILE), &Rates::default(), &TERMINAL),
    ];
    for text in drawn {
        let harmless = |char: char| char == '\n' || escape::line(&char.to_string()) == char.to_string();
        assert!(text.chars().all(harmless), "{text:?}");
    }
    assert_eq!(verdict(&hostile, &TERMINAL).lines().count(), 2);
}

#[test]
fn colour_wraps_words_and_changes_none() {
    let style = Style {
        colour: true,
        ..TERMINAL
    };
    let coloured = verdict(&sample_verdict(SHOP), &style);
    assert!(coloured.contains("\u{1b}[1m\u{1b}[31mveto   \u{1b}[0m"), "{coloured:?}");
    let mut plain = String::new();
    for part in coloured.split('\u{1b}') {
        plain.push_str(
            part.strip_prefix('[')
                .and_then(|rest| rest.split_once('m'))
                .map_or(part, |(_, rest)| rest),
        );
    }
    assert_eq!(plain, verdict(&sample_verdict(SHOP), &TERMINAL));
}
