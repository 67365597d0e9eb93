//! Which VMX operation a VMCS is active in.

use core::fmt;

use crate::memory::address::PhysicalAddress;

/// VMX operation of one CPU, from VMXON to VMXOFF.
///
/// Told apart by the VMXON region, which is owned as long as a VMCS may be active: no
/// number from the caller could be forged, or be given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OperationId {
    vmxon: PhysicalAddress,
    apic_id: Option<u32>,
}

impl OperationId {
    pub(super) const fn new(vmxon: PhysicalAddress, apic_id: Option<u32>) -> Self {
        Self { vmxon, apic_id }
    }

    /// The VMXON pointer.
    pub(super) const fn vmxon(self) -> PhysicalAddress {
        self.vmxon
    }

    /// The local APIC ID of the CPU, where the backend tells it.
    pub const fn apic_id(self) -> Option<u32> {
        self.apic_id
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.apic_id {
            Some(id) => write!(f, "the CPU with APIC ID {id}"),
            None => write!(f, "the CPU with the VMXON region at {:#x}", self.vmxon.0),
        }
    }
}
