//! A walk through the tables, and translation.

use core::sync::atomic::{Ordering, fence};

use super::address::{GuestPhysicalAddress, Level, PageSize};
use super::entry::Entry;
use super::entry_bits::{BY_CPU, EntryFlags};
use super::error::EptError;
use super::memory_type::MemoryType;
use super::tables::Ept;
use crate::memory::access::Memory;
use crate::memory::address::PhysicalAddress;

/// Where a guest-physical address leads. Source: SDM, "EPT Translation Mechanism".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    /// The physical address.
    pub address: PhysicalAddress,
    /// The size of the page that it lies in.
    pub size: PageSize,
    /// The memory type in the entry that maps the page.
    pub memory_type: MemoryType,
    /// The flags of the entry that maps the page; of the rights (read, write,
    /// execute, user execute) those that every entry on the way gives, too.
    pub flags: EntryFlags,
    /// A supervisor shadow-stack access is possible where EPTP\[7\] is 1: every entry
    /// is readable, those that reference tables are writable, and bit 60 is set.
    pub supervisor_shadow_stack: bool,
}

/// An entry in its table, as it was read.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    /// The table that it is in.
    pub(super) table: PhysicalAddress,
    pub(super) index: usize,
    pub(super) level: Level,
    raw: u64,
    pub(super) entry: Entry,
    /// The rights that all tables on the way to it give.
    rights: EntryFlags,
}

impl<M: Memory> Ept<M> {
    /// Where a guest-physical address leads, without regard to what the CPU has
    /// cached. Changes nothing, accessed and dirty flags included.
    ///
    /// # Errors
    /// [`EptError::NotMapped`], [`EptError::Misconfigured`], [`EptError::NoMemory`],
    /// [`EptError::BeyondWidth`].
    pub fn translate(&self, at: GuestPhysicalAddress) -> Result<Translation, EptError> {
        self.check_width(at)?;
        let slot = self.walk(at, Level::PageTable)?;
        let Entry::Page(page) = slot.entry else {
            return Err(EptError::NotMapped(slot.level));
        };
        let readable_writable = EntryFlags::READ | EntryFlags::WRITE;
        let wanted = EntryFlags::READ | EntryFlags::SUPERVISOR_SHADOW_STACK;
        let taken_away = self.rules.rights().difference(slot.rights);
        Ok(Translation {
            address: PhysicalAddress(page.address.0 | page.size.offset(at.0)),
            size: page.size,
            memory_type: page.memory_type,
            flags: page.flags.difference(taken_away),
            supervisor_shadow_stack: slot.rights.contains(readable_writable)
                && page.flags.contains(wanted),
        })
    }

    /// Walks from the root to an entry that maps a page or is not present, or to the
    /// level `last`. Ends whatever the tables hold: each step goes down one level.
    pub(super) fn walk(&self, at: GuestPhysicalAddress, last: Level) -> Result<Slot, EptError> {
        let mut slot = self.first_slot(at)?;
        while slot.level > last {
            let Entry::Table(table) = slot.entry else { break };
            let Some(below) = self.slot_below(&slot, table.address, at)? else { break };
            slot = below;
        }
        Ok(slot)
    }

    /// The entry of the top-level table.
    pub(super) fn first_slot(&self, at: GuestPhysicalAddress) -> Result<Slot, EptError> {
        self.slot(self.pointer.root(), self.top, at, self.rules.rights())
    }

    /// The entry of the table at `table`, which `slot` references; `None` below an
    /// EPT page table.
    pub(super) fn slot_below(
        &self,
        slot: &Slot,
        table: PhysicalAddress,
        at: GuestPhysicalAddress,
    ) -> Result<Option<Slot>, EptError> {
        let Some(below) = slot.level.below() else { return Ok(None) };
        let rights = match slot.entry {
            Entry::Table(entry) => slot.rights & entry.flags,
            // The table has just been made, and limits nothing.
            Entry::NotPresent | Entry::Page(_) => slot.rights,
        };
        self.slot(table, below, at, rights).map(Some)
    }

    fn slot(
        &self,
        table: PhysicalAddress,
        level: Level,
        at: GuestPhysicalAddress,
        rights: EntryFlags,
    ) -> Result<Slot, EptError> {
        let index = level.index(at);
        let raw = self.table(table)?.read(index);
        // With the release fence in `change`: whoever sees the entry sees complete what
        // it refers to.
        fence(Ordering::Acquire);
        let entry = Entry::decode(raw, level, &self.rules)
            .map_err(|reason| EptError::Misconfigured { level, reason })?;
        Ok(Slot { table, index, level, raw, entry, rights })
    }

    /// Changes an entry to what `new` makes of it, as one atomic step, and returns
    /// what it was. `new` is asked again if a CPU sets a flag in between; after both
    /// there is nothing left for a CPU to set.
    pub(super) fn change(
        &self,
        slot: &Slot,
        mut new: impl FnMut(u64) -> u64,
    ) -> Result<u64, EptError> {
        let page = self.table(slot.table)?;
        let mut old = slot.raw;
        for _ in 0..3 {
            let wanted = new(old);
            // Whatever the new entry refers to is complete before it can be seen.
            fence(Ordering::Release);
            match page.compare_exchange(slot.index, old, wanted) {
                Ok(()) => return Ok(old),
                Err(now) if (now ^ old) & !BY_CPU.bits() == 0 => old = now,
                Err(_) => return Err(EptError::ChangedMeanwhile),
            }
        }
        Err(EptError::ChangedMeanwhile)
    }

    /// How many bits of a guest-physical address the tables can translate: 48 with four
    /// levels, 57 with five, and never more than a physical address has.
    pub(super) const fn width(&self) -> u32 {
        let walk = if matches!(self.top, Level::Pml5) { 57 } else { 48 };
        let bits = self.rules.width();
        if bits < walk { bits } else { walk }
    }

    /// Whether the tables can translate the address.
    pub(super) const fn check_width(&self, at: GuestPhysicalAddress) -> Result<(), EptError> {
        let bits = self.width();
        if at.0 >> bits == 0 { Ok(()) } else { Err(EptError::BeyondWidth { address: at.0, bits }) }
    }
}
