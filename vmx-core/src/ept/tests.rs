extern crate std;

mod model;
mod operation;
mod weak_memory;

use super::test_support::{BASE, EVERYTHING, ept, pages, table_pages};
use super::*;
use crate::memory::address::PhysicalAddress;

/// The flags that the CPU sets.
const BY_CPU: EntryFlags = EntryFlags::ACCESSED.union(EntryFlags::DIRTY);

fn page(address: u64, size: PageSize, flags: EntryFlags) -> PageEntry {
    let memory_type = MemoryType::WriteBack;
    PageEntry { address: PhysicalAddress(address), size, memory_type, flags }
}

#[test]
fn a_frame_that_is_missing_changes_no_translation() {
    let pages = pages(8);
    let tables = table_pages(&pages);
    let ept = ept(&tables, Level::Pml4, EVERYTHING);
    let mut frames = tables.frames().skip(1);
    let large = page(0, PageSize::Size1GiB, EntryFlags::ALL_ACCESS);
    let at = GuestPhysicalAddress(0);
    let _ = ept.map(at, large, Existing::Refuse, &mut frames).unwrap();
    let small = page(0x5000, PageSize::Size4KiB, EntryFlags::READ);
    // One frame is enough to split the page of 1 GiB, but not that of 2 MiB.
    let mut one = frames.by_ref().take(1);
    assert_eq!(ept.map(at, small, Existing::Replace, &mut one), Err(EptError::OutOfFrames));
    let found = ept.translate(at).unwrap();
    assert_eq!((found.address.0, found.size), (0, PageSize::Size2MiB));
    let far = GuestPhysicalAddress(0x3FFF_FFFF);
    assert_eq!(ept.translate(far).unwrap().address.0, 0x3FFF_FFFF);
}

/// The entry of the small page does not differ from what the large one said, but the
/// CPU may still have the large one.
#[test]
fn a_split_on_the_way_has_to_be_invalidated() {
    let pages = pages(5);
    let tables = table_pages(&pages);
    let ept = ept(&tables, Level::Pml4, EVERYTHING);
    let mut frames = tables.frames().skip(1);
    let (at, all) = (GuestPhysicalAddress(0), EntryFlags::ALL_ACCESS);
    let large = page(0, PageSize::Size2MiB, all);
    assert_eq!(ept.map(at, large, Existing::Refuse, &mut frames), Ok(Invalidation::NotNeeded));
    let small = page(0, PageSize::Size4KiB, all);
    assert_eq!(ept.map(at, small, Existing::Replace, &mut frames), Ok(Invalidation::Required));
}

#[test]
fn a_range_ends_where_it_should_and_fits_into_empty_tables() {
    let pages = pages(6);
    let tables = table_pages(&pages);
    let ept = ept(&tables, Level::Pml4, EVERYTHING);
    let mut frames = tables.frames().skip(1);
    // Leaves an empty table behind for the second 2 MiB.
    let small = page(0, PageSize::Size4KiB, EntryFlags::READ);
    let at = GuestPhysicalAddress(2 << 20);
    let _ = ept.map(at, small, Existing::Refuse, &mut frames).unwrap();
    let _ = ept.unmap(at, PageSize::Size4KiB).unwrap();
    let (start, memory_type) = (GuestPhysicalAddress(0), MemoryType::WriteBack);
    let all = EntryFlags::ALL_ACCESS;
    let map = |bytes, frames: &mut dyn Iterator<Item = _>| {
        ept.map_range(start, PhysicalAddress(0), bytes, memory_type, all, frames)
    };
    map(0x50_1000, &mut frames).unwrap();
    for (at, size) in [
        (0, Some(PageSize::Size2MiB)),
        (2 << 20, Some(PageSize::Size4KiB)),
        (0x50_0FFF, Some(PageSize::Size4KiB)),
        (0x50_1000, None),
    ] {
        let found = ept.translate(GuestPhysicalAddress(at)).ok();
        assert_eq!(found.map(|found| (found.address.0, found.size)), size.map(|size| (at, size)));
    }
    assert_eq!(map(0x1000, &mut frames), Err(EptError::AlreadyMapped(PageSize::Size2MiB)));
    let size = PageSize::Size4KiB;
    assert_eq!(map(0x1001, &mut frames), Err(EptError::Misaligned { address: 0x1001, size }));
}

#[test]
fn frames_that_cannot_be_tables_are_refused() {
    let pages = pages(1);
    let tables = table_pages(&pages);
    let ept = ept(&tables, Level::Pml4, EVERYTHING);
    let small = page(0, PageSize::Size4KiB, EntryFlags::READ);
    let map = |frame| {
        let mut frames = core::iter::once(PhysicalAddress(frame));
        ept.map(GuestPhysicalAddress(0), small, Existing::Refuse, &mut frames)
    };
    let size = PageSize::Size4KiB;
    assert_eq!(map(0x123), Err(EptError::Misaligned { address: 0x123, size }));
    assert_eq!(map(1 << 46), Err(EptError::BeyondWidth { address: 1 << 46, bits: 46 }));
    assert_eq!(map(0x1000), Err(EptError::NoMemory(PhysicalAddress(0x1000))));
}

#[test]
fn sizes_and_widths_are_those_of_the_cpu() {
    let pages = pages(4);
    let tables = table_pages(&pages);
    let few = EptRules::new(EptVpidCapabilities::from_bits_retain(!(1 << 17)), 46);
    let ept = ept(&tables, Level::Pml5, few);
    let at = GuestPhysicalAddress(0);
    let huge = page(0, PageSize::Size1GiB, EntryFlags::READ);
    let mut frames = tables.frames().skip(1);
    assert_eq!(
        ept.map(at, huge, Existing::Refuse, &mut frames),
        Err(EptError::PageSize(PageSize::Size1GiB))
    );
    let far = GuestPhysicalAddress(1 << 46);
    assert_eq!(ept.translate(far), Err(EptError::BeyondWidth { address: 1 << 46, bits: 46 }));
}

