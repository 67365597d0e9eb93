//! Map, unmap, protect, split, and release of a table.

use crate::ept::entry;
use crate::ept::walk::Slot;
use crate::ept::{
    Entry, EntryFlags, Ept, EptError, GuestPhysicalAddress, Invalidation, Level, PageEntry,
    PageSize, TableEntry,
};
use crate::memory::access::Memory;
use crate::memory::address::PhysicalAddress;
use crate::memory::page::{PAGE_WORDS, Page};

/// What [`Ept::map`] does where a page is mapped already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Existing {
    /// Refuse.
    Refuse,
    /// Put the new page in its place; split a larger one around it. Its accessed and
    /// dirty flags are forgotten: [`unmap`](Ept::unmap) returns them.
    Replace,
}

/// Flags that the CPU owns where EPTP\[6\] is 1.
const BY_CPU: EntryFlags = EntryFlags::ACCESSED.union(EntryFlags::DIRTY);

impl<'m, M: Memory + ?Sized> Ept<'m, M> {
    /// Maps a page. `frames` gives frames for the tables that are missing, up to
    /// four; they are overwritten.
    ///
    /// # Errors
    /// What [`PageEntry::encode`] refuses; [`EptError::Misaligned`] and
    /// [`EptError::BeyondWidth`] for `at`; [`EptError::AlreadyMapped`] under
    /// [`Existing::Refuse`]; [`EptError::DividedBy`] where a table for smaller pages
    /// is; [`EptError::OutOfFrames`], [`EptError::NoMemory`],
    /// [`EptError::Misconfigured`], [`EptError::ChangedMeanwhile`]. Under
    /// [`Existing::Replace`] a larger page may have been split before the error.
    pub fn map(
        &self,
        at: GuestPhysicalAddress,
        page: PageEntry,
        existing: Existing,
        frames: &mut dyn Iterator<Item = PhysicalAddress>,
    ) -> Result<Invalidation, EptError> {
        let last = self.check_page(at, page.size)?;
        let raw = page.encode(&self.rules)?;
        let mut invalidation = Invalidation::NotNeeded;
        let mut slot = self.first_slot(at)?;
        while slot.level > last {
            let table = match slot.entry {
                Entry::Table(table) => table.address,
                Entry::NotPresent => self.add_table(&slot, frames)?,
                Entry::Page(found) if existing == Existing::Refuse => {
                    return Err(EptError::AlreadyMapped(found.size));
                }
                Entry::Page(found) => {
                    invalidation = Invalidation::Required;
                    self.split_slot(&slot, found, frames)?
                }
            };
            let Some(below) = self.slot_below(&slot, table, at)? else { break };
            slot = below;
        }
        match slot.entry {
            Entry::NotPresent => {
                slot.change(|_| raw)?;
            }
            Entry::Page(_) if existing == Existing::Replace => {
                let old = slot.change(|_| raw)?;
                invalidation = invalidation.max(Invalidation::of_change(old, raw));
            }
            Entry::Page(found) => return Err(EptError::AlreadyMapped(found.size)),
            Entry::Table(_) => return Err(divided(&slot)),
        }
        Ok(invalidation)
    }

    /// Unmaps the page of this size at `at` and returns its last entry, with the
    /// accessed and dirty flags as they were in the end. Until the invalidation, a
    /// CPU may still use the page and set flags that nobody sees.
    ///
    /// # Errors
    /// [`EptError::NotMapped`], [`EptError::LargerPage`], [`EptError::DividedBy`], and
    /// those of a walk.
    pub fn unmap(
        &self,
        at: GuestPhysicalAddress,
        size: PageSize,
    ) -> Result<(PageEntry, Invalidation), EptError> {
        let (slot, page) = self.find(at, size)?;
        let old = slot.change(|_| self.absent)?;
        Ok((with_flags_of(page, old), Invalidation::Required))
    }

    /// Gives the page of this size at `at` other flags. Accessed and dirty are not
    /// among them: they stay as the CPU left them.
    ///
    /// # Errors
    /// As [`unmap`](Self::unmap), and what [`PageEntry::encode`] refuses.
    pub fn protect(
        &self,
        at: GuestPhysicalAddress,
        size: PageSize,
        flags: EntryFlags,
    ) -> Result<Invalidation, EptError> {
        let (slot, page) = self.find(at, size)?;
        let raw = PageEntry { flags: flags.difference(BY_CPU), ..page }.encode(&self.rules)?;
        let new = |old| raw | (old & BY_CPU.bits());
        let old = slot.change(new)?;
        Ok(Invalidation::of_change(old, new(old)))
    }

    /// Clears the accessed and dirty flags of the page of this size at `at` and
    /// returns those of the two that were set. A CPU sets them again for sure only
    /// after the invalidation.
    ///
    /// # Errors
    /// As [`unmap`](Self::unmap).
    pub fn clear_accessed_dirty(
        &self,
        at: GuestPhysicalAddress,
        size: PageSize,
    ) -> Result<(EntryFlags, Invalidation), EptError> {
        let (slot, _) = self.find(at, size)?;
        let new = |old| old & !BY_CPU.bits();
        let old = slot.change(new)?;
        Ok((EntryFlags::from_bits_retain(old) & BY_CPU, Invalidation::of_change(old, new(old))))
    }

