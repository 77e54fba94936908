//! The screen as a person has it: documents in, keys in, cells out.

mod drawing;
mod keys;
mod news;

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use ratatui::{
    Terminal,
    backend::TestBackend,
    style::{Color, Modifier},
};

use super::{
    paint::Palette,
    state::{Ask, Model, News},
    view,
};

use crate::{
    act::{LeaseView, WaitingView, control::Listed, lease::Effect, plan::Plan},
    config::Autonomy,
    judge::{
        Portrait, State,
        verdict::{Baseline, Forecast, Level, Signal},
    },
    show::{
        Snapshot, escape,
        samples::{self, HOSTILE, SECOND_NS},
        state::{Chronicle, Document, Facts, SurfaceState},
    },
    time::Now,
};

const PLAIN: Palette = Palette { colour: false };

const STORM: &str = "/shop.slice/api.service";

fn named(path: &str, id: u64, level: Level) -> Portrait {
    let mut scope = samples::scope(path).as_ref().clone();
    scope.cgroup_id = id;
    let mut portrait = samples::portrait(
        Arc::new(scope),
        level,
        Some(if level >= Level::Watch { 9.0 } else { 0.4 }),
    );
    portrait.signals[0].value = Some(if level >= Level::Watch { 3.1 } else { 1.0 });
    portrait.signals[0].baseline = Some(Baseline {
        mean: 1.02,
        sigma: 0.04,
        samples: 300,
    });
    if level < Level::Watch {
        portrait.signals[0].phase = None;
    }
    let mut memory = portrait.signals[0].clone();
    (memory.signal, memory.level, memory.value) = (Signal::Fever, Level::Nominal, Some(0.25));
    memory.phase = None;
    memory.baseline = None;
    memory.cause = crate::judge::verdict::Cause::None;
    if path == "/db.service" {
        memory.forecast = Some(Forecast {
            exhaustion_s: 720.0,
            earliest_s: 600.0,
            latest_s: Some(900.0),
            limit_bytes: 2 << 30,
            score: None,
        });
    }
    portrait.signals.insert(0, memory);
    portrait
}

/// A run of seconds: a storm from second 4 on, beside a calm service and one whose memory fills up.
fn documents(path: &str, seconds: u64) -> Vec<Document> {
    let mut run = Chronicle::new(Facts {
        version: "0.1.0".to_owned(),
        autonomy: Autonomy::Approve,
        interval_ms: 1000,
        began: Now {
            unix_ms: 1_767_270_640_000,
            monotonic_ns: 0,
        },
    });
    let each = (1..=seconds).map(|second| {
        let level = if second >= 4 { Level::Veto } else { Level::Nominal };
        let mut snapshot = Snapshot {
            now: Now {
                unix_ms: 1_767_270_640_000 + second as i64 * 1000,
                monotonic_ns: second * SECOND_NS,
            },
            portraits: vec![
                named(path, 1, level),
                named("/calm.service", 2, Level::Nominal),
                named("/db.service", 3, Level::Nominal),
            ],
            ticks: second,
            outcomes: Vec::new(),
            verdicts: Vec::new(),
            ..samples::snapshot(path)
        };
        let judged = snapshot.portraits.iter().flat_map(|portrait| {
            portrait.signals.iter().map(|view| State {
                scope: Arc::clone(&portrait.scope),
                signal: view.signal,
                level: view.level,
                cause: view.cause,
                value: view.value,
            })
        });
        snapshot.standing = judged.collect();
        if second == 4 {
            let mut verdict = samples::verdict(path);
            verdict.scope = Arc::clone(&snapshot.portraits[0].scope);
            verdict.time = "2026-01-01T12:30:44.000Z".to_owned();
            snapshot.verdicts = vec![Arc::new(verdict)];
        }
        run.record(&snapshot)
    });
    each.collect()
}

fn listed(leases: Vec<LeaseView>, plans: bool) -> Listed {
    let plan = Plan {
        schema: "sentinel.plan/1".to_owned(),
        id: "01JPLAN".to_owned(),
        verdict_id: "01JVERDICT".to_owned(),
        action: "retry_budget".to_owned(),
        rule: Some("retry-storm".to_owned()),
        scope: STORM.to_owned(),
        signal: Signal::Amplification,
        level: Level::Veto,
        reason: "api.service sends 3.1 requests for each one it receives".to_owned(),
        ttl_ms: 10_000,
        expects: Some("fewer attempts".to_owned()),
        would: false,
        waits: true,
        forbidden: None,
    };
    Listed {
        autonomy: Autonomy::Approve,
        leases,
        waiting: if plans {
            vec![WaitingView { plan, left_ms: 60_000 }]
        } else {
            Vec::new()
        },
        rules: Vec::new(),
    }
}

fn lease(id: &str, path: &str) -> LeaseView {
    LeaseView {
        id: id.to_owned(),
        action: "retry_budget".to_owned(),
        detail: "10 attempts per second and 1.2 for each request".to_owned(),
        rule: Some("retry-storm".to_owned()),
        scope: path.to_owned(),
        cgroup_id: 1,
        signal: Some(Signal::Amplification),
        verdict_id: Some("01JVERDICT".to_owned()),
        reason: "it retries".to_owned(),
        began: "2026-01-01T12:30:45.000Z".to_owned(),
        held_s: 2.0,
        ttl_ms: 10_000,
        left_ms: 8000,
        renewals: 0,
        expects: "fewer attempts".to_owned(),
        effect: Effect::Met,
        refused: Some(420),
        allowed: Some(90),
    }
}

/// A model that has seen this much.
fn model(path: &str, seconds: u64) -> Model {
    let mut model = Model::new(false, 0);
    for (second, document) in (1..).zip(documents(path, seconds)) {
        model.hear(News::State(Arc::new(document)), second * SECOND_NS);
    }
    model
}

fn press(model: &mut Model, keys: &str) -> Option<Ask> {
    let mut last = None;
    for key in keys.chars() {
        let code = match key {
            '\n' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            '\u{1b}' => KeyCode::Esc,
            '↓' => KeyCode::Down,
            '↑' => KeyCode::Up,
            char => KeyCode::Char(char),
        };
        last = model.press(KeyEvent::new(code, KeyModifiers::NONE));
    }
    last
}

fn drawn(model: &mut Model, columns: u16, lines: u16, palette: Palette) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(columns, lines)).expect("a screen in memory");
    model.resize(columns, lines);
    terminal
        .draw(|frame| view::draw(frame, model, palette))
        .expect("it draws");
    terminal
}

fn screen(model: &mut Model, columns: u16, lines: u16) -> Vec<String> {
    let terminal = drawn(model, columns, lines, PLAIN);
    let cells = terminal.backend().buffer().content();
    cells
        .chunks(columns.into())
        .map(|line| {
            line.iter()
                .map(|cell| cell.symbol())
                .collect::<String>()
                .trim_end()
                .to_owned()
        })
        .collect()
}

fn text(model: &mut Model) -> String {
    screen(model, 100, 30).join("\n")
}

/// Both sizes, as they are kept in `golden/`.
fn compare(name: &str, got: &[String], golden: &str) {
    let got = got.join("\n");
    assert!(
        got == golden.trim_end_matches('\n'),
        "golden/{name} is not what is drawn now:\n{got}"
    );
}

fn busy_model() -> Model {
    let mut model = model(STORM, 8);
    let leases = vec![lease("01JLEASE", "/other.slice/web.service")];
    model.hear(News::Listed(listed(leases, true)), 8 * SECOND_NS);
    model
}
