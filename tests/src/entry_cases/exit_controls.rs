//! The cases of the VM-exit control fields.

use vmx_core::PhysicalAddress;
use vmx_core::control::{ExitControls, PinBasedControls};
use vmx_core::vmcs::field::*;

use super::case::{Case, beyond, by, edits, set, values};
use super::editing::*;
use super::editor::Editor;

const TIMER: PinBasedControls = PinBasedControls::ACTIVATE_VMX_PREEMPTION_TIMER;
const SAVE_TIMER: ExitControls = ExitControls::SAVE_VMX_PREEMPTION_TIMER_VALUE;

/// The cases.
pub(super) const CASES: &[Case] = &[
    must_be_1("exit-reserved-bits", |e| {
        e.clear_bits(VM_EXIT_CONTROLS, lowest(e.capabilities.exit.must_be_one));
    }),
    must_be_0("exit-reserved-bits", |e| {
        e.set_bits(VM_EXIT_CONTROLS, highest_clear(e.capabilities.exit.may_be_one));
    })
    .where_possible(|cpu| cpu.exit.may_be_one != u32::MAX),
    values("secondary-exit-reserved-bits", SECONDARY_VM_EXIT_CONTROLS, 1 << 31, 0)
        .of("bit 31")
        .exit(ExitControls::ACTIVATE_SECONDARY_CONTROLS),
    edits("save-preemption-timer-needs-preemption-timer", no_pin(TIMER), by(use_timer))
        .exit(SAVE_TIMER),
    msr_area_aligned("exit-msr-store-area-aligned", STORE, STORE_COUNT),
    msr_area_within_width("exit-msr-store-area-within-physical-width", STORE, STORE_COUNT),
    edits(
        "exit-msr-store-area-within-physical-width",
        by(|e| two_msrs_beyond(e, STORE, STORE_COUNT)),
        set(STORE_COUNT, 0),
    )
    .of("last byte")
    .with(beyond(STORE)),
    msr_area_aligned("exit-msr-load-area-aligned", LOAD, LOAD_COUNT),
    msr_area_within_width("exit-msr-load-area-within-physical-width", LOAD, LOAD_COUNT),
    edits(
        "exit-msr-load-area-within-physical-width",
        by(|e| two_msrs_beyond(e, LOAD, LOAD_COUNT)),
        set(LOAD_COUNT, 0),
    )
    .of("last byte")
    .with(beyond(LOAD)),
];

const STORE: Field<PhysicalAddress> = VM_EXIT_MSR_STORE_ADDRESS;
const STORE_COUNT: Field<u32> = VM_EXIT_MSR_STORE_COUNT;
const LOAD: Field<PhysicalAddress> = VM_EXIT_MSR_LOAD_ADDRESS;
const LOAD_COUNT: Field<u32> = VM_EXIT_MSR_LOAD_COUNT;

fn use_timer(e: &mut Editor<'_>) {
    e.turn_on(TIMER);
    e.set(VMX_PREEMPTION_TIMER_VALUE, 100_000);
}
