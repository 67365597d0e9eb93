//! VMXON and VMCS pointers: addresses of pages that the CPU has been given.
//!
//! Source: SDM, "Virtual-Machine Control Structure Pointer", "VMXON Region".

use crate::memory::address::PhysicalAddress;

/// The VMXON pointer: the operand of VMXON.
///
/// Only [`CriticalSection::enter`](super::CriticalSection::enter) makes one, of a page
/// whose owner is held until VMXOFF, and only a section has it. It cannot be kept.
#[derive(Debug)]
pub struct VmxonPointer {
    address: PhysicalAddress,
    revision: u32,
}

impl VmxonPointer {
    pub(super) const fn new(address: PhysicalAddress, revision: u32) -> Self {
        Self { address, revision }
    }

    /// The region's physical address.
    pub const fn address(&self) -> PhysicalAddress {
        self.address
    }

    /// The revision identifier that stands in the region.
    pub const fn revision(&self) -> u32 {
        self.revision
    }
}

/// A VMCS pointer: the operand of VMCLEAR and VMPTRLD.
///
/// Only a [`CriticalSection`](super::CriticalSection) makes one, of a page whose owner is
/// held, or leaked, while the VMCS is active. It cannot be kept.
#[derive(Debug)]
pub struct VmcsPointer {
    address: PhysicalAddress,
}

impl VmcsPointer {
    pub(super) const fn new(address: PhysicalAddress) -> Self {
        Self { address }
    }

    /// The region's physical address.
    pub const fn address(&self) -> PhysicalAddress {
        self.address
    }
}
