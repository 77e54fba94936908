//! Scopes that nothing is ever done to: the agent itself, the first process, remote logins, and what the configuration
//! names. A cgroup that holds one of these is protected too, because what is done to it is done to all below it.

use std::{path::Path, sync::Arc};

use globset::GlobMatcher;
use procfs::process::Process;

use crate::sense::sample::Scope;

/// Units by which a host is reached and kept: without them nobody could undo anything.
const UNITS: [&str; 9] = [
    "ssh.service",
    "sshd.service",
    "ssh.socket",
    "systemd-journald.service",
    "systemd-logind.service",
    "systemd-networkd.service",
    "systemd-udevd.service",
    "dbus.service",
    "NetworkManager.service",
];
/// The cgroup of the first process, as systemd names it.
const INIT: &str = "/init.scope";

/// Who is protected.
#[derive(Clone, Debug, Default)]
pub struct Protected {
    /// cgroup paths of the agent and of the first process.
    own: Vec<(String, &'static str)>,
    named: Vec<GlobMatcher>,
}

impl Protected {
    /// The processes that keep this host, and these scopes.
    #[must_use]
    pub fn on_this_host(named: &[GlobMatcher]) -> Self {
        let path = |process: Result<Process, procfs::ProcError>| {
            let cgroups = process.and_then(|process| process.cgroups()).ok()?;
            let unified = cgroups.into_iter().find(|cgroup| cgroup.hierarchy == 0)?;
            Some(unified.pathname)
        };
        let own = [
            (path(Process::myself()), "sentinel itself"),
            (path(Process::new(1)), "the first process"),
            (Some(INIT.to_owned()), "the first process"),
        ];
        let own = own.into_iter().filter_map(|(path, who)| Some((path?, who)));
        Self {
            own: own.collect(),
            named: named.to_vec(),
        }
    }

    /// Those that the configuration names alone: for a recording, whose host is another.
    #[must_use]
    pub fn named(named: &[GlobMatcher]) -> Self {
        Self {
            own: Vec::new(),
            named: named.to_vec(),
        }
    }

    /// Why nothing may be done to a scope, among these scopes; `None` when it may.
    #[must_use]
    pub fn objection<'a>(&self, scope: &Scope, among: impl Iterator<Item = &'a Arc<Scope>>) -> Option<String> {
        if let Some((_, who)) = self.own.iter().find(|(path, _)| holds(&scope.path, path)) {
            return Some(format!("it holds {who}, which is protected"));
        }
        if let Some(why) = self.why(scope) {
            return Some(format!("it is {why}, which is protected"));
        }
        let mut below = among.filter(|other| holds(&scope.path, &other.path));
        below
            .find_map(|other| self.why(other))
            .map(|why| format!("it holds {why}, which is protected"))
    }

    /// What makes one scope protected.
    fn why(&self, scope: &Scope) -> Option<String> {
        let unit = scope.unit.as_deref();
        // A path names its own last part only: whoever may make a cgroup chooses what it is called.
        if let Some(unit) = unit.filter(|unit| UNITS.contains(unit)) {
            return Some(unit.to_owned());
        }
        let matches = |glob: &&GlobMatcher| {
            glob.is_match(Path::new(&scope.path)) || unit.is_some_and(|unit| glob.is_match(Path::new(unit)))
        };
        let glob = self.named.iter().find(matches)?;
        Some(format!(
            "{} ({:?} below [veto] protects it)",
            scope.name(),
            glob.glob().glob()
        ))
    }
}

/// Whether `path` is `other` or an ancestor of it.
fn holds(path: &str, other: &str) -> bool {
    path == "/"
        || other
            .strip_prefix(path)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use globset::Glob;

    use super::*;
    use crate::sense::sample::ScopeKind;

    fn scope(path: &str, unit: Option<&str>) -> Scope {
        Scope {
            kind: ScopeKind::Cgroup,
            path: path.into(),
            unit: unit.map(Into::into),
            container: None,
            cgroup_id: 7,
        }
    }

    fn objection(path: &str, unit: Option<&str>) -> Option<String> {
        let mut protected = Protected::named(&[Glob::new("/db.slice/**").expect("a glob").compile_matcher()]);
        protected.own = vec![("/system.slice/sentinel.service".into(), "sentinel itself")];
        let ssh = Arc::new(scope("/system.slice/ssh.service", Some("ssh.service")));
        protected.objection(&scope(path, unit), [&ssh].into_iter())
    }

    #[test]
    fn what_keeps_a_host_is_protected_and_so_is_what_holds_it() {
        let said = |path, unit| objection(path, unit).unwrap_or_default();
        assert!(said("/system.slice/ssh.service", Some("ssh.service")).contains("ssh.service"));
        assert!(said("/system.slice", None).contains("sentinel itself"));
        assert!(said("/", None).contains("sentinel itself"));
        assert!(said("/db.slice/pg.service", Some("pg.service")).contains("/db.slice/**"));
    }

    #[test]
    fn a_name_that_begins_alike_is_another_one() {
        assert_eq!(objection("/system.slice/sentinel.service2", None), None);
        assert_eq!(objection("/system.slice/shop.service", Some("shop.service")), None);
    }
}
