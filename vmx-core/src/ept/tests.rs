extern crate std;

use std::collections::{BTreeMap, BTreeSet};
use std::vec::Vec;

use proptest::prelude::*;

use super::test_support::{BASE, EVERYTHING, ept, pages, table_pages};
use super::*;
use crate::frame::PhysicalAddress;

/// What the tables should say: pages by guest-physical address, and the regions of
/// one entry that a table divides.
#[derive(Default)]
struct Model {
    pages: BTreeMap<u64, PageEntry>,
    divided: BTreeSet<(Level, u64)>,
}

const SIZES: [PageSize; 3] = PageSize::LARGEST_FIRST;

impl Model {
    /// The page that an address lies in.
    fn at(&self, address: u64) -> Option<(u64, PageEntry)> {
        let (start, page) = self.pages.range(..=address).next_back()?;
        (address - start < page.size.bytes()).then_some((*start, *page))
    }

    fn is_divided(&self, size: PageSize, at: u64) -> bool {
        self.divided.contains(&(size.level(), at - size.offset(at)))
    }

    /// Every region that a page of this size lies in, but for the page's own.
    fn divide_around(&mut self, size: PageSize, at: u64) {
        for level in [Level::PageDirectory, Level::PageDirectoryPointerTable, Level::Pml4] {
            if level > size.level() {
                self.divided.insert((level, at >> level.shift() << level.shift()));
            }
        }
    }

    /// As the entries begin: why there is no page of the size at `at`, or the page.
    fn find(&self, at: u64, size: PageSize) -> Result<PageEntry, EptError> {
        if size.offset(at) != 0 {
            return Err(EptError::Misaligned { address: at, size });
        }
        match self.at(at) {
            Some((_, page)) if page.size > size => Err(EptError::LargerPage(page.size)),
            _ if self.is_divided(size, at) => Err(divided(size)),
            Some((_, page)) => Ok(page),
            None => Err(EptError::NotMapped(self.absent_level(at))),
        }
    }

    /// The level of the entry that is not present, where nothing is mapped.
    fn absent_level(&self, at: u64) -> Level {
        let levels = [Level::Pml4, Level::PageDirectoryPointerTable, Level::PageDirectory];
        let is_whole =
            |level: &Level| !self.divided.contains(&(*level, at >> level.shift() << level.shift()));
        levels.into_iter().find(is_whole).unwrap_or(Level::PageTable)
    }

    fn split(&mut self, at: u64) {
        let Some((start, page)) = self.at(at) else { return };
        let child = page.size.level().below().unwrap().page_size().unwrap();
        self.divided.insert((page.size.level(), start));
        for offset in (0..page.size.bytes()).step_by(child.bytes() as usize) {
            let address = PhysicalAddress(page.address.0 + offset);
            let dropped = match child {
                PageSize::Size4KiB => EntryFlags::SUB_PAGE_WRITE,
                _ => EntryFlags::empty(),
            };
            let flags = page.flags.difference(dropped);
            self.pages.insert(start + offset, PageEntry { address, size: child, flags, ..page });
        }
    }

    fn map(&mut self, at: u64, page: PageEntry, existing: Existing) -> Result<(), EptError> {
        let size = page.size;
        if size.offset(at) != 0 {
            return Err(EptError::Misaligned { address: at, size });
        }
        page.encode(&EVERYTHING)?;
        loop {
            match self.at(at) {
                _ if self.is_divided(size, at) => return Err(divided(size)),
                Some((_, found)) if existing == Existing::Refuse => {
                    return Err(EptError::AlreadyMapped(found.size));
                }
                Some((_, found)) if found.size > size => self.split(at),
                _ => break,
            }
        }
        self.divide_around(size, at);
        self.pages.insert(at, page);
        Ok(())
    }
}

fn divided(size: PageSize) -> EptError {
    EptError::DividedBy(size.level().below().unwrap())
}

