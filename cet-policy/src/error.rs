//! Why a change of a vCPU's state from the host is not possible.

use core::fmt;

use vmx_core::VmxError;
use vmx_core::cet::SspRegister;

use crate::host::Refused;
use crate::legality::IllegalValue;

/// Why a guest cannot be offered something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfferError {
    /// The machine lacks it.
    Refused(Refused),
    /// The guest's IA32_S_CET in the VMCS cannot be accessed.
    Vmcs(VmxError),
}

impl fmt::Display for OfferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(_) => f.write_str("the machine lacks what the guest is offered"),
            Self::Vmcs(_) => f.write_str("the guest's IA32_S_CET cannot be accessed"),
        }
    }
}

impl core::error::Error for OfferError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Refused(refused) => Some(refused),
            Self::Vmcs(error) => Some(error),
        }
    }
}

/// Why the host's write of a guest's IA32_S_CET is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SCetError {
    /// The guest's own WRMSR of the value would raise #GP(0).
    Illegal(IllegalValue),
    /// The field in the VMCS cannot be written.
    Vmcs(VmxError),
}

impl fmt::Display for SCetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Illegal(_) => f.write_str("the guest's IA32_S_CET does not take the value"),
            Self::Vmcs(_) => f.write_str("the guest's IA32_S_CET cannot be accessed"),
        }
    }
}

impl core::error::Error for SCetError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Illegal(illegal) => Some(illegal),
            Self::Vmcs(error) => Some(error),
        }
    }
}

/// The guest has no shadow stacks and cannot have a value there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOffered;

impl fmt::Display for NotOffered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the guest is not offered shadow stacks")
    }
}

impl core::error::Error for NotOffered {}

/// A state that this vCPU cannot take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestoreError {
    /// The register.
    pub register: SspRegister,
    /// The value it should have got.
    pub value: u64,
    /// Why not.
    pub cause: IllegalValue,
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} cannot be {:#x}: {}", self.register.msr(), self.value, self.cause)
    }
}

impl core::error::Error for RestoreError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.cause)
    }
}
