//! A set of EPT tables: what makes it, and how tables leave it.

use super::address::Level;
use super::entry::TableEntry;
use super::entry_bits::EntryFlags;
use super::error::EptError;
use super::invalidation::{Covered, Invalidation, Need};
use super::memory_type::MemoryType;
use super::pointer::{EptPointer, EptPointerFlags};
use super::pointer_check::EptPointerError;
use super::retired::Retired;
use super::rules::EptRules;
use super::table_memory::TableMemory;
use crate::cpu::invalidation::InveptScope;
use crate::memory::access::Memory;
use crate::memory::address::PhysicalAddress;
use crate::memory::page::{PAGE_WORDS, Page};

/// A set of EPT tables.
///
/// It owns the memory that its tables are in, and can be stored without a lifetime. Who
/// may only look needs no more than [`Memory`]: a [`view`](Self::view) by way of `&M`,
/// or of another memory that reaches the same pages.
///
/// What changes the tables takes `&mut self` and needs [`TableMemory`].
#[derive(Debug)]
pub struct Ept<M> {
    pub(super) memory: M,
    pub(super) pointer: EptPointer,
    pub(super) top: Level,
    pub(super) rules: EptRules,
    /// What stands in an entry that is not present.
    pub(super) absent: u64,
    /// Other roots refer to some of the tables.
    pub(super) is_sharing: bool,
    pub(super) retired: Retired,
    /// How many changes there have been that must be invalidated.
    changes: u64,
    /// How many of them have been.
    invalidated: u64,
}

impl<M: Memory> Ept<M> {
    /// The tables that `pointer` refers to, as they are; any contents will do.
    ///
    /// To change them, the tables must be pages that `memory` can release, each
    /// referred to once, or [`sharing_tables`](Self::sharing_tables).
    ///
    /// # Errors
    /// [`EptError::Pointer`] if this CPU does not take the pointer, and
    /// [`EptError::NoInvept`].
    pub fn from_pointer(memory: M, pointer: EptPointer, rules: EptRules) -> Result<Self, EptError> {
        pointer.check(&rules)?;
        if rules.capabilities.invept_of(pointer).is_none() {
            return Err(EptError::NoInvept);
        }
        let length = EptPointerError::PageWalkLength(pointer.page_walk_length());
        let top = pointer.top_level().ok_or(length)?;
        Ok(Self {
            memory,
            pointer,
            top,
            rules,
            absent: 0,
            is_sharing: false,
            retired: Retired::NONE,
            changes: 0,
            invalidated: 0,
        })
    }

    /// The same tables through another memory, to look at them: `&M`, or what else
    /// reaches the pages without this value, such as a kernel's direct map.
    pub const fn view<N: Memory>(&self, memory: N) -> Ept<N> {
        Ept {
            memory,
            pointer: self.pointer,
            top: self.top,
            rules: self.rules,
            absent: self.absent,
            is_sharing: self.is_sharing,
            retired: Retired::NONE,
            changes: 0,
            invalidated: 0,
        }
    }

    /// Says that tables below this root are referred to from other roots too, as the
    /// caller has arranged by writing entries: views between which a guest switches by
    /// VMFUNC, say. Then a change is cached under all these roots, [`scope`](Self::scope)
    /// is all contexts, and tables that become empty stay where they are.
    ///
    /// # Errors
    /// [`EptError::NoInvept`] on a CPU without INVEPT of all contexts.
    pub fn sharing_tables(mut self) -> Result<Self, EptError> {
        if self.rules.capabilities.invept_of_all().is_none() {
            return Err(EptError::NoInvept);
        }
        self.is_sharing = true;
        Ok(self)
    }

    /// EPTP, for the VMCS and for INVEPT.
    pub const fn pointer(&self) -> EptPointer {
        self.pointer
    }

    /// The rules that entries are made and judged by.
    pub const fn rules(&self) -> &EptRules {
        &self.rules
    }

    /// The memory that the tables are in.
    pub const fn memory(&self) -> &M {
        &self.memory
    }

    /// The INVEPT to execute for `invalidation`, on every CPU that may have used the
    /// tables; `None` if it can be left out.
    ///
    /// It is of the single context of this root where the CPU has that and no other
    /// root shares tables with it, else of all contexts.
    pub const fn scope(&self, invalidation: Invalidation) -> Option<InveptScope> {
        match invalidation {
            Invalidation::NotNeeded | Invalidation::Optional => None,
            Invalidation::Required(_) if self.is_sharing => self.rules.capabilities.invept_of_all(),
            Invalidation::Required(_) => self.rules.capabilities.invept_of(self.pointer),
        }
    }