    /// Splits the large page that `at` lies in into 512 pages of the next smaller
    /// size, which lead to the same memory with the same flags and memory type. Does
    /// nothing to a 4-KiB page. Takes one frame.
    ///
    /// # Errors
    /// [`EptError::NotMapped`], [`EptError::PageSize`] if the CPU has no such pages,
    /// [`EptError::OutOfFrames`], and those of a walk.
    pub fn split(
        &self,
        at: GuestPhysicalAddress,
        frames: &mut dyn Iterator<Item = PhysicalAddress>,
    ) -> Result<Invalidation, EptError> {
        self.check_width(at)?;
        let slot = self.walk(at, Level::PageTable)?;
        match slot.entry {
            Entry::Page(page) if page.size == PageSize::Size4KiB => Ok(Invalidation::NotNeeded),
            Entry::Page(page) => {
                self.split_slot(&slot, page, frames)?;
                Ok(Invalidation::Required)
            }
            Entry::Table(_) | Entry::NotPresent => Err(EptError::NotMapped(slot.level)),
        }
    }

    /// Takes the table that divides the region of this size at `at` into smaller ones
    /// out of the tables and returns its frame, which is free for other use after the
    /// invalidation. A page of the size can then be mapped there.
    ///
    /// # Errors
    /// [`EptError::NotMapped`] and [`EptError::AlreadyMapped`] if there is no such
    /// table, [`EptError::DividedBy`] if it is not empty, and those of a walk.
    pub fn release_table(
        &self,
        at: GuestPhysicalAddress,
        size: PageSize,
    ) -> Result<(PhysicalAddress, Invalidation), EptError> {
        let last = self.check_page(at, size)?;
        let slot = self.walk(at, last)?;
        let table = match slot.entry {
            Entry::Table(table) => table.address,
            Entry::NotPresent => return Err(EptError::NotMapped(slot.level)),
            Entry::Page(page) => return Err(EptError::AlreadyMapped(page.size)),
        };
        let page = self.table(table)?;
        if (0..PAGE_WORDS).any(|index| self.rules.is_present(page.read(index))) {
            return Err(divided(&slot));
        }
        slot.change(|_| self.absent)?;
        Ok((table, Invalidation::Required))
    }

    /// The level whose entries map pages of this size, if one can be at `at`.
    fn check_page(&self, at: GuestPhysicalAddress, size: PageSize) -> Result<Level, EptError> {
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
    ) -> Result<(Slot<'m>, PageEntry), EptError> {
        let last = self.check_page(at, size)?;
        let slot = self.walk(at, last)?;
        match slot.entry {
            Entry::Page(page) if page.size == size => Ok((slot, page)),
            Entry::Page(page) => Err(EptError::LargerPage(page.size)),
            Entry::Table(_) => Err(divided(&slot)),
            Entry::NotPresent => Err(EptError::NotMapped(slot.level)),
        }
    }

    /// Puts an empty table under an entry that is not present.
    fn add_table(
        &self,
        slot: &Slot<'m>,
        frames: &mut dyn Iterator<Item = PhysicalAddress>,
    ) -> Result<PhysicalAddress, EptError> {
        let (frame, entry) = self.take_frame(frames)?;
        self.table(frame)?.fill(self.absent);
        slot.change(|_| entry)?;
        Ok(frame)
    }

    /// Puts a table with the parts of a large page in its place.
    fn split_slot(
        &self,
        slot: &Slot<'m>,
        page: PageEntry,
        frames: &mut dyn Iterator<Item = PhysicalAddress>,
    ) -> Result<PhysicalAddress, EptError> {
        let Some(child) = slot.level.below().and_then(Level::page_size) else {
            return Err(EptError::AlreadyMapped(page.size));
        };
        if !self.rules.capabilities.supports_page_size(child) {
            return Err(EptError::PageSize(child));
        }
        let (frame, entry) = self.take_frame(frames)?;
        let table = self.table(frame)?;
        // Filled again if the CPU sets a flag of the large page in between.
        slot.change(|old| {
            for (index, number) in (0..PAGE_WORDS).zip(0..) {
                table.write(index, entry::part(old, child, number));
            }
            entry
        })?;
        Ok(frame)
    }

    /// A frame, and the entry that references it as a table.
    fn take_frame(
        &self,
        frames: &mut dyn Iterator<Item = PhysicalAddress>,
    ) -> Result<(PhysicalAddress, u64), EptError> {
        let frame = frames.next().ok_or(EptError::OutOfFrames)?;
        Ok((frame, TableEntry::encode(frame, &self.rules)?))
    }

    fn table(&self, address: PhysicalAddress) -> Result<&'m Page, EptError> {
        self.memory.page(address).ok_or(EptError::NoMemory(address))
    }
}

/// The error for an entry that references a table where a page was expected.
fn divided(slot: &Slot<'_>) -> EptError {
    EptError::DividedBy(slot.level.below().unwrap_or(slot.level))
}

/// The page with the accessed and dirty flags of a raw entry.
fn with_flags_of(page: PageEntry, raw: u64) -> PageEntry {
    let by_cpu = EntryFlags::from_bits_retain(raw) & BY_CPU;
    PageEntry { flags: page.flags | by_cpu, ..page }
}
