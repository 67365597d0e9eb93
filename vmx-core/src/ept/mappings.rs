//! What is mapped in a range, one entry after the other.

use super::address::{GuestPhysicalAddress, Level};
use super::entry::{Entry, PageEntry};
use super::error::EptError;
use super::tables::Ept;
use super::walk::Slot;
use crate::memory::access::Memory;
use crate::memory::page::PAGE_WORDS;

/// One step over a range.
pub(super) struct Step {
    /// The entry that decides about the address: a page, or not present.
    pub(super) slot: Slot,
    /// Where to go on: at the next entry of the table that is present, behind the
    /// table, or at the end of the range.
    pub(super) after: u64,
    /// The next step is in another table, or there is none.
    pub(super) leaves_table: bool,
}

impl<M: Memory> Ept<M> {
    /// The pages of which a part is mapped in the `bytes` bytes at `at`, in ascending
    /// order, each with the guest-physical address at which it begins.
    ///
    /// After an error the iterator ends.
    ///
    /// ```
    /// # use vmx_core::{Page, PhysicalAddress};
    /// # use vmx_core::ept::*;
    /// # use vmx_core::memory::Physical;
    /// # let pages = [const { Page::new() }; 8];
    /// # let pages = Physical::new(&pages[..], PhysicalAddress(0x10_0000));
    /// # let rules = EptRules::new(EptVpidCapabilities::from_bits_retain(0x0673_4141), 46);
    /// # let (top, memory_type) = (Level::Pml4, MemoryType::WriteBack);
    /// # let flags = EptPointerFlags::default();
    /// # let mut ept = Ept::new(TablePages::new(pages), top, memory_type, flags, rules)?;
    /// # let (at, all) = (GuestPhysicalAddress(0), EntryFlags::ALL_ACCESS);
    /// ept.map_range(at, PhysicalAddress(1 << 30), 2 << 20, memory_type, all)?;
    /// for found in ept.mappings(at, u64::MAX) {
    ///     let (at, page) = found?;
    ///     assert_eq!((at.0, page.address.0, page.size), (0, 1 << 30, PageSize::Size2MiB));
    /// }
    /// # assert_eq!(ept.mappings(at, u64::MAX).count(), 1);
    /// # Ok::<(), EptError>(())
    /// ```
    pub fn mappings(
        &self,
        at: GuestPhysicalAddress,
        bytes: u64,
    ) -> impl Iterator<Item = Result<(GuestPhysicalAddress, PageEntry), EptError>> {
        let end = at.0.saturating_add(bytes).min(1 << self.width());
        let mut next = at.0;
        core::iter::from_fn(move || {
            while next < end {
                let here = next;
                match self.step(GuestPhysicalAddress(here), end) {
                    Ok(Step { slot, after, .. }) => {
                        next = after;
                        if let Entry::Page(page) = slot.entry {
                            let start = here - page.size.offset(here);
                            return Some(Ok((GuestPhysicalAddress(start), page)));
                        }
                    }
                    Err(error) => {
                        next = end;
                        return Some(Err(error));
                    }
                }
            }
            None
        })
    }

    /// The entry for `at`, and where to go on before `end`.
    pub(super) fn step(&self, at: GuestPhysicalAddress, end: u64) -> Result<Step, EptError> {
        let slot = self.walk(at, Level::PageTable)?;
        let table = self.table(slot.table)?;
        let shift = slot.level.shift();
        let mut after = ((at.0 >> shift) + 1) << shift;
        let mut leaves_table = true;
        for index in slot.index + 1..PAGE_WORDS {
            if after >= end || self.rules.is_present(table.read(index)) {
                leaves_table = after >= end;
                break;
            }
            after += 1 << shift;
        }
        Ok(Step { slot, after: after.min(end), leaves_table })
    }

    /// The end of a range that the tables can translate.
    pub(super) fn end_of(&self, at: GuestPhysicalAddress, bytes: u64) -> Result<u64, EptError> {
        let bits = self.width();
        match at.0.checked_add(bytes) {
            Some(end) if end <= 1 << bits => Ok(end),
            _ => Err(EptError::BeyondWidth { address: at.0.max(1 << bits), bits }),
        }
    }
}