#[derive(Clone, Debug)]
enum Operation {
    Map(u64, PageEntry, Existing),
    Unmap(u64, PageSize),
    Protect(u64, PageSize, EntryFlags),
    ClearAccessedDirty(u64, PageSize),
    Split(u64),
    Release(u64, PageSize),
}

/// Addresses that often share tables, and lie at their ends.
fn any_address() -> impl Strategy<Value = u64> {
    let ends = prop::sample::select(&[0u64, 1, 511][..]);
    (prop::sample::select(&[0u64, 1, 511, 512][..]), ends.clone(), ends)
        .prop_map(|(gib, mib2, kib4)| gib << 30 | mib2 << 21 | kib4 << 12)
}

fn any_size() -> impl Strategy<Value = PageSize> {
    prop::sample::select(&SIZES[..])
}

fn any_flags() -> impl Strategy<Value = EntryFlags> {
    prop_oneof![
        Just(EntryFlags::ALL_ACCESS),
        Just(EntryFlags::READ | EntryFlags::SUPERVISOR_SHADOW_STACK),
        any::<u64>().prop_map(|bits| {
            let all = EntryFlags::all().iter_names().fold(0, |bits, (_, flag)| bits | flag.bits());
            EntryFlags::from_bits_retain(bits & all & !0x000F_FFFF_FFFF_F0B8)
        }),
    ]
}

fn any_operation() -> impl Strategy<Value = Operation> {
    // Most addresses are aligned to the page.
    let place = || {
        (any_address(), any_size(), 0..8).prop_map(|(address, size, aligned)| {
            (if aligned == 0 { address } else { address - size.offset(address) }, size)
        })
    };
    let page = (place(), any_address(), any_flags(), prop::bool::ANY).prop_map(
        |((at, size), address, flags, replace)| {
            let address = PhysicalAddress(address - size.offset(address));
            let memory_type = MemoryType::WriteBack;
            let page = PageEntry { address, size, memory_type, flags };
            let existing = if replace { Existing::Replace } else { Existing::Refuse };
            Operation::Map(at, page, existing)
        },
    );
    prop_oneof![
        4 => page,
        2 => place().prop_map(|(at, size)| Operation::Unmap(at, size)),
        2 => (place(), any_flags())
            .prop_map(|((at, size), flags)| Operation::Protect(at, size, flags)),
        1 => place().prop_map(|(at, size)| Operation::ClearAccessedDirty(at, size)),
        2 => any_address().prop_map(Operation::Split),
        2 => place().prop_map(|(at, size)| Operation::Release(at, size)),
    ]
}

const BY_CPU: EntryFlags = EntryFlags::ACCESSED.union(EntryFlags::DIRTY);