    pub(super) fn table(&self, address: PhysicalAddress) -> Result<&Page, EptError> {
        self.memory.page(address).ok_or(EptError::NoMemory(address))
    }

    /// Whether nothing is present in a table.
    pub(super) fn is_empty(&self, table: &Page) -> bool {
        !(0..PAGE_WORDS).any(|index| self.rules.is_present(table.read(index)))
    }
}

impl<M: TableMemory> Ept<M> {
    /// Tables that map nothing: a root out of `memory`, of the level `top`
    /// ([`Level::Pml4`] or [`Level::Pml5`]). `memory_type` is that of the CPU's accesses
    /// to the tables: write-back, unless the CPU cannot.
    ///
    /// # Errors
    /// [`EptError::OutOfFrames`], [`EptError::NoMemory`],
    /// [`EptError::Pointer`] if this CPU does not take such a pointer, and
    /// [`EptError::NoInvept`].
    pub fn new(
        mut memory: M,
        top: Level,
        memory_type: MemoryType,
        flags: EptPointerFlags,
        rules: EptRules,
    ) -> Result<Self, EptError> {
        // All that can be wrong but for the root's address, before there is a root.
        let nowhere = EptPointer::new(PhysicalAddress(0), top, memory_type, flags, &rules)?;
        if rules.capabilities.invept_of(nowhere).is_none() {
            return Err(EptError::NoInvept);
        }
        let root = memory.allocate().ok_or(EptError::OutOfFrames)?;
        let pointer = EptPointer::new(root, top, memory_type, flags, &rules);
        let error = match (pointer, memory.page(root)) {
            (Ok(pointer), Some(page)) => {
                page.fill(0);
                return Self::from_pointer(memory, pointer, rules);
            }
            (Ok(_), None) => EptError::NoMemory(root),
            (Err(error), _) => error.into(),
        };
        memory.release(root);
        Err(error)
    }

    /// The same tables, with [`EntryFlags::SUPPRESS_VE`] in every entry that becomes not
    /// present from now on, and in those of the root: so "EPT-violation #VE" does not
    /// turn accesses to unmapped addresses into exceptions in the guest. For tables
    /// that map nothing yet.
    ///
    /// # Errors
    /// [`EptError::NoMemory`].
    pub fn suppressing_ve(mut self) -> Result<Self, EptError> {
        self.absent = EntryFlags::SUPPRESS_VE.bits();
        let root = self.table(self.pointer.root())?;
        for index in 0..PAGE_WORDS {
            if !self.rules.is_present(root.read(index)) {
                root.write(index, self.absent);
            }
        }
        Ok(self)
    }

    /// What must be invalidated for all changes so far, as one: for several changes at
    /// once, and after an error in the middle of one.
    pub const fn pending(&self) -> Invalidation {
        if self.changes == self.invalidated { Invalidation::NotNeeded } else { self.required() }
    }

    /// How many tables are taken out of the tree and wait for
    /// [`invalidated`](Self::invalidated).
    pub const fn retired_tables(&self) -> u64 {
        self.retired.added() - self.retired.taken()
    }

