//! Map, unmap, protect and split pages.

use super::address::{GuestPhysicalAddress, Level, PageSize};
use super::entry::{self, Entry, PageEntry, TableEntry};
use super::entry_bits::{BY_CPU, EntryFlags};
use super::error::EptError;
use super::invalidation::{Invalidation, Need};
use super::table_memory::TableMemory;
use super::tables::{Ept, NewTables};
use super::walk::Slot;
use crate::memory::access::Memory;
use crate::memory::address::PhysicalAddress;
use crate::memory::page::PAGE_WORDS;

/// What [`Ept::map`] does where a page is mapped already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Existing {
    /// Refuse.
    Refuse,
    /// Put the new page in its place; split a larger one around it. Its accessed and
    /// dirty flags are forgotten: [`unmap`](Ept::unmap) returns them.
    Replace,
}

impl<M: TableMemory> Ept<M> {
    /// Maps a page. Takes [as many tables as are missing](Self::tables_to_map), at most
    /// four.
    ///
    /// # Errors
    /// What [`PageEntry::encode`] refuses; [`EptError::Misaligned`] and
    /// [`EptError::BeyondWidth`] for `at`; [`EptError::AlreadyMapped`] under
    /// [`Existing::Refuse`]; [`EptError::DividedBy`] where a table for smaller pages
    /// is; [`EptError::PageSize`] if the page to be split falls into pages that the CPU
    /// does not have; [`EptError::OutOfFrames`], [`EptError::NoMemory`],
    /// [`EptError::Misconfigured`]. Nothing has changed then. Only after
    /// [`EptError::ChangedMeanwhile`] a larger page may have been split.
    pub fn map(
        &mut self,
        at: GuestPhysicalAddress,
        page: PageEntry,
        existing: Existing,
    ) -> Result<Invalidation, EptError> {
        let mut tables = self.allocate(self.tables_to_map(at, page, existing)?)?;
        let invalidation = self.map_with(at, page, &mut tables);
        self.free(tables);
        invalidation
    }

    fn map_with(
        &mut self,
        at: GuestPhysicalAddress,
        page: PageEntry,
        tables: &mut NewTables,
    ) -> Result<Invalidation, EptError> {
        let raw = page.encode(&self.rules)?;
        let mut invalidation = Invalidation::NotNeeded;
        let mut slot = self.first_slot(at)?;
        while slot.level > page.size.level() {
            let table = match slot.entry {
                Entry::Table(table) => table.address,
                Entry::NotPresent => self.add_table(&slot, tables)?,
                Entry::Page(larger) => {
                    let table = self.split_slot(&slot, larger, tables)?;
                    invalidation = self.changed(Need::Required);
                    table
                }
            };
            let Some(below) = self.slot_below(&slot, table, at)? else { break };
            slot = below;
        }
        let need = match slot.entry {
            Entry::NotPresent => self.change(&slot, |_| raw).map(|_| Need::Nothing)?,
            Entry::Page(_) => Need::of_change(self.change(&slot, |_| raw)?, raw),
            Entry::Table(_) => return Err(slot.divided()),
        };
        Ok(invalidation.max(self.changed(need)))
    }

    /// Unmaps the page of this size at `at` and returns its last entry, with the
    /// accessed and dirty flags as they were in the end. Until the invalidation, a
    /// CPU may still use the page and set flags that nobody sees. Tables that are
    /// empty then are taken out, and go back to the memory
    /// [after the invalidation](Self::invalidated).
    ///
    /// # Errors
    /// [`EptError::NotMapped`], [`EptError::LargerPage`], [`EptError::DividedBy`], and
    /// those of a walk.
    pub fn unmap(
        &mut self,
        at: GuestPhysicalAddress,
        size: PageSize,
    ) -> Result<(PageEntry, Invalidation), EptError> {
        let (slot, page) = self.find(at, size)?;
        let page = self.unmap_slot(&slot, page)?;
        self.release_empty(at);
        Ok((page, self.pending()))
    }

    /// Makes the entry that maps `page` not present, and returns the page with the
    /// flags that it had in the end.
    pub(super) fn unmap_slot(
        &mut self,
        slot: &Slot,
        page: PageEntry,
    ) -> Result<PageEntry, EptError> {
        let old = self.change(slot, |_| self.absent)?;
        let _ = self.changed(Need::Required);
        let by_cpu = EntryFlags::from_bits_retain(old) & BY_CPU;
        Ok(PageEntry { flags: page.flags | by_cpu, ..page })
    }

    /// Gives the page of this size at `at` other flags. Accessed and dirty are not
    /// among them: they stay as the CPU left them.
    ///
    /// # Errors
    /// As [`unmap`](Self::unmap), and what [`PageEntry::encode`] refuses.
    pub fn protect(
        &mut self,
        at: GuestPhysicalAddress,
        size: PageSize,
        flags: EntryFlags,
    ) -> Result<Invalidation, EptError> {
        let (slot, page) = self.find(at, size)?;
        let raw = PageEntry { flags: flags.difference(BY_CPU), ..page }.encode(&self.rules)?;
        let new = |old| raw | (old & BY_CPU.bits());
        let old = self.change(&slot, new)?;
        Ok(self.changed(Need::of_change(old, new(old))))
    }

