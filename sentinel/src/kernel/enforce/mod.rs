//! Policies in the kernel: what a scope may still do, until when.
//!
//! Owns: the enforcing programs, loaded when this is opened and attached only to cgroups under a policy. Comes in:
//! limits and a time to live. Goes out: what was let through and what was refused. Never decides that a policy is
//! needed, never touches a cgroup it was not given.
//!
//! A policy ends in four ways: it is lifted; its time is over, which every program checks on every decision, so that an
//! agent that hangs holds nobody up; this is dropped; or the process ends, and the kernel takes the links down with its
//! descriptors, because nothing is pinned.

mod error;
mod limits;
mod programs;
mod scope;

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    time::Duration,
};

#[expect(deprecated, reason = "what replaces it came with 6.2; this one works from 5.9 on")]
use aya::maps::CgroupStorage;
use aya::maps::{Array, CgroupStorageKey, MapData, MapError};
use sentinel_common::{
    budget::{Budget, Decisions, Policy, SCOPES, step},
    names,
};

use self::programs::{Hook, Links, Programs};
pub use self::{
    error::EnforceError,
    limits::{Accepts, Connects, Limits},
    scope::Scope,
};
use super::{KernelError, ProgramFacts};
use crate::time::monotonic_ns;

/// The shortest time to live.
pub const LEAST_TTL: Duration = Duration::from_secs(1);
/// The time to live when nothing else is asked for.
pub const DEFAULT_TTL: Duration = Duration::from_secs(10);
/// The longest time to live.
pub const MOST_TTL: Duration = Duration::from_secs(60);

/// `BPF_F_LOCK`: read a record under its lock.
const UNDER_LOCK: u64 = 4;

/// What `connect` ends with when it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `ECONNREFUSED`, which applications know from a closed port.
    ConnectionRefused,
    /// `EPERM`: this kernel lets a program choose no error.
    NotPermitted,
}

/// What became of what a policy limits. Only grows, from the put on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connection attempts.
    pub connects: Decisions,
    /// New connections from outside. A client that sends its SYN again counts again.
    pub accepts: Decisions,
    /// Units of inbound work that brought tokens.
    pub inbound: u64,
    /// Requests that brought none because the kernel gave no storage for their socket.
    pub inbound_unseen: u64,
    /// Attempts that were answered, where credit is asked for.
    pub answered: u64,
}

/// A policy that is held.
struct Lease {
    scope: Scope,
    policy: Policy,
    links: Links,
}

/// The enforcing programs and the policies they hold to. Dropping it lifts every policy.
pub struct Enforcer {
    leases: BTreeMap<u64, Lease>,
    free: VecDeque<u32>,
    #[expect(deprecated, reason = "see the import")]
    policies: CgroupStorage<MapData, Policy>,
    budgets: Array<MapData, Budget>,
    programs: Programs,
    refusal: Refusal,
}

impl Enforcer {
    /// Loads the enforcing programs. Nothing is attached, nobody is limited.
    ///
    /// # Errors
    /// When this kernel does not take them, or for lack of rights.
    pub fn open() -> Result<Self, KernelError> {
        let (mut programs, refusal) = Programs::load()?;
        let storage = programs.take(names::POLICIES)?;
        let budgets = programs.take(names::BUDGETS)?;
        #[expect(deprecated, reason = "see the import")]
        let policies = CgroupStorage::try_from(storage).map_err(|error| map_error(&error))?;
        Ok(Self {
            leases: BTreeMap::new(),
            free: (0..SCOPES).collect(),
            policies,
            budgets: Array::try_from(budgets).map_err(|error| map_error(&error))?,
            programs,
            refusal,
        })
    }

    /// What a refused `connect` ends with on this kernel.
    #[must_use]
    pub const fn refusal(&self) -> Refusal {
        self.refusal
    }

    /// What the kernel says about each enforcing program.
    #[must_use]
    pub fn programs(&self) -> Vec<ProgramFacts> {
        self.programs.facts()
    }

    /// Ids of the cgroups under a policy, those included whose time is over and that [`Self::lapse`] has not ended yet.
    pub fn held(&self) -> impl Iterator<Item = u64> {
        self.leases.keys().copied()
    }

    /// Puts a scope under limits, for a time, from now on.
    ///
    /// # Errors
    /// The time to live or the limits are out of range; the cgroup is gone, is none, is the root, or is held already;
    /// the kernel refuses. Nothing has changed then.
    pub fn put(&mut self, scope: &Scope, limits: &Limits, ttl: Duration) -> Result<(), EnforceError> {
        let ttl_ns = checked(ttl)?;
        let mut policy = limits.policy()?;
        let dir = scope.open()?;
        self.lapse();
        if self.leases.contains_key(&scope.id) {
            return Err(EnforceError::Held(scope.id));
        }
        // The index used longest ago: no decision under its last policy can still be under way.
        let index = self.free.pop_front().ok_or(EnforceError::Full(SCOPES))?;
        policy.budget = index;
        let begun = self.begin(scope, &dir, policy, ttl_ns);
        if begun.is_err() {
            self.free.push_back(index);
        }
        begun
    }