#[test]
fn tables_limit_what_pages_give() {
    let pages = pages(4);
    let tables = table_pages(&pages);
    let ept = ept(&tables, Level::Pml4, EVERYTHING);
    let mut frames = tables.frames().skip(1);
    let flags = EntryFlags::ALL_ACCESS | EntryFlags::SUPERVISOR_SHADOW_STACK;
    let at = GuestPhysicalAddress(0);
    let small = page(0x5000, PageSize::Size4KiB, flags);
    let _ = ept.map(at, small, Existing::Refuse, &mut frames).unwrap();
    let found = ept.translate(at).unwrap();
    assert_eq!((found.flags, found.supervisor_shadow_stack), (flags, true));
    // Not writable at the top: no writes, and no supervisor shadow stack.
    pages[0].clear_bits(0, EntryFlags::WRITE.bits());
    let found = ept.translate(at).unwrap();
    assert_eq!(found.flags, flags.difference(EntryFlags::WRITE));
    assert!(!found.supervisor_shadow_stack);
}

#[test]
fn entries_that_become_absent_suppress_ve() {
    let pages = pages(5);
    let tables = table_pages(&pages);
    let ept = ept(&tables, Level::Pml4, EVERYTHING).suppressing_ve();
    let _ = ept.clear().unwrap();
    let mut frames = tables.frames().skip(1);
    let at = GuestPhysicalAddress(0);
    let small = page(0, PageSize::Size4KiB, EntryFlags::READ);
    let _ = ept.map(at, small, Existing::Refuse, &mut frames).unwrap();
    let _ = ept.unmap(at, PageSize::Size4KiB).unwrap();
    let (frame, _) = ept.release_table(at, PageSize::Size2MiB).unwrap();
    assert_eq!(frame.0, BASE + 0x3000);
    for (page, index) in [(0, 1), (1, 1), (2, 0), (2, 511), (3, 0), (3, 511)] {
        assert_eq!(pages[page].read(index), 1 << 63, "page {page} entry {index}");
    }
}

#[test]
fn the_identity_map_follows_the_mtrrs() {
    let pages = pages(12);
    let tables = table_pages(&pages);
    let ept = ept(&tables, Level::Pml4, EVERYTHING);
    let mut frames = tables.frames().skip(1);
    // Write-back, with 1 MiB uncacheable at 1 GiB + 3 MiB.
    let mtrrs = Mtrrs::read(|msr| match msr.0 {
        0xFE => 1,
        0x2FF => 0x806,
        0x200 => 0x4030_0000,
        0x201 => 0x3FFF_FFF0_0800,
        _ => 0,
    })
    .unwrap();
    let range = PhysicalAddress(0)..PhysicalAddress(2 << 30);
    ept.map_identity(range, EntryFlags::ALL_ACCESS, &mtrrs, &mut frames).unwrap();
    for (at, size, memory_type) in [
        (0x1234_5678, PageSize::Size1GiB, MemoryType::WriteBack),
        (0x4000_0000, PageSize::Size2MiB, MemoryType::WriteBack),
        (0x402F_FFFF, PageSize::Size4KiB, MemoryType::WriteBack),
        (0x4030_0000, PageSize::Size4KiB, MemoryType::Uncacheable),
        (0x403F_FFFF, PageSize::Size4KiB, MemoryType::Uncacheable),
        (0x4040_0000, PageSize::Size2MiB, MemoryType::WriteBack),
        (0x7FFF_FFFF, PageSize::Size2MiB, MemoryType::WriteBack),
    ] {
        let found = ept.translate(GuestPhysicalAddress(at)).unwrap();
        assert_eq!((found.address.0, found.size, found.memory_type), (at, size, memory_type));
    }
    assert!(ept.translate(GuestPhysicalAddress(2 << 30)).is_err());
}

/// A CPU sets flags while an entry is changed: none is lost.
#[test]
fn flags_of_the_cpu_are_not_lost() {
    let pages = pages(5);
    let tables = table_pages(&pages);
    let ept = ept(&tables, Level::Pml4, EVERYTHING);
    let mut frames = tables.frames().skip(1);
    let at = GuestPhysicalAddress(0);
    let all = EntryFlags::ALL_ACCESS;
    let _ = ept.map(at, page(0, PageSize::Size2MiB, all), Existing::Refuse, &mut frames).unwrap();
    let slot = ept.walk(at, Level::PageDirectory).unwrap();
    // After the walk, before and while the entry is changed.
    pages[2].set_bits(0, EntryFlags::ACCESSED.bits());
    let mut asked = 0;
    let old = slot.change(|old| {
        asked += 1;
        pages[2].set_bits(0, EntryFlags::DIRTY.bits());
        old & !EntryFlags::WRITE.bits()
    });
    assert_eq!(EntryFlags::from_bits_retain(old.unwrap()) & BY_CPU, BY_CPU);
    assert_eq!(asked, 2);
    assert_eq!(ept.translate(at).unwrap().flags, all.difference(EntryFlags::WRITE) | BY_CPU);
    // Another change by software is not overwritten.
    let slot = ept.walk(at, Level::PageDirectory).unwrap();
    pages[2].clear_bits(0, EntryFlags::EXECUTE.bits());
    assert_eq!(slot.change(|old| old), Err(EptError::ChangedMeanwhile));
}
