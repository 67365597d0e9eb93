//! The cases of the VM-exit control fields.

use vmx_core::Capabilities;
use vmx_core::PhysicalAddress;
use vmx_core::control::{ExitControls, PinBasedControls, SecondaryExitControls};
use vmx_core::vmcs::field;

use super::SCRATCH;
use super::control_editing::{
    always, case, exit, highest_clear, just_beyond, lowest, no_pin, nothing, pin,
};
use crate::entry_case::{Case, Editor};

/// The cases.
pub const CASES: &[Case] = &[
    case(
        "exit-reserved-bits",
        "a bit that must be 1",
        always,
        |e| {
            e.clear_bits(field::VM_EXIT_CONTROLS, lowest(e.capabilities.exit.must_be_one));
        },
        nothing,
    ),
    case(
        "exit-reserved-bits",
        "a bit that must be 0",
        |c| c.exit.may_be_one != u32::MAX,
        |e| {
            e.set_bits(field::VM_EXIT_CONTROLS, highest_clear(e.capabilities.exit.may_be_one));
        },
        nothing,
    ),
    case(
        "secondary-exit-reserved-bits",
        "bit 31",
        has_secondary_exit,
        |e| {
            exit(e, ExitControls::ACTIVATE_SECONDARY_CONTROLS);
            let reserved = SecondaryExitControls::from_bits_retain(1 << 31);
            e.set(field::SECONDARY_VM_EXIT_CONTROLS, reserved);
        },
        |e| {
            exit(e, ExitControls::ACTIVATE_SECONDARY_CONTROLS);
            e.set(field::SECONDARY_VM_EXIT_CONTROLS, SecondaryExitControls::empty());
        },
    ),
    case(
        "save-preemption-timer-needs-preemption-timer",
        "",
        |c| c.exit.allows(ExitControls::SAVE_VMX_PREEMPTION_TIMER_VALUE),
        |e| {
            no_pin(e, PinBasedControls::ACTIVATE_VMX_PREEMPTION_TIMER);
            exit(e, ExitControls::SAVE_VMX_PREEMPTION_TIMER_VALUE);
        },
        |e| {
            pin(e, PinBasedControls::ACTIVATE_VMX_PREEMPTION_TIMER);
            exit(e, ExitControls::SAVE_VMX_PREEMPTION_TIMER_VALUE);
            e.set(field::VMX_PREEMPTION_TIMER_VALUE, 100_000);
        },
    ),
    case(
        "exit-msr-store-area-aligned",
        "",
        always,
        |e| exit_store(e, SCRATCH + 8, 1),
        |e| exit_store(e, SCRATCH + 8, 0),
    ),
    case(
        "exit-msr-store-area-within-physical-width",
        "first byte",
        always,
        |e| exit_store(e, just_beyond(e).0, 1),
        |e| exit_store(e, just_beyond(e).0, 0),
    ),
    case(
        "exit-msr-store-area-within-physical-width",
        "last byte",
        always,
        |e| exit_store(e, just_beyond(e).0 - 16, 2),
        |e| exit_store(e, just_beyond(e).0, 0),
    ),
    case(
        "exit-msr-load-area-aligned",
        "",
        always,
        |e| exit_load(e, SCRATCH + 8, 1),
        |e| exit_load(e, SCRATCH + 8, 0),
    ),
    case(
        "exit-msr-load-area-within-physical-width",
        "first byte",
        always,
        |e| exit_load(e, just_beyond(e).0, 1),
        |e| exit_load(e, just_beyond(e).0, 0),
    ),
    case(
        "exit-msr-load-area-within-physical-width",
        "last byte",
        always,
        |e| exit_load(e, just_beyond(e).0 - 16, 2),
        |e| exit_load(e, just_beyond(e).0, 0),
    ),
];

fn has_secondary_exit(c: &Capabilities) -> bool {
    c.exit.allows(ExitControls::ACTIVATE_SECONDARY_CONTROLS)
}

fn exit_store(e: &mut Editor<'_>, address: u64, count: u32) {
    e.set(field::VM_EXIT_MSR_STORE_ADDRESS, PhysicalAddress(address));
    e.set(field::VM_EXIT_MSR_STORE_COUNT, count);
}

fn exit_load(e: &mut Editor<'_>, address: u64, count: u32) {
    e.set(field::VM_EXIT_MSR_LOAD_ADDRESS, PhysicalAddress(address));
    e.set(field::VM_EXIT_MSR_LOAD_COUNT, count);
}
