//! What holds and what waits, as text for a reader: `sentinel veto list`. Pure.

use std::fmt::Write as _;

use super::escape;
use crate::act::{
    LeaseView, WaitingView,
    control::{Listed, protocol::RuleView},
    lease::Effect,
};

/// Columns of foreign text on a line.
const COLUMNS: usize = 200;

/// All of it, a paragraph for each lease and plan.
#[must_use]
pub fn table(listed: &Listed) -> String {
    let mut text = format!("autonomy  {}\n", listed.autonomy.name());
    if listed.leases.is_empty() && listed.waiting.is_empty() {
        text.push_str("nothing is held, and nothing waits for approval\n");
    }
    for lease in &listed.leases {
        text.push_str(&holds(lease));
    }
    for waiting in &listed.waiting {
        text.push_str(&waits(waiting));
    }
    for rule in &listed.rules {
        text.push_str(&acts(rule));
    }
    text
}

fn holds(lease: &LeaseView) -> String {
    let mut text = format!(
        "\nholds     {}  {} on {}\n",
        plain(&lease.id),
        plain(&lease.action),
        plain(&lease.scope)
    );
    let by = lease
        .rule
        .as_ref()
        .map_or_else(|| "by hand".to_owned(), |rule| format!("rule {}", plain(rule)));
    let effect = match lease.effect {
        Effect::Pending => "not told yet",
        Effect::Met => "as expected",
        Effect::Missed => "missed",
        Effect::Unknown => "cannot be told",
    };
    let _ = writeln!(text, "  why     {} ({by})", plain(&lease.reason));
    let _ = writeln!(text, "  what    {}", plain(&lease.detail));
    let _ = writeln!(text, "  expects {}; {effect}", plain(&lease.expects));
    let counts = match (lease.refused, lease.allowed) {
        (Some(refused), Some(allowed)) => format!("; {refused} refused, {allowed} let through"),
        _ => String::new(),
    };
    let _ = writeln!(
        text,
        "  since   {} ({:.0} s); lapses in {:.1} s unless it is renewed{counts}",
        plain(&lease.began),
        lease.held_s,
        lease.left_ms as f64 / 1e3
    );
    text
}

fn waits(waiting: &WaitingView) -> String {
    let plan = &waiting.plan;
    let mut text = format!(
        "\nwaits     {}  {} on {}\n",
        plain(&plan.id),
        plain(&plan.action),
        plain(&plan.scope)
    );
    let _ = writeln!(text, "  why     {}", plain(&plan.reason));
    if let Some(expects) = &plan.expects {
        let _ = writeln!(text, "  expects {}", plain(expects));
    }
    let _ = writeln!(
        text,
        "  until   dropped in {:.0} s unless you run `sentinel veto approve {}`",
        waiting.left_ms as f64 / 1e3,
        plain(&plan.id)
    );
    text
}

fn acts(rule: &RuleView) -> String {
    let how = rule
        .disarmed
        .as_ref()
        .map_or_else(|| "acts".to_owned(), |why| format!("does not act: {}", plain(why)));
    format!("\nrule      {}  {}  {how}\n", plain(&rule.name), plain(&rule.action))
}

fn plain(text: &str) -> String {
    escape::cut(&escape::line(text), COLUMNS)
}