/// Does the same to the tables and to the model; both must answer the same.
fn step(
    ept: &Ept<'_, TablePages<'_>>,
    model: &mut Model,
    operation: Operation,
    frames: &mut FrameRange,
) -> Result<Invalidation, TestCaseError> {
    let none = Invalidation::NotNeeded;
    Ok(match operation {
        Operation::Map(at, page, existing) => {
            let answer = ept.map(GuestPhysicalAddress(at), page, existing, frames);
            prop_assert_eq!(answer.map(|_| ()), model.map(at, page, existing));
            // A refused replacement may have split pages.
            answer.unwrap_or(Invalidation::Required)
        }
        Operation::Unmap(at, size) => {
            let answer = ept.unmap(GuestPhysicalAddress(at), size);
            prop_assert_eq!(answer.map(|(page, _)| page), model.find(at, size));
            if answer.is_ok() {
                model.pages.remove(&at);
            }
            answer.map_or(none, |(_, invalidation)| invalidation)
        }
        Operation::Protect(at, size, flags) => {
            let answer = ept.protect(GuestPhysicalAddress(at), size, flags);
            let expected = model.find(at, size).and_then(|page| {
                let wanted = PageEntry { flags: flags.difference(BY_CPU), ..page };
                wanted.encode(&EVERYTHING)?;
                Ok(PageEntry { flags: wanted.flags | (page.flags & BY_CPU), ..page })
            });
            prop_assert_eq!(answer.map(|_| ()), expected.map(|_| ()));
            if let Ok(page) = expected {
                model.pages.insert(at, page);
            }
            answer.unwrap_or(none)
        }
        Operation::ClearAccessedDirty(at, size) => {
            let answer = ept.clear_accessed_dirty(GuestPhysicalAddress(at), size);
            let found = model.find(at, size);
            prop_assert_eq!(answer.map(|(flags, _)| flags), found.map(|p| p.flags & BY_CPU));
            if let Ok(page) = found {
                model.pages.insert(at, PageEntry { flags: page.flags.difference(BY_CPU), ..page });
            }
            answer.map_or(none, |(_, invalidation)| invalidation)
        }
        Operation::Split(at) => {
            let answer = ept.split(GuestPhysicalAddress(at), frames);
            match model.at(at) {
                None => prop_assert_eq!(answer, Err(EptError::NotMapped(model.absent_level(at)))),
                Some((_, page)) if page.size == PageSize::Size4KiB => {
                    prop_assert_eq!(answer, Ok(none));
                }
                Some(_) => {
                    prop_assert_eq!(answer, Ok(Invalidation::Required));
                    model.split(at);
                }
            }
            answer.unwrap_or(none)
        }
        Operation::Release(at, size) => {
            let answer = ept.release_table(GuestPhysicalAddress(at), size);
            let region = at..at + size.bytes();
            let used = model.pages.range(region.clone()).next().is_some()
                || model
                    .divided
                    .iter()
                    .any(|(level, start)| *level < size.level() && region.contains(start));
            let expected = if size.offset(at) != 0 {
                Err(EptError::Misaligned { address: at, size })
            } else if size == PageSize::Size4KiB || !model.is_divided(size, at) {
                match model.at(at) {
                    Some((_, page)) => Err(EptError::AlreadyMapped(page.size)),
                    None => Err(EptError::NotMapped(model.absent_level(at))),
                }
            } else if used {
                Err(divided(size))
            } else {
                model.divided.remove(&(size.level(), at));
                Ok(())
            };
            prop_assert_eq!(answer.map(|_| ()), expected);
            answer.map_or(none, |(_, invalidation)| invalidation)
        }
    })
}

/// The longest ranges that are mapped into garbage; each page of one takes its time.
const MOST_BYTES: [u64; 2] = if cfg!(miri) { [0x8000; 2] } else { [u64::MAX, 0x40_0000] };

/// Every address is looked at, or a few where looking is slow.
const STEP: usize = if cfg!(miri) { 7 } else { 1 };

fn probes() -> impl Iterator<Item = u64> {
    let ends = [0u64, 1, 511];
    [0u64, 1, 511, 512].into_iter().flat_map(move |gib| {
        ends.into_iter().flat_map(move |mib2| {
            ends.into_iter().map(move |kib4| gib << 30 | mib2 << 21 | kib4 << 12 | 0x123)
        })
    })
}

/// What a CPU that has cached `old` may rely on, and what it would see now.
fn explains(invalidation: Invalidation, old: Translation, new: Option<Translation>) -> bool {
    let Some(new) = new else { return invalidation == Invalidation::Required };
    let (old_flags, new_flags) =
        (old.flags.difference(EntryFlags::IGNORED), new.flags.difference(EntryFlags::IGNORED));
    let same_place =
        (old.address, old.size, old.memory_type) == (new.address, new.size, new.memory_type);
    match invalidation {
        Invalidation::Required => true,
        Invalidation::Optional => same_place && new_flags.contains(old_flags),
        Invalidation::NotNeeded => same_place && new_flags == old_flags,
    }
}

