//! EPTP, the extended-page-table pointer, as a value.

use core::fmt;

use bitflags::bitflags;

use super::address::{ADDRESS, Level};
use super::memory_type::MemoryType;
use crate::memory::address::PhysicalAddress;
use crate::vmcs::field::value::FieldValue;

bitflags! {
    /// Bits 6 and 7 of EPTP.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct EptPointerFlags: u64 {
        /// The CPU sets accessed and dirty flags in the entries. It then takes its
        /// accesses to the guest's own page tables for writes.
        const ACCESSED_DIRTY = 1 << 6;
        /// A supervisor shadow-stack access is allowed only if bit 60 of the entry
        /// that maps the page is 1, every entry on the way is readable, and every
        /// one that references a table is writable too. The page itself need not
        /// be: ordinary writes to it can be refused.
        const SUPERVISOR_SHADOW_STACK_CONTROL = 1 << 7;
    }
}

/// EPTP, all bits kept: made by [`new`](Self::new) for a CPU, or of any value.
/// Source: SDM, "Extended-Page-Table Pointer (EPTP)".
///
/// ```
/// use vmx_core::PhysicalAddress;
/// use vmx_core::ept::{EptPointer, EptPointerFlags, Level};
/// let pointer = EptPointer::from_bits(0x1234_505E);
/// assert_eq!(pointer.root(), PhysicalAddress(0x1234_5000));
/// assert_eq!(pointer.top_level(), Some(Level::Pml4));
/// assert_eq!(pointer.flags(), EptPointerFlags::ACCESSED_DIRTY);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct EptPointer(pub(super) u64);

impl EptPointer {
    /// Any value. [`check`](Self::check) says whether a CPU takes it.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The value as it stands in a VMCS or an EPTP list.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Bits 51:12: where the top-level table is.
    pub const fn root(self) -> PhysicalAddress {
        PhysicalAddress(self.0 & ADDRESS)
    }

    /// Bits 2:0: the memory type of the CPU's accesses to the tables; `None` for a
    /// reserved number.
    pub const fn memory_type(self) -> Option<MemoryType> {
        MemoryType::from_number(self.0 & 0b111)
    }

    /// Bits 5:3 plus one: how many levels a walk has.
    pub const fn page_walk_length(self) -> u8 {
        ((self.0 >> 3) & 0b111) as u8 + 1
    }

    /// The level at which a walk begins; `None` for a length other than 4 and 5.
    pub const fn top_level(self) -> Option<Level> {
        match self.page_walk_length() {
            4 => Some(Level::Pml4),
            5 => Some(Level::Pml5),
            _ => None,
        }
    }

    /// Bits 7:6.
    pub const fn flags(self) -> EptPointerFlags {
        EptPointerFlags::from_bits_retain(self.0 & EptPointerFlags::all().bits())
    }
}

impl FieldValue for EptPointer {
    fn from_field(raw: u64) -> Self {
        Self(raw)
    }
    fn into_field(self) -> u64 {
        self.0
    }
    fn describe(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (root, memory_type) = (self.root().0, self.0 & 0b111);
        let length = self.page_walk_length();
        write!(f, "{:#x}: root {root:#x}, memory type {memory_type}, {length} levels", self.0)?;
        if !self.flags().is_empty() {
            f.write_str(", ")?;
            bitflags::parser::to_writer(&self.flags(), f)?;
        }
        Ok(())
    }
}

impl fmt::Debug for EptPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EptPointer({:#x})", self.0)
    }
}
