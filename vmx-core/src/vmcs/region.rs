//! VMXON and VMCS regions: frames that belong to the CPU.
//!
//! Source: SDM, "Format of the VMCS Region" and "Software Use of Virtual-Machine
//! Control Structures", "VMXON Region".
//!
//! ```
//! use vmx_core::Frame;
//! use vmx_core::capability::VmxBasic;
//! use vmx_core::vmcs::VmxonRegion;
//! fn region(frame: Frame<'static>) -> VmxonRegion<'static> {
//!     let region = VmxonRegion::new(frame, VmxBasic(4));
//!     assert_eq!(region.revision(), 4);
//!     region
//! }
//! ```

use crate::capability::vmx_basic::VmxBasic;
use crate::memory::address::PhysicalAddress;
use crate::memory::frame::Frame;

/// A frame that starts with the revision identifier and is a VMXON region.
#[derive(Debug)]
pub struct VmxonRegion<'m>(Frame<'m>);

/// A frame that starts with the revision identifier and is a VMCS region.
#[derive(Debug)]
pub struct VmcsRegion<'m>(Frame<'m>);

fn with_revision<'m>(frame: Frame<'m>, basic: VmxBasic) -> Frame<'m> {
    frame.page().fill(0);
    frame.page().write(0, basic.revision().into());
    frame
}

impl<'m> VmxonRegion<'m> {
    /// Zeroes the frame and writes the revision identifier.
    pub fn new(frame: Frame<'m>, basic: VmxBasic) -> Self {
        Self(with_revision(frame, basic))
    }

    /// Takes the frame back, once the CPU has left VMX operation.
    pub(crate) fn into_frame(self) -> Frame<'m> {
        self.0
    }

    /// The operand of VMXON.
    pub const fn address(&self) -> PhysicalAddress {
        self.0.address()
    }

    /// The revision identifier in the region.
    pub fn revision(&self) -> u32 {
        self.0.page().read(0) as u32
    }
}

impl<'m> VmcsRegion<'m> {
    /// Zeroes the frame and writes the revision identifier.
    pub fn new(frame: Frame<'m>, basic: VmxBasic) -> Self {
        Self(with_revision(frame, basic))
    }

    /// Takes the frame back, once the VMCS is active nowhere.
    pub(crate) fn into_frame(self) -> Frame<'m> {
        self.0
    }

    /// The operand of VMCLEAR and VMPTRLD.
    pub const fn address(&self) -> PhysicalAddress {
        self.0.address()
    }
}
