//! The guest's access that EPT refused.

use core::fmt;

use vmx_core::VmxError;
use vmx_core::cpu::VmcsAccess;
use vmx_core::ept::GuestPhysicalAddress;
use vmx_core::exit::qualification::EptViolation;
use vmx_core::vmcs::field;

/// An EPT violation, as the VM exit reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EptAccess {
    /// What was tried, and what EPT allows.
    pub qualification: EptViolation,
    /// Where.
    pub guest_physical_address: GuestPhysicalAddress,
    /// The linear address, with [`EptViolation::LINEAR_ADDRESS_VALID`].
    pub guest_linear_address: u64,
}

impl EptAccess {
    /// Reads it from the current VMCS, after an exit for this reason.
    ///
    /// # Errors
    /// [`VmxError`] of the VMREAD that failed.
    pub fn read<V: VmcsAccess>(vmcs: &mut V) -> Result<Self, VmxError> {
        let qualification = vmcs.read(field::EXIT_QUALIFICATION)?;
        Ok(Self {
            qualification: EptViolation::from_bits_retain(qualification),
            guest_physical_address: vmcs.read(field::GUEST_PHYSICAL_ADDRESS)?,
            guest_linear_address: vmcs.read(field::GUEST_LINEAR_ADDRESS)?,
        })
    }
}

impl fmt::Display for EptAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "EPT violation at guest-physical address {:#x}, linear {:#x} (qualification {:#x})",
            self.guest_physical_address.0,
            self.guest_linear_address,
            self.qualification.bits()
        )
    }
}
