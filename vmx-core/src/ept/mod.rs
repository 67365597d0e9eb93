//! EPT: the second translation, from guest-physical to physical addresses.
//!
//! [`Ept`] is a view of one set of tables, reached through [`Memory`] by physical
//! address; tables come out of frames that the caller provides. Every operation that
//! changes something the CPU may have cached returns an [`Invalidation`].
//! Source: SDM, "The Extended Page Table Mechanism (EPT)".
//!
//! | file | holds |
//! |---|---|
//! | `capabilities` | IA32_VMX_EPT_VPID_CAP |
//! | `address` | guest-physical addresses, levels, page sizes |
//! | `memory_type` | memory types |
//! | `pointer` | EPTP |
//! | `entry` | entries: tables and pages of 4 KiB, 2 MiB and 1 GiB |
//! | `rules` | presence and every EPT misconfiguration |
//! | `walk` | a walk through the tables, and translation |
//! | `change` | map, unmap, protect, split, release of a table |
//! | `range` | ranges, and the identity map with the types of the MTRRs |
//! | `mtrr` | the memory types that the MTRRs give to physical memory |
//! | `invalidation` | what to invalidate after what |
//! | `table_pages` | frames for tables |
//!
//! ```
//! use vmx_core::ept::*;
//! use vmx_core::{Page, PhysicalAddress};
//!
//! // On a real CPU: pages of your own, their physical address, what CPUID and the
//! // capability MSR say.
//! let pages: Vec<Page> = (0..8).map(|_| Page::new()).collect();
//! let tables = TablePages::new(&pages, PhysicalAddress(0x10_0000));
//! let rules = EptRules::new(EptVpidCapabilities::from_bits_retain(0x0673_4141), 46);
//!
//! let mut frames = tables.frames();
//! let root = frames.next().ok_or(EptError::OutOfFrames)?;
//! let flags = EptPointerFlags::default();
//! let pointer = EptPointer::new(root, Level::Pml4, MemoryType::WriteBack, flags, &rules)?;
//! let ept = Ept::empty(&tables, pointer, rules)?;
//!
//! // The guest's first 2 MiB are those at 1 GiB.
//! let page = PageEntry {
//!     address: PhysicalAddress(1 << 30),
//!     size: PageSize::Size2MiB,
//!     memory_type: MemoryType::WriteBack,
//!     flags: EntryFlags::ALL_ACCESS,
//! };
//! let invalidation =
//!     ept.map(GuestPhysicalAddress(0), page, Existing::Refuse, &mut frames)?;
//! assert_eq!(invalidation, Invalidation::NotNeeded);
//!
//! let found = ept.translate(GuestPhysicalAddress(0x1234))?;
//! assert_eq!(found.address, PhysicalAddress((1 << 30) + 0x1234));
//!
//! // Taking writes away from one of its 4-KiB pages; `pointer` is in use by then.
//! let page = GuestPhysicalAddress(0x1000);
//! let split = ept.split(page, &mut frames)?;
//! let read_only = EntryFlags::READ | EntryFlags::EXECUTE;
//! let protect = ept.protect(page, PageSize::Size4KiB, read_only)?;
//! if let Some(scope) = split.max(protect).scope(pointer) {
//!     // cpu.invept(scope)?, on each CPU that may have run the guest
//! #   let _ = scope;
//! }
//! # Ok::<(), EptError>(())
//! ```
//!
//! # Several CPUs
//!
//! vCPUs may run, and anybody may translate, while the tables change: entries change
//! by single atomic steps, a new table is complete before it is referenced, and
//! accessed and dirty flags that a CPU sets at the same time are not lost. Two
//! changes at the same time have to be kept apart by the caller (a lock per EPT).

mod address;
mod capabilities;
mod change;
mod entry;
mod eptp_list;
mod error;
mod invalidation;
mod memory_type;
mod mtrr;
mod pointer;
mod range;
mod rules;
mod table_pages;
mod virtualization_exception;
mod walk;

pub use crate::capability::ept_vpid::EptVpidCapabilities;
pub use address::{GuestPhysicalAddress, Level, PageSize};
pub use change::Existing;
pub use entry::{Entry, EntryFlags, PageEntry, TableEntry};
pub use eptp_list::{BeyondList, EptpList};
pub use error::EptError;
pub use invalidation::Invalidation;
pub use memory_type::MemoryType;
pub use mtrr::{Mtrrs, TooManyRanges};
pub use pointer::{EptPointer, EptPointerError, EptPointerFlags};
pub use rules::{EptRules, Misconfiguration};
pub use table_pages::{FrameRange, TablePages};
pub use virtualization_exception::{VirtualizationException, VirtualizationExceptionArea};
pub use walk::Translation;

use crate::memory::access::Memory;

/// A set of EPT tables in memory.
///
/// The value is a view: the tables stay when it is dropped, and a second one may be
/// made of the same pointer.
#[derive(Debug)]
pub struct Ept<'m, M: ?Sized> {
    memory: &'m M,
    pointer: EptPointer,
    top: Level,
    rules: EptRules,
    /// What stands in an entry that is not present.
    absent: u64,
}

impl<'m, M: Memory + ?Sized> Ept<'m, M> {
    /// The tables that `pointer` refers to, as they are; any contents will do.
    ///
    /// # Errors
    /// [`EptError::Pointer`] if this CPU does not take the pointer.
    pub fn from_pointer(
        memory: &'m M,
        pointer: EptPointer,
        rules: EptRules,
    ) -> Result<Self, EptError> {
        pointer.check(&rules)?;
        let length = EptPointerError::PageWalkLength(pointer.page_walk_length());
        let top = pointer.top_level().ok_or(length)?;
        Ok(Self { memory, pointer, top, rules, absent: 0 })
    }

    /// Tables that map nothing: the root's page is overwritten. For a root that no
    /// CPU uses yet.
    ///
    /// # Errors
    /// As [`from_pointer`](Self::from_pointer), and [`EptError::NoMemory`].
    pub fn empty(memory: &'m M, pointer: EptPointer, rules: EptRules) -> Result<Self, EptError> {
        let ept = Self::from_pointer(memory, pointer, rules)?;
        // Nothing of a root that was not in use can be cached.
        let _ = ept.clear()?;
        Ok(ept)
    }

    /// The same view, with [`EntryFlags::SUPPRESS_VE`] in every entry that it makes
    /// not present from now on, so that "EPT-violation #VE" does not turn accesses to
    /// unmapped addresses into exceptions in the guest. Call it before
    /// [`clear`](Self::clear).
    pub const fn suppressing_ve(mut self) -> Self {
        self.absent = EntryFlags::SUPPRESS_VE.bits();
        self
    }

    /// Overwrites the root's page: nothing is mapped any more. The tables below it
    /// are the caller's again, once what the CPU has cached is invalidated.
    ///
    /// # Errors
    /// [`EptError::NoMemory`].
    pub fn clear(&self) -> Result<Invalidation, EptError> {
        let root = self.pointer.root();
        self.memory.page(root).ok_or(EptError::NoMemory(root))?.fill(self.absent);
        Ok(Invalidation::Required)
    }

    /// EPTP, for the VMCS and for INVEPT.
    pub const fn pointer(&self) -> EptPointer {
        self.pointer
    }

    /// The rules that entries are made and judged by.
    pub const fn rules(&self) -> &EptRules {
        &self.rules
    }
}

#[cfg(test)]
mod test_support;
#[cfg(test)]
mod tests;
