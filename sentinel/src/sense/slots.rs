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
#[derive(Clone, Debug, Default)]
struct Slot {
    /// Who owns it; `None` while it is free.
    scope: Option<Arc<Scope>>,
    cgroup_id: u64,
    generation: u32,
    /// Its cgroup's path is known.
    named: bool,
    /// Generation given back last: an owner of an older one is a trace of the past.
    expected: u32,
    /// Readings left until it is given back; `None` while its cgroup lives.
    leaving: Option<u32>,
}

/// All slots, by index.
pub(super) struct Slots {
    slots: Vec<Slot>,
    /// Owner by slot for whom there is nothing to do, so that a reading looks at one small table.
    settled: Vec<SlotOwner>,
    /// A slot may be on its way back.
    leaving: bool,
    /// Those that have an owner, in order of cgroup id; `None` when that changed.
    roster: Option<Roster>,
}

/// Slots that have an owner, in order of cgroup id, and the owners.
#[derive(Clone, Debug, Default)]
pub(super) struct Roster {
    pub(super) slots: Arc<Vec<u32>>,
    /// Their cgroups, 0 for what belongs to none: so that nobody has to ask the scope.
    pub(super) ids: Arc<Vec<u64>>,
    /// The slots once more, in order: counters that are read in the order they lie in come from memory by themselves.
    pub(super) in_order: Arc<Vec<u32>>,
    pub(super) scopes: Arc<Vec<Arc<Scope>>>,
}

impl Slots {
    pub(super) fn new(count: u32) -> Self {
        let mut slots = vec![Slot::default(); count as usize];
        let other = Scope {
            kind: ScopeKind::Other,
            path: "other".into(),
            unit: None,
            container: None,
            cgroup_id: 0,
        };
        slots[SLOT_OTHER as usize].scope = Some(Arc::new(other));
        Self {
            settled: vec![SlotOwner::default(); slots.len()],
            slots,
            leaving: false,
            roster: None,
        }
    }

    /// Slots that have an owner. The same lists as long as nothing about that changes.
    pub(super) fn roster(&mut self) -> Roster {
        self.roster
            .get_or_insert_with(|| {
                let owned = self.slots.iter().enumerate();
                let mut owned: Vec<_> = owned
                    .filter_map(|(index, slot)| slot.scope.as_ref().map(|scope| (index as u32, scope)))
                    .collect();
                let in_order = owned.iter().map(|(index, _)| *index).collect();
                owned.sort_by_key(|(_, scope)| scope.cgroup_id);
                Roster {
                    in_order: Arc::new(in_order),
                    ids: Arc::new(owned.iter().map(|(_, scope)| scope.cgroup_id).collect()),
                    slots: Arc::new(owned.iter().map(|(index, _)| *index).collect()),
                    scopes: Arc::new(owned.iter().map(|(_, scope)| Arc::clone(scope)).collect()),
                }
            })
            .clone()
    }

    /// Looks for slots that were handed out, and for paths not known before.
    pub(super) fn refresh(&mut self, kernel: &Kernel, cgroups: &mut Cgroups, now_ns: u64) {
        let mut unknown = Vec::new();
        let slots = self.slots.iter_mut().zip(&mut self.settled);
        for (index, (slot, settled)) in (0..kernel.slots()).zip(slots).skip(SLOT_FIRST as usize) {
            let owner = kernel.owner(index);
            if owner.cgroup_id == 0
                || (owner.cgroup_id, owner.generation) == (settled.cgroup_id, settled.generation)
                || owner.generation != slot.expected
            {
                continue;
            }
            if (slot.cgroup_id, slot.generation) != (owner.cgroup_id, owner.generation) {
                *slot = Slot {
                    cgroup_id: owner.cgroup_id,
                    generation: owner.generation,
                    expected: owner.generation,
                    ..Slot::default()
                };
            }
            if slot.leaving.is_none() && !slot.named {
                unknown.push(index);
            } else {
                *settled = owner;
            }
        }
        if !unknown.is_empty() {
            self.name(&unknown, cgroups, now_ns);
        }
    }

    fn name(&mut self, unknown: &[u32], cgroups: &mut Cgroups, now_ns: u64) {
        let ids = unknown.iter().map(|index| self.slots[*index as usize].cgroup_id);
        cgroups.learn(ids, now_ns);
        for index in unknown {
            let slot = &mut self.slots[*index as usize];
            let scope = cgroups.resolve(slot.cgroup_id, now_ns);
            slot.named = !scope.path.starts_with('?');
            if slot.scope.as_ref() != Some(&scope) {
                slot.scope = Some(scope);
                self.roster = None;
            }
        }
    }

    /// The cgroup is gone: its slot is given back after a while.
    pub(super) fn retire(&mut self, kernel: &mut Kernel, cgroup_id: u64) {
        let slot = self
            .slots
            .iter_mut()
            .find(|slot| slot.cgroup_id == cgroup_id && slot.scope.is_some());
        if let Some(slot) = slot
            && slot.leaving.is_none()
        {
            kernel.forget(cgroup_id);
            slot.leaving = Some(QUARANTINE_READINGS);
            self.leaving = true;
        }
    }

    /// Ends a reading: slots that were read often enough after their cgroup's end become free.
    pub(super) fn end_reading(&mut self, kernel: &mut Kernel) {
        if !std::mem::take(&mut self.leaving) {
            return;
        }
        for (index, slot) in self.slots.iter_mut().enumerate() {
            self.leaving |= slot.leaving.is_some_and(|readings| readings > 0);
            match &mut slot.leaving {
                Some(0) => {
                    slot.expected = slot.expected.wrapping_add(1);
                    slot.scope = None;
                    slot.leaving = None;
                    self.settled[index] = SlotOwner::default();
                    self.roster = None;
                    kernel.give_back(index as u32, slot.expected);
                }
                Some(readings) => *readings -= 1,
                None => {}
            }
        }
    }

    /// cgroups whose path was never found although they were met: removed before anyone could look.
    pub(super) fn nameless(&self) -> Vec<u64> {
        let nameless = self
            .slots
            .iter()
            .filter(|slot| slot.leaving.is_none() && slot.scope.is_some());
        nameless
            .filter(|slot| slot.cgroup_id != 0 && !slot.named)
            .map(|slot| slot.cgroup_id)
            .collect()
    }
}
