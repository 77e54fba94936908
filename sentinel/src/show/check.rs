//! `sentinel check`: needs as a table for a reader, and as JSON.

use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use super::{
    encode, escape,
    needs::{Need, Status, can_run},
    view::{DIM, GREEN, RED, Style, YELLOW},
};

/// The schema name in the JSON.
pub const SCHEMA: &str = "sentinel.check/1";

/// Columns the name of a need gets at the most.
const NAME_COLUMNS: usize = 32;

#[derive(Serialize)]
struct Report<'a> {
    schema: &'static str,
    can_run: bool,
    needs: &'a [Need],
}

/// One JSON object without a line break: `schema`, `can_run`, and all `needs`.
///
/// # Errors
/// Only if a need stops being representable in JSON.
pub fn json(needs: &[Need]) -> Result<String, serde_json::Error> {
    let report = Report {
        schema: SCHEMA,
        can_run: can_run(needs),
        needs,
    };
    Ok(encode::object(&report)?.to_string())
}

/// One line per need, the remedy under it where there is one, and a last line that says whether the main job runs.
#[must_use]
pub fn table(needs: &[Need], style: &Style) -> String {
    let width = |need: &Need| escape::line(&need.name).width();
    let columns = needs.iter().map(width).max().unwrap_or(0).min(NAME_COLUMNS);
    let mut text = String::new();
    for need in needs {
        let (name, status) = (
            escape::column(&need.name, columns),
            format!("{:<8}", need.status.name()),
        );
        let status = style.paint(colour(need), &status);
        text.push_str(&format!("{status}  {name}  {}\n", escape::line(&need.found)));
        if let Some(remedy) = &need.remedy {
            let indent = " ".repeat(columns + 12);
            text.push_str(&format!(
                "{indent}{}\n",
                style.paint(DIM, &format!("→ {}", escape::line(remedy)))
            ));
        }
    }
    text.push_str(&last_line(needs));
    text
}

fn colour(need: &Need) -> anstyle::Style {
    match need.status {
        Status::Ok => GREEN,
        Status::Missing if need.required => RED,
        Status::Degraded | Status::Missing => YELLOW,
    }
}

fn last_line(needs: &[Need]) -> String {
    let forbidding: Vec<String> = needs
        .iter()
        .filter(|need| need.forbids())
        .map(|need| escape::line(&need.name))
        .collect();
    let less = needs.iter().filter(|need| need.status != Status::Ok).count();
    match (forbidding.is_empty(), less) {
        (false, _) => format!("\nsentinel cannot run here: {}.\n", forbidding.join(", ")),
        (true, 0) => "\nsentinel can run here with everything it has.\n".to_owned(),
        (true, 1) => "\nsentinel can run here, with 1 thing less.\n".to_owned(),
        (true, less) => format!("\nsentinel can run here, with {less} things less.\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(name: &str, status: Status, remedy: Option<&str>, required: bool) -> Need {
        Need {
            name: name.to_owned(),
            status,
            found: format!("found {}", status.name()),
            remedy: remedy.map(str::to_owned),
            required,
        }
    }

    fn needs() -> Vec<Need> {
        vec![
            need("kernel 5.10 or later", Status::Ok, None, true),
            need("rss_stat", Status::Degraded, Some("boot 6.2 or later"), false),
            need("cgroup v2", Status::Missing, Some("mount -t cgroup2 none /mnt"), true),
        ]
    }

    #[test]
    fn the_table_has_one_line_per_need_and_the_remedy_under_it() {
        let expected = "\
ok        kernel 5.10 or later  found ok
degraded  rss_stat              found degraded
                                → boot 6.2 or later
missing   cgroup v2             found missing
                                → mount -t cgroup2 none /mnt

sentinel cannot run here: cgroup v2.
";
        assert_eq!(table(&needs(), &Style::plain()), expected);
    }

    #[test]
    fn what_is_not_required_does_not_forbid() {
        let needs = [need("journald", Status::Missing, None, false)];
        assert!(can_run(&needs));
        assert!(table(&needs, &Style::plain()).ends_with("\nsentinel can run here, with 1 thing less.\n"));
    }

    #[test]
    fn json_says_the_same() {
        let json = json(&needs()).unwrap();
        let expected = "{\"schema\":\"sentinel.check/1\",\"can_run\":false,\"needs\":[{\"name\":\"kernel 5.10 or later\",\
                        \"status\":\"ok\",\"found\":\"found ok\",\"remedy\":null,\"required\":true}";
        assert!(json.starts_with(expected), "{json}");
    }

    #[test]
    fn what_was_found_cannot_command_the_terminal() {
        let mut hostile = need("x\u{1b}[2J", Status::Ok, Some("\u{202e}"), true);
        hostile.found = "a\nb".to_owned();
        assert!(!table(&[hostile], &Style::plain()).contains(['\u{1b}', '\u{202e}', '\r']));
    }
}
