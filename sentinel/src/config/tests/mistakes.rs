//! Each mistake is one sentence that names its line and the remedy.

use super::*;

fn error(text: &str) -> String {
    let error = Config::from_toml(text, Path::new(FILE)).err();
    let error = error.unwrap_or_else(|| panic!("accepted: {text}")).to_string();
    assert!(error.starts_with(FILE), "names the file: {error}");
    assert!(!error.contains('\n'), "is one line: {error}");
    error
}

/// The error names the line and says each of these.
#[track_caller]
fn refused(text: &str, line: usize, says: &[&str]) {
    let error = error(text);
    assert!(
        error.starts_with(&format!("{FILE}:{line}: ")),
        "names line {line}: {error}"
    );
    for part in says {
        assert!(error.contains(part), "says {part:?}: {error}");
    }
}

#[test]
fn an_unknown_key_names_itself_its_line_and_the_nearest_key() {
    refused(
        "\nintervall = \"1s\"\n",
        2,
        &["`intervall`", "the top level", "did you mean `interval`?"],
    );
    refused(
        "[jitter]\nsigmas = 2.0\n",
        2,
        &["`sigmas`", "[jitter]", "did you mean `sigma`?"],
    );
    refused("sigma = 2.0\n", 1, &["`sigma`", "move `sigma` below [jitter]"]);
    refused(
        "[fever]\nautonomy = \"auto\"\n",
        2,
        &["move `autonomy` above the first [table]"],
    );
    refused("zzzzzz = 1\n", 1, &["`zzzzzz`", "remove it"]);
    refused("[[hooks]]\nname = \"x\"\n", 1, &["did you mean `hook`?"]);
    refused(
        &format!("{HOOK}time_out = \"1s\"\n"),
        4,
        &["[[hook]]", "did you mean `timeout`?"],
    );
}

#[test]
fn a_time_needs_a_known_unit_and_no_sign() {
    refused(
        "interval = \"10\"",
        1,
        &["`interval`", "\"10\"", "no unit", "from 100ms to 1m", "\"10s\""],
    );
    refused(
        "interval = 10",
        1,
        &["the number 10 without a unit", "\"10ms\" for milliseconds"],
    );
    refused(
        "interval = 0.5",
        1,
        &["the number 0.5 without a unit", "\"0.5s\" for seconds"],
    );
    refused(
        "interval = \"5 parsecs\"",
        1,
        &["\"5 parsecs\"", "unit is unknown", "units ms, s, m, h and d"],
    );
    refused("interval = \"-1s\"", 1, &["\"-1s\"", "negative"]);
    refused("interval = -1", 1, &["-1"]);
    refused("interval = \"\"", 1, &["empty"]);
    refused("interval = \"soon\"", 1, &["no time"]);
    refused("interval = true", 1, &["true", "a time from"]);
    refused("interval = \"99999999999999999999s\"", 1, &["too long"]);
    refused("interval = \"50ms\"", 1, &["\"50ms\"", "write \"100ms\""]);
    refused("interval = \"2h\"", 1, &["\"2h\"", "write \"1m\""]);
    refused(
        &format!("{HOOK}timeout = \"1ms\"\n"),
        4,
        &["`hook.page.timeout`", "from 100ms to 1h"],
    );
}

#[test]
fn a_number_stays_in_its_range() {
    refused(
        "max_cgroups = 8",
        1,
        &["`max_cgroups`", "8", "from 16 to 65535", "write 16"],
    );
    refused("max_cgroups = -5", 1, &["-5"]);
    refused("max_cgroups = 99999999999999999999", 1, &["write 65535"]);
    refused("max_cgroups = 1.5", 1, &["1.5", "a whole number"]);
    refused("max_cgroups = \"many\"", 1, &["the text \"many\""]);
    refused("[jitter]\nsigma = 0", 2, &["`jitter.sigma`", "from 0.1 to 100"]);
    refused("[jitter]\nsigma = nan", 2, &["`jitter.sigma`", "nan"]);
    refused("[jitter]\nsigma = inf", 2, &["inf"]);
    refused("[jitter]\nenabled = \"yes\"", 2, &["the text \"yes\"", "true or false"]);
}

#[test]
fn the_network_is_not_read_less_often_than_the_rest() {
    refused(
        "network_interval = \"2s\"",
        1,
        &["`network_interval`", "\"2s\"", "no longer than `interval` (\"1s\")"],
    );
    assert_eq!(
        config("interval = \"100ms\"").network_interval,
        Duration::from_millis(100)
    );
    assert_eq!(
        config("interval = \"5s\"\nnetwork_interval = \"2s\"").network_interval,
        Duration::from_secs(2)
    );
}

#[test]
fn the_ladder_of_ratios_rises() {
    refused(
        "[amplification]\nveto_ratio = 1.05",
        2,
        &[
            "`amplification.veto_ratio`",
            "is 1.05",
            "at least `watch_ratio` (1.1)",
            "watch_ratio <= veto_ratio",
        ],
    );
    refused(
        "[amplification]\nwatch_ratio = 1.5",
        2,
        &["`amplification.watch_ratio`", "is 1.5", "at most `veto_ratio` (1.2)"],
    );
}

