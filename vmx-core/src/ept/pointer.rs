//! EPTP, the extended-page-table pointer.

use core::fmt;

use bitflags::bitflags;

use crate::ept::entry::ADDRESS;
use crate::ept::{EptRules, Invalidation, Level, MemoryType};
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

/// EPTP, all bits kept. Source: SDM, "Extended-Page-Table Pointer (EPTP)".
///
/// ```
/// use vmx_core::PhysicalAddress;
/// use vmx_core::ept::*;
/// let rules = EptRules::new(EptVpidCapabilities::from_bits_retain(0x0631_4141), 46);
/// let root = PhysicalAddress(0x1234_5000);
/// let wanted = EptPointerFlags::ACCESSED_DIRTY;
/// let pointer = EptPointer::new(root, Level::Pml4, MemoryType::WriteBack, wanted, &rules)?;
/// assert_eq!(pointer.bits(), 0x1234_505E);
///
/// let unsupported = EptPointerFlags::SUPERVISOR_SHADOW_STACK_CONTROL;
/// assert_eq!(
///     EptPointer::new(root, Level::Pml4, MemoryType::WriteBack, unsupported, &rules),
///     Err(EptPointerError::SupervisorShadowStackControl)
/// );
/// # Ok::<(), EptPointerError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct EptPointer(u64);

impl EptPointer {
    /// The pointer to the table at `root`, which is of the level `top`
    /// ([`Level::Pml4`] or [`Level::Pml5`]). `memory_type` is that of the CPU's
    /// accesses to the tables, not the guest's.
    ///
    /// # Errors
    /// [`EptPointerError`] names the first part that this CPU does not take.
    pub fn new(
        root: PhysicalAddress,
        top: Level,
        memory_type: MemoryType,
        flags: EptPointerFlags,
        rules: &EptRules,
    ) -> Result<Self, EptPointerError> {
        if root.0 & !ADDRESS != 0 {
            return Err(EptPointerError::Root(root));
        }
        if !matches!(top, Level::Pml4 | Level::Pml5) {
            return Err(EptPointerError::PageWalkLength(top as u8));
        }
        if !EptPointerFlags::all().contains(flags) {
            return Err(EptPointerError::ReservedBits);
        }
        let walk_length = (top as u64 - 1) << 3;
        let pointer = Self(root.0 | flags.bits() | walk_length | memory_type.number());
        pointer.check(rules)?;
        Ok(pointer)
    }

    /// Any value, as it stands in a VMCS or an EPTP list.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The value for the VMCS.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether VM entry and INVEPT take the value on this CPU.
    ///
    /// # Errors
    /// [`EptPointerError`] names the first part that they do not take.
    pub fn check(self, rules: &EptRules) -> Result<(), EptPointerError> {
        let capabilities = rules.capabilities;
        let supported = match self.memory_type() {
            Some(MemoryType::Uncacheable) => capabilities.supports_uncacheable_tables(),
            Some(MemoryType::WriteBack) => capabilities.supports_write_back_tables(),
            _ => false,
        };
        if !supported {
            return Err(EptPointerError::MemoryType((self.0 & 0b111) as u8));
        }
        if !self.top_level().is_some_and(|level| capabilities.supports_top_level(level)) {
            return Err(EptPointerError::PageWalkLength(self.page_walk_length()));
        }
        let flags = self.flags();
        if flags.contains(EptPointerFlags::ACCESSED_DIRTY)
            && !capabilities.supports_accessed_dirty()
        {
            return Err(EptPointerError::AccessedDirty);
        }
        if flags.contains(EptPointerFlags::SUPERVISOR_SHADOW_STACK_CONTROL)
            && !capabilities.supports_supervisor_shadow_stack_control()
        {
            return Err(EptPointerError::SupervisorShadowStackControl);
        }
        if self.0 & 0xF00 != 0 {
            return Err(EptPointerError::ReservedBits);
        }
        // Bits 63:52 are reserved too, and beyond any width.
        if !rules.fits_width(self.0) {
            return Err(EptPointerError::Root(PhysicalAddress(self.0 & !0xFFF)));
        }
        Ok(())
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

    /// What has to be invalidated before VM entry if this pointer takes the place
    /// of `previous`. Mappings are cached by root, so a pointer to the same tables
    /// with other flags would use what was cached under the old ones.
    pub const fn invalidation_after(self, previous: Self) -> Invalidation {
        if self.root().0 == previous.root().0 && self.0 != previous.0 {
            Invalidation::Required
        } else {
            Invalidation::NotNeeded
        }
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
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Debug for EptPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EptPointer({:#x})", self.0)
    }
}

/// Why a CPU does not take an EPTP. Source: SDM, "VM-Execution Control Fields" in
/// "Checks on VMX Controls".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EptPointerError {
    /// The tables cannot have this memory type (the number in bits 2:0).
    MemoryType(u8),
    /// A walk cannot have this many levels.
    PageWalkLength(u8),
    /// The CPU has no accessed and dirty flags for EPT.
    AccessedDirty,
    /// The CPU does not enforce supervisor shadow-stack pages.
    SupervisorShadowStackControl,
    /// One of bits 11:8 is set.
    ReservedBits,
    /// The root is not 4-KiB aligned or beyond the physical-address width.
    Root(PhysicalAddress),
}

impl fmt::Display for EptPointerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MemoryType(number) => {
                write!(f, "EPTP: this CPU's tables cannot have memory type {number}")
            }
            Self::PageWalkLength(length) => {
                write!(f, "EPTP: this CPU has no EPT with a page-walk length of {length}")
            }
            Self::AccessedDirty => {
                f.write_str("EPTP: this CPU has no accessed and dirty flags for EPT (bit 6)")
            }
            Self::SupervisorShadowStackControl => {
                f.write_str("EPTP: this CPU has no supervisor shadow-stack control (bit 7)")
            }
            Self::ReservedBits => f.write_str("EPTP: one of the reserved bits 11:8 is set"),
            Self::Root(root) => write!(
                f,
                "EPTP: the root {:#x} is misaligned or beyond the physical-address width",
                root.0
            ),
        }
    }
}

