//! The VMCSs that are active on one CPU.

use crate::memory::address::PhysicalAddress;

/// How many addresses are kept. More VMCSs can be active, and are only counted.
const KNOWN: usize = 64;

/// The addresses of the VMCSs that are active on a CPU, as far as there is room, and
/// how many there are in all.
#[derive(Clone, Debug)]
pub(super) struct ActiveVmcss {
    known: [PhysicalAddress; KNOWN],
    known_count: usize,
    unknown: usize,
}

impl ActiveVmcss {
    /// None.
    pub(super) const fn new() -> Self {
        Self { known: [PhysicalAddress(0); KNOWN], known_count: 0, unknown: 0 }
    }

    /// How many there are.
    pub(super) const fn count(&self) -> usize {
        self.known_count + self.unknown
    }

    /// The addresses that are kept.
    pub(super) fn known(&self) -> &[PhysicalAddress] {
        self.known.get(..self.known_count).unwrap_or_default()
    }

    /// One more, which is not among them yet.
    pub(super) fn add(&mut self, vmcs: PhysicalAddress) {
        match self.known.get_mut(self.known_count) {
            Some(place) => {
                *place = vmcs;
                self.known_count += 1;
            }
            None => self.unknown += 1,
        }
    }

    /// One less.
    pub(super) fn remove(&mut self, vmcs: PhysicalAddress) {
        match self.known().iter().position(|known| *known == vmcs) {
            // The last one takes its place. `swap` would bring code that panics.
            Some(place) => {
                self.known_count -= 1;
                let last = self.known.get(self.known_count).copied();
                if let (Some(last), Some(place)) = (last, self.known.get_mut(place)) {
                    *place = last;
                }
            }
            None => self.unknown = self.unknown.saturating_sub(1),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a set: the count is right with any number, and what is kept is active.
        #[test]
        fn it_counts_as_a_set_does(steps in prop::collection::vec((any::<bool>(), 1u64..100), 0..400)) {
            let mut active = ActiveVmcss::new();
            let mut model = BTreeSet::new();
            for (add, page) in steps {
                let vmcs = PhysicalAddress(page << 12);
                if add && model.insert(vmcs) {
                    active.add(vmcs);
                } else if !add && model.remove(&vmcs) {
                    active.remove(vmcs);
                }
                prop_assert_eq!(active.count(), model.len());
                let known: BTreeSet<_> = active.known().iter().copied().collect();
                prop_assert_eq!(known.len(), active.known().len());
                prop_assert!(known.is_subset(&model));
            }
        }
    }
}
