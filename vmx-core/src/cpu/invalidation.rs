//! INVEPT and INVVPID.

use crate::vmcs::error::VmxError;

/// INVEPT and INVVPID: dropping cached translations, which can only be loaded again.
pub trait InvalidateTranslations {
    /// INVEPT.
    ///
    /// # Errors
    /// [`VmxError`] for a type or pointer that the CPU refuses. #UD in the host
    /// outside VMX operation or without EPT.
    fn invept(&mut self, scope: InveptScope) -> Result<(), VmxError>;

    /// INVVPID.
    ///
    /// # Errors
    /// [`VmxError`] for a type or VPID that the CPU refuses. #UD in the host
    /// outside VMX operation or without VPID.
    fn invvpid(&mut self, scope: InvvpidScope) -> Result<(), VmxError>;
}

/// What INVEPT invalidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InveptScope {
    /// Type 1: the mappings of one extended-page-table pointer.
    SingleContext {
        /// The EPT pointer as it stands in the VMCS.
        ept_pointer: u64,
    },
    /// Type 2: those of all of them.
    AllContexts,
}

impl InveptScope {
    /// The instruction's type operand.
    pub const fn instruction_type(self) -> u64 {
        match self {
            Self::SingleContext { .. } => 1,
            Self::AllContexts => 2,
        }
    }

    /// The instruction's 128-bit descriptor.
    pub const fn descriptor(self) -> [u64; 2] {
        match self {
            Self::SingleContext { ept_pointer } => [ept_pointer, 0],
            Self::AllContexts => [0, 0],
        }
    }
}

/// What INVVPID invalidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvvpidScope {
    /// Type 0: one linear address under one VPID.
    IndividualAddress {
        /// The virtual-processor identifier, not 0.
        vpid: u16,
        /// The linear address.
        linear_address: u64,
    },
    /// Type 1: everything under one VPID.
    SingleContext {
        /// The virtual-processor identifier, not 0.
        vpid: u16,
    },
    /// Type 2: everything under every VPID but 0.
    AllContexts,
    /// Type 3: everything under one VPID but global translations.
    SingleContextRetainingGlobals {
        /// The virtual-processor identifier, not 0.
        vpid: u16,
    },
}

impl InvvpidScope {
    /// The instruction's type operand.
    pub const fn instruction_type(self) -> u64 {
        match self {
            Self::IndividualAddress { .. } => 0,
            Self::SingleContext { .. } => 1,
            Self::AllContexts => 2,
            Self::SingleContextRetainingGlobals { .. } => 3,
        }
    }

    /// The instruction's 128-bit descriptor.
    pub const fn descriptor(self) -> [u64; 2] {
        match self {
            Self::IndividualAddress { vpid, linear_address } => [vpid as u64, linear_address],
            Self::SingleContext { vpid } | Self::SingleContextRetainingGlobals { vpid } => {
                [vpid as u64, 0]
            }
            Self::AllContexts => [0, 0],
        }
    }
}
