//! What is in force, where it came from, and that the example and the manual agree with it.

use super::*;

#[test]
fn an_empty_file_gives_the_defaults() {
    let values = |config: &Config| {
        config
            .settings()
            .into_iter()
            .map(|s| (s.key, s.value))
            .collect::<Vec<_>>()
    };
    assert_eq!(values(&config("")), values(&Config::default()));
}

#[test]
fn the_example_in_deploy_gives_the_defaults_and_names_every_key() {
    let text = include_str!("../../../../deploy/sentinel.toml");
    let example = config(text);
    for setting in example.settings() {
        assert_ne!(setting.origin, "default", "{} is not in the example", setting.key);
    }
    // The rule that is there without a file is for all scopes and keeps nothing: it is written out in the example.
    let values = |config: &Config| {
        let settings = config.settings().into_iter();
        let said = settings.filter(|s| !["rule.retry-storm.scope"].contains(&s.key.as_str()));
        said.map(|s| (s.key, s.value)).collect::<Vec<_>>()
    };
    assert_eq!(values(&example), values(&Config::default()));

    // The hook in it is a comment; read without the marks it names every key of a hook, at its default.
    let (_, hook) = text.split_once("# [[hook]]").expect("an example of a hook");
    let hook: String = hook
        .lines()
        .map(|line| format!("{}\n", line.strip_prefix("# ").unwrap_or("")))
        .collect();
    let hook = format!("[[hook]]{hook}");
    let example = config(&hook);
    let minimal = config(HOOK);
    for key in keys::KEYS.iter().filter(|key| key.table == "hook") {
        assert!(
            hook.contains(&format!("\n{} = ", key.name)),
            "{} is not in the example hook",
            key.name
        );
    }
    assert_eq!(example.hooks[0].timeout, minimal.hooks[0].timeout);
    assert_eq!(example.hooks[0].cooldown, minimal.hooks[0].cooldown);
    assert_eq!(example.hooks[0].max_per_hour, minimal.hooks[0].max_per_hour);
    assert_eq!(example.hooks[0].level, minimal.hooks[0].level);
}

#[test]
fn the_manual_names_every_key_with_its_range_and_default() {
    let manual = include_str!("../../../../docs/CONFIG.md");
    let defaults = Config::default().settings();
    for key in keys::KEYS {
        let start = format!("| `{}` |", key.name);
        let section = if key.table.is_empty() {
            "## Top level".into()
        } else if keys::LISTS.contains(&key.table) {
            format!("## `[[{}]]`", key.table)
        } else {
            format!("## `[{}]`", key.table)
        };
        let (_, section) = manual
            .split_once(&section)
            .unwrap_or_else(|| panic!("no section {section}"));
        let section = section.split("\n## ").next().unwrap_or_default();
        let row = section.lines().find(|line| line.starts_with(&start));
        let row = row.unwrap_or_else(|| panic!("`{}.{}` has no row", key.table, key.name));
        let range = match &key.kind {
            keys::Kind::Time(min, max) => format!("{} to {}", keys::time(*min), keys::time(*max)),
            keys::Kind::Number(min, max) => format!("{min} to {max}"),
            keys::Kind::Integer(min, max) => format!("{min} to {max}"),
            _ => String::new(),
        };
        assert!(row.contains(&range), "the row of `{}` says {range:?}: {row}", key.name);
        let full = if key.table.is_empty() {
            key.name.into()
        } else if key.table == "rule" {
            format!("rule.retry-storm.{}", key.name)
        } else {
            format!("{}.{}", key.table, key.name)
        };
        if let Some(default) = defaults.iter().find(|setting| setting.key == full) {
            assert!(
                row.contains(&format!("| {} |", default.value)),
                "the row of `{full}` says its default: {row}"
            );
        }
    }
}