#[test]
fn a_hook_says_what_is_wrong_with_it() {
    refused(
        "[[hook]]\ncommand = [\"/bin/true\"]",
        1,
        &["`name`", "[[hook]]", "add `name"],
    );
    refused("\n[[hook]]\nname = \"a\"", 2, &["`command`", "add `command"]);
    refused("[[hook]]\nname = \"a b\"\ncommand = [\"/bin/true\"]", 2, &["\"a b\""]);
    refused(
        &format!("{HOOK}{HOOK}"),
        5,
        &["\"page\" again", &format!("first at {FILE}:2")],
    );
    refused(
        "[[hook]]\nname = \"a\"\ncommand = []",
        3,
        &["`hook.a.command`", "an empty list"],
    );
    refused(
        "[[hook]]\nname = \"a\"\ncommand = [\"notify\"]",
        3,
        &["\"notify\"", "full path", "no shell"],
    );
    refused(
        "[[hook]]\nname = \"a\"\ncommand = \"/bin/true\"",
        3,
        &["the text", "in brackets"],
    );
    refused(
        "[[hook]]\nname = \"a\"\ncommand = [\"/bin/echo\", 1]",
        3,
        &["the number 1", "quotes"],
    );
    refused(
        "[[hook]]\nname = \"a\"\ncommand = [\"/bin/echo\", \"a\\u0000b\"]",
        3,
        &["NUL"],
    );
    refused(
        &format!("{HOOK}signals = [\"feever\"]"),
        4,
        &["`hook.page.signals`", "did you mean \"fever\"?"],
    );
    refused(
        &format!("{HOOK}level = \"unknown\""),
        4,
        &["`hook.page.level`", "`watch` or `veto`"],
    );
    refused(&format!("{HOOK}scope = \"[a\""), 4, &["`hook.page.scope`", "no glob"]);
    refused(&format!("{HOOK}scope = \"\""), 4, &["empty", "remove the key"]);
    refused(
        &format!("{HOOK}user = \"no-such-user-here\""),
        4,
        &["`hook.page.user`", "does not know", "getent passwd"],
    );
    refused(
        &format!("{HOOK}max_per_hour = 0"),
        4,
        &["`hook.page.max_per_hour`", "from 1 to 3600"],
    );
    refused("[hook]\nname = \"a\"", 1, &["[[hook]]"]);
    refused("hook = [1]", 1, &["[[hook]]"]);
    refused("jitter = 3", 1, &["the number 3", "[jitter]"]);
    refused(
        "autonomy = \"automatic\"",
        1,
        &["`autonomy`", "`observe`, `approve` or `auto`"],
    );
}

#[test]
fn what_is_no_toml_is_refused_with_its_line() {
    refused("interval = \"1s\"\nautonomy = \n", 2, &["not valid TOML"]);
    refused(
        "interval = \"1s\"\ninterval = \"2s\"\n",
        2,
        &["not valid TOML", "duplicate"],
    );
}

#[test]
fn a_hostile_value_stays_on_one_line_and_short() {
    let long = "x".repeat(100_000);
    assert!(error(&format!("autonomy = \"{long}\"")).len() < 500);
    assert!(error("autonomy = \"a\\nb\\u001b[31m\"").contains("\\u{1b}"));
    assert!(error("\"a\\nb\" = 1").contains("`a\\nb`"));
}

#[test]
fn a_rule_says_what_it_is_for_and_what_it_does() {
    let rule = "[[rule]]\nname = \"calm\"\n";
    refused(
        &format!("{rule}action = \"cpu_max\"\n"),
        1,
        &["`causes`", "[\"retry_storm\"]"],
    );
    refused(
        &format!("{rule}causes = [\"trash\"]\naction = \"cpu_max\"\n"),
        3,
        &["`rule.calm.causes`", "did you mean \"thrash\"?"],
    );
    refused(
        &format!("{rule}causes = [\"thrash\"]\n"),
        1,
        &["action", "\"retry_budget\""],
    );
    let of = |action: &str| format!("{rule}causes = [\"thrash\"]\naction = \"{action}\"\n");
    refused(&of("cpu_maxx"), 4, &["did you mean \"cpu_max\"?"]);
    refused(&of("freeze"), 4, &["allow_freeze = true"]);
    refused(
        &format!("{}keep_pct = 40\n", of("memory_high")),
        5,
        &["`rule.calm.keep_pct`", "50 or more"],
    );
    refused(&format!("{}keep_pct = 10\n", of("cpu_max")), 5, &["25 to 99"]);
    refused(
        &format!("{}{}", of("cpu_max"), of("cpu_max")),
        6,
        &["\"calm\" again", "each rule its own name"],
    );
    refused("[veto]\nttl = \"2m\"\n", 2, &["`veto.ttl`", "1s to 1m"]);
    refused("[veto]\nprotect = [\"[\"]\n", 2, &["no glob"]);
}
