//! The whole choice of VMX controls on one screen.

use vmx_core::Capabilities;
use vmx_core::control::ControlError;
use vmx_core::control::ControlSet;
use vmx_core::control::{
    EntryControls, ExitControls, PinBasedControls, PrimaryControls, SecondaryControls,
};

/// What the hypervisor cannot do without.
pub const REQUIRED: ControlSet = ControlSet {
    // A guest that hangs is stopped by the timer.
    pin_based: PinBasedControls::ACTIVATE_VMX_PREEMPTION_TIMER,
    // I/O and MOV DR reach the machine otherwise.
    primary: PrimaryControls::USE_MSR_BITMAPS
        .union(PrimaryControls::UNCONDITIONAL_IO_EXITING)
        .union(PrimaryControls::MOV_DR_EXITING)
        .union(PrimaryControls::HLT_EXITING)
        .union(PrimaryControls::ACTIVATE_SECONDARY_CONTROLS),
    // Guests execute XSAVES and XRSTORS, and have guest-physical addresses.
    secondary: SecondaryControls::ENABLE_XSAVES.union(SecondaryControls::ENABLE_EPT),
    // The pair that keeps the guest's IA32_S_CET out of the host, and back.
    exit: ExitControls::LOAD_CET_STATE
        .union(ExitControls::HOST_ADDRESS_SPACE_SIZE)
        .union(ExitControls::SAVE_IA32_EFER)
        .union(ExitControls::LOAD_IA32_EFER),
    entry: EntryControls::LOAD_CET_STATE
        .union(EntryControls::IA32E_MODE_GUEST)
        .union(EntryControls::LOAD_IA32_EFER),
    ..ControlSet::EMPTY
};

/// What it takes where the CPU has it.
pub const WANTED: ControlSet = ControlSet {
    pin_based: PinBasedControls::NMI_EXITING.union(PinBasedControls::EXTERNAL_INTERRUPT_EXITING),
    exit: ExitControls::SAVE_IA32_PAT.union(ExitControls::LOAD_IA32_PAT),
    entry: EntryControls::LOAD_IA32_PAT,
    ..ControlSet::EMPTY
};

/// The controls that this CPU accepts.
///
/// # Errors
/// [`ControlError`] names every required control that it lacks.
pub fn negotiate(capabilities: &Capabilities) -> Result<ControlSet, ControlError> {
    ControlSet::negotiate(capabilities, &REQUIRED, &WANTED)
}