#[test]
fn every_value_can_be_set() {
    let config = config(
        "interval = \"500ms\"\nnetwork_interval = \"100ms\"\nmax_cgroups = 64\nautonomy = \"auto\"\n\
         [jitter]\nenabled = false\nsigma = 3\nfloor_ms_per_s = 10.5\n\
         [fever]\nenabled = false\nfloor_mb_per_s = 1\nhorizon = \"30m\"\n\
         [amplification]\nenabled = false\nwatch_ratio = 1.5\nveto_ratio = 1.6\nstorm_ratio = 3\nfloor_per_s = 1\n\
         [[hook]]\nname = \"a\"\ncommand = [\"/bin/sh\", \"-c\", \"true\"]\nsignals = [\"fever\", \"jitter\"]\n\
         level = \"watch\"\nscope = \"/system.slice/*\"\ntimeout = \"1m30s\"\ncooldown = \"0s\"\nmax_per_hour = 3600\n\
         user = \"root\"\n[[hook]]\nname = \"b\"\ncommand = [\"/bin/true\"]\n",
    );
    assert_eq!(config.interval, Duration::from_millis(500));
    assert_eq!(config.network_interval, Duration::from_millis(100));
    assert_eq!((config.max_cgroups, config.autonomy), (64, Autonomy::Auto));
    assert_eq!(
        (config.jitter.enabled, config.jitter.sigma, config.jitter.floor_ms_per_s),
        (false, 3.0, 10.5)
    );
    assert_eq!(config.fever.horizon, Duration::from_secs(1800));
    assert_eq!(
        (config.amplification.watch_ratio, config.amplification.storm_ratio),
        (1.5, 3.0)
    );
    let hook = &config.hooks[0];
    assert_eq!(hook.command, ["/bin/sh", "-c", "true"]);
    assert_eq!(
        (hook.signals.as_slice(), hook.level),
        ([Signal::Fever, Signal::Jitter].as_slice(), Level::Watch)
    );
    assert_eq!((hook.timeout, hook.cooldown), (Duration::from_secs(90), Duration::ZERO));
    assert_eq!(
        hook.user.as_ref().map(|user| (user.uid, user.name.as_str())),
        Some((0, "root"))
    );
    assert_eq!(config.hooks[1].name, "b");
    assert!(config.hooks[1].signals.is_empty() && config.hooks[1].scope.is_none() && config.hooks[1].user.is_none());
}

#[test]
fn a_file_is_found_bounded_and_must_be_text() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("sentinel.toml");
    let load = || Config::load(Some(&file));
    assert!(matches!(load(), Err(ConfigError::Missing { .. })));
    let write = |bytes: &[u8]| {
        std::fs::File::create(&file)
            .and_then(|mut file| file.write_all(bytes))
            .expect("written")
    };
    write(b"interval = \"2s\"");
    assert_eq!(load().expect("a config").interval, Duration::from_secs(2));
    write(&vec![b'#'; 1 << 20]);
    assert!(load().is_ok());
    write(&vec![b'#'; (1 << 20) + 1]);
    assert!(matches!(
        load(),
        Err(ConfigError::TooLarge {
            limit_bytes: MAX_BYTES,
            ..
        })
    ));
    write(b"# fine\n# \xff\n");
    assert!(load().expect_err("refused").to_string().contains(":2: is not UTF-8"));
    assert!(matches!(
        Config::load(Some(folder.path())),
        Err(ConfigError::Read { .. })
    ));
}

#[test]
fn the_command_line_comes_last_and_is_checked_too() {
    let faster = config("").with_interval(Duration::from_millis(100)).expect("in range");
    assert_eq!(
        (faster.interval, faster.network_interval),
        (Duration::from_millis(100), Duration::from_millis(100))
    );
    let refused = Config::default()
        .with_interval(Duration::from_millis(1))
        .expect_err("too short")
        .to_string();
    assert!(
        refused.starts_with("command line: `interval` is 1ms, but must be a time from 100ms to 1m"),
        "{refused}"
    );
    let set = config("network_interval = \"500ms\"").with_interval(Duration::from_millis(200));
    let refused = set.expect_err("shorter than the network").to_string();
    assert!(refused.contains(&format!("500ms at {FILE}:1")), "{refused}");

    let shown = config("autonomy = \"observe\"")
        .with_autonomy(Autonomy::Auto)
        .settings();
    let autonomy = shown.iter().find(|setting| setting.key == "autonomy").expect("shown");
    assert_eq!(
        (autonomy.value.as_str(), autonomy.origin.as_str()),
        ("auto", "command line")
    );
    assert_eq!("auto".parse(), Ok(Autonomy::Auto));
    assert_eq!("aut".parse::<Autonomy>(), Err("did you mean \"auto\"?".into()));
    assert!(
        parse_time("5 parsecs")
            .expect_err("no unit")
            .contains("unit is unknown")
    );
}

