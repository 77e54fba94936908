//! Services in cgroups of their own, each with a past: a heartbeat that began before anything happened.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::{
    cgroup::{Cgroup, Family},
    workload::Workload,
};

/// Who does nothing but beat, in every scene.
pub const BYSTANDER: &str = "bystander";

/// Services by name, beside an idle [`BYSTANDER`]; dropping them ends and removes everything.
#[derive(Debug)]
pub struct Services {
    started: BTreeMap<&'static str, Service>,
    family: Family,
}

#[derive(Debug)]
struct Service {
    _heartbeat: Workload,
    cgroup: Cgroup,
}

impl Services {
    /// Starts services of these names; their hearts beat for so many seconds.
    ///
    /// # Errors
    /// Something could not be started.
    pub fn start(names: &[&'static str], seconds: u32) -> Result<Self> {
        let family = Family::new()?;
        let seconds = seconds.to_string();
        let mut started = BTreeMap::new();
        for name in names.iter().chain(&[BYSTANDER]) {
            let cgroup = family.cgroup(name)?;
            let heartbeat = Workload::start(&cgroup, &["sleep", "--seconds", &seconds])?;
            started.insert(
                *name,
                Service {
                    _heartbeat: heartbeat,
                    cgroup,
                },
            );
        }
        Ok(Self { started, family })
    }

    /// The cgroup of a service.
    ///
    /// # Panics
    /// There is no service of this name.
    #[must_use]
    pub fn cgroup(&self, name: &str) -> &Cgroup {
        &self.started.get(name).expect("a service of the scene").cgroup
    }

    /// The path of each service's scope.
    #[must_use]
    pub fn scopes(&self) -> Vec<String> {
        self.started.values().map(|service| service.cgroup.scope()).collect()
    }

    /// The path above all of them, as verdicts show it.
    #[must_use]
    pub fn family(&self) -> String {
        self.family.scope()
    }
}
