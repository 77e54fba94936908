//! What is told of the agent and of time.

use super::*;

#[test]
fn a_countdown_goes_on_between_two_answers_and_says_when_to_draw() {
    let mut model = busy_model();
    assert!(text(&mut model).contains("lapses in 8 s"));
    assert!(model.tick(8 * SECOND_NS), "counted for the first time");
    assert!(
        !model.tick(8 * SECOND_NS + SECOND_NS / 4),
        "nothing to draw within the second"
    );
    assert!(model.tick(11 * SECOND_NS));
    let shown = text(&mut model);
    assert!(
        shown.contains("lapses in 5 s") && shown.contains("dropped in 57 s"),
        "{shown}"
    );
    model.tick(60 * SECOND_NS);
    assert!(text(&mut model).contains("lapses in 0 s"));
}

#[test]
fn a_sensor_that_does_not_run_is_told_of() {
    let mut model = Model::new(false, 0);
    let mut document = documents(STORM, 1).remove(0);
    document.unavailable.push(crate::show::state::Unavailable {
        sensor: "net".to_owned(),
        reason: "no BTF; use a kernel with it".to_owned(),
    });
    model.hear(News::State(Arc::new(document)), SECOND_NS);
    assert!(text(&mut model).contains("does not run: net: no BTF"));
}

#[test]
fn a_surface_that_takes_nothing_is_told_of() {
    let mut model = Model::new(false, 0);
    let mut document = documents(STORM, 1).remove(0);
    document.agent.surfaces = vec![
        SurfaceState {
            name: "web".to_owned(),
            ..SurfaceState::default()
        },
        SurfaceState {
            name: "journald".to_owned(),
            lost: 3,
            unwell: Some("nothing listens".to_owned()),
        },
    ];
    model.hear(News::State(Arc::new(document)), SECOND_NS);
    assert!(text(&mut model).contains("journald: nothing listens, 3 lost"));
}

#[test]
fn silence_is_told_and_a_restart_begins_anew() {
    let mut model = model(STORM, 8);
    model.hear(News::NoState("no agent answers".to_owned()), 9 * SECOND_NS);
    assert!(text(&mut model).contains("no agent answers"));
    model.tick(13 * SECOND_NS);
    assert!(text(&mut model).contains("NO NEWS FOR 5 s"));
    let mut again = documents(STORM, 1).remove(0);
    again.run = "another".to_owned();
    model.hear(News::State(Arc::new(again)), 14 * SECOND_NS);
    let shown = text(&mut model);
    assert!(
        !shown.contains("NO NEWS") && !shown.contains("no agent answers"),
        "{shown}"
    );
    assert_eq!(
        model
            .history()
            .last((crate::sense::sample::ScopeKind::Cgroup, 1), Signal::Amplification, 9),
        [Some(1.0)]
    );
}

#[test]
fn a_reading_that_nobody_saw_is_a_gap_and_one_between_ticks_replaces_the_last() {
    let mut all = documents(STORM, 5);
    let mut between = all[4].clone();
    between.seq += 1;
    between.scopes[0].signals[1].value = Some(7.0);
    all.push(between);
    all.remove(2);
    let mut model = Model::new(false, 0);
    for document in all {
        model.hear(News::State(Arc::new(document)), 5 * SECOND_NS);
    }
    assert_eq!(
        model
            .history()
            .last((crate::sense::sample::ScopeKind::Cgroup, 1), Signal::Amplification, 9),
        [Some(1.0), Some(1.0), None, Some(3.1), Some(7.0)]
    );
}

#[test]
fn an_agent_that_may_act_and_cannot_be_asked_is_told_of_once() {
    let mut model = model(STORM, 8);
    let why = "run it as root".to_owned();
    assert!(model.hear(News::NoActions(why.clone()), 8 * SECOND_NS));
    assert!(!model.hear(News::NoActions(why), 9 * SECOND_NS), "nothing new to draw");
    assert!(text(&mut model).contains("run it as root"));
    press(&mut model, "a");
    assert!(text(&mut model).contains("run it as root"));
}
