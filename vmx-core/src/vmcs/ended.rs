//! VMX operation that ended while VMCSs were active.

use core::fmt;

use super::active::ActiveVmcss;
use super::operation_error::ReleaseError;
use super::operation_id::OperationId;
use super::vmcs_states::{Activity, Vmcs};
use crate::memory::held::Held;
use crate::memory::owner::PageOwner;

/// VMX operation that was left by force, or lost: what is left to settle.
///
/// VMCSs that were active still say so. [`release`](Self::release) settles one;
/// [`take_page`](Self::take_page) gives the VMXON region back once all are. Dropped
/// before, the region's page is leaked, so that no other operation can be taken for this
/// one. So are the pages of VMCSs that are dropped unsettled.
///
/// ```
/// use vmx_core::memory::PageOwner;
/// use vmx_core::vmcs::{ReleaseError, Vmcs, VmxOperation};
///
/// /// After a reset of the CPU to which `operation` belongs: the vCPUs start anew, and
/// /// the VMXON region's page is free if no VMCS was dropped while it was active.
/// ///
/// /// # Safety
/// /// 1. As for [`VmxOperation::lost`].
/// unsafe fn after_reset<P: PageOwner, Q: PageOwner>(
///     operation: &mut VmxOperation<P>,
///     vcpus: &mut [Vmcs<Q>],
/// ) -> Option<P> {
///     // SAFETY: the caller's contract.
///     let mut ended = unsafe { operation.lost() }?;
///     for vmcs in vcpus {
///         match ended.release(vmcs) {
///             Ok(()) => { /* write all of its fields again */ }
///             Err(ReleaseError::OtherOperation) => { /* it was not active there */ }
///             Err(error) => eprintln!("{:?}: {error}", vmcs.address()),
///         }
///     }
///     ended.take_page()
/// }
/// ```
#[must_use = "dropped, it leaks the VMXON region's page while VMCSs count as active"]
pub struct EndedOperation<P: PageOwner> {
    /// There until it is dropped, or taken back.
    vmxon: Option<Held<P>>,
    id: OperationId,
    /// VMCSs that were active and have not been settled.
    outstanding: usize,
    /// The CPU lost all of them, with what it had not written to memory.
    lost: bool,
    /// Those that VMCLEAR wrote to memory.
    cleared: ActiveVmcss,
}

impl<P: PageOwner> EndedOperation<P> {
    pub(super) const fn lost(vmxon: Held<P>, id: OperationId, outstanding: usize) -> Self {
        let (vmxon, cleared) = (Some(vmxon), ActiveVmcss::new());
        Self { vmxon, id, outstanding, lost: true, cleared }
    }

    pub(super) const fn by_force(
        vmxon: Held<P>,
        id: OperationId,
        outstanding: usize,
        cleared: ActiveVmcss,
    ) -> Self {
        Self { vmxon: Some(vmxon), id, outstanding, lost: false, cleared }
    }

    /// How many VMCSs that were active have not been settled. Those that were dropped
    /// stay among them for good: their pages are leaked.
    pub const fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// Settles a VMCS that was active: it is active nowhere and can be loaded on any
    /// CPU. After [`lost`](super::VmxOperation::lost) its fields are void: write all of
    /// them again.
    ///
    /// # Errors
    /// [`ReleaseError`]: it stays as it is.
    pub fn release<Q: PageOwner>(&mut self, vmcs: &mut Vmcs<Q>) -> Result<(), ReleaseError> {
        if self.outstanding == 0 {
            // The page may be the VMXON region of the next operation, which has the same
            // identity then.
            return Err(ReleaseError::OtherOperation);
        }
        match vmcs.activity {
            Activity::On(operation) if operation == self.id => {}
            // Whoever has the request could have it served by the next operation with this
            // VMXON region, or has a receipt for what is not counted here.
            Activity::ClearRequested(operation) if operation == self.id => {
                return Err(ReleaseError::ClearRequested);
            }
            _ => return Err(ReleaseError::OtherOperation),
        }
        if self.lost {
            vmcs.lost();
        } else if self.cleared.known().contains(&vmcs.address()) {
            vmcs.cleared();
        } else {
            return Err(ReleaseError::NotCleared);
        }
        self.outstanding -= 1;
        Ok(())
    }

    /// The page of the VMXON region; `None` as long as a VMCS is
    /// [`outstanding`](Self::outstanding), and the second time.
    pub fn take_page(&mut self) -> Option<P> {
        match self.outstanding {
            0 => self.vmxon.take().map(Held::into_owner),
            _ => None,
        }
    }
}

impl<P: PageOwner> Drop for EndedOperation<P> {
    fn drop(&mut self) {
        if self.outstanding == 0 {
            drop(self.vmxon.take().map(Held::into_owner));
        }
    }
}

impl<P: PageOwner> fmt::Debug for EndedOperation<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EndedOperation({}, {} outstanding)", self.id, self.outstanding)
    }
}
