//! VMX operation that ended while VMCSs were active.

use core::fmt;

use super::active::ActiveVmcss;
use super::operation_id::OperationId;
use super::vmcs_states::Vmcs;
use crate::memory::held::Held;
use crate::memory::owner::PageOwner;

/// VMX operation that was left by force, or lost: what is left to settle.
///
/// VMCSs that were active still say so. [`release`](Self::release) settles one;
/// [`take_page`](Self::take_page) gives the VMXON region back once all are. Dropped
/// before, the region's page is leaked, so that no other operation can be taken for this
/// one. So are the pages of VMCSs that are dropped unsettled.
#[must_use = "dropped, it leaks the VMXON region's page while VMCSs count as active"]
pub struct EndedOperation<P: PageOwner> {
    vmxon: Held<P>,
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
        Self { vmxon, id, outstanding, lost: true, cleared: ActiveVmcss::new() }
    }

    pub(super) const fn by_force(
        vmxon: Held<P>,
        id: OperationId,
        outstanding: usize,
        cleared: ActiveVmcss,
    ) -> Self {
        Self { vmxon, id, outstanding, lost: false, cleared }
    }

    /// How many VMCSs that were active have not been settled. Those that were dropped
    /// stay among them for good: their pages are leaked.
    pub const fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// Settles a VMCS that was active: it is active nowhere and can be loaded on any
    /// CPU. After [`lost`](super::VmxOperation::lost) its fields are void: write all of
    /// them again. Returns whether it was one of this operation's; one that a forced
    /// leave could not VMCLEAR stays as it is, and its page is never given back.
    pub fn release<Q: PageOwner>(&mut self, vmcs: &mut Vmcs<Q>) -> bool {
        if vmcs.activity.operation() != Some(self.id) {
            return false;
        }
        if self.lost {
            vmcs.lost();
        } else if self.cleared.known().contains(&vmcs.address()) {
            vmcs.cleared();
        } else {
            return false;
        }
        self.outstanding = self.outstanding.saturating_sub(1);
        true
    }

    /// The page of the VMXON region; `None` as long as a VMCS is
    /// [`outstanding`](Self::outstanding), and the second time.
    pub fn take_page(&mut self) -> Option<P> {
        if self.outstanding == 0 { self.vmxon.take() } else { None }
    }
}

impl<P: PageOwner> Drop for EndedOperation<P> {
    fn drop(&mut self) {
        if self.outstanding == 0 {
            drop(self.vmxon.take());
        }
    }
}

impl<P: PageOwner> fmt::Debug for EndedOperation<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EndedOperation({}, {} outstanding)", self.id, self.outstanding)
    }
}
