//! Which EPTP a CPU takes.

use core::fmt;

use super::address::{ADDRESS, Level};
use super::memory_type::MemoryType;
use super::pointer::{EptPointer, EptPointerFlags};
use super::rules::EptRules;
use crate::memory::address::PhysicalAddress;

impl EptPointer {
    /// The pointer to the table at `root`, which is of the level `top`
    /// ([`Level::Pml4`] or [`Level::Pml5`]). `memory_type` is that of the CPU's
    /// accesses to the tables, not the guest's.
    ///
    /// # Errors
    /// [`EptPointerError`] names the first part that this CPU does not take.
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
    use crate::capability::ept_vpid::EptVpidCapabilities;

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
            width in 32u32..=52,
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
}
