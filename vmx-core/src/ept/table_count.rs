//! How many tables an operation will take, without doing it.

use core::ops::Range;

use super::address::GuestPhysicalAddress;
use super::change::Existing;
use super::entry::{Entry, PageEntry};
use super::entry_bits::EntryFlags;
use super::error::EptError;
use super::memory_type::MemoryType;
use super::mtrr::Mtrrs;
use super::range::Pieces;
use super::tables::Ept;
use super::walk::Slot;
use crate::memory::access::Memory;
use crate::memory::address::PhysicalAddress;

impl<M: Memory> Ept<M> {
    /// How many tables [`map`](Self::map) takes out of the memory, exactly, as the tables
    /// are now. Changes nothing.
    ///
    /// # Errors
    /// Those of [`map`](Self::map) that have nothing to do with the new tables.
    pub fn tables_to_map(
        &self,
        at: GuestPhysicalAddress,
        page: PageEntry,
        existing: Existing,
    ) -> Result<usize, EptError> {
        let slot = self.place_for(at, page, existing)?;
        Ok(slot.level as usize - page.size.level() as usize)
    }

    /// How many tables [`map_range`](Self::map_range) takes out of the memory, exactly, as
    /// the tables are now. Changes nothing.
    ///
    /// # Errors
    /// Those of [`map_range`](Self::map_range) that have nothing to do with the new tables.
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
    /// // 3 MiB: a directory-pointer table, a directory, and a table for the last one.
    /// let (at, address) = (GuestPhysicalAddress(0), PhysicalAddress(1 << 30));
    /// let (bytes, all) = (3 << 20, EntryFlags::ALL_ACCESS);
    /// let count = ept.tables_to_map_range(at, address, bytes, memory_type, all)?;
    /// assert_eq!(count, 3);
    /// let before = ept.memory().available();
    /// ept.map_range(at, address, bytes, memory_type, all)?;
    /// assert_eq!(before - ept.memory().available(), count);
    /// # Ok::<(), EptError>(())
    /// ```
    pub fn tables_to_map_range(
        &self,
        at: GuestPhysicalAddress,
        address: PhysicalAddress,
        bytes: u64,
        memory_type: MemoryType,
        flags: EntryFlags,
    ) -> Result<usize, EptError> {
        let memory_type = |_, _| Some(memory_type);
        self.count_tables(&Pieces { at, address, bytes, flags, memory_type: &memory_type })
    }

    /// How many tables [`map_identity`](Self::map_identity) takes out of the memory,
    /// exactly, as the tables are now. Changes nothing.
    ///
    /// # Errors
    /// As [`tables_to_map_range`](Self::tables_to_map_range).
    pub fn tables_to_map_identity(
        &self,
        range: Range<PhysicalAddress>,
        flags: EntryFlags,
        mtrrs: &Mtrrs,
    ) -> Result<usize, EptError> {
        let memory_type = |address, size| mtrrs.memory_type(address, size);
        self.count_tables(&Pieces::identity(range, flags, &memory_type))
    }

    /// The entry at which the tables end on the way to where `page` shall be mapped.
    fn place_for(
        &self,
        at: GuestPhysicalAddress,
        page: PageEntry,
        existing: Existing,
    ) -> Result<Slot, EptError> {
        let last = self.check_page(at, page.size)?;
        page.encode(&self.rules)?;
        let slot = self.walk(at, last)?;
        match slot.entry {
            Entry::NotPresent => Ok(slot),
            Entry::Table(_) => Err(slot.divided()),
            Entry::Page(found) if existing == Existing::Refuse => {
                Err(EptError::AlreadyMapped(found.size))
            }
            Entry::Page(found) => {
                let mut size = found.size;
                while size > page.size {
                    size = self.check_parts(size)?;
                }
                Ok(slot)
            }
        }
    }

    fn count_tables(&self, pieces: &Pieces<'_>) -> Result<usize, EptError> {
        let mut count = 0;
        // Of each level, the table that was counted last: its number in the order of
        // addresses. The pieces come in that order, so it is not counted again.
        let mut last_counted = [None; 6];
        pieces.for_each(&self.rules, |at, page| {
            let slot = self.place_for(at, page, Existing::Refuse)?;
            for level in page.size.level() as usize..slot.level as usize {
                let number = Some(at.0 >> (3 + 9 * (level + 1)));
                if let Some(last) = last_counted.get_mut(level).filter(|last| **last != number) {
                    *last = number;
                    count += 1;
                }
            }
            Ok(())
        })?;
        Ok(count)
    }
}