    /// Clears the accessed and dirty flags of the page of this size at `at` and
    /// returns those of the two that were set. A CPU sets them again for sure only
    /// after the invalidation.
    ///
    /// # Errors
    /// As [`unmap`](Self::unmap).
    pub fn clear_accessed_dirty(
        &mut self,
        at: GuestPhysicalAddress,
        size: PageSize,
    ) -> Result<(EntryFlags, Invalidation), EptError> {
        let (slot, _) = self.find(at, size)?;
        let new = |old| old & !BY_CPU.bits();
        let old = self.change(&slot, new)?;
        let invalidation = self.changed(Need::of_change(old, new(old)));
        Ok((EntryFlags::from_bits_retain(old) & BY_CPU, invalidation))
    }

    /// Splits the large page that `at` lies in into 512 pages of the next smaller
    /// size, which lead to the same memory with the same flags and memory type. Does
    /// nothing to a 4-KiB page. Takes one table.
    ///
    /// # Errors
    /// [`EptError::NotMapped`], [`EptError::PageSize`] if the CPU has no such pages,
    /// [`EptError::OutOfFrames`], and those of a walk.
    pub fn split(&mut self, at: GuestPhysicalAddress) -> Result<Invalidation, EptError> {
        self.check_width(at)?;
        let slot = self.walk(at, Level::PageTable)?;
        match slot.entry {
            Entry::Page(page) if page.size == PageSize::Size4KiB => Ok(Invalidation::NotNeeded),
            Entry::Page(page) => {
                self.check_parts(page.size)?;
                let mut tables = self.allocate(1)?;
                let split = self.split_slot(&slot, page, &mut tables);
                self.free(tables);
                split.map(|_| self.changed(Need::Required))
            }
            Entry::Table(_) | Entry::NotPresent => Err(EptError::NotMapped(slot.level)),
        }
    }

    /// Puts an empty table under an entry that is not present.
    fn add_table(&self, slot: &Slot, tables: &mut NewTables) -> Result<PhysicalAddress, EptError> {
        let table = tables.first()?;
        let entry = TableEntry::encode(table, &self.rules)?;
        self.table(table)?.fill(self.absent);
        self.change(slot, |_| entry)?;
        tables.take();
        Ok(table)
    }

    /// Puts a table with the parts of a large page in its place.
    fn split_slot(
        &self,
        slot: &Slot,
        page: PageEntry,
        tables: &mut NewTables,
    ) -> Result<PhysicalAddress, EptError> {
        let child = self.check_parts(page.size)?;
        let table = tables.first()?;
        let entry = TableEntry::encode(table, &self.rules)?;
        let parts = self.table(table)?;
        // Filled again if the CPU sets a flag of the large page in between.
        self.change(slot, |old| {
            for (index, number) in (0..PAGE_WORDS).zip(0..) {
                parts.write(index, entry::part(old, child, number));
            }
            entry
        })?;
        tables.take();
        Ok(table)
    }
}

impl<M: Memory> Ept<M> {
    /// The size of the parts that a page of this size falls into.
    pub(super) fn check_parts(&self, size: PageSize) -> Result<PageSize, EptError> {
        let child = size.level().below().and_then(Level::page_size);
        let child = child.ok_or(EptError::AlreadyMapped(size))?;
        if self.rules.capabilities.supports_page_size(child) {
            Ok(child)
        } else {
            Err(EptError::PageSize(child))
        }
    }

    /// The level whose entries map pages of this size, if one can be at `at`.
    pub(super) fn check_page(
        &self,
        at: GuestPhysicalAddress,
        size: PageSize,
    ) -> Result<Level, EptError> {
        self.check_width(at)?;
        if size.offset(at.0) != 0 {
            Err(EptError::Misaligned { address: at.0, size })
        } else if self.rules.capabilities.supports_page_size(size) {
            Ok(size.level())
        } else {
            Err(EptError::PageSize(size))
        }
    }

    /// The page of this size that is mapped at `at`.
    fn find(
        &self,
        at: GuestPhysicalAddress,
        size: PageSize,
    ) -> Result<(Slot, PageEntry), EptError> {
        let last = self.check_page(at, size)?;
        let slot = self.walk(at, last)?;
        match slot.entry {
            Entry::Page(page) if page.size == size => Ok((slot, page)),
            Entry::Page(page) => Err(EptError::LargerPage(page.size)),
            Entry::Table(_) => Err(slot.divided()),
            Entry::NotPresent => Err(EptError::NotMapped(slot.level)),
        }
    }
}

impl Slot {
    /// The error for an entry that references a table where a page was expected.
    pub(super) fn divided(&self) -> EptError {
        EptError::DividedBy(self.level.below().unwrap_or(self.level))
    }
}
