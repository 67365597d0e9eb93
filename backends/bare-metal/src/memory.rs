//! Physical memory through a linear mapping.

use core::fmt;
use core::ops::Range;
use core::ptr::with_exposed_provenance;

use vmx_core::memory::{Memory, PAGE_SIZE};
use vmx_core::{Page, PhysicalAddress};

/// Physical memory that the host has mapped at a constant distance, as far as it may be
/// reached as plain pages: linear address = physical address + offset (modulo 2^64).
///
/// Identity mapping is the offset 0; a kernel's direct map has its own. A kernel's direct
/// map also holds VMCSs, page tables and the kernel itself: what of it this value reaches
/// is a range ([`OffsetMapping::new`]), or the pages that a function of yours names
/// ([`OffsetMapping::of_pages`]), such as those that the kernel's frame table says
/// belong to one guest.
#[derive(Clone, Copy)]
pub struct OffsetMapping<F = InRange> {
    offset: u64,
    reaches: F,
}

/// What a mapping reaches: the pages that lie within a range as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InRange {
    start: u64,
    end: u64,
}

/// Names the pages that an [`OffsetMapping`] reaches, by their first address.
pub trait Reaches {
    /// Whether the page at `page`, a multiple of 4 KiB, may be reached.
    fn reaches(&self, page: PhysicalAddress) -> bool;
}

impl Reaches for InRange {
    fn reaches(&self, page: PhysicalAddress) -> bool {
        page.0 >= self.start && page.0 | (PAGE_SIZE as u64 - 1) < self.end
    }
}

impl<F: Fn(PhysicalAddress) -> bool> Reaches for F {
    fn reaches(&self, page: PhysicalAddress) -> bool {
        self(page)
    }
}

impl OffsetMapping {
    /// The mapping of the physical addresses of `range` at `offset` bytes above
    /// them. Only pages that lie within the range as a whole can be reached.
    ///
    /// # Safety
    ///
    /// 1. That of [`of_pages`](Self::of_pages), for each page of the range.
    pub const unsafe fn new(range: Range<PhysicalAddress>, offset: u64) -> Self {
        Self { offset, reaches: InRange { start: range.start.0, end: range.end.0 } }
    }
}

impl<F: Reaches> OffsetMapping<F> {
    /// The mapping, at `offset` bytes above physical addresses, of the pages for which
    /// `reaches` answers `true`.
    ///
    /// # Safety
    ///
    /// For each such page, as long as a [`Page`] borrowed from the value or from a copy of
    /// it is used:
    ///
    /// 1. It is mapped at its linear address, readable and writable in ring 0, as ordinary
    ///    memory (not a device's).
    /// 2. Rust code reaches it only as [`Page`]s or other atomics of 8 bytes: there is no
    ///    `&mut` and no ordinary `&` to anything in it.
    /// 3. Its contents are the holder's to change: whoever holds the value writes all of it
    ///    by safe code. So it is guest memory, or tables that this holder builds; not a
    ///    VMCS or VMXON region, a paging structure of the host, or its code, data or
    ///    stacks.
    ///
    /// A page for which the answer becomes `false` may be used otherwise once nobody has
    /// such a borrow any more.
    ///
    /// ```no_run
    /// use vmx_bare_metal::OffsetMapping;
    /// use vmx_core::PhysicalAddress;
    ///
    /// const DIRECT_MAP: u64 = 0xFFFF_8880_0000_0000;
    /// # fn frame_table_owner(_frame: u64) -> u32 { 0 }
    /// let guest = 7;
    /// let is_its = move |page: PhysicalAddress| frame_table_owner(page.0 >> 12) == guest;
    /// // SAFETY: the kernel's direct map covers all memory; the frame table gives a guest
    /// // whole frames, which nothing else uses until all of the guest's vCPUs have ended.
    /// let memory = unsafe { OffsetMapping::of_pages(DIRECT_MAP, is_its) };
    /// ```
    pub const unsafe fn of_pages(offset: u64, reaches: F) -> Self {
        Self { offset, reaches }
    }

