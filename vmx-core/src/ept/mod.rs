//! EPT: the second translation, from guest-physical to physical addresses.
//!
//! An [`Ept`] owns the memory that its tables are in: it takes pages for new ones out of
//! a [`TableMemory`], and gives back those that became empty. Every operation that
//! changes something the CPU may have cached returns an [`Invalidation`].
//! Source: SDM, "The Extended Page Table Mechanism (EPT)".
//!
//! Not here: the guest's own paging, the exits that EPT causes ([`exit`](crate::exit)), and
//! INVEPT itself ([`cpu`](crate::cpu)).
//!
//! | file | holds |
//! |---|---|
//! | `capabilities` | IA32_VMX_EPT_VPID_CAP |
//! | `address` | guest-physical addresses, levels, page sizes |
//! | `memory_type` | memory types |
//! | `pointer`, `pointer_check` | EPTP, and which one a CPU takes |
//! | `entry_bits`, `entry` | entries: tables and pages of 4 KiB, 2 MiB and 1 GiB |
//! | `rules` | presence and every EPT misconfiguration |
//! | `tables` | a set of tables: what makes it, and how tables leave it |
//! | `table_memory`, `table_pages` | where tables come from; a row of pages |
//! | `walk`, `mappings` | a walk through the tables, translation, what is mapped |
//! | `change` | map, unmap, protect, split |
//! | `range` | ranges, and the identity map with the types of the MTRRs |
//! | `table_count` | how many tables that will take |
//! | `unmap` | unmapping a range, and tables that are empty then |
//! | `retired` | tables that a CPU may still walk |
//! | `mtrr` | the memory types that the MTRRs give to physical memory |
//! | `invalidation` | what to invalidate after what |
//! | `eptp_list`, `virtualization_exception` | EPTP switching, and #VE |
//!
//! ```
//! use vmx_core::ept::*;
//! use vmx_core::memory::Physical;
//! use vmx_core::{Page, PhysicalAddress};
//!
//! // On a real CPU: pages of your own with their physical address, and
//! // `EptRules::of` what the CPU can do and the controls in use.
//! static PAGES: [Page; 8] = [const { Page::new() }; 8];
//! let tables = TablePages::new(Physical::new(&PAGES, PhysicalAddress(0x10_0000)));
//! let rules = EptRules::new(EptVpidCapabilities::from_bits_retain(0x0673_4141), 46);
//!
//! let (top, memory_type) = (Level::Pml4, MemoryType::WriteBack);
//! let mut ept = Ept::new(tables, top, memory_type, EptPointerFlags::default(), rules)?;
//! // current.write(field::EPT_POINTER, ept.pointer())?;
//!
//! // The guest's first 2 MiB are those at 1 GiB.
//! let page = PageEntry {
//!     address: PhysicalAddress(1 << 30),
//!     size: PageSize::Size2MiB,
//!     memory_type,
//!     flags: EntryFlags::ALL_ACCESS,
//! };
//! let invalidation = ept.map(GuestPhysicalAddress(0), page, Existing::Refuse)?;
//! assert_eq!(invalidation, Invalidation::NotNeeded);
//!
//! let found = ept.translate(GuestPhysicalAddress(0x1234))?;
//! assert_eq!(found.address, PhysicalAddress((1 << 30) + 0x1234));
//!
//! // Taking writes away from one of its 4-KiB pages; guests have run by then.
//! let page = GuestPhysicalAddress(0x1000);
//! let split = ept.split(page)?;
//! let read_only = EntryFlags::READ | EntryFlags::EXECUTE;
//! let protect = ept.protect(page, PageSize::Size4KiB, read_only)?;
//! if let Some(scope) = ept.scope(split.max(protect)) {
//!     // cpu.invept(scope)?, on each CPU that may have run the guest
//! #   let _ = scope;
//! }
//! # Ok::<(), EptError>(())
//! ```
//!
//! # Several CPUs
//!
//! Changes take `&mut self`: a lock per EPT keeps two of them apart. vCPUs may run
//! meanwhile, and others may translate through a [`view`](Ept::view): entries change by
//! single atomic steps, a new table is complete before it is referenced, and accessed
//! and dirty flags that a CPU sets at the same time are not lost. A view by way of `&M`
//! lasts until the next change, as the borrow checker has it. One that lasts longer
//! needs a memory of its own, such as a kernel's direct map, and must not be in the
//! middle of a translation when [tables are reused](Ept::invalidated).

pub(crate) mod address;
mod capabilities;
mod change;
mod entry;
mod entry_bits;
mod eptp_list;
mod error;
mod invalidation;
mod mappings;
mod memory_type;
mod mtrr;
pub(crate) mod pointer;
mod pointer_check;
mod range;
mod retired;
mod rules;
mod table_count;
mod table_memory;
mod table_pages;
mod tables;
mod unmap;
mod virtualization_exception;
mod walk;

pub use crate::capability::ept_vpid::EptVpidCapabilities;
pub use address::{GuestPhysicalAddress, Level, PageSize};
pub use change::Existing;
pub use entry::{Entry, PageEntry, TableEntry};
pub use entry_bits::EntryFlags;
pub use eptp_list::{BeyondList, EptpList};
pub use error::EptError;
pub use invalidation::{Covered, Invalidation};
pub use memory_type::MemoryType;
pub use mtrr::{MtrrError, Mtrrs};
pub use pointer::{EptPointer, EptPointerFlags};
pub use pointer_check::EptPointerError;
pub use rules::{EptRules, Misconfiguration};
pub use table_memory::TableMemory;
pub use table_pages::TablePages;
pub use tables::Ept;
pub use virtualization_exception::{VirtualizationException, VirtualizationExceptionArea};
pub use walk::Translation;

#[cfg(test)]
mod test_support;
#[cfg(test)]
mod tests;
