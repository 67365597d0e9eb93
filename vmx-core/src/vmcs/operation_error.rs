//! Why a step in the life of VMX operation or of a VMCS is refused.
//!
//! ```
//! use vmx_core::cpu::CpuId;
//! use vmx_core::vmcs::LoadError;
//! assert_eq!(
//!     LoadError::ActiveElsewhere(CpuId(3)).to_string(),
//!     "the VMCS is active on CPU 3: clear it there first"
//! );
//! ```

use core::fmt;

use crate::cpu::cpu_id::CpuId;
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
    /// CR4.VMXE is 1 already: somebody else uses VMX on this CPU.
    VmxeAlreadySet,
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
            Self::VmxeAlreadySet => {
                f.write_str("CR4.VMXE is set already: somebody else uses VMX on this CPU")
            }
            Self::Vmxon(error) => write!(f, "VMXON failed: {error}"),
        }
    }
}

impl core::error::Error for EnterError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Vmxon(error) => Some(error),
            _ => None,
        }
    }
}

/// Why VMX operation is not left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaveError {
    /// VMCSs are active on this CPU: clear them first.
    StillActive {
        /// How many.
        vmcs: usize,
    },
    /// VMXOFF failed.
    Vmxoff(VmxError),
}

impl fmt::Display for LeaveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StillActive { vmcs } => {
                write!(f, "{vmcs} VMCS still active on this CPU: clear them before VMXOFF")
            }
            Self::Vmxoff(error) => write!(f, "VMXOFF failed: {error}"),
        }
    }
}

impl core::error::Error for LeaveError {}

/// Why a VMCS is not loaded or cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// It is active on this other CPU, and only that one can clear it.
    ActiveElsewhere(CpuId),
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
            Self::ActiveElsewhere(CpuId(id)) => {
                write!(f, "the VMCS is active on CPU {id}: clear it there first")
            }
            Self::Vmx(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl core::error::Error for LoadError {}
