//! A VMCS and its states: active or not, clear or launched.
//!
//! Source: SDM, "Software Use of Virtual-Machine Control Structures", the figure of the
//! states of a VMCS.

use core::fmt;

use super::operation_id::OperationId;
use crate::capability::capabilities::Capabilities;
use crate::cpu::world_switch::HostPointers;
use crate::memory::address::PhysicalAddress;
use crate::memory::held::Held;
use crate::memory::owner::PageOwner;

/// Where a VMCS is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activity {
    /// On no CPU.
    Nowhere,
    /// On this one.
    On(OperationId),
    /// On this one, which has been asked to VMCLEAR it.
    ClearRequested(OperationId),
}

impl Activity {
    /// The operation in which it is active.
    pub(super) const fn operation(self) -> Option<OperationId> {
        match self {
            Self::Nowhere => None,
            Self::On(id) | Self::ClearRequested(id) => Some(id),
        }
    }
}

/// A virtual-machine control structure: one vCPU's.
///
/// It remembers its launch state and on which CPU it is active, so that VMLAUNCH and
/// VMRESUME are chosen right and one that is active elsewhere is refused.
///
/// Clear it, then drop it: its page goes back to whoever `P` gets it from. Dropped while
/// it is active, the page is leaked, and still counts among
/// [`VmxOperation::active`](super::VmxOperation::active), since the CPU may write to it:
///
/// ```
/// use vmx_core::cpu::VmxInstructions;
/// use vmx_core::memory::PageOwner;
/// use vmx_core::vmcs::{CriticalSection, LoadError, Vmcs};
///
/// fn end<C: VmxInstructions, P: PageOwner, Q: PageOwner>(
///     section: &mut CriticalSection<'_, C, P>, // on the CPU where the VMCS is active
///     mut vmcs: Vmcs<Q>,
/// ) -> Result<(), LoadError> {
///     section.clear(&mut vmcs)?;
///     drop(vmcs); // or `vmcs.into_owner()`
///     Ok(())
/// }
/// ```
pub struct Vmcs<P: PageOwner> {
    /// There until it is dropped, or taken back.
    owner: Option<Held<P>>,
    address: PhysicalAddress,
    /// The first word of the region.
    identifier: u32,
    pub(super) activity: Activity,
    pub(super) launched: bool,
    /// Never VMCLEARed since its region was written.
    pub(super) is_new: bool,
    /// A CPU may use it without its being loaded.
    pub(super) is_shadow: bool,
    pub(super) host: HostPointers,
}

/// Bit 31 of the first word of a region: a shadow VMCS.
const SHADOW: u32 = 1 << 31;

impl<P: PageOwner> Vmcs<P> {
    /// Makes a VMCS in a page, which is overwritten.
    pub fn new(page: P, capabilities: &Capabilities) -> Self {
        Self::with_identifier(page, capabilities.basic.revision())
    }

    /// Makes a shadow VMCS: bit 31 of its first word is 1. It is for the VMCS link pointer
    /// of a guest that is a hypervisor itself, and not for VM entry.
    ///
    /// The CPU reaches it through the link pointer of the VMCS that is current, which no
    /// account here sees. When that VMCS does not link to it any more, or was cleared,
    /// [`clear`](super::CriticalSection::clear) the shadow on the CPU where it was in use,
    /// which executes VMCLEAR whether or not it was ever loaded, before its page is used
    /// for anything else.
    /// Source: SDM, "VMCS Types: Ordinary and Shadow".
    pub fn new_shadow(page: P, capabilities: &Capabilities) -> Self {
        Self::with_identifier(page, capabilities.basic.revision() | SHADOW)
    }

    fn with_identifier(page: P, identifier: u32) -> Self {
        write_region(&page, identifier);
        let owner = Held::new(page);
        Self {
            address: owner.owner().address(),
            owner: Some(owner),
            identifier,
            activity: Activity::Nowhere,
            launched: false,
            is_new: true,
            is_shadow: identifier & SHADOW != 0,
            host: HostPointers::UNKNOWN,
        }
    }

    /// The region's physical address: the VMCS pointer.
    pub const fn address(&self) -> PhysicalAddress {
        self.address
    }

    /// The CPU on which it is active. A kernel finds it by comparing with the
    /// [`VmxOperation::id`](super::VmxOperation::id) of each CPU, of which it keeps copies:
    /// the operation itself may be in use by a section of its CPU.
    pub const fn active_on(&self) -> Option<OperationId> {
        self.activity.operation()
    }

    /// Whether it has been launched since it was last cleared.
    pub const fn is_launched(&self) -> bool {
        self.launched
    }

    /// The owner of its page back.
    ///
    /// # Errors
    /// The VMCS itself while it is active somewhere.
    pub fn into_owner(mut self) -> Result<P, Self> {
        match self.activity {
            Activity::Nowhere => self.owner.take().map(Held::into_owner).ok_or(self),
            _ => Err(self),
        }
    }

    /// It has been VMCLEARed.
    pub(super) const fn cleared(&mut self) {
        self.activity = Activity::Nowhere;
        self.launched = false;
    }

    /// The CPU on which it was active has lost it: what memory holds of it is void.
    pub(super) fn lost(&mut self) {
        self.cleared();
        self.host = HostPointers::UNKNOWN;
        self.is_new = true;
        if let Some(owner) = &self.owner {
            write_region(owner.owner(), self.identifier);
        }
    }
}

/// Zeroes the page of a VMXON or VMCS region and writes the identifier.
pub(super) fn write_region<P: PageOwner>(page: &P, identifier: u32) {
    page.page().fill(0);
    page.page().write(0, identifier.into());
}

impl<P: PageOwner> Drop for Vmcs<P> {
    fn drop(&mut self) {
        if self.activity == Activity::Nowhere {
            drop(self.owner.take().map(Held::into_owner));
        }
    }
}

impl<P: PageOwner> fmt::Debug for Vmcs<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vmcs")
            .field("address", &self.address)
            .field("activity", &self.activity)
            .field("launched", &self.launched)
            .finish()
    }
}
