//! Who owns which slot: finds new owners, retires slots of cgroups that are gone, and gives them back.
//!
//! A slot whose cgroup was removed is read for [`QUARANTINE_READINGS`] more readings, so that what was counted last is
//! not lost, and then given back under a new generation. Never reads or resets a counter.

use std::sync::Arc;

use sentinel_common::id::{SLOT_FIRST, SLOT_OTHER, SlotOwner};

use super::{
    cgroups::Cgroups,
    sample::{Scope, ScopeKind},
};
use crate::kernel::Kernel;

/// Readings between the removal of a cgroup and the return of its slot.
const QUARANTINE_READINGS: u32 = 2;

/// One slot.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    /// Who owns it; `None` while it is free.
    pub(super) scope: Option<Arc<Scope>>,
    owner: SlotOwner,
    /// Generation given back last: an owner of an older one is a trace of the past.
    expected: u32,
    /// Readings left until it is given back; `None` while its cgroup lives.
    leaving: Option<u32>,
}

/// All slots, by index.
pub(super) struct Slots {
    slots: Vec<Slot>,
}

impl Slots {
    pub(super) fn new(count: u32) -> Self {
        let free = Slot {
            scope: None,
            owner: SlotOwner::default(),
            expected: 0,
            leaving: None,
        };
        let mut slots = vec![free; count as usize];
        let other = Scope {
            kind: ScopeKind::Other,
            path: "other".into(),
            unit: None,
            container: None,
            cgroup_id: 0,
        };
        slots[SLOT_OTHER as usize].scope = Some(Arc::new(other));
        Self { slots }
    }

    /// Slots that have an owner, by index.
    pub(super) fn owned(&self) -> impl Iterator<Item = (u32, &Arc<Scope>)> {
        let owned = self.slots.iter().enumerate();
        owned.filter_map(|(index, slot)| slot.scope.as_ref().map(|scope| (index as u32, scope)))
    }

    /// Looks for slots that were handed out, and for paths not known before.
    pub(super) fn refresh(&mut self, kernel: &Kernel, cgroups: &mut Cgroups, now_ns: u64) {
        let mut unknown = Vec::new();
        for index in SLOT_FIRST..kernel.slots() {
            let owner = kernel.owner(index);
            let slot = &mut self.slots[index as usize];
            if owner.cgroup_id == 0 || owner.generation != slot.expected {
                continue;
            }
            if slot.owner != owner {
                *slot = Slot {
                    scope: None,
                    owner,
                    expected: owner.generation,
                    leaving: None,
                };
            }
            if slot.leaving.is_none() && slot.scope.as_ref().is_none_or(|scope| scope.path.starts_with('?')) {
                unknown.push(index);
            }
        }
        if unknown.is_empty() {
            return;
        }
        cgroups.learn(
            unknown.iter().map(|index| self.slots[*index as usize].owner.cgroup_id),
            now_ns,
        );
        for index in unknown {
            let slot = &mut self.slots[index as usize];
            slot.scope = Some(cgroups.resolve(slot.owner.cgroup_id, now_ns));
        }
    }

    /// The cgroup is gone: its slot is given back after a while.
    pub(super) fn retire(&mut self, kernel: &mut Kernel, cgroup_id: u64) {
        let slot = self
            .slots
            .iter_mut()
            .find(|slot| slot.owner.cgroup_id == cgroup_id && slot.scope.is_some());
        if let Some(slot) = slot
            && slot.leaving.is_none()
        {
            kernel.forget(cgroup_id);
            slot.leaving = Some(QUARANTINE_READINGS);
        }
    }

    /// Ends a reading: slots that were read often enough after their cgroup's end become free.
    pub(super) fn end_reading(&mut self, kernel: &mut Kernel) {
        for (index, slot) in self.slots.iter_mut().enumerate() {
            match &mut slot.leaving {
                Some(0) => {
                    slot.expected = slot.expected.wrapping_add(1);
                    slot.scope = None;
                    slot.leaving = None;
                    kernel.give_back(index as u32, slot.expected);
                }
                Some(readings) => *readings -= 1,
                None => {}
            }
        }
    }

    /// cgroups whose path was never found although they were met: removed before anyone could look.
    pub(super) fn nameless(&self) -> Vec<u64> {
        let nameless = self.slots.iter().filter(|slot| slot.leaving.is_none());
        nameless
            .filter(|slot| slot.scope.as_ref().is_some_and(|scope| scope.path.starts_with('?')))
            .map(|slot| slot.owner.cgroup_id)
            .collect()
    }
}