    /// Says that `invalidation` is executed. The tables that it covers go back to the
    /// memory; nothing happens for one that is not required.
    ///
    /// The order is: a change that returns an [`Invalidation`]; INVEPT of its
    /// [`scope`](Self::scope), on each CPU; then this. What is changed between the
    /// first and the last step is not covered, and tables taken out meanwhile stay
    /// retired until their own invalidation.
    ///
    /// # Safety
    ///
    /// 1. `invalidation` came from this value.
    /// 2. If it [is required](Invalidation::is_required): since the change, or the call
    ///    of [`pending`](Self::pending), that returned it, INVEPT of its scope has been
    ///    executed on every CPU that may have cached anything of these tables. These
    ///    are the CPUs that have entered a guest with this EPT, or with one that shares
    ///    tables, since they last executed such an INVEPT.
    /// 3. Nobody who began to [translate](Self::translate) before, through a
    ///    [`view`](Self::view), is still about it.
    ///
    /// ```
    /// use vmx_core::{Page, PhysicalAddress};
    /// use vmx_core::ept::*;
    /// use vmx_core::memory::Physical;
    /// # let pages = [const { Page::new() }; 8];
    /// # let pages = Physical::new(&pages[..], PhysicalAddress(0x10_0000));
    /// # let rules = EptRules::new(EptVpidCapabilities::from_bits_retain(0x0673_4141), 46);
    /// # let (top, memory_type) = (Level::Pml4, MemoryType::WriteBack);
    /// # let flags = EptPointerFlags::default();
    /// # let mut ept = Ept::new(TablePages::new(pages), top, memory_type, flags, rules)?;
    /// # let (at, bytes, all) = (GuestPhysicalAddress(0), 0x5000, EntryFlags::ALL_ACCESS);
    /// ept.map_range(at, PhysicalAddress(1 << 30), bytes, memory_type, all)?;
    /// // Three tables are empty then, and go.
    /// let invalidation = ept.unmap_range(at, bytes, |_, _| {})?;
    /// assert_eq!(ept.retired_tables(), 3);
    /// if let Some(scope) = ept.scope(invalidation) {
    ///     // cpu.invept(scope)?, on each CPU that may have run the guest
    /// #   let _ = scope;
    /// }
    /// // SAFETY: (1) it did; (2) each CPU has executed INVEPT; (3) there are no views.
    /// unsafe { ept.invalidated(invalidation) };
    /// assert_eq!((ept.retired_tables(), ept.memory().available()), (0, 7));
    /// # Ok::<(), EptError>(())
    /// ```
    pub unsafe fn invalidated(&mut self, invalidation: Invalidation) {
        let Invalidation::Required(Covered { changes, tables }) = invalidation else { return };
        self.invalidated = self.invalidated.max(changes.min(self.changes));
        while self.retired.taken() < tables {
            let Some(table) = self.retired.take(&self.memory) else { return };
            self.memory.release(table);
        }
    }

    /// The memory that the tables are in, to put more pages into it.
    pub const fn memory_mut(&mut self) -> &mut M {
        &mut self.memory
    }

    /// Gives the memory back, with whatever tables are in it: the root, what it refers
    /// to, and the retired ones.
    pub fn into_memory(self) -> M {
        self.memory
    }

    /// The invalidation of everything up to now.
    const fn required(&self) -> Invalidation {
        let tables = self.retired.added();
        Invalidation::Required(Covered { changes: self.changes, tables })
    }

    /// Notes a change, and returns what it asks for.
    pub(super) const fn changed(&mut self, need: Need) -> Invalidation {
        match need {
            Need::Nothing => Invalidation::NotNeeded,
            Need::Optional => Invalidation::Optional,
            Need::Required => {
                self.changes += 1;
                self.required()
            }
        }
    }

    /// Notes that no entry refers to an empty table any more.
    pub(super) fn retire(&mut self, table: PhysicalAddress) -> Invalidation {
        self.retired.add(&self.memory, table, self.absent);
        self.changed(Need::Required)
    }

    /// Pages for so many tables, which are nowhere referred to yet; all or none.
    pub(super) fn allocate(&mut self, count: usize) -> Result<NewTables, EptError> {
        let mut tables = NewTables::NONE;
        for _ in 0..count {
            let Some(table) = self.memory.allocate() else {
                self.free(tables);
                return Err(EptError::OutOfFrames);
            };
            tables.add(table);
            if let Err(error) = self.check_table(table) {
                self.free(tables);
                return Err(error);
            }
        }
        Ok(tables)
    }

    fn check_table(&self, table: PhysicalAddress) -> Result<(), EptError> {
        TableEntry::encode(table, &self.rules)?;
        self.table(table).map(|_| ())
    }

    /// Gives back tables that have never been referred to.
    pub(super) fn free(&mut self, mut tables: NewTables) {
        while let Some(table) = tables.take() {
            self.memory.release(table);
        }
    }
}

/// Tables that nothing refers to yet.
pub(super) struct NewTables {
    addresses: [PhysicalAddress; Self::MOST],
    /// How many of them are taken, and how many there are.
    taken: usize,
    count: usize,
}

impl NewTables {
    /// One below each level but the last: a page takes no more.
    const MOST: usize = 4;
    const NONE: Self = Self { addresses: [PhysicalAddress(0); Self::MOST], taken: 0, count: 0 };

    fn add(&mut self, table: PhysicalAddress) {
        if let Some(place) = self.addresses.get_mut(self.count) {
            *place = table;
            self.count += 1;
        }
    }

    /// The first one; it stays here until it is taken.
    pub(super) fn first(&self) -> Result<PhysicalAddress, EptError> {
        let first = self.addresses.get(self.taken..self.count).and_then(<[_]>::first);
        first.copied().ok_or(EptError::OutOfFrames)
    }

    /// Takes the first one out.
    pub(super) fn take(&mut self) -> Option<PhysicalAddress> {
        let first = self.first().ok()?;
        self.taken += 1;
        Some(first)
    }
}
