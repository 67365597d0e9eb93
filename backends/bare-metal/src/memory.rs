//! Physical memory through a linear mapping.

use core::ops::Range;
use core::ptr::with_exposed_provenance;

use vmx_core::memory::Memory;
use vmx_core::memory::PAGE_SIZE;
use vmx_core::{Page, PhysicalAddress};

/// A range of physical memory that the host has mapped at a constant distance:
/// linear address = physical address + offset (modulo 2^64).
///
/// Identity mapping is the offset 0; a kernel's direct map has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetMapping {
    start: u64,
    end: u64,
    offset: u64,
}

impl OffsetMapping {
    /// The mapping of the physical addresses of `range` at `offset` bytes above
    /// them. Only pages that lie within the range as a whole can be reached.
    ///
    /// # Safety
    ///
    /// For as long as the value, a copy of it or a page borrowed from it is used:
    ///
    /// 1. Every physical address of the range is mapped at its linear address,
    ///    readable and writable in ring 0, as ordinary memory (not a device's).
    /// 2. Rust code reaches the range only as [`Page`]s or other atomics of 8
    ///    bytes: there is no `&mut` and no ordinary `&` to anything in it.
    /// 3. No page of it has been given to VMX as a [`Frame`](vmx_core::Frame).
    /// 4. Nothing that the host relies on is in it: whoever holds the value may
    ///    write all of it by safe code.
    pub const unsafe fn new(range: Range<PhysicalAddress>, offset: u64) -> Self {
        Self { start: range.start.0, end: range.end.0, offset }
    }

    /// The linear address of the page that contains `address`, if all of the page
    /// is in the range and it can be a [`Page`].
    fn linear(&self, address: PhysicalAddress) -> Option<usize> {
        let first = address.0 - address.page_offset() as u64;
        let last = first | (PAGE_SIZE as u64 - 1);
        let linear = first.wrapping_add(self.offset);
        let within = first >= self.start && last < self.end;
        let usable = linear != 0 && linear.is_multiple_of(PAGE_SIZE as u64);
        (within && usable).then_some(linear as usize)
    }
}

impl Memory for OffsetMapping {
    fn page(&self, address: PhysicalAddress) -> Option<&Page> {
        let page = with_exposed_provenance::<Page>(self.linear(address)?);
        // SAFETY: aligned and not null (`linear`). By the contract of `new` it is
        // mapped, writable memory while `self` is borrowed, any bytes are a valid
        // `Page`, and all other access is atomic.
        Some(unsafe { &*page })
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
