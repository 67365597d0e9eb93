//! The world switch: VMLAUNCH or VMRESUME, and the way back after VM exit.
//!
//! The crate's documentation lists what it does not move and what VM exit leaves
//! changed in the host.

mod assembly;
mod options;
mod registers;

use vmx_core::VmxError;
use vmx_core::cpu::{EntryInstruction, HostPointers, VmcsAccess, WorldSwitch};
use vmx_core::vmcs::field;

pub use options::{Plain, SwitchOptions};
pub use registers::{Mxcsr, RegisterFile, SpecCtrl, VectorRegisters, WithSpecCtrl, WithVectors};

use crate::BareMetal;
use crate::instructions::failure;
use assembly::{EXITED, FAIL_INVALID, switch};
use registers::Sealed;

impl<O: SwitchOptions> WorldSwitch for BareMetal<O> {
    type Registers = O::Registers;

    /// See the crate's documentation for what it does not move. It works in a host
    /// with and without shadow stacks, and returns with no general register or flag
    /// that tells of the guest, also where the instruction failed. RFLAGS is 2 after an
    /// exit, and otherwise what it was, but for the arithmetic flags in both cases.
    ///
    /// `host` is believed; a debug build compares it with the VMCS.
    unsafe fn enter(
        &mut self,
        instruction: EntryInstruction,
        host: &mut HostPointers,
        registers: &mut O::Registers,
    ) -> Result<(), VmxError> {
        const {
            assert!(
                !O::LEGACY_IBRS || <O::Registers as Sealed>::SPEC_CTRL.is_some(),
                "LEGACY_IBRS needs registers WithSpecCtrl"
            );
        }
        debug_assert!(
            tells_the_truth(self, host),
            "{host:x?} is not what the current VMCS holds: somebody wrote HOST_RSP, HOST_RIP or \
             HOST_SSP without making the value here 0, or this is not its VMCS"
        );
        let launch = u32::from(instruction == EntryInstruction::Launch);
        // SAFETY: the caller keeps the contract of `WorldSwitch::enter`; ring 0 by
        // that of `BareMetal::new`; both are exclusive references.
        match unsafe { switch::<O>(registers, host, launch) } {
            EXITED => Ok(()),
            FAIL_INVALID => Err(VmxError::FailInvalid),
            // SAFETY: VMfailValid: VMX root operation with a current VMCS.
            _ => Err(unsafe { failure() }),
        }
    }
}

/// Whether the fields hold what is known of them. True without a current VMCS: then the
/// entry fails, and says so.
fn tells_the_truth<V: VmcsAccess>(vmcs: &mut V, host: &HostPointers) -> bool {
    [
        (field::HOST_RSP.encoding(), host.rsp),
        (field::HOST_RIP.encoding(), host.rip),
        (field::HOST_SSP.encoding(), host.ssp),
    ]
    .into_iter()
    .all(|(field, known)| known == 0 || !vmcs.vmread(field).is_ok_and(|held| held != known))
}

impl<O: SwitchOptions> BareMetal<O> {
    /// The address of the world switch's first instruction: for a breakpoint, or a tool
    /// that reads the machine code.
    pub fn world_switch_address() -> usize {
        let switch: unsafe extern "sysv64" fn(_, _, _) -> _ = switch::<O>;
        switch as usize
    }
}
