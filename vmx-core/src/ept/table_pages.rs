//! A row of pages for tables.

use super::table_memory::TableMemory;
use crate::memory::access::Memory;
use crate::memory::address::PhysicalAddress;
use crate::memory::page::{PAGE_SIZE, Page};
use crate::memory::physical::Physical;

/// A row of pages for tables, without an allocator.
///
/// Serves on bare metal and in a unit test alike. The address is only handed on: on
/// a real CPU it has to be right, since the CPU walks the tables by it (VM entry's
/// contract), in a test it may be invented.
///
/// ```
/// use vmx_core::{Page, PhysicalAddress};
/// use vmx_core::ept::{TableMemory, TablePages};
/// use vmx_core::memory::{Memory, Physical};
/// static PAGES: [Page; 2] = [const { Page::new() }; 2];
/// let mut tables = TablePages::new(Physical::new(&PAGES, PhysicalAddress(0x5000)));
/// assert_eq!(tables.allocate(), Some(PhysicalAddress(0x5000)));
/// assert_eq!(tables.allocate(), Some(PhysicalAddress(0x6000)));
/// assert_eq!((tables.available(), tables.allocate()), (0, None));
/// tables.release(PhysicalAddress(0x5000));
/// assert_eq!(tables.allocate(), Some(PhysicalAddress(0x5000)));
/// assert!(tables.page(PhysicalAddress(0x6008)).is_some());
/// assert!(tables.page(PhysicalAddress(0x7000)).is_none());
/// ```
#[derive(Debug)]
pub struct TablePages<'m> {
    pages: Physical<'m, [Page]>,
    /// How many, from the first on, have ever been handed out.
    used: usize,
    /// The page that was released last. Its first word is the one before it, and so on.
    free: Option<usize>,
    /// How many there are of those.
    free_count: usize,
}

impl<'m> TablePages<'m> {
    /// The pages, contiguous in physical memory too, and not used for anything else.
    pub const fn new(pages: Physical<'m, [Page]>) -> Self {
        Self { pages, used: 0, free: None, free_count: 0 }
    }

    /// How many tables can be taken.
    pub const fn available(&self) -> usize {
        self.pages.contents().len() - self.used + self.free_count
    }

    /// The number of the page that contains the address.
    fn number(&self, address: PhysicalAddress) -> Option<usize> {
        let offset = address.0.checked_sub(self.pages.address().0)?;
        usize::try_from(offset / PAGE_SIZE as u64).ok()
    }
}

impl Memory for TablePages<'_> {
    fn page(&self, address: PhysicalAddress) -> Option<&Page> {
        self.pages.get(self.number(address)?)
    }
}

impl TableMemory for TablePages<'_> {
    fn allocate(&mut self) -> Option<PhysicalAddress> {
        let number = match self.free {
            Some(number) => {
                self.free_count = self.free_count.saturating_sub(1);
                let before = usize::try_from(self.pages.get(number)?.read(0)).ok();
                // Whoever shares the pages may have written anything there: then the rest
                // of the free pages is lost.
                self.free = before.filter(|before| self.free_count > 0 && *before < self.used);
                if self.free.is_none() {
                    self.free_count = 0;
                }
                number
            }
            None if self.used < self.pages.len() => {
                self.used += 1;
                self.used - 1
            }
            None => return None,
        };
        let offset = (number * PAGE_SIZE) as u64;
        self.pages.address().0.checked_add(offset).map(PhysicalAddress)
    }

    /// An address that was never handed out is ignored. Release a page once each time: one
    /// that is free already would be handed out twice.
    fn release(&mut self, table: PhysicalAddress) {
        let Some(number) = self.number(table).filter(|number| *number < self.used) else { return };
        if let Some(page) = self.pages.get(number) {
            page.write(0, self.free.unwrap_or(0) as u64);
            self.free = Some(number);
            self.free_count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        /// No page is handed out that is in use, none is lost, and contents of pages
        /// in use do not matter.
        #[test]
        fn each_page_is_in_use_once(steps in prop::collection::vec((0usize..3, any::<u64>()), 0..60)) {
            let pages: [Page; 5] = core::array::from_fn(|_| Page::new());
            let base = 0x7000;
            let mut tables = TablePages::new(Physical::new(&pages, PhysicalAddress(base)));
            let mut used: Vec<u64> = Vec::new();
            for (step, value) in steps {
                if step < 2 {
                    let page = tables.allocate();
                    prop_assert_eq!(page.is_some(), used.len() < 5);
                    if let Some(page) = page {
                        prop_assert!((base..base + 0x5000).contains(&page.0));
                        prop_assert_eq!(page.0 % 0x1000, 0);
                        prop_assert!(!used.contains(&page.0));
                        tables.page(page).unwrap().fill(value);
                        used.push(page.0);
                    }
                } else if !used.is_empty() {
                    let page = used.swap_remove(value as usize % used.len());
                    tables.release(PhysicalAddress(page));
                }
                prop_assert_eq!(tables.available(), 5 - used.len());
            }
        }
    }

    #[test]
    fn foreign_pages_are_not_taken() {
        let pages = [Page::new(), Page::new()];
        let mut tables = TablePages::new(Physical::new(&pages, PhysicalAddress(0x7000)));
        assert!(tables.allocate().is_some());
        for foreign in [0, 0x6000, 0x8000, 0x9000, u64::MAX] {
            tables.release(PhysicalAddress(foreign));
        }
        assert_eq!(tables.available(), 1);
    }
}
