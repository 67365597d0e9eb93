//! Ranges of guest-physical memory, and the identity map.

use core::ops::Range;

use crate::ept::{
    EntryFlags, Ept, EptError, Existing, GuestPhysicalAddress, MemoryType, Mtrrs, PageEntry,
    PageSize,
};
use crate::memory::access::Memory;
use crate::memory::address::PhysicalAddress;

impl<M: Memory + ?Sized> Ept<'_, M> {
    /// Maps `bytes` bytes at `at` to the physical memory from `address` on, with the
    /// largest pages that fit. Refuses overlap, so nothing has to be invalidated.
    ///
    /// # Errors
    /// [`EptError::Misaligned`] unless all three numbers are multiples of 4 KiB; those
    /// of [`map`](Self::map). What was mapped before the error stays.
    ///
    /// ```
    /// # use vmx_core::ept::*;
    /// # use vmx_core::{Page, PhysicalAddress};
    /// # let pages: Vec<Page> = (0..8).map(|_| Page::new()).collect();
    /// # let tables = TablePages::new(&pages, PhysicalAddress(0x10_0000));
    /// # let rules = EptRules::new(EptVpidCapabilities::from_bits_retain(0x0673_4141), 46);
    /// # let mut frames = tables.frames();
    /// # let root = frames.next().unwrap();
    /// # let pointer = EptPointer::new(
    /// #     root, Level::Pml4, MemoryType::WriteBack, EptPointerFlags::default(), &rules)?;
    /// # let ept = Ept::empty(&tables, pointer, rules)?;
    /// // 3 MiB of memory for the guest: one page of 2 MiB and 256 small ones.
    /// ept.map_range(
    ///     GuestPhysicalAddress(0),
    ///     PhysicalAddress(0x4000_0000),
    ///     3 << 20,
    ///     MemoryType::WriteBack,
    ///     EntryFlags::ALL_ACCESS,
    ///     &mut frames,
    /// )?;
    /// assert_eq!(ept.translate(GuestPhysicalAddress(0))?.size, PageSize::Size2MiB);
    /// assert_eq!(ept.translate(GuestPhysicalAddress(2 << 20))?.size, PageSize::Size4KiB);
    /// assert!(ept.translate(GuestPhysicalAddress(3 << 20)).is_err());
    /// # Ok::<(), EptError>(())
    /// ```
    pub fn map_range(
        &self,
        at: GuestPhysicalAddress,
        address: PhysicalAddress,
        bytes: u64,
        memory_type: MemoryType,
        flags: EntryFlags,
        frames: &mut dyn Iterator<Item = PhysicalAddress>,
    ) -> Result<(), EptError> {
        self.map_pieces(at, address, bytes, flags, &|_, _| Some(memory_type), frames)
    }

    /// Maps the physical memory of `range` to itself, with the memory types that the
    /// MTRRs give it: for a hypervisor under a running system, which EPT shall not
    /// notice. Where types meet, smaller pages are used.
    ///
    /// # Errors
    /// As [`map_range`](Self::map_range).
    pub fn map_identity(
        &self,
        range: Range<PhysicalAddress>,
        flags: EntryFlags,
        mtrrs: &Mtrrs,
        frames: &mut dyn Iterator<Item = PhysicalAddress>,
    ) -> Result<(), EptError> {
        let bytes = range.end.0.saturating_sub(range.start.0);
        let at = GuestPhysicalAddress(range.start.0);
        let memory_type = |address, size| mtrrs.memory_type(address, size);
        self.map_pieces(at, range.start, bytes, flags, &memory_type, frames)
    }

    fn map_pieces(
        &self,
        at: GuestPhysicalAddress,
        address: PhysicalAddress,
        bytes: u64,
        flags: EntryFlags,
        memory_type: &dyn Fn(PhysicalAddress, PageSize) -> Option<MemoryType>,
        frames: &mut dyn Iterator<Item = PhysicalAddress>,
    ) -> Result<(), EptError> {
        let size = PageSize::Size4KiB;
        for number in [at.0, address.0, bytes] {
            if size.offset(number) != 0 {
                return Err(EptError::Misaligned { address: number, size });
            }
        }
        let mut done = 0;
        while done < bytes {
            let bits = self.rules.width();
            let beyond = |start: u64| EptError::BeyondWidth { address: start, bits };
            let at = at.0.checked_add(done).ok_or(beyond(at.0))?;
            let address = address.0.checked_add(done).ok_or(beyond(address.0))?;
            done += self.map_largest(
                GuestPhysicalAddress(at),
                PhysicalAddress(address),
                bytes - done,
                flags,
                memory_type,
                frames,
            )?;
        }
        Ok(())
    }

    /// Maps the largest page that fits, and returns its size in bytes.
    fn map_largest(
        &self,
        at: GuestPhysicalAddress,
        address: PhysicalAddress,
        bytes: u64,
        flags: EntryFlags,
        memory_type: &dyn Fn(PhysicalAddress, PageSize) -> Option<MemoryType>,
        frames: &mut dyn Iterator<Item = PhysicalAddress>,
    ) -> Result<u64, EptError> {
        for size in PageSize::LARGEST_FIRST {
            let fits = self.rules.capabilities.supports_page_size(size)
                && size.offset(at.0 | address.0) == 0
                && size.bytes() <= bytes;
            let memory_type = match memory_type(address, size) {
                Some(memory_type) if fits => memory_type,
                // The smallest page has one type.
                None if fits && size == PageSize::Size4KiB => MemoryType::Uncacheable,
                _ => continue,
            };
            let page = PageEntry { address, size, memory_type, flags };
            match self.map(at, page, Existing::Refuse, frames) {
                // A table that may well be empty is there: smaller pages fit in.
                Err(EptError::DividedBy(_)) if size != PageSize::Size4KiB => {}
                // Nothing was mapped here before.
                Ok(_) => return Ok(size.bytes()),
                Err(error) => return Err(error),
            }
        }
        // Not reached: what is aligned to 4 KiB and not empty holds a 4-KiB page.
        Err(EptError::Misaligned { address: at.0, size: PageSize::Size4KiB })
    }
}
