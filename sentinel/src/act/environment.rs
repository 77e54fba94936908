//! The environment of a hook: nothing of the agent's own, and the verdict in `SENTINEL_*`.

use std::{ffi::OsString, fmt::Write as _};

use super::plan::label;
use crate::{
    config::{Account, HookConfig},
    judge::Verdict,
};

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The longest value, bytes: far below what the kernel takes in one variable.
const MAX_VALUE_BYTES: usize = 8192;

/// Every variable of a hook. `account` is whom it runs as, where the host has a name for that.
pub(super) fn variables(
    hook: &HookConfig,
    verdict: &Verdict,
    account: Option<&Account>,
) -> Vec<(&'static str, OsString)> {
    let scope = &verdict.scope;
    let value = verdict.value.map(|value| value.to_string());
    let said = [
        ("PATH", PATH),
        ("SENTINEL_HOOK", hook.name.as_str()),
        ("SENTINEL_VERDICT_ID", verdict.id.as_str()),
        ("SENTINEL_SIGNAL", verdict.signal.name()),
        ("SENTINEL_LEVEL", verdict.level.name()),
        ("SENTINEL_PREVIOUS", verdict.previous.name()),
        ("SENTINEL_SCOPE", label(scope)),
        ("SENTINEL_UNIT", scope.unit.as_deref().unwrap_or_default()),
        ("SENTINEL_CONTAINER", scope.container.as_deref().unwrap_or_default()),
        ("SENTINEL_CAUSE", verdict.cause.name()),
        ("SENTINEL_VALUE", value.as_deref().unwrap_or_default()),
        (
            "SENTINEL_INCIDENT",
            verdict.incident.as_ref().map_or("", |incident| incident.id.as_str()),
        ),
        ("SENTINEL_SUMMARY", verdict.summary.as_str()),
    ];
    let mut variables: Vec<_> = said.map(|(name, value)| (name, OsString::from(plain(value)))).into();
    if let Some(account) = account {
        variables.push(("USER", account.name.clone().into()));
        variables.push(("LOGNAME", account.name.clone().into()));
        variables.push(("HOME", account.home.clone().into()));
    }
    variables
}

/// Names of cgroups are hostile: control characters, NUL among them, become `\xNN`, and the length is bounded.
fn plain(value: &str) -> String {
    let mut plain = String::with_capacity(value.len().min(MAX_VALUE_BYTES));
    for c in value.chars() {
        if plain.len() + 8 > MAX_VALUE_BYTES {
            break;
        }
        if c.is_control() {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                let _ = write!(plain, "\\x{byte:02x}");
            }
        } else {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_no_control_characters_and_an_end() {
        assert_eq!(plain("a\0b\nc\u{1b}[31m\u{85}é"), "a\\x00b\\x0ac\\x1b[31m\\xc2\\x85é");
        assert!(plain(&"\0".repeat(100_000)).len() <= MAX_VALUE_BYTES);
    }
}
