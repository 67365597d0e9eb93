//! Why a step in the life of VMX operation or of a VMCS is refused.
//!
//! ```
//! use vmx_core::vmcs::LeaveError;
//! assert_eq!(
//!     LeaveError::StillActive { vmcs: 2 }.to_string(),
//!     "2 VMCSs are still active on this CPU: clear them before VMXOFF"
//! );
//! ```

use core::fmt;

use super::clear_request::ClearRequest;
use super::operation_id::OperationId;
use crate::vmcs::error::VmxError;

/// Why a CPU does not enter VMX operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EnterError {
    /// CPUID.1:ECX\[5\] is 0.
    NoVmx,
    /// Firmware locked IA32_FEATURE_CONTROL without VMXON outside SMX.
    LockedByFirmware {
        /// IA32_FEATURE_CONTROL.
        feature_control: u64,
    },
    /// CR0 has bits that VMX operation does not allow.
    Cr0 {
        /// Bits that must be 1 and are 0.
        missing: u64,
        /// Bits that must be 0 and are 1.
        excess: u64,
    },
    /// CR4, apart from VMXE, has bits that VMX operation does not allow.
    Cr4 {
        /// Bits that must be 1 and are 0.
        missing: u64,
        /// Bits that must be 0 and are 1.
        excess: u64,
    },
    /// The region has another revision identifier than the CPU.
    Revision {
        /// In the region.
        region: u32,
        /// In IA32_VMX_BASIC.
        cpu: u32,
    },
    /// The capabilities that the hypervisor goes by are another CPU's.
    OtherCapabilities {
        /// The first capability that this CPU has otherwise.
        differs: &'static str,
    },
    /// The operation was entered already.
    AlreadyEntered,
    /// CR4.VMXE was 1 already and VMXON failed: somebody else is in VMX operation on this
    /// CPU.
    InUse(VmxError),
    /// VMXON failed although all preconditions hold.
    Vmxon(VmxError),
}

impl fmt::Display for EnterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoVmx => f.write_str("this CPU has no VMX (CPUID.1:ECX[5] is 0)"),
            Self::LockedByFirmware { feature_control } => write!(
                f,
                "firmware locked VMX off (IA32_FEATURE_CONTROL is {feature_control:#x}); \
                 enable VT-x in the firmware's set-up"
            ),
            Self::Cr0 { missing, excess } => {
                write!(f, "CR0: VMX operation needs {missing:#x} set and {excess:#x} clear")
            }
            Self::Cr4 { missing, excess } => {
                write!(f, "CR4: VMX operation needs {missing:#x} set and {excess:#x} clear")
            }
            Self::Revision { region, cpu } => {
                write!(f, "the VMXON region has revision {region:#x}, the CPU wants {cpu:#x}")
            }
            Self::OtherCapabilities { differs } => write!(
                f,
                "this CPU's {differs} is not what the given capabilities say: read them on this \
                 CPU, and use only what all CPUs have"
            ),
            Self::AlreadyEntered => {
                f.write_str("this CPU's VMX operation was entered already: leave it first")
            }
            Self::InUse(error) => write!(
                f,
                "CR4.VMXE is set and VMXON failed ({error}): somebody else is in VMX operation \
                 on this CPU"
            ),
            Self::Vmxon(error) => write!(f, "VMXON failed: {error}"),
        }
    }
}

impl core::error::Error for EnterError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::InUse(error) | Self::Vmxon(error) => Some(error),
            _ => None,
        }
    }
}

/// The CPU did not enter VMX operation; the page comes back.
pub struct EnterRefused<P> {
    /// Why.
    pub error: EnterError,
    /// The page meant for the VMXON region.
    pub page: P,
}

impl<P> fmt::Debug for EnterRefused<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EnterRefused").field(&self.error).finish()
    }
}

impl<P> fmt::Display for EnterRefused<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VMX operation is not entered: {}", self.error)
    }
}

impl<P> core::error::Error for EnterRefused<P> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// Why VMX operation is not left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeaveError {
    /// This CPU is outside VMX operation.
    NotEntered,
    /// VMCSs are active on this CPU: clear them first, or leave by force.
    StillActive {
        /// How many.
        vmcs: usize,
    },
    /// VMXOFF failed.
    Vmxoff(VmxError),
}

impl From<VmxError> for LeaveError {
    fn from(error: VmxError) -> Self {
        Self::Vmxoff(error)
    }
}

impl fmt::Display for LeaveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotEntered => f.write_str("this CPU is outside VMX operation"),
            Self::StillActive { vmcs: 1 } => {
                f.write_str("a VMCS is still active on this CPU: clear it before VMXOFF")
            }
            Self::StillActive { vmcs } => {
                write!(f, "{vmcs} VMCSs are still active on this CPU: clear them before VMXOFF")
            }
            Self::Vmxoff(error) => write!(f, "VMXOFF failed: {error}"),
        }
    }
}

impl core::error::Error for LeaveError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Vmxoff(error) => Some(error),
            _ => None,
        }
    }
}

/// Why a VMCS is not loaded or cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadError {
    /// This CPU is outside VMX operation, or in another one than that which was asked.
    NotEntered,
    /// It is active on this other CPU, and only that one can clear it.
    ActiveElsewhere(OperationId),
    /// This CPU has been asked to clear it, and the answer has not been accepted.
    ClearRequested(OperationId),
    /// VMCLEAR or VMPTRLD failed.
    Vmx(VmxError),
}

impl From<VmxError> for LoadError {
    fn from(error: VmxError) -> Self {
        Self::Vmx(error)
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotEntered => f.write_str("this CPU is outside VMX operation"),
            Self::ActiveElsewhere(operation) => {
                write!(f, "the VMCS is active on {operation}: have it cleared there first")
            }
            Self::ClearRequested(operation) => {
                write!(f, "the VMCS is being cleared on {operation}: accept the receipt first")
            }
            Self::Vmx(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl core::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Vmx(error) => Some(error),
            _ => None,
        }
    }
}

/// A CPU did not clear a VMCS for another one; the request comes back.
#[derive(Debug, PartialEq, Eq)]
pub struct ClearRefused {
    /// Why.
    pub error: LoadError,
    /// The request, for the right CPU or for
    /// [`Vmcs::cancel_clear`](super::Vmcs::cancel_clear).
    pub request: ClearRequest,
}

impl fmt::Display for ClearRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the VMCS is not cleared for {}: {}", self.request.operation, self.error)
    }
}

impl core::error::Error for ClearRefused {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// Why an [`EndedOperation`](super::EndedOperation) does not settle a VMCS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReleaseError {
    /// It is not active in the operation that ended.
    OtherOperation,
    /// It is to be cleared by request, which has been served or never will be.
    ClearRequested,
    /// The forced leave did not VMCLEAR it, so the CPU may write to its page for ever.
    NotCleared,
}

impl fmt::Display for ReleaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherOperation => "the VMCS is not active in the operation that ended",
            Self::ClearRequested => {
                "a request to clear the VMCS is under way: cancel it or accept its receipt first"
            }
            Self::NotCleared => {
                "VMXOFF was executed without VMCLEAR of the VMCS: its page is never given back"
            }
        })
    }
}

impl core::error::Error for ReleaseError {}
