//! VMX operation and VMCS regions.

use super::invalidation::{InveptScope, InvvpidScope};
use crate::vmcs::error::VmxError;
use crate::vmcs::operation_error::EnterError;
use crate::vmcs::region::{VmcsRegion, VmxonRegion};

/// VMX instructions other than VMREAD, VMWRITE and VM entry.
pub trait VmxInstructions {
    /// Brings this CPU into VMX operation: checks each precondition, sets
    /// CR4.VMXE, locks IA32_FEATURE_CONTROL if firmware left it open, VMXON.
    ///
    /// # Errors
    /// [`EnterError`] names the precondition that failed; the CPU is as before,
    /// except that IA32_FEATURE_CONTROL may be locked now if VMXON itself failed.
    fn enter_vmx_operation(&mut self, region: &VmxonRegion<'_>) -> Result<(), EnterError>;

    /// VMXOFF, then CR4.VMXE = 0. Clear every VMCS that is active here first.
    ///
    /// # Errors
    /// [`VmxError`] if VMXOFF fails. #UD in the host outside VMX operation.
    fn leave_vmx_operation(&mut self) -> Result<(), VmxError>;

    /// VMCLEAR: writes the VMCS back to its region and makes it clear.
    ///
    /// # Errors
    /// [`VmxError`]. #UD in the host outside VMX operation.
    fn vmclear(&mut self, region: &VmcsRegion<'_>) -> Result<(), VmxError>;

    /// VMPTRLD: makes the VMCS active and current.
    ///
    /// # Errors
    /// [`VmxError`]. #UD in the host outside VMX operation.
    fn vmptrld(&mut self, region: &VmcsRegion<'_>) -> Result<(), VmxError>;

    /// INVEPT: drops cached translations. They can only be loaded again.
    ///
    /// # Errors
    /// [`VmxError`] for a type or pointer that the CPU refuses. #UD in the host
    /// outside VMX operation or without EPT.
    fn invept(&mut self, scope: InveptScope) -> Result<(), VmxError>;

    /// INVVPID: drops cached translations. They can only be loaded again.
    ///
    /// # Errors
    /// [`VmxError`] for a type or VPID that the CPU refuses. #UD in the host
    /// outside VMX operation or without VPID.
    fn invvpid(&mut self, scope: InvvpidScope) -> Result<(), VmxError>;
}
