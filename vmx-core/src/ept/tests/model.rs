//! The tables against a model of what they should say, over any sequence of operations.

extern crate std;

use std::collections::{BTreeMap, BTreeSet};
use std::vec::Vec;

use proptest::prelude::*;

use super::operation::{Operation, any_operation};
use super::*;

/// What the tables should say: pages by guest-physical address, and the regions of
/// one entry that a table divides.
#[derive(Default)]
struct Model {
    pages: BTreeMap<u64, PageEntry>,
    divided: BTreeSet<(Level, u64)>,
}

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
        operations in prop::collection::vec(any_operation(), 1..40),
    ) {
        let pages = pages(160);
        let tables = table_pages(&pages);
        let ept = ept(&tables, Level::Pml4, EVERYTHING);
        let mut frames = tables.frames();
        frames.next();
        let mut model = Model::default();
        let look = || -> Vec<_> {
            probes().map(|at| ept.translate(GuestPhysicalAddress(at)).ok()).collect()
        };
        let mut before = look();
        for operation in operations {
            let done = std::format!("{operation:?}");
            let invalidation = step(&ept, &mut model, operation, &mut frames)?;
            let after = look();
            for ((at, old), new) in probes().zip(before).zip(after.iter().copied()) {
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
}
