//! Clearing a VMCS that is active on another CPU.
//!
//! Only the CPU on which a VMCS is active can VMCLEAR it. A vCPU that shall run
//! elsewhere asks for it, between two critical sections, because the other CPU may be
//! waiting for this one:
//!
//! 1. [`Vmcs::request_clear`] gives a [`ClearRequest`], plain data, for the CPU that
//!    [`Vmcs::active_on`] names; the VMCS is not loaded anywhere meanwhile.
//! 2. That CPU, in a critical section of its own, turns it into a [`ClearReceipt`]
//!    ([`CriticalSection::serve`](super::CriticalSection::serve)).
//! 3. [`Vmcs::accept_clear`] takes the receipt: the VMCS is active nowhere.
//!
//! How the two travel is the kernel's: a cross-CPU call that waits, or a
//! [`ClearMailbox`](super::ClearMailbox). A cross-CPU call that lends `&mut Vmcs` can
//! also just [`clear`](super::CriticalSection::clear) it there.

use super::operation_id::OperationId;
use super::vmcs_states::{Activity, Vmcs};
use crate::memory::address::PhysicalAddress;
use crate::memory::owner::PageOwner;

/// A CPU is asked to VMCLEAR a VMCS.
///
/// Dropped, the VMCS counts as active for good; [`Vmcs::cancel_clear`] takes it back.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "nobody else can clear the VMCS until this comes back"]
pub struct ClearRequest {
    pub(super) operation: OperationId,
    pub(super) vmcs: PhysicalAddress,
}

impl ClearRequest {
    /// Whom to ask.
    pub const fn operation(&self) -> OperationId {
        self.operation
    }
}

/// A CPU has VMCLEARed a VMCS.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the VMCS counts as active until it accepts this"]
pub struct ClearReceipt {
    pub(super) operation: OperationId,
    pub(super) vmcs: PhysicalAddress,
}

impl<P: PageOwner> Vmcs<P> {
    /// Asks the CPU on which it is active to clear it; `None` where it is active
    /// nowhere, and while an earlier request is under way.
    pub fn request_clear(&mut self) -> Option<ClearRequest> {
        let Activity::On(operation) = self.activity else { return None };
        self.activity = Activity::ClearRequested(operation);
        Some(ClearRequest { operation, vmcs: self.address() })
    }

    /// The other CPU has cleared it: it is active nowhere.
    ///
    /// # Errors
    /// The receipt, if it is another VMCS's.
    pub fn accept_clear(&mut self, receipt: ClearReceipt) -> Result<(), ClearReceipt> {
        let ours = Activity::ClearRequested(receipt.operation);
        if self.activity != ours || self.address() != receipt.vmcs {
            return Err(receipt);
        }
        self.cleared();
        Ok(())
    }

    /// The request was not served: the VMCS stays active where it is.
    ///
    /// # Errors
    /// The request, if it is another VMCS's.
    pub fn cancel_clear(&mut self, request: ClearRequest) -> Result<(), ClearRequest> {
        let ours = Activity::ClearRequested(request.operation);
        if self.activity != ours || self.address() != request.vmcs {
            return Err(request);
        }
        self.activity = Activity::On(request.operation);
        Ok(())
    }
}