proptest! {
    #[test]
    fn the_tables_do_what_the_model_does(
        operations in prop::collection::vec(any_operation(), 1..if cfg!(miri) { 5 } else { 40 }),
    ) {
        let pages = pages(if cfg!(miri) { 24 } else { 160 });
        let tables = table_pages(&pages);
        let ept = ept(&tables, Level::Pml4, EVERYTHING);
        let mut frames = tables.frames();
        frames.next();
        let mut model = Model::default();
        let look = || -> Vec<_> {
            probes().step_by(STEP).map(|at| ept.translate(GuestPhysicalAddress(at)).ok()).collect()
        };
        let mut before = look();
        for operation in operations {
            let done = std::format!("{operation:?}");
            let invalidation = step(&ept, &mut model, operation, &mut frames)?;
            let after = look();
            for ((at, old), new) in probes().step_by(STEP).zip(before).zip(after.iter().copied()) {
                let expected = model.at(at).map(|(start, page)| {
                    (page.address.0 + (at - start), page.size, page.memory_type, page.flags)
                });
                let found = new.map(|t| (t.address.0, t.size, t.memory_type, t.flags));
                prop_assert_eq!(found, expected, "{:#x} after {}", at, done);
                if let Some(old) = old {
                    prop_assert!(explains(invalidation, old, new), "{:#x} after {}", at, done);
                }
            }
            before = after;
        }
    }

    /// Whatever the tables hold, every operation comes to an end without a panic, and
    /// what cannot be translated has a reason.
    #[test]
    fn garbage_is_survived(
        words in prop::collection::vec(
            (0usize..6, prop::sample::select(&[0usize, 1, 511][..]), prop_oneof![
                any::<u64>(),
                // References and pages within the memory.
                (0u64..7, 0u64..0x1000, 0u64..4)
                    .prop_map(|(page, low, high)| (BASE + (page << 12)) | low | high << 60),
            ]),
            0..40,
        ),
        fill in prop_oneof![Just(0u64), any::<u64>(), Just(BASE | 7), Just(BASE | 0x107)],
        at in prop_oneof![any::<u64>(), any_address()],
        bytes in prop_oneof![0..MOST_BYTES[0], 0..MOST_BYTES[1]],
        operation in any_operation(),
        five_levels: bool,
    ) {
        let pages = pages(6);
        pages.iter().for_each(|page| page.fill(fill));
        for (page, index, word) in words {
            pages[page].write(index, word);
        }
        let tables = table_pages(&pages);
        let top = if five_levels { Level::Pml5 } else { Level::Pml4 };
        let ept = ept(&tables, top, EVERYTHING);
        let at = GuestPhysicalAddress(at);
        let frame = || PhysicalAddress(BASE + 0x3000);
        let mut frames = [frame(), frame()].into_iter();
        if let Ok(found) = ept.translate(at) {
            prop_assert!(EVERYTHING.fits_width(found.address.0));
        }
        match operation {
            Operation::Map(_, page, existing) => {
                let _ = ept.map(at, page, existing, &mut frames);
            }
            Operation::Unmap(_, size) => {
                let _ = ept.unmap(at, size);
            }
            Operation::Protect(_, size, flags) => {
                let _ = ept.protect(at, size, flags);
            }
            Operation::ClearAccessedDirty(_, size) => {
                let _ = ept.clear_accessed_dirty(at, size);
            }
            Operation::Split(_) => {
                let _ = ept.split(at, &mut frames);
            }
            Operation::Release(_, size) => {
                let _ = ept.release_table(at, size);
            }
        }
        let (address, flags) = (PhysicalAddress(at.0), EntryFlags::ALL_ACCESS);
        let memory_type = MemoryType::WriteBack;
        let _ = ept.map_range(at, address, bytes, memory_type, flags, &mut frames);
        let _ = ept.translate(at);
    }
}

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

// Hundreds of entries: too slow for Miri.
#[cfg(not(miri))]
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

// Hundreds of entries: too slow for Miri.
#[cfg(not(miri))]
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
