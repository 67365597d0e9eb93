//! Tables that are out of the tree, and that a CPU may still walk.

use super::address::ADDRESS;
use crate::memory::access::Memory;
use crate::memory::address::PhysicalAddress;

/// The retired tables, the first one first.
///
/// A CPU that has cached the way to a retired table walks it until it executes INVEPT.
/// So the table stays one in which nothing is present, and the list of them stands in
/// bits that the CPU does not look at: bits 51:12 of its first entry, which is not
/// present, are the address of the next. Source: SDM, "EPT Translation Mechanism", the
/// tables of formats.
#[derive(Debug)]
pub(super) struct Retired {
    first: PhysicalAddress,
    last: PhysicalAddress,
    /// How many there have been.
    added: u64,
    /// How many of these have left.
    taken: u64,
}

impl Retired {
    pub(super) const NONE: Self =
        Self { first: PhysicalAddress(0), last: PhysicalAddress(0), added: 0, taken: 0 };

    /// How many tables have ever been retired.
    pub(super) const fn added(&self) -> u64 {
        self.added
    }

    /// How many have ever left.
    pub(super) const fn taken(&self) -> u64 {
        self.taken
    }

    /// Appends a table whose entries are all not present: `absent`.
    pub(super) fn add<M: Memory>(&mut self, memory: &M, table: PhysicalAddress, absent: u64) {
        if self.added == self.taken {
            self.first = table;
        } else if let Some(last) = memory.page(self.last) {
            last.write(0, absent | table.0);
        }
        self.last = table;
        self.added += 1;
    }

    /// Takes the first one out.
    pub(super) fn take<M: Memory>(&mut self, memory: &M) -> Option<PhysicalAddress> {
        if self.added == self.taken {
            return None;
        }
        let table = self.first;
        self.taken += 1;
        let next = memory.page(table).map_or(0, |page| page.read(0));
        self.first = PhysicalAddress(next & ADDRESS);
        Some(table)
    }
}
