//! How VMX instructions fail.

use core::fmt;

/// A VMX instruction did not succeed. Source: SDM, "VMX Instruction Reference",
/// "Conventions".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VmxError {
    /// VMfailInvalid (CF = 1): there is no current VMCS, or its pointer is bad.
    FailInvalid,
    /// VMfailValid (ZF = 1): the VM-instruction error field has the number.
    FailValid(InstructionError),
}

impl fmt::Display for VmxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FailInvalid => {
                f.write_str("VMfailInvalid: no current VMCS, or a bad pointer to one")
            }
            Self::FailValid(error) => write!(f, "VMfailValid: {error}"),
        }
    }
}

impl core::error::Error for VmxError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::FailInvalid => None,
            Self::FailValid(error) => Some(error),
        }
    }
}

/// A number from the VM-instruction error field.
///
/// ```
/// use vmx_core::vmcs::InstructionError;
/// assert_eq!(
///     InstructionError(7).to_string(),
///     "VM-instruction error 7: VM entry with invalid control fields"
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct InstructionError(pub u32);

impl InstructionError {
    /// VM entry with invalid control fields.
    pub const ENTRY_INVALID_CONTROLS: Self = Self(7);
    /// VM entry with invalid host-state fields.
    pub const ENTRY_INVALID_HOST_STATE: Self = Self(8);
    /// VMREAD or VMWRITE of a field that this CPU does not have.
    pub const UNSUPPORTED_COMPONENT: Self = Self(12);
    /// VMWRITE of a read-only field.
    pub const READ_ONLY_COMPONENT: Self = Self(13);

    /// The manual's words for the number (SDM, "VM Instruction Error Numbers").
    pub const fn meaning(self) -> &'static str {
        match self.0 {
            1 => "VMCALL executed in VMX root operation",
            2 => "VMCLEAR with invalid physical address",
            3 => "VMCLEAR with VMXON pointer",
            4 => "VMLAUNCH with non-clear VMCS",
            5 => "VMRESUME with non-launched VMCS",
            6 => "VMRESUME after VMXOFF",
            7 => "VM entry with invalid control fields",
            8 => "VM entry with invalid host-state fields",
            9 => "VMPTRLD with invalid physical address",
            10 => "VMPTRLD with VMXON pointer",
            11 => "VMPTRLD with incorrect VMCS revision identifier",
            12 => "VMREAD or VMWRITE of an unsupported VMCS component",
            13 => "VMWRITE to a read-only VMCS component",
            15 => "VMXON executed in VMX root operation",
            16 => "VM entry with invalid executive-VMCS pointer",
            17 => "VM entry with non-launched executive VMCS",
            18 => "VM entry with executive-VMCS pointer not the VMXON pointer",
            19 => "VMCALL with non-clear VMCS",
            20 => "VMCALL with invalid VM-exit control fields",
            22 => "VMCALL with incorrect MSEG revision identifier",
            23 => "VMXOFF under dual-monitor treatment of SMIs and SMM",
            24 => "VMCALL with invalid SMM-monitor features",
            25 => "VM entry with invalid VM-execution control fields in executive VMCS",
            26 => "VM entry with events blocked by MOV SS",
            28 => "invalid operand to INVEPT or INVVPID",
            _ => "a number that the manual does not list",
        }
    }
}

impl fmt::Display for InstructionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VM-instruction error {}: {}", self.0, self.meaning())
    }
}

impl core::error::Error for InstructionError {}
