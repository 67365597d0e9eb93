//! What the tests of this module share.

extern crate std;

use std::vec::Vec;

use proptest::prelude::*;

use crate::ept::{
    Ept, EptPointer, EptPointerFlags, EptRules, EptVpidCapabilities, Level, MemoryType, TablePages,
};
use crate::memory::address::PhysicalAddress;
use crate::memory::page::Page;

/// All levels.
pub(super) const LEVELS: [Level; 5] = [
    Level::PageTable,
    Level::PageDirectory,
    Level::PageDirectoryPointerTable,
    Level::Pml4,
    Level::Pml5,
];

/// Where the tests' tables are, as far as EPT knows.
pub(super) const BASE: u64 = 0x70_0000_0000;

/// A CPU that can do everything.
pub(super) const EVERYTHING: EptRules =
    EptRules::new(EptVpidCapabilities::from_bits_retain(!0), 46);

pub(super) fn any_level() -> impl Strategy<Value = Level> {
    prop::sample::select(&LEVELS[..])
}

prop_compose! {
    pub(super) fn any_rules()(
        capabilities in prop_oneof![any::<u64>(), Just(!0)],
        width in 32u8..=52,
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

pub(super) fn table_pages(pages: &[Page]) -> TablePages<'_> {
    TablePages::new(pages, PhysicalAddress(BASE))
}

/// Tables whose root is the first page.
pub(super) fn ept<'m>(
    tables: &'m TablePages<'m>,
    top: Level,
    rules: EptRules,
) -> Ept<'m, TablePages<'m>> {
    let flags = EptPointerFlags::all();
    let root = PhysicalAddress(BASE);
    let pointer = EptPointer::new(root, top, MemoryType::WriteBack, flags, &rules);
    Ept::from_pointer(tables, pointer.expect("valid"), rules).expect("valid")
}
