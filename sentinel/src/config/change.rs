//! What a running agent takes over of a configuration that was read again, and what needs a restart. Pure.

use std::collections::BTreeMap;

use super::Config;

/// Keys that were acted on at start: descriptors, threads, programs and rights follow from them.
const AT_START: [&str; 16] = [
    "interval",
    "network_interval",
    "max_cgroups",
    "autonomy",
    "listen",
    "listen_token_file",
    "user",
    "heartbeat_file",
    "state_dir",
    "state_every",
    "jitter.enabled",
    "fever.enabled",
    "amplification.enabled",
    "veto.enabled",
    "veto.protect",
    "veto.allow_freeze",
];

/// The difference between two configurations, by key as `config show` writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// In force from now on: `jitter.sigma = 3 (was 2)`; hooks and rules by name.
    pub applied: Vec<String>,
    /// Read, and not in force before a restart.
    pub restart: Vec<String>,
}

impl Config {
    /// This configuration as far as a run can take it over that began with `old`, and what differs.
    #[must_use]
    pub fn taking_over_from(mut self, old: &Self) -> (Self, Change) {
        let mut change = Change::default();
        let before = values(old);
        let after = values(&self);
        for (key, value) in &after {
            let was = before.get(key).map_or("-", String::as_str);
            if was == value {
                continue;
            }
            if AT_START.contains(&key.as_str()) {
                change.restart.push(key.clone());
            } else {
                change.applied.push(format!("{key} = {value} (was {was})"));
            }
        }
        for (what, old, new) in [
            ("hook", lists(old).0, lists(&self).0),
            ("rule", lists(old).1, lists(&self).1),
        ] {
            for name in new.keys().filter(|name| old.get(*name) != new.get(*name)) {
                change.applied.push(format!("{what} {name}"));
            }
            for name in old.keys().filter(|name| !new.contains_key(*name)) {
                change.applied.push(format!("{what} {name} is gone"));
            }
        }
        self.interval = old.interval;
        self.network_interval = old.network_interval;
        self.max_cgroups = old.max_cgroups;
        self.autonomy = old.autonomy;
        self.listen.clone_from(&old.listen);
        self.listen_token_file.clone_from(&old.listen_token_file);
        self.user.clone_from(&old.user);
        self.heartbeat_file.clone_from(&old.heartbeat_file);
        self.state_dir.clone_from(&old.state_dir);
        self.state_every = old.state_every;
        self.jitter.enabled = old.jitter.enabled;
        self.fever.enabled = old.fever.enabled;
        self.amplification.enabled = old.amplification.enabled;
        self.veto.enabled = old.veto.enabled;
        self.veto.protect.clone_from(&old.veto.protect);
        self.veto.allow_freeze = old.veto.allow_freeze;
        (self, change)
    }
}

impl Change {
    /// One sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let applied = if self.applied.is_empty() {
            "nothing that is in force changed".to_owned()
        } else {
            self.applied.join(", ")
        };
        if self.restart.is_empty() {
            applied
        } else {
            format!("{applied}; restart the agent for {}", self.restart.join(", "))
        }
    }
}

/// Values by key, without hooks and rules.
fn values(config: &Config) -> BTreeMap<String, String> {
    let settings = config.settings().into_iter();
    let single = settings.filter(|setting| !is_of_list(&setting.key));
    single.map(|setting| (setting.key, setting.value)).collect()
}

fn is_of_list(key: &str) -> bool {
    key.starts_with("hook.") || key.starts_with("rule.")
}

/// Hooks and rules by name, each as a text that differs where anything of it does; their place counts too.
fn lists(config: &Config) -> (BTreeMap<&str, String>, BTreeMap<&str, String>) {
    let hooks = config.hooks.iter().enumerate();
    let rules = config.rules.iter().enumerate();
    (
        hooks
            .map(|(place, hook)| (hook.name.as_str(), format!("{place} {hook:?}")))
            .collect(),
        rules
            .map(|(place, rule)| (rule.name.as_str(), format!("{place} {rule:?}")))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(toml: &str) -> Config {
        Config::from_toml(toml, Path::new("test.toml")).unwrap()
    }

    #[test]
    fn thresholds_are_taken_over_and_what_was_opened_at_start_is_not() {
        let old = config("max_cgroups = 100\n[jitter]\nsigma = 2.0\n");
        let new = config("max_cgroups = 200\nlisten = \"off\"\n[jitter]\nsigma = 3.0\nenabled = false\n");
        let (now, change) = new.taking_over_from(&old);
        assert_eq!(now.jitter.sigma, 3.0);
        assert_eq!((now.max_cgroups, now.jitter.enabled), (100, true));
        assert_eq!(now.listen, old.listen);
        assert_eq!(change.applied, ["jitter.sigma = 3 (was 2)"]);
        assert_eq!(change.restart, ["jitter.enabled", "listen", "max_cgroups"]);
        assert_eq!(
            change.sentence(),
            "jitter.sigma = 3 (was 2); restart the agent for jitter.enabled, listen, max_cgroups"
        );
    }

    #[test]
    fn every_key_that_is_only_read_at_start_stays_as_it_was() {
        let old = config("");
        let new = config(
            "interval = \"2s\"\nnetwork_interval = \"2s\"\nmax_cgroups = 99\nautonomy = \"auto\"\nlisten = \"off\"\n\
             listen_token_file = \"/t\"\nuser = \"root\"\nheartbeat_file = \"/b\"\nstate_dir = \"/s\"\n\
             state_every = \"9s\"\n[jitter]\nenabled = false\n[fever]\nenabled = false\n[amplification]\nenabled = false\n[veto]\nenabled = false\nprotect = [\"/a\"]\n\
             allow_freeze = true\n",
        );
        let (now, change) = new.taking_over_from(&old);
        let mut restart: Vec<_> = AT_START.into();
        restart.sort_unstable();
        assert_eq!(change.restart, restart);
        assert_eq!(values(&now), values(&old));
    }

    #[test]
    fn hooks_and_rules_that_come_go_or_change_are_named() {
        let hook = |name: &str, level: &str| {
            format!("[[hook]]\nname = \"{name}\"\ncommand = [\"/bin/true\"]\nlevel = \"{level}\"\n")
        };
        let old = config(&(hook("same", "veto") + &hook("other", "veto") + &hook("gone", "veto")));
        let new = config(&(hook("same", "veto") + &hook("other", "watch")));
        let (now, change) = new.taking_over_from(&old);
        assert_eq!(now.hooks.len(), 2);
        assert_eq!(change.applied, ["hook other", "hook gone is gone"]);
        assert_eq!(old.clone().taking_over_from(&old).1, Change::default());
    }
}
