//! The guest's CET state in the VMCS.

use crate::cet::control::CetControl;
use crate::control::entry::EntryControls;
use crate::cpu::vmcs_access::VmcsAccess;
use crate::vmcs::error::VmxError;
use crate::vmcs::field;

/// The three guest-state fields of CET, which VM entry loads where the VM-entry control
/// "load CET state" is 1.
///
/// The other guest states leave them alone: whoever switches the guest's shadow stacks
/// has to know what becomes of IA32_S_CET. With the crate `cet-policy` that is `VcpuCet`,
/// which writes them when it takes the VMCS over. A hypervisor without it writes
/// [`OFF`](Self::OFF) once, beside the guest state.
///
/// ```
/// use vmx_core::cet::CetControl;
/// use vmx_core::control::EntryControls;
/// use vmx_core::state::GuestCetState;
/// use vmx_core::vmcs::{FieldValues, field};
/// // Values in memory stand for the current VMCS.
/// let mut vmcs = FieldValues::new();
/// GuestCetState::OFF.write(&mut vmcs, EntryControls::LOAD_CET_STATE)?;
/// assert_eq!(vmcs.get(field::GUEST_S_CET), Some(CetControl::empty()));
/// # Ok::<(), vmx_core::VmxError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GuestCetState {
    /// IA32_S_CET.
    pub s_cet: CetControl,
    /// SSP: the shadow-stack pointer in use.
    pub ssp: u64,
    /// IA32_INTERRUPT_SSP_TABLE_ADDR.
    pub interrupt_ssp_table_address: u64,
}

impl GuestCetState {
    /// As after power-up and INIT: no shadow stack, no indirect-branch tracking.
    pub const OFF: Self =
        Self { s_cet: CetControl::empty(), ssp: 0, interrupt_ssp_table_address: 0 };

    /// Writes the three fields of the current VMCS where `controls`, the VM-entry controls
    /// in use, load them; elsewhere they need not exist.
    ///
    /// # Errors
    /// [`VmxError`] of the VMWRITE that failed.
    pub fn write<V: VmcsAccess>(
        &self,
        vmcs: &mut V,
        controls: EntryControls,
    ) -> Result<(), VmxError> {
        if !controls.contains(EntryControls::LOAD_CET_STATE) {
            return Ok(());
        }
        vmcs.write(field::GUEST_S_CET, self.s_cet)?;
        vmcs.write(field::GUEST_SSP, self.ssp)?;
        vmcs.write(field::GUEST_INTERRUPT_SSP_TABLE_ADDR, self.interrupt_ssp_table_address)
    }
}
