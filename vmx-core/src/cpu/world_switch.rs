//! The world switch.

use super::guest_registers::GuestRegisters;
use crate::vmcs::error::VmxError;

/// Which instruction enters the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryInstruction {
    /// VMLAUNCH, for a clear VMCS.
    Launch,
    /// VMRESUME, for a launched one.
    Resume,
}

/// The world switch: VM entry, and everything up to the return after VM exit.
pub trait WorldSwitch {
    /// Enters the guest with the current VMCS and returns after the VM exit, or
    /// when VM entry failed with a VM-instruction error.
    ///
    /// The switch writes the host's RSP, RIP and SSP fields itself. `Ok` also
    /// covers an entry failure of the kind that exits (bit 31 of the reason).
    ///
    /// # Errors
    /// [`VmxError`] when the instruction failed; the guest did not run.
    ///
    /// # Safety
    ///
    /// 1. The other host-state fields restore the running environment: CR0, CR3,
    ///    CR4, segments, descriptor tables, MSRs.
    /// 2. Everything that the guest can reach is the guest's: its page tables or
    ///    EPT, I/O bitmaps, MSR bitmap, MSR lists, APIC pages and every other
    ///    structure whose address the VMCS holds, for as long as it can be entered.
    /// 3. What the world switch does not move (the backend lists it) and the guest
    ///    can change is not relied on afterwards, or the caller moves it.
    /// 4. Interrupts are disabled (RFLAGS.IF = 0) and the thread stays on this CPU.
    /// 5. Where the host uses CET, the VMCS loads the host's CET state on exit.
    unsafe fn enter(
        &mut self,
        instruction: EntryInstruction,
        registers: &mut GuestRegisters,
    ) -> Result<(), VmxError>;
}