    /// The linear address of the page that contains `address`, if it is reached and it can
    /// be a [`Page`].
    fn linear(&self, address: PhysicalAddress) -> Option<usize> {
        let first = address.0 - address.page_offset() as u64;
        let linear = first.wrapping_add(self.offset);
        let usable = linear != 0 && linear.is_multiple_of(PAGE_SIZE as u64);
        (usable && self.reaches.reaches(PhysicalAddress(first))).then_some(linear as usize)
    }
}

impl<F: Reaches> Memory for OffsetMapping<F> {
    fn page(&self, address: PhysicalAddress) -> Option<&Page> {
        let page = with_exposed_provenance::<Page>(self.linear(address)?);
        // SAFETY: aligned and not null (`linear`). By the contract of the constructors it
        // is mapped, writable memory while `self` is borrowed, any bytes are a valid
        // `Page`, and all other access is atomic.
        Some(unsafe { &*page })
    }
}

impl<F> fmt::Debug for OffsetMapping<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OffsetMapping(+{:#x})", self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(range: Range<u64>, offset: u64) -> OffsetMapping {
        // SAFETY: the tests only compute addresses with it.
        unsafe {
            OffsetMapping::new(PhysicalAddress(range.start)..PhysicalAddress(range.end), offset)
        }
    }

    fn linear(mapping: OffsetMapping, address: u64) -> Option<usize> {
        mapping.linear(PhysicalAddress(address))
    }

    #[test]
    fn the_offset_is_added() {
        let direct_map = mapping(0..0x1_0000, 0xFFFF_8000_0000_0000);
        assert_eq!(linear(direct_map, 0x1234), Some(0xFFFF_8000_0000_1000));
        assert_eq!(linear(direct_map, 0), Some(0xFFFF_8000_0000_0000));
        let downwards = mapping(0x10_0000..0x20_0000, 0u64.wrapping_sub(0x8_0000));
        assert_eq!(linear(downwards, 0x10_0000), Some(0x8_0000));
    }

    #[test]
    fn only_whole_pages_within_the_range() {
        let ragged = mapping(0x1800..0x3800, 0);
        assert_eq!(linear(ragged, 0x1900), None, "the page starts before the range");
        assert_eq!(linear(ragged, 0x2000), Some(0x2000));
        assert_eq!(linear(ragged, 0x2FFF), Some(0x2000));
        assert_eq!(linear(ragged, 0x3000), None, "the page ends after the range");
        assert_eq!(linear(mapping(0x1000..0x1000, 0), 0x1000), None);
        assert_eq!(linear(mapping(0..u64::MAX, 0), u64::MAX), None);
    }

    #[test]
    fn what_cannot_be_a_page_is_refused() {
        assert_eq!(linear(mapping(0..0x2000, 0), 0), None, "linear address 0");
        assert_eq!(linear(mapping(0..0x2000, 8), 0x1000), None, "not aligned");
    }

    #[test]
    fn a_function_names_pages_by_their_first_address() {
        let odd = |page: PhysicalAddress| page.0 >> 12 & 1 == 1;
        // SAFETY: the test only computes addresses with it.
        let mapping = unsafe { OffsetMapping::of_pages(0x10_0000, odd) };
        assert_eq!(mapping.linear(PhysicalAddress(0x1FFF)), Some(0x10_1000));
        assert_eq!(mapping.linear(PhysicalAddress(0x2000)), None);
    }

    #[test]
    fn a_page_is_the_memory() {
        static PAGE: Page = Page::new();
        let address = (&raw const PAGE).expose_provenance() as u64;
        let physical = PhysicalAddress(0x5000)..PhysicalAddress(0x6000);
        // SAFETY: the range is the static page, which only this test uses.
        let memory = unsafe { OffsetMapping::new(physical, address.wrapping_sub(0x5000)) };
        PAGE.write(3, 0x1234);
        assert_eq!(memory.read_word(PhysicalAddress(0x5018)), Some(0x1234));
        assert!(memory.page(PhysicalAddress(0x6000)).is_none());
    }
}
