extern crate std;

mod capacity;
mod model;
mod operation;
mod weak_memory;

use super::entry_bits::BY_CPU;
use super::test_support::{BASE, EVERYTHING, Scattered, ept, ept_in, pages};
use super::*;
use crate::cpu::invalidation::InveptScope;
use crate::memory::access::Memory;
use crate::memory::address::PhysicalAddress;
use crate::memory::page::Page;

fn page(address: u64, size: PageSize, flags: EntryFlags) -> PageEntry {
    let memory_type = MemoryType::WriteBack;
    PageEntry { address: PhysicalAddress(address), size, memory_type, flags }
}

#[test]
fn a_table_that_is_missing_changes_nothing() {
    let mut ept = ept_in(Scattered::default(), Level::Pml4, EVERYTHING);
    let at = GuestPhysicalAddress(0);
    let _ = ept.map(at, page(0, PageSize::Size1GiB, EntryFlags::ALL_ACCESS), Existing::Refuse);
    let small = page(0x5000, PageSize::Size4KiB, EntryFlags::READ);
    // One table is enough to split the page of 1 GiB, but not that of 2 MiB.
    ept.memory_mut().left = Some(1);
    assert_eq!(ept.map(at, small, Existing::Replace), Err(EptError::OutOfFrames));
    let found = ept.translate(at).unwrap();
    assert_eq!((found.address.0, found.size), (0, PageSize::Size1GiB));
    assert_eq!(ept.pending(), Invalidation::NotNeeded);
    // It has come back.
    assert_eq!((ept.memory().left, ept.memory().in_use().len()), (Some(1), 2));
}

/// The entry of the small page does not differ from what the large one said, but the
/// CPU may still have the large one.
#[test]
fn a_split_on_the_way_has_to_be_invalidated() {
    let pages = pages(5);
    let mut ept = ept(&pages, Level::Pml4, EVERYTHING);
    let (at, all) = (GuestPhysicalAddress(0), EntryFlags::ALL_ACCESS);
    let large = page(0, PageSize::Size2MiB, all);
    assert_eq!(ept.map(at, large, Existing::Refuse), Ok(Invalidation::NotNeeded));
    let small = page(0, PageSize::Size4KiB, all);
    assert!(ept.map(at, small, Existing::Replace).unwrap().is_required());
}

#[test]
fn a_range_ends_where_it_should_and_fits_into_tables() {
    let pages = pages(6);
    let mut ept = ept(&pages, Level::Pml4, EVERYTHING);
    // Leaves a table behind for the second 2 MiB.
    let small = page(0, PageSize::Size4KiB, EntryFlags::READ);
    let at = GuestPhysicalAddress(2 << 20);
    let _ = ept.map(at, small, Existing::Refuse).unwrap();
    pages[3].write(0, 0);
    let (start, memory_type) = (GuestPhysicalAddress(0), MemoryType::WriteBack);
    let all = EntryFlags::ALL_ACCESS;
    let mut map = |bytes| ept.map_range(start, PhysicalAddress(0), bytes, memory_type, all);
    map(0x50_1000).unwrap();
    assert_eq!(map(0x1000), Err(EptError::AlreadyMapped(PageSize::Size2MiB)));
    let size = PageSize::Size4KiB;
    assert_eq!(map(0x1001), Err(EptError::Misaligned { address: 0x1001, size }));
    for (at, size) in [
        (0, Some(PageSize::Size2MiB)),
        (2 << 20, Some(PageSize::Size4KiB)),
        (0x50_0FFF, Some(PageSize::Size4KiB)),
        (0x50_1000, None),
    ] {
        let found = ept.translate(GuestPhysicalAddress(at)).ok();
        assert_eq!(found.map(|found| (found.address.0, found.size)), size.map(|size| (at, size)));
    }
}

/// The pages as a direct map would reach them, without their owner.
#[derive(Debug)]
struct Pages<'m>(&'m [Page]);

impl Memory for Pages<'_> {
    fn page(&self, address: PhysicalAddress) -> Option<&Page> {
        self.0.get((address.0.checked_sub(BASE)? >> 12) as usize)
    }
}

/// A memory that gives what it likes.
#[derive(Debug)]
struct Gives<'m>(Pages<'m>, u64);

impl Memory for Gives<'_> {
    fn page(&self, address: PhysicalAddress) -> Option<&Page> {
        self.0.page(address)
    }
}

