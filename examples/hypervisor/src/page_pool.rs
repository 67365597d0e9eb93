//! The hypervisor's memory: a row of pages, handed out once.

use core::cell::Cell;

use vmx_core::memory::PAGE_SIZE;
use vmx_core::{Frame, Page, PhysicalAddress};

/// Pages in a row, with the physical address of the first.
#[derive(Debug)]
pub struct PagePool<'m> {
    pages: &'m [Page],
    base: PhysicalAddress,
    used: Cell<usize>,
}

/// A run of pages out of the pool.
#[derive(Clone, Copy, Debug)]
pub struct PageRun<'m> {
    /// The pages.
    pub pages: &'m [Page],
    /// Physical address of the first.
    pub base: PhysicalAddress,
}

impl<'m> PagePool<'m> {
    /// A pool over `pages`.
    ///
    /// # Safety
    ///
    /// 1. The pages are contiguous in physical memory, from `base` on.
    /// 2. Nobody else uses them, now or later: they may become VMX regions, which
    ///    the CPU writes at any time.
    pub const unsafe fn new(pages: &'m [Page], base: PhysicalAddress) -> Self {
        Self { pages, base, used: Cell::new(0) }
    }

    /// The next `count` pages, zeroed; `None` if that many are not left.
    pub fn take(&self, count: usize) -> Option<PageRun<'m>> {
        let start = self.used.get();
        let pages = self.pages.get(start..start.checked_add(count)?)?;
        self.used.set(start + count);
        for page in pages {
            page.fill(0);
        }
        let base = PhysicalAddress(self.base.0 + (start * PAGE_SIZE) as u64);
        Some(PageRun { pages, base })
    }

    /// The next page, as a frame for VMX.
    pub fn take_frame(&self) -> Option<Frame<'m>> {
        let run = self.take(1)?;
        let page = run.pages.first()?;
        // SAFETY: the address is the page's (contract 1 of `new`); a page is handed
        // out once and nobody else uses it, for good (contract 2).
        Some(unsafe { Frame::new(page, run.base) })
    }
}
