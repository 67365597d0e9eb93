//! The cases of the VM-entry control fields. An edge injects no event: bit 31 is 0.

use vmx_core::Capabilities;
use vmx_core::PhysicalAddress;
use vmx_core::control::{EntryControls, PrimaryControls};
use vmx_core::event::InterruptionInformation;
use vmx_core::vmcs::field;

use super::SCRATCH;
use super::control_editing::{absent, always, case, highest_clear, just_beyond, lowest, nothing};
use crate::entry_case::{Case, Editor, Exception, NotShown};

/// The cases.
pub const CASES: &[Case] = &[
    case(
        "entry-reserved-bits",
        "a bit that must be 1",
        always,
        |e| {
            e.clear_bits(field::VM_ENTRY_CONTROLS, lowest(e.capabilities.entry.must_be_one));
        },
        nothing,
    ),
    case(
        "entry-reserved-bits",
        "a bit that must be 0",
        always,
        |e| {
            e.set_bits(field::VM_ENTRY_CONTROLS, highest_clear(e.capabilities.entry.may_be_one));
        },
        nothing,
    ),
    case("injected-event-type", "1", always, |e| inject(e, 1 << 8), |e| prepare(e, 1 << 8)),
    case(
        "injected-event-vector",
        "an NMI",
        always,
        |e| inject(e, 2 << 8 | 3),
        |e| prepare(e, 2 << 8 | 3),
    ),
    case(
        "injected-event-vector",
        "a hardware exception",
        always,
        |e| inject(e, 3 << 8 | 32),
        |e| prepare(e, 3 << 8 | 32),
    ),
    case(
        "injected-event-vector",
        "another event",
        |c| c.primary.allows(PrimaryControls::MONITOR_TRAP_FLAG),
        |e| inject(e, 7 << 8 | 3),
        |e| prepare(e, 7 << 8 | 3),
    ),
    // With CET, the second processor does not look: departure
    // injected-error-code-unchecked.
    case(
        "injected-error-code-is-of-exception",
        "INT n",
        without_cet,
        |e| inject(e, 1 << 11 | 4 << 8 | 0x80),
        |e| prepare(e, 1 << 11 | 4 << 8 | 0x80),
    ),
    case(
        "injected-error-code-fits-vector",
        "#GP without",
        checks_error_code,
        |e| inject(e, 3 << 8 | 13),
        |e| prepare(e, 3 << 8 | 13),
    ),
    case(
        "injected-error-code-fits-vector",
        "#CP with",
        checks_error_code,
        |e| inject(e, 1 << 11 | 3 << 8 | 21),
        |e| prepare(e, 1 << 11 | 3 << 8 | 21),
    ),
    case(
        "injected-event-reserved-bits",
        "bit 12",
        always,
        |e| inject(e, 1 << 12 | 3 << 8 | 6),
        |e| prepare(e, 1 << 12 | 3 << 8 | 6),
    ),
    case(
        "injected-event-reserved-bits",
        "bit 30",
        always,
        |e| inject(e, 1 << 30 | 3 << 8 | 6),
        |e| prepare(e, 1 << 30 | 3 << 8 | 6),
    ),
    case(
        "injected-error-code-high-bits",
        "bit 16",
        always,
        |e| {
            inject(e, 1 << 11 | 3 << 8 | 13);
            e.set(field::VM_ENTRY_EXCEPTION_ERROR_CODE, 1 << 16);
        },
        |e| {
            prepare(e, 1 << 11 | 3 << 8 | 13);
            e.set(field::VM_ENTRY_EXCEPTION_ERROR_CODE, 1 << 16);
        },
    ),
    case(
        "injected-instruction-length",
        "16",
        always,
        |e| {
            inject(e, 4 << 8 | 0x80);
            e.set(field::VM_ENTRY_INSTRUCTION_LENGTH, 16);
        },
        |e| {
            prepare(e, 4 << 8 | 0x80);
            e.set(field::VM_ENTRY_INSTRUCTION_LENGTH, 16);
        },
    ),
    case(
        "injected-instruction-length",
        "0",
        |c| !c.misc.injects_with_zero_length(),
        |e| {
            inject(e, 4 << 8 | 0x80);
            e.set(field::VM_ENTRY_INSTRUCTION_LENGTH, 0);
        },
        |e| {
            prepare(e, 4 << 8 | 0x80);
            e.set(field::VM_ENTRY_INSTRUCTION_LENGTH, 0);
        },
    ),
    case(
        "entry-msr-load-area-aligned",
        "",
        always,
        |e| entry_load(e, SCRATCH + 8, 1),
        |e| entry_load(e, SCRATCH + 8, 0),
    ),
    case(
        "entry-msr-load-area-within-physical-width",
        "first byte",
        always,
        |e| entry_load(e, just_beyond(e).0, 1),
        |e| entry_load(e, just_beyond(e).0, 0),
    ),
    case(
        "entry-msr-load-area-within-physical-width",
        "last byte",
        always,
        |e| entry_load(e, just_beyond(e).0 - 16, 2),
        |e| entry_load(e, just_beyond(e).0, 0),
    ),
    case(
        "deactivate-dual-monitor-needs-smm",
        "",
        |c| c.entry.allows(EntryControls::DEACTIVATE_DUAL_MONITOR_TREATMENT),
        |e| {
            let control = EntryControls::DEACTIVATE_DUAL_MONITOR_TREATMENT;
            e.set_bits(field::VM_ENTRY_CONTROLS, control.bits().into());
        },
        nothing,
    ),
];

/// The rules without a case.
pub const EXCEPTIONS: &[Exception] = &[
    absent("load-rtit-ctl-excludes-tracing", "Intel PT"),
    Exception { rule: "entry-to-smm-needs-smm", reason: NotShown::Departure("smm-entry-stops") },
    Exception { rule: "entry-to-smm-excludes-deactivate-dual-monitor", reason: NotShown::NeedsSmm },
];

fn without_cet(c: &Capabilities) -> bool {
    !c.has_cet()
}

fn checks_error_code(c: &Capabilities) -> bool {
    !c.basic.any_error_code()
}

fn entry_load(e: &mut Editor<'_>, address: u64, count: u32) {
    e.set(field::VM_ENTRY_MSR_LOAD_ADDRESS, PhysicalAddress(address));
    e.set(field::VM_ENTRY_MSR_LOAD_COUNT, count);
}

/// An event that would be injected if bit 31 were 1.
fn prepare(e: &mut Editor<'_>, information: u32) {
    e.set(field::VM_ENTRY_INTERRUPTION_INFORMATION, InterruptionInformation(information));
    e.set(field::VM_ENTRY_EXCEPTION_ERROR_CODE, 0);
    e.set(field::VM_ENTRY_INSTRUCTION_LENGTH, 2);
}

fn inject(e: &mut Editor<'_>, information: u32) {
    prepare(e, 1 << 31 | information);
}
