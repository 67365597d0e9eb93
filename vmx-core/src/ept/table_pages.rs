//! Frames for tables.

use crate::memory::access::Memory;
use crate::memory::address::PhysicalAddress;
use crate::memory::page::{PAGE_SIZE, Page};

/// A row of pages for tables: [`Memory`] over them, and the addresses to take.
///
/// Serves on bare metal and in a unit test alike. The address is only handed on: on
/// a real CPU it has to be right, since the CPU walks the tables by it (VM entry's
/// contract), in a test it may be invented.
///
/// ```
/// use vmx_core::ept::TablePages;
/// use vmx_core::{Page, PhysicalAddress};
/// use vmx_core::memory::Memory;
/// let pages = [Page::new(), Page::new()];
/// let tables = TablePages::new(&pages, PhysicalAddress(0x5000));
/// let mut frames = tables.frames();
/// assert_eq!(frames.next(), Some(PhysicalAddress(0x5000)));
/// assert_eq!(frames.next(), Some(PhysicalAddress(0x6000)));
/// assert_eq!(frames.next(), None);
/// assert!(tables.page(PhysicalAddress(0x6008)).is_some());
/// assert!(tables.page(PhysicalAddress(0x7000)).is_none());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TablePages<'m> {
    pages: &'m [Page],
    base: PhysicalAddress,
}

impl<'m> TablePages<'m> {
    /// The pages, contiguous in physical memory from `base` on.
    pub const fn new(pages: &'m [Page], base: PhysicalAddress) -> Self {
        Self { pages, base }
    }

    /// The addresses of all of them, each once. Keep the iterator as long as the
    /// tables may grow: another one would hand out the same frames again.
    pub const fn frames(&self) -> FrameRange {
        let end = self.base.0.saturating_add((self.pages.len() * PAGE_SIZE) as u64);
        FrameRange::new(self.base, PhysicalAddress(end))
    }
}

impl Memory for TablePages<'_> {
    fn page(&self, address: PhysicalAddress) -> Option<&Page> {
        let offset = address.0.checked_sub(self.base.0)?;
        self.pages.get(usize::try_from(offset / PAGE_SIZE as u64).ok()?)
    }
}

/// The frames of a range of physical memory, each once.
///
/// The operations of [`Ept`](crate::ept::Ept) take any iterator of addresses; a
/// closure is one by [`core::iter::from_fn`].
#[derive(Clone, Debug)]
pub struct FrameRange {
    next: u64,
    end: u64,
}

impl FrameRange {
    /// The whole 4-KiB frames from `start` up to, but not including, `end`.
    pub const fn new(start: PhysicalAddress, end: PhysicalAddress) -> Self {
        const PAGE: u64 = PAGE_SIZE as u64;
        // A start so high that rounding it up overflows leaves no frame.
        let next = match start.0.checked_next_multiple_of(PAGE) {
            Some(next) => next,
            None => u64::MAX,
        };
        Self { next, end: end.0 / PAGE * PAGE }
    }

    /// How many frames are left.
    pub const fn remaining(&self) -> u64 {
        self.end.saturating_sub(self.next) / PAGE_SIZE as u64
    }
}

impl Iterator for FrameRange {
    type Item = PhysicalAddress;

    fn next(&mut self) -> Option<PhysicalAddress> {
        if self.next >= self.end {
            return None;
        }
        let frame = PhysicalAddress(self.next);
        self.next += PAGE_SIZE as u64;
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_frames_are_handed_out() {
        let frames = |start, end| FrameRange::new(PhysicalAddress(start), PhysicalAddress(end));
        assert_eq!(frames(0x1001, 0x3FFF).next(), Some(PhysicalAddress(0x2000)));
        assert_eq!(frames(0x1001, 0x3FFF).remaining(), 1);
        assert_eq!(frames(u64::MAX, u64::MAX).next(), None);
        assert_eq!(frames(0x2000, 0x1000).next(), None);
    }
}
