//! What acting by a configuration needs after the start, and why; watching needs nothing. Pure: reads nothing, changes
//! nothing.

use rustix::thread::CapabilitySet;

use crate::config::{Autonomy, Config};

/// A capability that is kept, with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// One or more capabilities.
    pub capabilities: CapabilitySet,
    /// Why, to be read after "for".
    pub why: String,
}

/// What is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Capabilities the agent itself may use.
    pub kept: Vec<Kept>,
    /// What programs that it starts may get beyond that.
    pub for_programs: CapabilitySet,
    /// Why programs are started, to be read after "because"; `None` where none ever is. Who starts programs keeps its
    /// user, and has neither `no_new_privs` nor a filter nor Landlock: the programs would inherit them.
    pub programs: Option<String>,
}

impl Keep {
    /// For who watches.
    #[must_use]
    pub const fn nothing() -> Self {
        Self {
            kept: Vec::new(),
            for_programs: CapabilitySet::empty(),
            programs: None,
        }
    }

    /// For who acts by a configuration: nothing in `observe`, where nobody does.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let mut keep = Self::nothing();
        if config.autonomy == Autonomy::Observe {
            return keep;
        }
        let mut because = Vec::new();
        if config.veto.enabled {
            keep.kept.push(Kept {
                capabilities: CapabilitySet::BPF | CapabilitySet::PERFMON | CapabilitySet::NET_ADMIN,
                why: "retry budgets, whose programs are loaded and attached when one is needed".into(),
            });
            // The guard writes files of cgroups that others may own, and asks the OOM killer to take it last.
            keep.for_programs |= CapabilitySet::DAC_OVERRIDE | CapabilitySet::SYS_RESOURCE;
            because.push("the guard, which writes files of cgroups, is started when it is needed".to_owned());
        }
        if !config.hooks.is_empty() {
            because.push(format!("{} hooks may run", config.hooks.len()));
        }
        let others: Vec<_> = config.hooks.iter().filter_map(|hook| hook.user.as_ref()).collect();
        if !others.is_empty() {
            keep.kept.push(Kept {
                capabilities: CapabilitySet::SETUID | CapabilitySet::SETGID | CapabilitySet::KILL,
                why: "hooks that run as another user and are ended in time".into(),
            });
        }
        if others.len() < config.hooks.len() {
            // What a hook needs is not known here; the agent itself has none of it.
            keep.for_programs = CapabilitySet::all();
        }
        keep.programs = (!because.is_empty()).then(|| because.join(" and "));
        keep
    }

    /// All capabilities the agent itself keeps.
    #[must_use]
    pub fn capabilities(&self) -> CapabilitySet {
        self.kept.iter().map(|kept| kept.capabilities).collect()
    }

    /// The most that any program it starts may have.
    #[must_use]
    pub fn bounding(&self) -> CapabilitySet {
        self.capabilities() | self.for_programs
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn keep(toml: &str) -> Keep {
        Keep::of(&Config::from_toml(toml, Path::new("test.toml")).unwrap())
    }

    const HOOK: &str = "[[hook]]\nname = \"a\"\ncommand = [\"/bin/true\"]\n";

    #[test]
    fn observe_keeps_nothing_whatever_hooks_and_rules_there_are() {
        let all = keep(HOOK);
        assert!(all.capabilities().is_empty() && all.bounding().is_empty());
        assert_eq!(all.programs, None);
    }

    #[test]
    fn acting_keeps_what_retry_budgets_need_and_nothing_else_for_itself() {
        for autonomy in ["approve", "auto"] {
            let acting = keep(&format!("autonomy = \"{autonomy}\"\n"));
            let wanted = CapabilitySet::BPF | CapabilitySet::PERFMON | CapabilitySet::NET_ADMIN;
            assert_eq!(acting.capabilities(), wanted);
            assert!(!acting.bounding().contains(CapabilitySet::SYS_ADMIN));
            assert!(acting.programs.is_some());
        }
    }

    #[test]
    fn who_may_not_act_and_has_no_hook_keeps_nothing() {
        let idle = keep("autonomy = \"auto\"\n[veto]\nenabled = false\n");
        assert!(idle.capabilities().is_empty());
        assert_eq!(idle.programs, None);
    }

    #[test]
    fn a_hook_may_have_everything_and_the_agent_does_not() {
        let hooks = keep(&format!("autonomy = \"auto\"\n{HOOK}[veto]\nenabled = false\n"));
        assert!(hooks.capabilities().is_empty());
        assert_eq!(hooks.bounding(), CapabilitySet::all());
    }

    #[test]
    fn a_hook_of_another_user_needs_rights_to_become_it() {
        let hooks = keep(&format!(
            "autonomy = \"auto\"\n{HOOK}user = \"root\"\n[veto]\nenabled = false\n"
        ));
        let wanted = CapabilitySet::SETUID | CapabilitySet::SETGID | CapabilitySet::KILL;
        assert_eq!(hooks.capabilities(), wanted);
        assert_eq!(hooks.bounding(), wanted);
    }
}