impl TableMemory for Gives<'_> {
    fn allocate(&mut self) -> Option<PhysicalAddress> {
        Some(PhysicalAddress(self.1))
    }
    fn release(&mut self, table: PhysicalAddress) {
        assert_eq!(table.0, self.1);
    }
}

#[test]
fn pages_that_cannot_be_tables_are_refused() {
    let pages = pages(1);
    let small = page(0, PageSize::Size4KiB, EntryFlags::READ);
    let size = PageSize::Size4KiB;
    for (given, error) in [
        (0x123, EptError::Misaligned { address: 0x123, size }),
        (1 << 46, EptError::BeyondWidth { address: 1 << 46, bits: 46 }),
        (0x1000, EptError::NoMemory(PhysicalAddress(0x1000))),
    ] {
        let mut ept = ept_in(Gives(Pages(&pages), BASE), Level::Pml4, EVERYTHING);
        ept.memory_mut().1 = given;
        assert_eq!(ept.map(GuestPhysicalAddress(0), small, Existing::Refuse), Err(error));
    }
    let new = |given| {
        let (top, memory_type) = (Level::Pml4, MemoryType::WriteBack);
        let flags = EptPointerFlags::empty();
        Ept::new(Gives(Pages(&pages), given), top, memory_type, flags, EVERYTHING).map(|_| ())
    };
    let misaligned = EptPointerError::Root(PhysicalAddress(0x123));
    assert_eq!(new(0x123), Err(EptError::Pointer(misaligned)));
    assert_eq!(new(0x1000), Err(EptError::NoMemory(PhysicalAddress(0x1000))));
}

/// A memory that writes a word elsewhere before it gives a page.
#[derive(Debug)]
struct Meddles(Scattered, Option<(PhysicalAddress, u64)>);

impl Memory for Meddles {
    fn page(&self, address: PhysicalAddress) -> Option<&Page> {
        self.0.page(address)
    }
}

impl TableMemory for Meddles {
    fn allocate(&mut self) -> Option<PhysicalAddress> {
        if let Some((table, word)) = self.1.take() {
            self.0.page(table)?.write(0, word);
        }
        self.0.allocate()
    }
    fn release(&mut self, table: PhysicalAddress) {
        self.0.release(table);
    }
}

/// Somebody else made the same tables meanwhile: what is not needed comes back.
#[test]
fn tables_that_are_not_needed_come_back() {
    let mut ept = ept_in(Meddles(Scattered::default(), None), Level::Pml4, EVERYTHING);
    let small = page(0x5000, PageSize::Size4KiB, EntryFlags::READ);
    let _ = ept.map(GuestPhysicalAddress(0), small, Existing::Refuse).unwrap();
    let root = ept.pointer().root();
    let word = ept.table(root).unwrap().read(0);
    ept.table(root).unwrap().write(0, 0);
    ept.memory_mut().1 = Some((root, word));
    let next = GuestPhysicalAddress(0x1000);
    assert_eq!(ept.tables_to_map(next, small, Existing::Refuse), Ok(3));
    let _ = ept.map(next, small, Existing::Refuse).unwrap();
    assert!(ept.translate(GuestPhysicalAddress(0)).is_ok() && ept.translate(next).is_ok());
    assert_eq!((ept.memory().0.in_use().len(), ept.memory().0.released.len()), (4, 3));
}

#[test]
fn sizes_and_widths_are_those_of_the_cpu() {
    let pages = pages(4);
    let few = EptRules::new(EptVpidCapabilities::from_bits_retain(!(1 << 17)), 46);
    let mut ept = ept(&pages, Level::Pml5, few);
    let huge = page(0, PageSize::Size1GiB, EntryFlags::READ);
    assert_eq!(
        ept.map(GuestPhysicalAddress(0), huge, Existing::Refuse),
        Err(EptError::PageSize(PageSize::Size1GiB))
    );
    let far = GuestPhysicalAddress(1 << 46);
    assert_eq!(ept.translate(far), Err(EptError::BeyondWidth { address: 1 << 46, bits: 46 }));
}