    fn begin(
        &mut self,
        scope: &Scope,
        dir: &std::fs::File,
        mut policy: Policy,
        ttl_ns: u64,
    ) -> Result<(), EnforceError> {
        let budget = Budget::starting(monotonic_ns(), policy.reserve_per_s);
        self.budgets
            .set(policy.budget, budget, 0)
            .map_err(|error| map_error(&error))?;
        let links = self.programs.attach(scope, dir, policy.limits)?;
        policy.expires_ns = monotonic_ns().saturating_add(ttl_ns);
        // Dropping the links on the way out detaches what was attached, also when the second of two writes fails.
        write(&mut self.policies, scope, &links, &policy)?;
        let scope = scope.clone();
        self.leases.insert(scope.id, Lease { scope, policy, links });
        Ok(())
    }

    /// Lets a policy live for this long from now on.
    ///
    /// # Errors
    /// The time to live is out of range; the scope is under no policy or its time is over; the cgroup is gone.
    pub fn renew(&mut self, id: u64, ttl: Duration) -> Result<(), EnforceError> {
        let ttl_ns = checked(ttl)?;
        self.change(id, |policy, now_ns| {
            policy.expires_ns = now_ns.saturating_add(ttl_ns);
        })
    }

    /// Takes one step of admission: down by 5 % of what is admitted when the scope is overloaded, else up by 1 %. Does
    /// not renew. Returns the share admitted now, per thousand.
    ///
    /// # Errors
    /// The scope is under no policy or its time is over; the cgroup is gone.
    pub fn step(&mut self, id: u64, overloaded: bool) -> Result<u32, EnforceError> {
        let mut share = 0;
        self.change(id, |policy, _| {
            policy.share = step(policy.share, overloaded);
            share = policy.share;
        })?;
        Ok(share)
    }

    /// Writes a policy anew. One that cannot be written is ended: what nobody can change, nobody should hold.
    fn change(&mut self, id: u64, change: impl FnOnce(&mut Policy, u64)) -> Result<(), EnforceError> {
        self.lapse();
        let lease = self.leases.get_mut(&id).ok_or(EnforceError::NotHeld(id))?;
        let mut policy = lease.policy;
        change(&mut policy, monotonic_ns());
        match write(&mut self.policies, &lease.scope, &lease.links, &policy) {
            Ok(()) => lease.policy = policy,
            Err(error) => {
                self.end(id);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Ends a policy: everything passes, and nothing stays attached. Returns what it did.
    ///
    /// # Errors
    /// The scope is under no policy.
    pub fn lift(&mut self, id: u64) -> Result<Counts, EnforceError> {
        let counts = self.counts(id)?;
        self.end(id);
        Ok(counts)
    }

    /// Detaches what has lapsed, and returns whose policies those were. To be called often: a program that lapsed lets
    /// everything pass, and still costs a little.
    pub fn lapse(&mut self) -> Vec<u64> {
        let now_ns = monotonic_ns();
        let over = |lease: &Lease| lease.policy.expires_ns <= now_ns;
        let ids: Vec<u64> = self
            .leases
            .iter()
            .filter(|(_, lease)| over(lease))
            .map(|(id, _)| *id)
            .collect();
        for id in &ids {
            self.end(*id);
        }
        ids
    }

    /// What a policy did so far, all CPUs together.
    ///
    /// # Errors
    /// The scope is under no policy, or the map cannot be read.
    pub fn counts(&self, id: u64) -> Result<Counts, EnforceError> {
        let lease = self.leases.get(&id).ok_or(EnforceError::NotHeld(id))?;
        let budget = self
            .budgets
            .get(&lease.policy.budget, UNDER_LOCK)
            .map_err(|error| map_error(&error))?;
        Ok(Counts {
            connects: budget.connects,
            accepts: budget.accepts,
            inbound: budget.inbound,
            inbound_unseen: budget.inbound_unseen,
            answered: budget.answered,
        })
    }

    /// Ends a policy if there is one. Links go with the lease.
    fn end(&mut self, id: u64) {
        let Some(lease) = self.leases.remove(&id) else { return };
        // The entry outlives the link. Detaching is what counts: an entry that cannot be written is a cgroup's that is
        // gone, and without a policy's time it means nothing.
        if let Err(error) = write(&mut self.policies, &lease.scope, &lease.links, &Policy::default()) {
            tracing::debug!(cgroup_id = id, %error, "the policy went with its cgroup");
        }
        self.free.push_back(lease.policy.budget);
    }
}

/// Writes a policy for every hook that is attached.
#[expect(deprecated, reason = "see the import")]
fn write(
    policies: &mut CgroupStorage<MapData, Policy>,
    scope: &Scope,
    links: &Links,
    policy: &Policy,
) -> Result<(), EnforceError> {
    for hook in links.hooks() {
        let key = CgroupStorageKey::new(scope.id, Hook::attach_type(hook));
        policies.insert(key, policy, 0).map_err(|error| match error {
            // The entries of a cgroup go with it.
            MapError::SyscallError(error) if error.io_error.kind() == io::ErrorKind::NotFound => scope.vanished(None),
            MapError::KeyNotFound => scope.vanished(None),
            other => map_error(&other).into(),
        })?;
    }
    Ok(())
}

fn checked(ttl: Duration) -> Result<u64, EnforceError> {
    if !(LEAST_TTL..=MOST_TTL).contains(&ttl) {
        return Err(EnforceError::Ttl { asked: ttl });
    }
    u64::try_from(ttl.as_nanos()).map_err(|_| EnforceError::Ttl { asked: ttl })
}

fn map_error(error: &MapError) -> KernelError {
    KernelError::Object(super::describe(error))
}