#[test]
fn the_table_shows_key_value_unit_and_origin() {
    let table = config(&format!("[jitter]\nsigma = 3.0\n{HOOK}")).render();
    let row = |key: &str| {
        let row = table.lines().find(|line| line.split_whitespace().next() == Some(key));
        row.unwrap_or_else(|| panic!("{key} is shown:\n{table}"))
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(row("jitter.sigma"), format!("jitter.sigma 3 sigmas {FILE}:2"));
    assert_eq!(row("interval"), "interval 1s time default");
    assert_eq!(
        row("hook.page.command"),
        format!("hook.page.command [\"/bin/true\"] argv {FILE}:5")
    );
    assert_eq!(row("hook.page.timeout"), "hook.page.timeout 10s time default");
}

#[test]
fn a_command_that_is_not_there_is_a_warning() {
    let config = config("[[hook]]\nname = \"gone\"\ncommand = [\"/nonexistent/notify\"]");
    assert!(
        config
            .warnings()
            .iter()
            .any(|warning| warning.contains("hook `gone`: /nonexistent/notify cannot be found"))
    );
    assert!(Config::default().warnings().is_empty());
    let auto = |config: Config| config.with_autonomy(Autonomy::Auto).warnings();
    assert!(auto(Config::default()).is_empty(), "the rule for storms acts");
    let idle = auto(self::config("[veto]\nenabled = false"));
    assert!(idle[0].contains("neither a hook nor a rule"), "{idle:?}");
}

#[test]
fn a_file_without_a_rule_has_the_one_for_storms_and_an_empty_list_has_none() {
    assert_eq!(config("").rules[0].name, "retry-storm");
    assert!(config("rule = []").rules.is_empty());
    let own =
        config("[[rule]]\nname = \"calm\"\ncauses = [\"thrash\", \"convoy\"]\naction = \"cpu_max\"\nkeep_pct = 60");
    assert_eq!(own.rules.len(), 1);
    let rule = &own.rules[0];
    assert_eq!(
        (rule.action, rule.keep_pct, rule.level),
        (RuleAction::CpuMax, 60, Level::Veto)
    );
    assert_eq!(rule.causes, [Cause::Thrash, Cause::Convoy]);
    // Shedding at the door is for those who ask for it by name.
    let shed = config("[[rule]]\nname = \"shed\"\ncauses = [\"retry_storm\"]\naction = \"admission\"\nkeep_pct = 25");
    assert_eq!(
        (shed.rules[0].action, shed.rules[0].keep_pct),
        (RuleAction::Admission, 25)
    );
    assert!(config("").rules.iter().all(|rule| rule.action != RuleAction::Admission));
}

#[test]
fn a_scope_glob_keeps_to_path_parts_and_takes_a_backslash_as_it_is() {
    let glob = |pattern: &str| {
        config(&format!("{HOOK}scope = '{pattern}'")).hooks[0]
            .scope
            .clone()
            .expect("a glob")
    };
    assert!(glob("/system.slice/*").is_match("/system.slice/shop.service"));
    assert!(!glob("/system.slice/*").is_match("/system.slice/a/b"));
    assert!(glob("/system.slice/**").is_match("/system.slice/a/b"));
    assert!(glob(r"a\x2db*.service").is_match(r"a\x2dbc.service"));
}