#[test]
fn tables_limit_what_pages_give() {
    let pages = pages(4);
    let mut ept = ept(&pages, Level::Pml4, EVERYTHING);
    let flags = EntryFlags::ALL_ACCESS | EntryFlags::SUPERVISOR_SHADOW_STACK;
    let at = GuestPhysicalAddress(0);
    let _ = ept.map(at, page(0x5000, PageSize::Size4KiB, flags), Existing::Refuse).unwrap();
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
    let pages = pages(6);
    let mut ept = ept(&pages, Level::Pml4, EVERYTHING).suppressing_ve().unwrap();
    let small = page(0, PageSize::Size4KiB, EntryFlags::READ);
    for at in [0, 0x1000, 2 << 20] {
        let _ = ept.map(GuestPhysicalAddress(at), small, Existing::Refuse).unwrap();
    }
    for at in [0x1000, 2 << 20] {
        let _ = ept.unmap(GuestPhysicalAddress(at), PageSize::Size4KiB).unwrap();
    }
    assert_eq!(ept.retired_tables(), 1);
    for (page, index) in [(0, 1), (0, 511), (1, 1), (2, 1), (2, 511), (3, 1), (3, 511), (4, 511)] {
        assert_eq!(pages[page].read(index), 1 << 63, "page {page} entry {index}");
    }
}

