//! `sentinel check --self`: what a process may do, as a table for a reader, and as JSON.

use serde::Serialize;

use super::{
    encode,
    view::{GREEN, Style, YELLOW},
};
use crate::privileges::Standing;

/// The schema name in the JSON.
pub const SCHEMA: &str = "sentinel.rights/1";

#[derive(Serialize)]
struct Report<'a> {
    schema: &'static str,
    #[serde(flatten)]
    standing: &'a Standing,
}

/// One JSON object without a line break. `null` is what the kernel does not tell.
///
/// # Errors
/// Only if it stops being representable in JSON.
pub fn json(standing: &Standing) -> Result<String, serde_json::Error> {
    let report = Report {
        schema: SCHEMA,
        standing,
    };
    Ok(encode::object(&report)?.to_string())
}

/// One line for each right: given up, or what is left of it.
#[must_use]
pub fn table(standing: &Standing, style: &Style) -> String {
    let part = match standing.command.as_deref() {
        Some("run") => ", the agent",
        Some("actuator") => ", which acts",
        Some("guard") => ", which writes files of cgroups",
        _ => "",
    };
    let mut text = format!("process {}{part}, {} threads\n", standing.pid, standing.threads);
    for (name, value, little) in lines(standing) {
        let colour = if little { GREEN } else { YELLOW };
        text.push_str(&format!("  {name:<24}  {}\n", style.paint(colour, &value)));
    }
    text
}

/// Name, value, and whether that is as little as can be.
fn lines(standing: &Standing) -> Vec<(&'static str, String, bool)> {
    let set = |names: &[String]| {
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(" ")
        }
    };
    let perhaps = |names: &Option<Vec<String>>| match names {
        Some(names) => (set(names), names.is_empty()),
        None => (UNTOLD.to_owned(), false),
    };
    let groups: Vec<_> = standing.groups.iter().map(ToString::to_string).collect();
    let (bounding, little_bounding) = perhaps(&standing.bounding);
    let (ambient, little_ambient) = perhaps(&standing.ambient);
    let held = standing.held.map_or_else(
        || "not told: only root and its own user may see that".to_owned(),
        |held| {
            format!(
                "{} programs, {} maps, {} links, {} perf events",
                held.programs, held.maps, held.links, held.perf_events
            )
        },
    );
    vec![
        (
            "user",
            format!("uid {}, gid {}", standing.uid, standing.gid),
            standing.uid != 0,
        ),
        ("other groups", set(&groups), groups.is_empty()),
        ("capabilities", set(&standing.effective), standing.effective.is_empty()),
        ("can raise to", set(&standing.permitted), standing.permitted.is_empty()),
        ("programs may get", bounding, little_bounding),
        ("programs get", ambient, little_ambient),
        (
            "no_new_privs",
            standing
                .no_new_privs
                .map_or(UNTOLD, |set| if set { "set" } else { "not set" })
                .to_owned(),
            standing.no_new_privs == Some(true),
        ),
        (
            "system calls",
            match standing.seccomp {
                Some(0) => "all",
                Some(2) => "those of a filter (seccomp)",
                Some(_) => "read and write only",
                None => UNTOLD,
            }
            .to_owned(),
            standing.seccomp.is_some_and(|mode| mode > 0),
        ),
        (
            "files (Landlock)",
            "not told by any kernel; the agent's log said it at its start".to_owned(),
            true,
        ),
        ("held in the kernel", held, standing.held.is_some()),
        (
            "threads that differ",
            standing.differing.to_string(),
            standing.differing == 0,
        ),
    ]
}

const UNTOLD: &str = "not told by this kernel";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privileges::Held;

    fn standing() -> Standing {
        Standing {
            pid: 4711,
            command: None,
            uid: 0,
            gid: 0,
            groups: Vec::new(),
            effective: vec!["CAP_BPF".into()],
            permitted: vec!["CAP_BPF".into()],
            bounding: Some(Vec::new()),
            ambient: None,
            no_new_privs: Some(true),
            seccomp: Some(2),
            threads: 4,
            differing: 0,
            held: Some(Held {
                programs: 10,
                maps: 20,
                links: 12,
                perf_events: 2,
            }),
        }
    }

    #[test]
    fn what_is_left_and_what_is_not_told_shows() {
        let table = table(&standing(), &Style::plain());
        for line in [
            "process 4711, 4 threads",
            "  capabilities              CAP_BPF",
            "  programs may get          none",
            "  programs get              not told by this kernel",
            "  system calls              those of a filter (seccomp)",
            "  held in the kernel        10 programs, 20 maps, 12 links, 2 perf events",
        ] {
            assert!(table.lines().any(|shown| shown == line), "{line:?} is not in {table}");
        }
    }

    #[test]
    fn json_has_null_for_what_is_not_told() {
        let json = json(&standing()).unwrap();
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["schema"], SCHEMA);
        assert!(value["ambient"].is_null() && value["no_new_privs"] == true);
        assert_eq!(value["held"]["links"], 12);
    }
}
