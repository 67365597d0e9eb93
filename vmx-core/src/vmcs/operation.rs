//! VMX operation on one CPU, as plain data.

use core::fmt;

use super::active::ActiveVmcss;
use super::ended::EndedOperation;
use super::operation_id::OperationId;
use super::pointer::VmxonPointer;
use crate::memory::address::PhysicalAddress;
use crate::memory::held::Held;
use crate::memory::owner::PageOwner;

/// What VMX operation on one CPU consists of: whether it was entered, the VMXON region,
/// the current VMCS, and which VMCSs are active.
///
/// Plain data, which a kernel keeps per CPU: `Send`, without a lifetime, and made in a
/// `const`. Everything is done to it in a critical section on that very CPU:
/// [`section`](Self::section) opens one.
///
/// Dropped inside VMX operation it leaves the CPU there and leaks the VMXON region.
/// [`CriticalSection::leave`](super::CriticalSection::leave) ends both.
///
/// ```
/// use vmx_core::vmcs::VmxOperation;
/// use vmx_core::{Frame, Page};
///
/// /// What a kernel keeps for each CPU.
/// struct PerCpu {
///     vmx: VmxOperation<Frame<&'static Page>>,
/// }
/// let per_cpu = PerCpu { vmx: VmxOperation::new() };
/// assert!(!per_cpu.vmx.is_entered());
/// ```
pub struct VmxOperation<P> {
    pub(super) entered: Option<Entered<P>>,
}

/// Inside VMX operation.
pub(super) struct Entered<P> {
    pub(super) vmxon: Held<P>,
    pub(super) pointer: VmxonPointer,
    pub(super) id: OperationId,
    pub(super) current: Option<PhysicalAddress>,
    pub(super) active: ActiveVmcss,
}

impl<P> VmxOperation<P> {
    /// Outside VMX operation.
    pub const fn new() -> Self {
        Self { entered: None }
    }

    /// Whether it was entered and not left.
    pub const fn is_entered(&self) -> bool {
        self.entered.is_some()
    }

    /// What a VMCS that is active here says of itself ([`Vmcs::active_on`]); `None`
    /// outside VMX operation.
    ///
    /// [`Vmcs::active_on`]: super::Vmcs::active_on
    pub const fn id(&self) -> Option<OperationId> {
        match &self.entered {
            Some(entered) => Some(entered.id),
            None => None,
        }
    }

    /// How many VMCSs are active here, with those that were dropped without VMCLEAR.
    pub const fn active(&self) -> usize {
        match &self.entered {
            Some(entered) => entered.active.count(),
            None => 0,
        }
    }
}

impl<P: PageOwner> VmxOperation<P> {
    /// The CPU is not in VMX operation any more, though nobody left it: it was reset by
    /// INIT or otherwise, went offline, or slept. Nothing is executed.
    ///
    /// What VMCSs that were active had not written to memory is lost; the value returned
    /// tells each so ([`EndedOperation::release`]), and gives the VMXON region back.
    /// `None` if it was not entered.
    ///
    /// # Safety
    ///
    /// 1. Since VMX operation was entered, the CPU has lost it: it is outside VMX
    ///    operation, or was entered anew by somebody else with another region, and no
    ///    VMCS is active on it.
    pub unsafe fn lost(&mut self) -> Option<EndedOperation<P>> {
        let Entered { vmxon, id, active, .. } = self.entered.take()?;
        Some(EndedOperation::lost(vmxon, id, active.count()))
    }
}

impl<P> Default for VmxOperation<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P> fmt::Debug for VmxOperation<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.entered {
            Some(entered) => f
                .debug_struct("VmxOperation")
                .field("id", &entered.id)
                .field("current", &entered.current)
                .field("active", &entered.active.count())
                .finish(),
            None => f.write_str("VmxOperation(outside)"),
        }
    }
}

static_assertions::assert_impl_all!(VmxOperation<crate::memory::frame::Frame<&'static crate::memory::page::Page>>: Send);
