//! The hypervisor's memory: a row of pages, handed out once.

use core::cell::Cell;

use vmx_core::memory::{PAGE_SIZE, Physical, PhysicalPage};
use vmx_core::{Frame, Page, PhysicalAddress};

/// The owner of a page out of the pool, for VMX.
pub type PoolFrame = Frame<&'static Page>;

/// Pages in a row, with the physical address of the first.
#[derive(Debug)]
pub struct PagePool {
    pages: &'static [Page],
    base: PhysicalAddress,
    used: Cell<usize>,
}

impl PagePool {
    /// A pool over `pages`.
    ///
    /// # Safety
    ///
    /// 1. The pages are contiguous in physical memory, from `base` on.
    /// 2. Nobody else uses them, now or later: they may become VMX regions, which
    ///    the CPU writes at any time.
    pub const unsafe fn new(pages: &'static [Page], base: PhysicalAddress) -> Self {
        Self { pages, base, used: Cell::new(0) }
    }

    /// The next `count` pages, zeroed; `None` if that many are not left.
    pub fn take(&self, count: usize) -> Option<Physical<'static, [Page]>> {
        let start = self.used.get();
        let pages = self.pages.get(start..start.checked_add(count)?)?;
        self.used.set(start + count);
        for page in pages {
            page.fill(0);
        }
        let base = PhysicalAddress(self.base.0 + (start * PAGE_SIZE) as u64);
        Some(Physical::new(pages, base))
    }

    /// The next page, zeroed.
    pub fn take_page(&self) -> Option<PhysicalPage<'static>> {
        let run = self.take(1)?;
        Some(PhysicalPage::new(run.contents().first()?, run.address()))
    }

    /// The next page, as one for VMX.
    pub fn take_frame(&self) -> Option<PoolFrame> {
        let page = self.take_page()?;
        // SAFETY: (1) the address is the page's (contract 1 of `new`). (2) A page is handed
        // out once and nobody else uses it (contract 2). (3) It is static.
        Some(unsafe { Frame::new(page.contents(), page.address()) })
    }
}
