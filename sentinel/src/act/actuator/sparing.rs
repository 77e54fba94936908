//! An actuator that spares whom nothing may be done to, whoever gives the order: the process that acts does not take the
//! agent's word for it. In: an order. Out: what the actuator behind it says, or a refusal. Never changes an order.

use std::path::PathBuf;

use super::{Actuator, ActuatorError, Tally};
use crate::{
    act::{
        action::{LeaseId, Order, Target, Ttl},
        lease::Protected,
        message::{Applied, PutBack},
    },
    sense::cgroups::{below, named},
    time::Now,
};

/// Has orders done by another actuator, unless they are for a scope that is protected.
pub struct Sparing {
    actuator: Box<dyn Actuator>,
    protected: Protected,
    mount: PathBuf,
}

impl Sparing {
    /// On the hierarchy mounted there.
    #[must_use]
    pub fn new(actuator: Box<dyn Actuator>, protected: Protected, mount: PathBuf) -> Self {
        Self {
            actuator,
            protected,
            mount,
        }
    }

    fn check(&self, target: &Target) -> Result<(), ActuatorError> {
        let scope = named(target.cgroup_id(), target.path());
        let below = below(&self.mount, target.path());
        match self.protected.objection(&scope, below.iter()) {
            None => Ok(()),
            Some(why) => Err(ActuatorError::Protected {
                path: target.path().into(),
                why,
            }),
        }
    }
}

impl Actuator for Sparing {
    fn name(&self) -> &'static str {
        self.actuator.name()
    }

    fn apply(&mut self, order: &Order, now: Now) -> Result<Applied, ActuatorError> {
        self.check(order.target())?;
        self.actuator.apply(order, now)
    }

    fn renew(&mut self, lease: &LeaseId, ttl: Ttl, now: Now) -> Result<(), ActuatorError> {
        self.actuator.renew(lease, ttl, now)
    }

    fn adjust(&mut self, lease: &LeaseId, overloaded: bool) {
        self.actuator.adjust(lease, overloaded);
    }

    fn revert(&mut self, lease: &LeaseId, now: Now) -> Result<PutBack, ActuatorError> {
        self.actuator.revert(lease, now)
    }

    fn lapse(&mut self, now: Now) -> Vec<PutBack> {
        self.actuator.lapse(now)
    }

    fn tally(&self, lease: &LeaseId) -> Option<Tally> {
        self.actuator.tally(lease)
    }
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt as _};

    use globset::Glob;

    use super::*;

    #[test]
    fn a_cgroup_that_holds_a_protected_one_is_spared_and_its_neighbour_is_not() {
        let mount = tempfile::tempdir().expect("a directory");
        for path in ["shop.slice/db.service", "shop.slice/web.service"] {
            fs::create_dir_all(mount.path().join(path)).expect("a directory");
        }
        let protected = Protected::named(&[Glob::new("db.service").expect("a glob").compile_matcher()]);
        let refused = |path: &str| {
            let scope = named(7, path);
            protected.objection(&scope, below(mount.path(), path).iter())
        };
        assert!(refused("/shop.slice").is_some_and(|why| why.contains("holds db.service")));
        assert!(refused("/shop.slice/db.service").is_some());
        assert_eq!(refused("/shop.slice/web.service"), None);
        // A name that is no text hides nothing that is below it.
        let odd = mount.path().join(OsStr::from_bytes(b"odd\xff.slice"));
        fs::create_dir_all(odd.join("db.service")).expect("a directory");
        assert!(refused("/").is_some_and(|why| why.contains("holds db.service")));
        assert_eq!(below(mount.path(), "/").len(), 5);
    }
}
