//! Unmapping a range, and taking tables out that are empty.

use super::address::{GuestPhysicalAddress, Level, PageSize};
use super::entry::{Entry, PageEntry};
use super::error::EptError;
use super::invalidation::Invalidation;
use super::mappings::Step;
use super::table_memory::TableMemory;
use super::tables::Ept;

impl<M: TableMemory> Ept<M> {
    /// Unmaps whatever is mapped in the `bytes` bytes at `at`, and hands each page to
    /// `removed` as it was in the end, with its address. Large pages that the range cuts
    /// are split before, for which it may take up to four tables. Tables that are empty
    /// then are taken out, also those that were before, and go back to the memory
    /// [after the invalidation](Self::invalidated).
    ///
    /// # Errors
    /// [`EptError::Misaligned`] unless both numbers are multiples of 4 KiB;
    /// [`EptError::BeyondWidth`]; those of [`split`](Self::split), after which nothing is
    /// unmapped; those of a walk, after which a part is. [`pending`](Self::pending) is
    /// what must be invalidated after an error.
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
    /// # ept.map_range(at, PhysicalAddress(1 << 30), 4 << 20, memory_type, all)?;
    /// let mut bytes = 0;
    /// let middle = GuestPhysicalAddress(0x1F_F000);
    /// let invalidation = ept.unmap_range(middle, 0x2000, |_, page| {
    ///     bytes += page.size.bytes(); // to be given back after the invalidation
    /// })?;
    /// assert!(invalidation.is_required());
    /// assert_eq!(bytes, 0x2000);
    /// assert!(ept.translate(middle).is_err());
    /// assert!(ept.translate(GuestPhysicalAddress(0x20_1000)).is_ok());
    /// # Ok::<(), EptError>(())
    /// ```
    pub fn unmap_range(
        &mut self,
        at: GuestPhysicalAddress,
        bytes: u64,
        mut removed: impl FnMut(GuestPhysicalAddress, PageEntry),
    ) -> Result<Invalidation, EptError> {
        for number in [at.0, bytes] {
            let size = PageSize::Size4KiB;
            if size.offset(number) != 0 {
                return Err(EptError::Misaligned { address: number, size });
            }
        }
        let before = self.pending();
        let end = self.end_of(at, bytes)?;
        if bytes != 0 {
            self.split_before(at.0)?;
            self.split_before(end)?;
        }
        let mut next = at.0;
        while next < end {
            let here = GuestPhysicalAddress(next);
            let Step { slot, after, leaves_table } = self.step(here, end)?;
            if let Entry::Page(page) = slot.entry {
                let page = self.unmap_slot(&slot, page)?;
                removed(here, page);
            }
            if leaves_table {
                self.release_empty(here);
            }
            next = after;
        }
        let after = self.pending();
        Ok(if after == before { Invalidation::NotNeeded } else { after })
    }

    /// Unmaps everything. Of the tables the root is left.
    ///
    /// # Errors
    /// Those of a walk, as [`unmap_range`](Self::unmap_range).
    pub fn clear(&mut self) -> Result<Invalidation, EptError> {
        self.unmap_range(GuestPhysicalAddress(0), 1 << self.width(), |_, _| {})
    }

    /// Splits pages until none contains both `address` and what is before it.
    fn split_before(&mut self, address: u64) -> Result<(), EptError> {
        // An end beyond what can be translated cuts nothing.
        while self.check_width(GuestPhysicalAddress(address)).is_ok() {
            let at = GuestPhysicalAddress(address);
            match self.walk(at, Level::PageTable)?.entry {
                Entry::Page(page) if page.size.offset(address) != 0 => {
                    let _ = self.split(at)?;
                }
                _ => break,
            }
        }
        Ok(())
    }

    /// Takes the tables on the way to `at` out that are empty, from the lowest up; never
    /// the root. One that cannot be taken out stays, and maps nothing.
    pub(super) fn release_empty(&mut self, at: GuestPhysicalAddress) {
        while !self.is_sharing {
            let Ok(true) = self.release_lowest(at) else { return };
        }
    }

    /// Whether the lowest table on the way to `at` was empty, and is taken out.
    fn release_lowest(&mut self, at: GuestPhysicalAddress) -> Result<bool, EptError> {
        let mut slot = self.first_slot(at)?;
        let mut lowest = None;
        while let Entry::Table(table) = slot.entry {
            let Some(below) = self.slot_below(&slot, table.address, at)? else { break };
            lowest = Some((slot, table.address));
            slot = below;
        }
        match lowest {
            Some((reference, table)) if self.is_empty(self.table(table)?) => {
                self.change(&reference, |_| self.absent)?;
                let _ = self.retire(table);
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}
