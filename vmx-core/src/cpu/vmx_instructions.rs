//! VMX operation and VMCS regions.

use crate::capability::capabilities::Capabilities;
use crate::memory::address::PhysicalAddress;
use crate::vmcs::error::VmxError;
use crate::vmcs::operation_error::EnterError;
use crate::vmcs::pointer::{VmcsPointer, VmxonPointer};

/// Entering and leaving VMX operation, VMCLEAR and VMPTRLD.
///
/// A [`CriticalSection`](crate::vmcs::CriticalSection) calls these in the right order and
/// keeps account. Nobody else can: each takes a pointer that only a section makes. What
/// they answer decides when memory is given back:
///
/// # Safety
///
/// 1. After `Ok` of [`leave_vmx_operation`](Self::leave_vmx_operation) the CPU is outside
///    VMX operation and does not use the VMXON region; after an error of
///    [`enter_vmx_operation`](Self::enter_vmx_operation) neither.
/// 2. After `Ok` of [`vmclear`](Self::vmclear) the CPU does not use that VMCS's region
///    until it is loaded again; after an error of [`vmptrld`](Self::vmptrld) the VMCS is as
///    active as it was.
/// 3. No other method makes a VMCS active, or clears one.
///
/// A CPU that touches no memory, such as a mock, may answer as it likes. One that lies about
/// memory takes `unsafe` to make:
///
/// ```compile_fail,E0200
/// # use vmx_core::{Capabilities, VmxError, cpu::VmxInstructions, vmcs::*};
/// struct Liar;
/// impl VmxInstructions for Liar {
///     fn vmclear(&mut self, _: &VmcsPointer) -> Result<(), VmxError> {
///         Ok(()) // without doing it
///     }
///     // …
/// #   fn vmptrld(&mut self, _: &VmcsPointer) -> Result<(), VmxError> { Ok(()) }
/// #   fn leave_vmx_operation(&mut self) -> Result<(), VmxError> { Ok(()) }
/// #   fn enter_vmx_operation(&mut self, _: &VmxonPointer, _: &Capabilities) -> Result<(), EnterError> { Ok(()) }
/// }
/// ```
pub unsafe trait VmxInstructions {
    /// Brings this CPU into VMX operation: checks each precondition, sets
    /// CR4.VMXE, locks IA32_FEATURE_CONTROL if firmware left it open, VMXON.
    /// `capabilities` are those that the hypervisor goes by.
    ///
    /// # Errors
    /// [`EnterError`] names the precondition that failed; the CPU is as before,
    /// except that IA32_FEATURE_CONTROL may be locked now if VMXON itself failed.
    fn enter_vmx_operation(
        &mut self,
        region: &VmxonPointer,
        capabilities: &Capabilities,
    ) -> Result<(), EnterError>;

    /// VMXOFF, then CR4.VMXE = 0. `region` is the VMXON region that the CPU was given.
    ///
    /// # Errors
    /// [`VmxError`] if VMXOFF fails. #UD in the host outside VMX operation.
    fn leave_vmx_operation(&mut self, region: &VmxonPointer) -> Result<(), VmxError>;

    /// VMCLEAR: writes the VMCS back to its region and makes it clear.
    ///
    /// # Errors
    /// [`VmxError`]. #UD in the host outside VMX operation.
    fn vmclear(&mut self, region: &VmcsPointer) -> Result<(), VmxError>;

    /// VMPTRLD: makes the VMCS active and current.
    ///
    /// # Errors
    /// [`VmxError`]. #UD in the host outside VMX operation.
    fn vmptrld(&mut self, region: &VmcsPointer) -> Result<(), VmxError>;

    /// VMPTRST: the VMCS pointer of the current VMCS, which debug builds compare; `None`
    /// where it is not known.
    fn current_vmcs(&mut self) -> Option<PhysicalAddress> {
        None
    }

    /// The local APIC ID of this CPU, by which debug builds tell CPUs apart; `None` where
    /// it is not known.
    fn local_apic_id(&mut self) -> Option<u32> {
        None
    }
}