impl core::error::Error for EptPointerError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ept::EptVpidCapabilities;

    proptest! {
        /// Whatever `new` makes is taken, and says what it was made of; whatever is
        /// refused is not made by any other arguments.
        #[test]
        fn what_is_accepted_can_be_taken_apart(
            bits in prop_oneof![
                any::<u64>(),
                (0u64..256, 0u64..0x1000).prop_map(|(low, root)| root << 12 | low),
            ],
            capabilities: u64,
            width in 32u8..=52,
        ) {
            let rules = EptRules::new(EptVpidCapabilities::from_bits_retain(capabilities), width);
            let pointer = EptPointer::from_bits(bits);
            let parts = pointer.top_level().zip(pointer.memory_type());
            match pointer.check(&rules) {
                Ok(()) => {
                    let (top, memory_type) = parts.unwrap();
                    let (root, flags) = (pointer.root(), pointer.flags());
                    prop_assert_eq!(
                        EptPointer::new(root, top, memory_type, flags, &rules),
                        Ok(pointer)
                    );
                    prop_assert!(matches!(
                        memory_type,
                        MemoryType::Uncacheable | MemoryType::WriteBack
                    ));
                    prop_assert_eq!(bits & 0xF00, 0);
                    prop_assert_eq!(bits >> width, 0);
                }
                Err(error) => {
                    if bits & 0xFFF0_0000_0000_0F00 == 0
                        && let Some((top, memory_type)) = parts
                    {
                        let (root, flags) = (pointer.root(), pointer.flags());
                        prop_assert_eq!(
                            EptPointer::new(root, top, memory_type, flags, &rules),
                            Err(error)
                        );
                    }
                }
            }
        }
    }

    /// Each part that can be wrong, alone, in a pointer that is right otherwise.
    #[test]
    fn each_part_is_refused_by_name() {
        use EptPointerError::*;
        let check = |bits, capabilities| {
            EptPointer::from_bits(bits)
                .check(&EptRules::new(EptVpidCapabilities::from_bits_retain(capabilities), 46))
        };
        let good = 0x1234_50DE;
        assert_eq!(check(good, !0), Ok(()));
        for bit in 8..12 {
            assert_eq!(check(good | 1 << bit, !0), Err(ReservedBits));
        }
        for bit in 46..64 {
            let root = PhysicalAddress(0x1234_5000 | 1 << bit);
            assert_eq!(check(good | 1 << bit, !0), Err(Root(root)));
        }
        for number in [1, 2, 3, 4, 5, 7] {
            assert_eq!(check(good & !7 | number, !0), Err(MemoryType(number as u8)));
        }
        for length in [1, 2, 3, 6, 7, 8] {
            let bits = good & !0x38 | (length - 1) << 3;
            assert_eq!(check(bits, !0), Err(PageWalkLength(length as u8)));
        }
        for (capability, error) in [
            (14, MemoryType(6)),
            (6, PageWalkLength(4)),
            (21, AccessedDirty),
            (23, SupervisorShadowStackControl),
        ] {
            assert_eq!(check(good, !(1 << capability)), Err(error));
        }
    }

    #[test]
    fn another_root_needs_no_invalidation() {
        let pointer = EptPointer::from_bits;
        assert_eq!(pointer(0x1001E).invalidation_after(pointer(0x1001E)), Invalidation::NotNeeded);
        assert_eq!(pointer(0x2001E).invalidation_after(pointer(0x1001E)), Invalidation::NotNeeded);
        assert_eq!(pointer(0x1005E).invalidation_after(pointer(0x1001E)), Invalidation::Required);
    }
}