#[test]
fn the_identity_map_follows_the_mtrrs() {
    let pages = pages(12);
    let mut ept = ept(&pages, Level::Pml4, EVERYTHING);
    // Write-back, with 1 MiB uncacheable at 1 GiB + 3 MiB.
    let mtrrs = Mtrrs::read(|msr| match msr.index().0 {
        0xFE => 1,
        0x2FF => 0x806,
        0x200 => 0x4030_0000,
        0x201 => 0x3FFF_FFF0_0800,
        _ => 0,
    })
    .unwrap();
    let range = PhysicalAddress(0)..PhysicalAddress(2 << 30);
    let all = EntryFlags::ALL_ACCESS;
    // A directory-pointer table, a directory, and a page table where the types meet.
    assert_eq!(ept.tables_to_map_identity(range.clone(), all, &mtrrs), Ok(3));
    ept.map_identity(range, all, &mtrrs).unwrap();
    assert_eq!(ept.memory().available(), 8);
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
    let mut ept = ept(&pages, Level::Pml4, EVERYTHING);
    let at = GuestPhysicalAddress(0);
    let all = EntryFlags::ALL_ACCESS;
    let _ = ept.map(at, page(0, PageSize::Size2MiB, all), Existing::Refuse).unwrap();
    let slot = ept.walk(at, Level::PageDirectory).unwrap();
    // After the walk, before and while the entry is changed.
    pages[2].set_bits(0, EntryFlags::ACCESSED.bits());
    let mut asked = 0;
    let old = ept.change(&slot, |old| {
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
    assert_eq!(ept.change(&slot, |old| old), Err(EptError::ChangedMeanwhile));
}

/// INVEPT as the CPU has it, and as the roots need it.
#[test]
fn the_scope_is_what_the_cpu_has_and_all_roots_need() {
    let new = |capabilities: EptVpidCapabilities| {
        let rules = EptRules::new(capabilities, 46);
        let (top, memory_type) = (Level::Pml4, MemoryType::WriteBack);
        let mut ept =
            Ept::new(Scattered::default(), top, memory_type, EptPointerFlags::empty(), rules)?;
        let large = page(0, PageSize::Size2MiB, EntryFlags::ALL_ACCESS);
        let _ = ept.map(GuestPhysicalAddress(0), large, Existing::Refuse)?;
        let (_, invalidation) = ept.unmap(GuestPhysicalAddress(0), PageSize::Size2MiB)?;
        Ok::<_, EptError>((ept, invalidation))
    };
    let all = EptVpidCapabilities::INVEPT_ALL_CONTEXTS;
    let single = EptVpidCapabilities::INVEPT_SINGLE_CONTEXT;
    let base = EptVpidCapabilities::from_bits_retain(!0).difference(all | single);

    let (ept, required) = new(base | all | single).unwrap();
    let ept_pointer = ept.pointer().bits();
    assert_eq!(ept.scope(required), Some(InveptScope::SingleContext { ept_pointer }));
    assert_eq!(ept.scope(Invalidation::Optional), None);
    let ept = ept.sharing_tables().unwrap();
    assert_eq!(ept.scope(required), Some(InveptScope::AllContexts));

    let (ept, required) = new(base | all).unwrap();
    assert_eq!(ept.scope(required), Some(InveptScope::AllContexts));
    let (ept, required) = new(base | single).unwrap();
    assert!(matches!(ept.scope(required), Some(InveptScope::SingleContext { .. })));
    assert_eq!(ept.sharing_tables().map(|_| ()), Err(EptError::NoInvept));

    assert_eq!(new(base).map(|_| ()), Err(EptError::NoInvept));
    let without = (base | all | single).difference(EptVpidCapabilities::INVEPT);
    assert_eq!(new(without).map(|_| ()), Err(EptError::NoInvept));
}

/// Another root may refer to a table that is empty below this one.
#[test]
fn shared_tables_stay() {
    let ept = ept_in(Scattered::default(), Level::Pml4, EVERYTHING);
    let mut ept = ept.sharing_tables().unwrap();
    let small = page(0, PageSize::Size4KiB, EntryFlags::READ);
    let at = GuestPhysicalAddress(0);
    let _ = ept.map(at, small, Existing::Refuse).unwrap();
    let _ = ept.unmap(at, PageSize::Size4KiB).unwrap();
    assert_eq!(ept.retired_tables(), 0);
    assert_eq!(ept.tables_to_map(at, small, Existing::Refuse), Ok(0));
    assert!(ept.clear().is_ok());
    assert_eq!((ept.retired_tables(), ept.memory().in_use().len()), (0, 4));
}

/// What a retired table is until its own invalidation: no table of anybody else's.
#[test]
fn an_earlier_invalidation_does_not_cover_a_later_change() {
    let mut ept = ept_in(Scattered::default(), Level::Pml4, EVERYTHING);
    let small = page(0, PageSize::Size4KiB, EntryFlags::READ);
    let places = [0, 2 << 20, 4 << 20].map(GuestPhysicalAddress);
    for at in places {
        let _ = ept.map(at, small, Existing::Refuse).unwrap();
    }
    let (_, first) = ept.unmap(places[0], PageSize::Size4KiB).unwrap();
    let (_, second) = ept.unmap(places[1], PageSize::Size4KiB).unwrap();
    assert_eq!(ept.retired_tables(), 2);
    // SAFETY: no CPU walks these tables.
    unsafe { ept.invalidated(first) };
    assert_eq!((ept.retired_tables(), ept.memory().released.len()), (1, 1));
    assert!(ept.pending().is_required());
    // SAFETY: no CPU walks these tables.
    unsafe { ept.invalidated(second) };
    assert_eq!((ept.retired_tables(), ept.memory().released.len()), (0, 2));
    assert_eq!(ept.pending(), Invalidation::NotNeeded);
    // SAFETY: no CPU walks these tables.
    unsafe { ept.invalidated(first.max(second)) };
    assert_eq!(ept.memory().released.len(), 2);
}

/// A CPU that has cached the way to a table goes on from there: it finds nothing, also in
/// the first entry, where the list of the retired ones stands.
#[test]
fn a_walk_that_began_before_finds_nothing() {
    let mut ept = ept_in(Scattered::default(), Level::Pml4, EVERYTHING).suppressing_ve().unwrap();
    let places = [0, 2 << 20, 4 << 20].map(GuestPhysicalAddress);
    for at in places {
        let small = page(0x5000, PageSize::Size4KiB, EntryFlags::ALL_ACCESS);
        let _ = ept.map(at, small, Existing::Refuse).unwrap();
    }
    let cached = places.map(|at| ept.walk(at, Level::PageDirectory).unwrap());
    for at in places {
        let _ = ept.unmap(at, PageSize::Size4KiB).unwrap();
    }
    assert_eq!(ept.retired_tables(), 5);
    for (at, slot) in places.into_iter().zip(cached) {
        let Entry::Table(table) = slot.entry else { panic!("a table was there") };
        let found = ept.slot_below(&slot, table.address, at).unwrap().unwrap();
        assert_eq!(found.entry, Entry::NotPresent);
        let first = ept.table(table.address).unwrap().read(0);
        assert_eq!(first & EntryFlags::SUPPRESS_VE.bits(), EntryFlags::SUPPRESS_VE.bits());
    }
}

#[test]
fn a_view_sees_the_tables_of_its_owner() {
    let pages = pages(5);
    let mut ept = ept(&pages, Level::Pml4, EVERYTHING);
    let view = ept.view(Pages(&pages));
    let at = GuestPhysicalAddress(0x1234);
    assert_eq!(view.translate(at), Err(EptError::NotMapped(Level::Pml4)));
    let large = page(1 << 30, PageSize::Size2MiB, EntryFlags::READ);
    let _ = ept.map(GuestPhysicalAddress(0), large, Existing::Refuse).unwrap();
    assert_eq!(view.translate(at), ept.translate(at));
    assert_eq!(ept.view(ept.memory()).translate(at), ept.translate(at));
    assert_eq!(ept.mappings(GuestPhysicalAddress(0x5000), 1).count(), 1);
}
