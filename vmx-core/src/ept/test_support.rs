//! What the tests of this module share.

extern crate std;

use std::boxed::Box;
use std::collections::{BTreeMap, BTreeSet};
use std::vec::Vec;

use proptest::prelude::*;

use crate::ept::{
    Ept, EptPointerFlags, EptRules, EptVpidCapabilities, Level, MemoryType, TableMemory, TablePages,
};
use crate::memory::access::Memory;
use crate::memory::address::PhysicalAddress;
use crate::memory::page::Page;
use crate::memory::physical::Physical;

/// All levels.
pub(super) const LEVELS: [Level; 5] = [
    Level::PageTable,
    Level::PageDirectory,
    Level::PageDirectoryPointerTable,
    Level::Pml4,
    Level::Pml5,
];

/// Where the tests' tables are, as far as EPT knows.
pub(super) const BASE: u64 = 0x20_0000_0000;

/// A CPU that can do everything.
pub(super) const EVERYTHING: EptRules =
    EptRules::new(EptVpidCapabilities::from_bits_retain(!0), 46);

pub(super) fn any_level() -> impl Strategy<Value = Level> {
    prop::sample::select(&LEVELS[..])
}

prop_compose! {
    pub(super) fn any_rules()(
        capabilities in prop_oneof![any::<u64>(), Just(!0)],
        width in 32u32..=52,
        mode_based_execute: bool,
        paging_write: bool,
    ) -> EptRules {
        let rules = EptRules::new(EptVpidCapabilities::from_bits_retain(capabilities), width);
        EptRules { mode_based_execute, paging_write, ..rules }
    }
}

pub(super) fn pages(count: usize) -> Vec<Page> {
    (0..count).map(|_| Page::new()).collect()
}

/// Tables in a row of pages; the root is the first one.
pub(super) fn ept(pages: &[Page], top: Level, rules: EptRules) -> Ept<TablePages<'_>> {
    ept_in(TablePages::new(Physical::new(pages, PhysicalAddress(BASE))), top, rules)
}

/// Tables in this memory, with every flag of EPTP.
pub(super) fn ept_in<M: TableMemory>(memory: M, top: Level, rules: EptRules) -> Ept<M> {
    let flags = EptPointerFlags::all();
    Ept::new(memory, top, MemoryType::WriteBack, flags, rules).expect("valid")
}

/// Pages here and there, as an allocator gives them: filled with garbage, a released one
/// first. A page that is not handed out cannot be reached.
#[derive(Debug, Default)]
pub(super) struct Scattered {
    in_use: BTreeMap<u64, Box<Page>>,
    free: Vec<u64>,
    ever: u64,
    /// How many are left; `None`: no end of them.
    pub(super) left: Option<usize>,
    /// How many were ever handed out.
    pub(super) allocated: usize,
    /// Those that came back, in order.
    pub(super) released: Vec<u64>,
}

impl Scattered {
    /// The tables that are handed out.
    pub(super) fn in_use(&self) -> BTreeSet<u64> {
        self.in_use.keys().copied().collect()
    }
}

impl Memory for Scattered {
    fn page(&self, address: PhysicalAddress) -> Option<&Page> {
        self.in_use.get(&(address.0 & !0xFFF)).map(|page| &**page)
    }
}

impl TableMemory for Scattered {
    fn allocate(&mut self) -> Option<PhysicalAddress> {
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(1)?;
        }
        let address = self.free.pop().unwrap_or_else(|| {
            self.ever += 1;
            // Every number below 65537 once.
            BASE + ((self.ever * 7919 % 65537) << 12)
        });
        let page = Page::new();
        page.fill(!0);
        assert!(self.in_use.insert(address, Box::new(page)).is_none());
        self.allocated += 1;
        Some(PhysicalAddress(address))
    }

    fn release(&mut self, table: PhysicalAddress) {
        assert!(self.in_use.remove(&table.0).is_some(), "released twice: {table:?}");
        self.free.push(table.0);
        self.released.push(table.0);
        if let Some(left) = &mut self.left {
            *left += 1;
        }
    }
}
