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
pub(super) struct Model {
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

    /// No table stays that divides nothing.
    fn drop_empty(&mut self) {
        let pages = &self.pages;
        self.divided.retain(|(level, start)| {
            pages.range(*start..*start + (1 << level.shift())).next().is_some()
        });
    }

    fn unmap_range(&mut self, at: u64, bytes: u64) -> Vec<(u64, PageEntry)> {
        for end in [at, at + bytes].into_iter().filter(|_| bytes != 0) {
            while self.at(end).is_some_and(|(start, _)| start != end) {
                self.split(end);
            }
        }
        let removed: Vec<_> = self.pages.range(at..at + bytes).map(|(k, v)| (*k, *v)).collect();
        removed.iter().for_each(|(start, _)| {
            self.pages.remove(start);
        });
        self.drop_empty();
        removed
    }

    /// How many tables there are, the root included.
    pub(super) fn tables(&self) -> usize {
        1 + self.divided.len()
    }
}

fn divided(size: PageSize) -> EptError {
    EptError::DividedBy(size.level().below().unwrap())
}

/// Does the same to the tables and to the model; both must answer the same.
pub(super) fn step(
    ept: &mut Ept<Scattered>,
    model: &mut Model,
    operation: Operation,
) -> Result<Invalidation, TestCaseError> {
    let none = Invalidation::NotNeeded;
    Ok(match operation {
        Operation::Map(at, page, existing) => {
            let answer = ept.map(GuestPhysicalAddress(at), page, existing);
            prop_assert_eq!(answer.map(|_| ()), model.map(at, page, existing));
            answer.unwrap_or(none)
        }
        Operation::Unmap(at, size) => {
            let answer = ept.unmap(GuestPhysicalAddress(at), size);
            prop_assert_eq!(answer.map(|(page, _)| page), model.find(at, size));
            if answer.is_ok() {
                model.pages.remove(&at);
                model.drop_empty();
            }
            answer.map_or(none, |(_, invalidation)| invalidation)
        }
        Operation::UnmapRange(at, bytes) => {
            let mut removed = Vec::new();
            let answer = ept.unmap_range(GuestPhysicalAddress(at), bytes, |at, page| {
                removed.push((at.0, page));
            });
            prop_assert!(answer.is_ok());
            prop_assert_eq!(removed, model.unmap_range(at, bytes));
            answer.unwrap_or(none)
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
            let answer = ept.split(GuestPhysicalAddress(at));
            match model.at(at) {
                None => prop_assert_eq!(answer, Err(EptError::NotMapped(model.absent_level(at)))),
                Some((_, page)) if page.size == PageSize::Size4KiB => {
                    prop_assert_eq!(answer, Ok(none));
                }
                Some(_) => {
                    prop_assert!(answer.is_ok_and(Invalidation::is_required));
                    model.split(at);
                }
            }
            answer.unwrap_or(none)
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
    let Some(new) = new else { return invalidation.is_required() };
    let (old_flags, new_flags) =
        (old.flags.difference(EntryFlags::IGNORED), new.flags.difference(EntryFlags::IGNORED));
    let same_place =
        (old.address, old.size, old.memory_type) == (new.address, new.size, new.memory_type);
    match invalidation {
        Invalidation::Required(_) => true,
        Invalidation::Optional => same_place && new_flags.contains(old_flags),
        Invalidation::NotNeeded => same_place && new_flags == old_flags,
    }
}

/// The tables that the tree refers to now.
fn tree(ept: &Ept<Scattered>) -> BTreeSet<u64> {
    fn add(ept: &Ept<Scattered>, table: u64, level: Level, found: &mut BTreeSet<u64>) {
        assert!(found.insert(table), "{table:#x} is referred to twice");
        let page = ept.table(PhysicalAddress(table)).expect("a table is in use");
        let Some(below) = level.below() else { return };
        for index in 0..512 {
            if let Ok(Entry::Table(entry)) = Entry::decode(page.read(index), level, ept.rules()) {
                add(ept, entry.address.0, below, found);
            }
        }
    }
    let mut found = BTreeSet::new();
    add(ept, ept.pointer().root().0, Level::Pml4, &mut found);
    found
}

/// What CPUs may still walk: what was in the tree at some time since each returned
/// invalidation, which is not executed yet.
#[derive(Default)]
struct Walkers {
    /// The invalidations that are not executed, with what had left the tree by then.
    waiting: Vec<(Invalidation, BTreeSet<u64>)>,
    /// All that has left the tree and not come back to the memory.
    retired: BTreeSet<u64>,
    tree: BTreeSet<u64>,
}

impl Walkers {
    /// Looks at the tables after an operation.
    fn look(
        &mut self,
        ept: &Ept<Scattered>,
        invalidation: Invalidation,
    ) -> Result<(), TestCaseError> {
        let tree = tree(ept);
        self.retired.extend(self.tree.difference(&tree));
        self.tree = tree;
        // Neither reused nor given back, and whoever still walks them finds nothing.
        prop_assert!(self.retired.is_disjoint(&self.tree));
        prop_assert_eq!(&(&self.retired | &self.tree), &ept.memory().in_use());
        prop_assert_eq!(self.retired.len() as u64, ept.retired_tables());
        for table in &self.retired {
            prop_assert!(ept.is_empty(ept.table(PhysicalAddress(*table)).unwrap()));
        }
        if invalidation.is_required() {
            self.waiting.push((invalidation, self.retired.clone()));
        }
        Ok(())
    }

    /// Executes one of the invalidations.
    fn invalidate(&mut self, ept: &mut Ept<Scattered>, one: usize) -> Result<(), TestCaseError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let (invalidation, covered) = self.waiting.swap_remove(one % self.waiting.len());
        let before = ept.memory().released.len();
        // SAFETY: no CPU walks these tables.
        unsafe { ept.invalidated(invalidation) };
        let released: BTreeSet<u64> = ept.memory().released[before..].iter().copied().collect();
        let expected: BTreeSet<u64> = covered.intersection(&self.retired).copied().collect();
        prop_assert_eq!(&released, &expected);
        self.retired.retain(|table| !released.contains(table));
        // What came back may be taken again, and is another table then.
        for (_, covered) in &mut self.waiting {
            covered.retain(|table| !released.contains(table));
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn the_tables_do_what_the_model_does(
        operations in prop::collection::vec((any_operation(), any::<Option<usize>>()), 1..40),
    ) {
        let mut ept = ept_in(Scattered::default(), Level::Pml4, EVERYTHING);
        let (mut model, mut walkers) = (Model::default(), Walkers::default());
        walkers.tree = tree(&ept);
        let look = |ept: &Ept<Scattered>| -> Vec<_> {
            probes().map(|at| ept.translate(GuestPhysicalAddress(at)).ok()).collect()
        };
        let mut before = look(&ept);
        for (operation, invalidate) in operations {
            let done = std::format!("{operation:?}");
            let invalidation = step(&mut ept, &mut model, operation)?;
            let after = look(&ept);
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
            walkers.look(&ept, invalidation)?;
            prop_assert_eq!(walkers.tree.len(), model.tables(), "after {}", done);
            if let Some(one) = invalidate {
                walkers.invalidate(&mut ept, one)?;
            }
        }
        let all = ept.mappings(GuestPhysicalAddress(0), u64::MAX);
        let all: Result<Vec<_>, _> = all.map(|found| found.map(|(at, page)| (at.0, page))).collect();
        prop_assert_eq!(all, Ok(model.pages.into_iter().collect()));
        // Everything comes back.
        prop_assert!(ept.clear().is_ok());
        let pending = ept.pending();
        // SAFETY: no CPU walks these tables.
        unsafe { ept.invalidated(pending) };
        prop_assert_eq!(ept.memory().in_use(), BTreeSet::from([ept.pointer().root().0]));
    }
}
