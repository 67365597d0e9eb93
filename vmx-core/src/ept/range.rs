//! Ranges of guest-physical memory, and the identity map.

use core::ops::Range;

use super::address::{GuestPhysicalAddress, PageSize};
use super::change::Existing;
use super::entry::PageEntry;
use super::entry_bits::EntryFlags;
use super::error::EptError;
use super::memory_type::MemoryType;
use super::mtrr::Mtrrs;
use super::rules::EptRules;
use super::table_memory::TableMemory;
use super::tables::Ept;
use crate::memory::address::PhysicalAddress;

impl<M: TableMemory> Ept<M> {
    /// Maps `bytes` bytes at `at` to the physical memory from `address` on, with the
    /// largest pages that fit. Refuses overlap, so nothing has to be invalidated. Takes
    /// [as many tables as are missing](Self::tables_to_map_range).
    ///
    /// # Errors
    /// [`EptError::Misaligned`] unless all three numbers are multiples of 4 KiB; those
    /// of [`map`](Self::map). What was mapped before the error stays.
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
    /// // 3 MiB of memory for the guest: one page of 2 MiB and 256 small ones.
    /// ept.map_range(
    ///     GuestPhysicalAddress(0),
    ///     PhysicalAddress(0x4000_0000),
    ///     3 << 20,
    ///     MemoryType::WriteBack,
    ///     EntryFlags::ALL_ACCESS,
    /// )?;
    /// assert_eq!(ept.translate(GuestPhysicalAddress(0))?.size, PageSize::Size2MiB);
    /// assert_eq!(ept.translate(GuestPhysicalAddress(2 << 20))?.size, PageSize::Size4KiB);
    /// assert!(ept.translate(GuestPhysicalAddress(3 << 20)).is_err());
    /// # Ok::<(), EptError>(())
    /// ```
    pub fn map_range(
        &mut self,
        at: GuestPhysicalAddress,
        address: PhysicalAddress,
        bytes: u64,
        memory_type: MemoryType,
        flags: EntryFlags,
    ) -> Result<(), EptError> {
        let memory_type = |_, _| Some(memory_type);
        self.map_pieces(&Pieces { at, address, bytes, flags, memory_type: &memory_type })
    }

    /// Maps the physical memory of `range` to itself, with the memory types that the
    /// MTRRs give it: for a hypervisor under a running system, which EPT shall not
    /// notice. Where types meet, smaller pages are used. Takes
    /// [as many tables as are missing](Self::tables_to_map_identity).
    ///
    /// # Errors
    /// As [`map_range`](Self::map_range).
    pub fn map_identity(
        &mut self,
        range: Range<PhysicalAddress>,
        flags: EntryFlags,
        mtrrs: &Mtrrs,
    ) -> Result<(), EptError> {
        let memory_type = |address, size| mtrrs.memory_type(address, size);
        self.map_pieces(&Pieces::identity(range, flags, &memory_type))
    }

    fn map_pieces(&mut self, pieces: &Pieces<'_>) -> Result<(), EptError> {
        let rules = self.rules;
        // Nothing was mapped there before, so nothing has to be invalidated.
        pieces.for_each(&rules, |at, page| self.map(at, page, Existing::Refuse).map(|_| ()))
    }
}

/// A range to be mapped with the largest pages that fit.
pub(super) struct Pieces<'a> {
    pub(super) at: GuestPhysicalAddress,
    pub(super) address: PhysicalAddress,
    pub(super) bytes: u64,
    pub(super) flags: EntryFlags,
    /// The memory type of a page; `None` if its parts have different ones.
    pub(super) memory_type: &'a dyn Fn(PhysicalAddress, PageSize) -> Option<MemoryType>,
}

impl<'a> Pieces<'a> {
    /// Physical memory mapped to itself.
    pub(super) fn identity(
        range: Range<PhysicalAddress>,
        flags: EntryFlags,
        memory_type: &'a dyn Fn(PhysicalAddress, PageSize) -> Option<MemoryType>,
    ) -> Self {
        let bytes = range.end.0.saturating_sub(range.start.0);
        let at = GuestPhysicalAddress(range.start.0);
        Self { at, address: range.start, bytes, flags, memory_type }
    }

    /// Hands one page after the other to `put`, in ascending order of addresses. If it
    /// answers that a table divides the region, smaller pages are tried.
    pub(super) fn for_each(
        &self,
        rules: &EptRules,
        mut put: impl FnMut(GuestPhysicalAddress, PageEntry) -> Result<(), EptError>,
    ) -> Result<(), EptError> {
        let size = PageSize::Size4KiB;
        for number in [self.at.0, self.address.0, self.bytes] {
            if size.offset(number) != 0 {
                return Err(EptError::Misaligned { address: number, size });
            }
        }
        let mut done = 0;
        while done < self.bytes {
            let beyond = |address| EptError::BeyondWidth { address, bits: rules.width() };
            let at = self.at.0.checked_add(done).ok_or(beyond(self.at.0))?;
            let address = self.address.0.checked_add(done).ok_or(beyond(self.address.0))?;
            done += self.largest(
                GuestPhysicalAddress(at),
                PhysicalAddress(address),
                self.bytes - done,
                rules,
                &mut put,
            )?;
        }
        Ok(())
    }

    /// Hands out the largest page that fits, and returns its size in bytes.
    fn largest(
        &self,
        at: GuestPhysicalAddress,
        address: PhysicalAddress,
        bytes: u64,
        rules: &EptRules,
        put: &mut impl FnMut(GuestPhysicalAddress, PageEntry) -> Result<(), EptError>,
    ) -> Result<u64, EptError> {
        for size in PageSize::LARGEST_FIRST {
            let fits = rules.capabilities.supports_page_size(size)
                && size.offset(at.0 | address.0) == 0
                && size.bytes() <= bytes;
            let memory_type = match (self.memory_type)(address, size) {
                Some(memory_type) if fits => memory_type,
                // The smallest page has one type.
                None if fits && size == PageSize::Size4KiB => MemoryType::Uncacheable,
                _ => continue,
            };
            match put(at, PageEntry { address, size, memory_type, flags: self.flags }) {
                // Smaller pages fit in.
                Err(EptError::DividedBy(_)) if size != PageSize::Size4KiB => {}
                Ok(()) => return Ok(size.bytes()),
                Err(error) => return Err(error),
            }
        }
        // Not reached: what is aligned to 4 KiB and not empty holds a 4-KiB page.
        Err(EptError::Misaligned { address: at.0, size: PageSize::Size4KiB })
    }
}
