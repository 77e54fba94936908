//! What keys do, and what they ask of the agent.

use super::*;

#[test]
fn nothing_is_asked_of_the_agent_without_a_yes() {
    let mut model = busy_model();
    assert_eq!(press(&mut model, "a"), None);
    let shown = text(&mut model);
    assert!(
        shown.contains(&format!("approve retry_budget on {STORM}? y/n")),
        "{shown}"
    );
    assert_eq!(press(&mut model, "q"), None, "any other key is a no, and nothing else");
    assert_eq!(press(&mut model, "ay"), Some(Ask::Approve("01JPLAN".to_owned())));
    assert_eq!(press(&mut model, "y"), None, "one yes, one answer");
    assert_eq!(press(&mut model, "ly"), Some(Ask::Lift("01JLEASE".to_owned())));
    assert_eq!(press(&mut model, "q"), Some(Ask::Quit));
}

#[test]
fn what_is_approved_is_what_the_cursor_is_on() {
    let mut model = busy_model();
    let mut two = listed(Vec::new(), true);
    let mut other = two.waiting[0].clone();
    (other.plan.id, other.plan.scope) = ("01JOTHER".to_owned(), "/db.service".to_owned());
    two.waiting.push(other);
    model.hear(News::Listed(two), 8 * SECOND_NS);
    // The third scope is the database.
    assert_eq!(press(&mut model, "↓↓ay"), Some(Ask::Approve("01JOTHER".to_owned())));
    assert_eq!(press(&mut model, "↑↑ay"), Some(Ask::Approve("01JPLAN".to_owned())));
    assert_eq!(press(&mut model, "\t↓ay"), Some(Ask::Approve("01JOTHER".to_owned())));
    assert_eq!(
        press(&mut model, "ly"),
        Some(Ask::Lift("01JOTHER".to_owned())),
        "a plan is dropped"
    );
}

#[test]
fn the_list_is_sorted_and_filtered_by_keys() {
    let names = |model: &mut Model| -> Vec<String> {
        let shown = screen(model, 100, 30);
        let rows = shown
            .iter()
            .filter(|line| line.contains(".service ") && line.contains('█') || line.contains("12 min"));
        let word = |line: &String| {
            line.split_whitespace()
                .find(|word| word.ends_with(".service"))
                .unwrap_or("")
                .to_owned()
        };
        rows.map(word).collect()
    };
    let mut model = model(STORM, 8);
    assert_eq!(names(&mut model), ["api.service", "calm.service", "db.service"]);
    press(&mut model, "sssss");
    assert_eq!(names(&mut model)[0], "db.service", "the least time left");
    press(&mut model, "w");
    assert_eq!(names(&mut model), ["api.service"]);
    press(&mut model, "w/CALM");
    assert_eq!(
        names(&mut model),
        ["calm.service"],
        "whatever the case, while it is typed"
    );
    assert_eq!(press(&mut model, "q\n"), None, "a letter of the filter is no key");
    assert_eq!(names(&mut model).len(), 0);
    press(&mut model, "\u{1b}");
    assert_eq!(names(&mut model).len(), 3);
}

#[test]
fn the_cursor_stays_on_its_scope_when_others_become_worse() {
    let mut documents = documents(STORM, 6).into_iter();
    let mut model = Model::new(false, 0);
    for document in documents.by_ref().take(3) {
        model.hear(News::State(Arc::new(document)), SECOND_NS);
    }
    press(&mut model, "↓");
    let chosen = |model: &Model| model.rows()[model.cursor(&model.rows())].path.clone();
    let before = chosen(&model);
    let place = model.cursor(&model.rows());
    for mut document in documents {
        document.scopes.reverse();
        model.hear(News::State(Arc::new(document)), 4 * SECOND_NS);
    }
    assert_eq!(chosen(&model), before);
    press(&mut model, "g");
    assert_eq!(model.cursor(&model.rows()), 0);
    assert_eq!(place, 1);
}

#[test]
fn a_pause_holds_the_picture_and_not_the_actions() {
    let mut documents = documents(STORM, 8).into_iter();
    let mut model = Model::new(false, 0);
    for document in documents.by_ref().take(3) {
        model.hear(News::State(Arc::new(document)), 3 * SECOND_NS);
    }
    press(&mut model, "p");
    for document in documents {
        model.hear(News::State(Arc::new(document)), 8 * SECOND_NS);
    }
    model.hear(News::Listed(listed(Vec::new(), true)), 8 * SECOND_NS);
    let shown = text(&mut model);
    assert!(shown.contains("PAUSED 12:30:43") && shown.contains("0 veto"), "{shown}");
    assert!(shown.contains("dropped in 60 s"), "{shown}");
    press(&mut model, "p");
    let shown = text(&mut model);
    assert!(shown.contains(" 12:30:48") && shown.contains("1 veto"), "{shown}");
}
