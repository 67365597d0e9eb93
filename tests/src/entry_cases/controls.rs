//! The cases of the control fields.
//!
//! An edge that is entered must not do more than its base: pages that it names are
//! [`SCRATCH`], events that it would inject are not valid.

use vmx_core::PhysicalAddress;
use vmx_core::capability::{Capabilities, EptVpidCapabilities};
use vmx_core::control::{
    EntryControls, ExitControls, PinBasedControls, PrimaryControls, SecondaryControls,
    SecondaryExitControls, TertiaryControls, VmFunctions,
};
use vmx_core::field::{self, Field};
use vmx_core::interruption::InterruptionInformation;

use super::SCRATCH;
use crate::entry_case::{Base, Case, Editor, Exception, NotShown};

/// On a page, but not at its start.
const CROOKED: PhysicalAddress = PhysicalAddress(SCRATCH + 4);
/// Beyond any CPU's physical addresses.
const BEYOND: PhysicalAddress = PhysicalAddress(1 << 52);
/// A page that may be written.
const PAGE: PhysicalAddress = PhysicalAddress(SCRATCH);

/// The cases.
pub(super) const CASES: &[Case] = &[
    case(
        "pin-based-reserved-bits",
        "a bit that must be 1",
        always,
        |e| {
            e.clear_bits(field::PIN_BASED_CONTROLS, lowest(e.capabilities.pin_based.must_be_one));
        },
        nothing,
    ),
    case(
        "pin-based-reserved-bits",
        "a bit that must be 0",
        always,
        |e| {
            e.set_bits(
                field::PIN_BASED_CONTROLS,
                highest_clear(e.capabilities.pin_based.may_be_one),
            );
        },
        nothing,
    ),
    case(
        "primary-reserved-bits",
        "a bit that must be 1",
        always,
        |e| {
            e.clear_bits(field::PRIMARY_CONTROLS, lowest(e.capabilities.primary.must_be_one));
        },
        nothing,
    ),
    case(
        "primary-reserved-bits",
        "a bit that must be 0",
        always,
        |e| {
            e.set_bits(field::PRIMARY_CONTROLS, highest_clear(e.capabilities.primary.may_be_one));
        },
        nothing,
    ),
    case(
        "secondary-reserved-bits",
        "a bit that must be 0",
        has_secondary,
        |e| {
            secondary(e, SecondaryControls::empty());
            e.set_bits(
                field::SECONDARY_CONTROLS,
                highest_clear(e.capabilities.secondary.may_be_one),
            );
        },
        |e| secondary(e, SecondaryControls::empty()),
    ),
    case(
        "tertiary-reserved-bits",
        "a bit that must be 0",
        has_tertiary,
        |e| {
            primary(e, PrimaryControls::ACTIVATE_TERTIARY_CONTROLS);
            e.set(field::TERTIARY_CONTROLS, TertiaryControls::from_bits_retain(1 << 63));
        },
        |e| e.set(field::TERTIARY_CONTROLS, TertiaryControls::from_bits_retain(1 << 63)),
    ),
    case(
        "cr3-target-count",
        "one too many",
        always,
        |e| {
            e.set(field::CR3_TARGET_COUNT, e.capabilities.misc.cr3_target_count() + 1);
        },
        |e| e.set(field::CR3_TARGET_COUNT, e.capabilities.misc.cr3_target_count()),
    ),
    case(
        "io-bitmaps-aligned",
        "bitmap A",
        always,
        |e| io_bitmaps(e, CROOKED, PAGE),
        |e| io_bitmaps(e, PAGE, PAGE),
    ),
    case(
        "io-bitmaps-aligned",
        "bitmap B",
        always,
        |e| io_bitmaps(e, PAGE, CROOKED),
        |e| io_bitmaps(e, PAGE, PAGE),
    ),
    case(
        "io-bitmaps-within-physical-width",
        "bitmap A",
        always,
        |e| io_bitmaps(e, BEYOND, PAGE),
        |e| io_bitmaps(e, PAGE, PAGE),
    ),
    case(
        "io-bitmaps-within-physical-width",
        "bitmap B",
        always,
        |e| io_bitmaps(e, PAGE, just_beyond(e)),
        |e| io_bitmaps(e, PAGE, PAGE),
    ),
    case("msr-bitmap-aligned", "bit 2", always, |e| msr_bitmap(e, CROOKED), no_msr_bitmap),
    case(
        "msr-bitmap-within-physical-width",
        "bit 52",
        always,
        |e| msr_bitmap(e, BEYOND),
        no_msr_bitmap,
    ),
    case(
        "msr-bitmap-within-physical-width",
        "first bit beyond",
        always,
        |e| msr_bitmap(e, just_beyond(e)),
        no_msr_bitmap,
    ),
    case(
        "virtual-nmis-need-nmi-exiting",
        "",
        has_virtual_nmis,
        |e| {
            pin(e, PinBasedControls::VIRTUAL_NMIS);
            no_pin(e, PinBasedControls::NMI_EXITING);
        },
        |e| pin(e, PinBasedControls::VIRTUAL_NMIS | PinBasedControls::NMI_EXITING),
    ),
    case(
        "nmi-window-exiting-needs-virtual-nmis",
        "",
        has_virtual_nmis,
        |e| {
            no_pin(e, PinBasedControls::VIRTUAL_NMIS);
            primary(e, PrimaryControls::NMI_WINDOW_EXITING);
        },
        |e| pin(e, PinBasedControls::VIRTUAL_NMIS | PinBasedControls::NMI_EXITING),
    ),
    case(
        "vpid-not-zero",
        "",
        |c| c.secondary.allows(SecondaryControls::ENABLE_VPID),
        |e| {
            secondary(e, SecondaryControls::ENABLE_VPID);
            e.set(field::VPID, 0);
        },
        |e| {
            secondary(e, SecondaryControls::ENABLE_VPID);
            e.set(field::VPID, 1);
        },
    ),
    case(
        "vmcs-shadowing-bitmaps-aligned",
        "VMREAD bitmap",
        has_shadowing,
        |e| shadow(e, CROOKED, PAGE),
        |e| shadow(e, PAGE, PAGE),
    ),
    case(
        "vmcs-shadowing-bitmaps-aligned",
        "VMWRITE bitmap",
        has_shadowing,
        |e| shadow(e, PAGE, CROOKED),
        |e| shadow(e, PAGE, PAGE),
    ),
    case(
        "vmcs-shadowing-bitmaps-within-physical-width",
        "VMREAD bitmap",
        has_shadowing,
        |e| shadow(e, just_beyond(e), PAGE),
        |e| shadow(e, PAGE, PAGE),
    ),
    case(
        "vmcs-shadowing-bitmaps-within-physical-width",
        "VMWRITE bitmap",
        has_shadowing,
        |e| shadow(e, PAGE, BEYOND),
        |e| shadow(e, PAGE, PAGE),
    ),
    case(
        "tsc-multiplier-not-zero",
        "",
        |c| c.secondary.allows(SecondaryControls::USE_TSC_SCALING),
        |e| {
            secondary(e, SecondaryControls::USE_TSC_SCALING);
            e.set(field::TSC_MULTIPLIER, 0);
        },
        |e| {
            secondary(e, SecondaryControls::USE_TSC_SCALING);
            e.set(field::TSC_MULTIPLIER, 1 << 48);
        },
    ),
    // APIC.
    case(
        "virtual-apic-page-aligned",
        "",
        has_tpr_shadow,
        |e| tpr_shadow(e, CROOKED, 0),
        |e| tpr_shadow(e, PAGE, 0),
    ),
    case(
        "virtual-apic-page-within-physical-width",
        "",
        has_tpr_shadow,
        |e| tpr_shadow(e, just_beyond(e), 0),
        |e| tpr_shadow(e, PAGE, 0),
    ),
    case(
        "tpr-threshold-reserved-bits",
        "",
        has_tpr_shadow,
        |e| tpr_shadow(e, PAGE, 1 << 4),
        |e| tpr_shadow(e, PAGE, 0),
    ),
    case(
        "tpr-threshold-not-above-vtpr",
        "",
        has_tpr_shadow,
        |e| tpr_shadow(e, PAGE, 1),
        |e| tpr_shadow(e, PAGE, 0),
    ),
    case(
        "apic-access-page-aligned",
        "",
        has_apic_accesses,
        |e| apic_accesses(e, CROOKED),
        |e| apic_accesses(e, PAGE),
    ),
    case(
        "apic-access-page-within-physical-width",
        "",
        has_apic_accesses,
        |e| apic_accesses(e, just_beyond(e)),
        |e| apic_accesses(e, PAGE),
    ),
    case(
        "x2apic-mode-needs-tpr-shadow",
        "",
        has_x2apic,
        |e| {
            no_primary(e, PrimaryControls::USE_TPR_SHADOW);
            secondary(e, SecondaryControls::VIRTUALIZE_X2APIC_MODE);
        },
        |e| {
            tpr_shadow(e, PAGE, 0);
            secondary(e, SecondaryControls::VIRTUALIZE_X2APIC_MODE);
        },
    ),
    case(
        "apic-register-virtualization-needs-tpr-shadow",
        "",
        has_delivery,
        |e| {
            no_primary(e, PrimaryControls::USE_TPR_SHADOW);
            secondary(e, SecondaryControls::APIC_REGISTER_VIRTUALIZATION);
        },
        |e| {
            tpr_shadow(e, PAGE, 0);
            secondary(e, SecondaryControls::APIC_REGISTER_VIRTUALIZATION);
        },
    ),
    case(
        "virtual-interrupt-delivery-needs-tpr-shadow",
        "",
        has_delivery,
        |e| {
            deliver(e);
            no_primary(e, PrimaryControls::USE_TPR_SHADOW);
        },
        deliver,
    ),
    case(
        "x2apic-mode-excludes-apic-accesses",
        "",
        has_x2apic,
        |e| {
            tpr_shadow(e, PAGE, 0);
            apic_accesses(e, PAGE);
            secondary(e, SecondaryControls::VIRTUALIZE_X2APIC_MODE);
        },
        |e| {
            tpr_shadow(e, PAGE, 0);
            apic_accesses(e, PAGE);
        },
    ),
    case(
        "virtual-interrupt-delivery-needs-external-interrupt-exiting",
        "",
        has_delivery,
        |e| {
            deliver(e);
            no_pin(e, PinBasedControls::EXTERNAL_INTERRUPT_EXITING);
        },
        deliver,
    ),
    case(
        "posted-interrupts-need-virtual-interrupt-delivery",
        "",
        has_posting,
        |e| {
            post(e);
            no_secondary(e, SecondaryControls::VIRTUAL_INTERRUPT_DELIVERY);
        },
        post,
    ),
    case(
        "posted-interrupts-need-acknowledge-on-exit",
        "",
        has_posting,
        |e| {
            post(e);
            no_exit(e, ExitControls::ACKNOWLEDGE_INTERRUPT_ON_EXIT);
        },
        post,
    ),
    case(
        "posted-interrupt-notification-vector",
        "",
        has_posting,
        |e| {
            post(e);
            e.set(field::POSTED_INTERRUPT_NOTIFICATION_VECTOR, 0x100);
        },
        post,
    ),
    // The edge of the manual, a multiple of 64, is none on the second processor:
    // departure posted-interrupt-descriptor-page.
    case(
        "posted-interrupt-descriptor-aligned",
        "",
        has_posting,
        |e| {
            post(e);
            e.set(field::POSTED_INTERRUPT_DESCRIPTOR_ADDRESS, PhysicalAddress(SCRATCH + 0x20));
        },
        post,
    ),
    case(
        "posted-interrupt-descriptor-within-physical-width",
        "",
        has_posting,
        |e| {
            post(e);
            e.set(field::POSTED_INTERRUPT_DESCRIPTOR_ADDRESS, just_beyond(e));
        },
        post,
    ),
    // EPT, where the base has it.
    behind_ept(
        "eptp-memory-type",
        "write-through",
        has_ept,
        |e| eptp(e, 0b111, 4),
        |e| {
            let has_uncacheable = EptVpidCapabilities::UNCACHEABLE_STRUCTURES;
            if e.capabilities.ept_vpid.contains(has_uncacheable) {
                eptp(e, 0b111, 0);
            }
        },
    ),
    behind_ept("eptp-page-walk-length", "3", has_ept, |e| eptp(e, 0x38, 2 << 3), nothing),
    behind_ept(
        "eptp-page-walk-length",
        "5",
        |c| has_ept(c) && !c.ept_vpid.contains(EptVpidCapabilities::PAGE_WALK_5),
        |e| eptp(e, 0x38, 4 << 3),
        nothing,
    ),
    behind_ept(
        "eptp-accessed-and-dirty",
        "",
        |c| has_ept(c) && !c.ept_vpid.contains(EptVpidCapabilities::ACCESSED_AND_DIRTY),
        |e| eptp(e, 1 << 6, 1 << 6),
        nothing,
    ),
    behind_ept(
        "eptp-supervisor-shadow-stack",
        "",
        |c| has_ept(c) && !c.ept_vpid.contains(EptVpidCapabilities::SUPERVISOR_SHADOW_STACK),
        |e| eptp(e, 1 << 7, 1 << 7),
        nothing,
    ),
    behind_ept("eptp-reserved-bits", "bit 8", has_ept, |e| eptp(e, 1 << 8, 1 << 8), nothing),
    behind_ept("eptp-reserved-bits", "bit 11", has_ept, |e| eptp(e, 1 << 11, 1 << 11), nothing),
    behind_ept(
        "eptp-within-physical-width",
        "",
        has_ept,
        |e| {
            let beyond = just_beyond(e).0;
            eptp(e, beyond, beyond);
        },
        nothing,
    ),
    case(
        "unrestricted-guest-needs-ept",
        "",
        has_ept,
        |e| without_ept(e, SecondaryControls::UNRESTRICTED_GUEST),
        nothing,
    ),
    case(
        "pml-needs-ept",
        "",
        has_pml,
        |e| {
            without_ept(e, SecondaryControls::ENABLE_PML);
            e.set(field::PML_ADDRESS, PAGE);
        },
        nothing,
    ),
    behind_ept("pml-address-aligned", "", has_pml, |e| pml(e, CROOKED), |e| pml(e, PAGE)),
    behind_ept(
        "pml-address-within-physical-width",
        "",
        has_pml,
        |e| pml(e, just_beyond(e)),
        |e| pml(e, PAGE),
    ),
    case(
        "mode-based-execute-control-needs-ept",
        "",
        |c| c.secondary.allows(SecondaryControls::MODE_BASED_EXECUTE_CONTROL),
        |e| without_ept(e, SecondaryControls::MODE_BASED_EXECUTE_CONTROL),
        nothing,
    ),
    case(
        "sub-page-write-permissions-need-ept",
        "",
        has_spp,
        |e| {
            without_ept(e, SecondaryControls::SUB_PAGE_WRITE_PERMISSIONS);
            e.set(field::SUB_PAGE_PERMISSION_TABLE_POINTER, PAGE);
        },
        nothing,
    ),
    behind_ept(
        "sub-page-permission-table-aligned",
        "",
        has_spp,
        |e| spp(e, CROOKED),
        |e| spp(e, PAGE),
    ),
    behind_ept(
        "sub-page-permission-table-within-physical-width",
        "",
        has_spp,
        |e| spp(e, just_beyond(e)),
        |e| spp(e, PAGE),
    ),
    case(
        "vm-function-reserved-bits",
        "bit 63",
        has_functions,
        |e| {
            secondary(e, SecondaryControls::ENABLE_VM_FUNCTIONS);
            e.set(field::VM_FUNCTION_CONTROLS, VmFunctions::from_bits_retain(1 << 63));
        },
        |e| {
            secondary(e, SecondaryControls::ENABLE_VM_FUNCTIONS);
            e.set(field::VM_FUNCTION_CONTROLS, VmFunctions::empty());
        },
    ),
    case(
        "eptp-switching-needs-ept",
        "",
        has_functions,
        |e| {
            eptp_list(e, PAGE);
            without_ept(e, SecondaryControls::empty());
        },
        nothing,
    ),
    behind_ept(
        "eptp-list-aligned",
        "",
        has_functions,
        |e| eptp_list(e, CROOKED),
        |e| eptp_list(e, PAGE),
    ),
    behind_ept(
        "eptp-list-within-physical-width",
        "",
        has_functions,
        |e| eptp_list(e, just_beyond(e)),
        |e| eptp_list(e, PAGE),
    ),
    case(
        "ve-information-aligned",
        "",
        has_ve,
        |e| ve_information(e, CROOKED),
        |e| ve_information(e, PAGE),
    ),
    case(
        "ve-information-within-physical-width",
        "",
        has_ve,
        |e| ve_information(e, just_beyond(e)),
        |e| ve_information(e, PAGE),
    ),
    // VM exit.
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
        "bit 63",
        has_secondary_exit,
        |e| {
            exit(e, ExitControls::ACTIVATE_SECONDARY_CONTROLS);
            let reserved = SecondaryExitControls::from_bits_retain(1 << 63);
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
    // VM entry.
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
pub(super) const EXCEPTIONS: &[Exception] = &[
    absent("pt-guest-physical-needs-load-rtit-ctl", "Intel PT"),
    absent("pt-guest-physical-needs-clear-rtit-ctl", "Intel PT"),
    absent("pt-guest-physical-needs-ept", "Intel PT"),
    absent("load-rtit-ctl-excludes-tracing", "Intel PT"),
    absent("pasid-directories-aligned", "PASID translation"),
    absent("pasid-directories-within-physical-width", "PASID translation"),
    absent("ipi-virtualization-needs-tpr-shadow", "IPI virtualization"),
    absent("pid-pointer-table-aligned", "IPI virtualization"),
    absent("pid-pointer-table-within-physical-width", "IPI virtualization"),
    absent("apic-timer-needs-virtual-interrupt-delivery", "APIC-timer virtualization"),
    absent("apic-timer-excludes-rdtsc-exiting", "APIC-timer virtualization"),
    absent("virtual-timer-vector", "APIC-timer virtualization"),
    absent("hlat-needs-ept", "HLAT"),
    absent("hlat-pointer-reserved-bits", "HLAT"),
    absent("hlat-pointer-within-physical-width", "HLAT"),
    absent("hlat-prefix-size", "HLAT"),
    absent("ept-paging-write-needs-ept", "EPT paging-write control"),
    absent("guest-paging-verification-needs-ept", "guest-paging verification"),
    Exception { rule: "entry-to-smm-needs-smm", reason: NotShown::Departure("smm-entry-stops") },
    Exception { rule: "entry-to-smm-excludes-deactivate-dual-monitor", reason: NotShown::NeedsSmm },
];

const fn absent(rule: &'static str, feature: &'static str) -> Exception {
    Exception { rule, reason: NotShown::FeatureOnNoModel(feature) }
}

/// A case that starts from the 64-bit guest.
const fn case(
    rule: &'static str,
    what: &'static str,
    possible: fn(&Capabilities) -> bool,
    breaks: fn(&mut Editor<'_>),
    edge: fn(&mut Editor<'_>),
) -> Case {
    Case { rule, what, base: Base::Guest64, possible, breaks, edge }
}

/// A case that starts from the guest in real mode, because that is behind EPT.
const fn behind_ept(
    rule: &'static str,
    what: &'static str,
    possible: fn(&Capabilities) -> bool,
    breaks: fn(&mut Editor<'_>),
    edge: fn(&mut Editor<'_>),
) -> Case {
    Case { rule, what, base: Base::GuestReal, possible, breaks, edge }
}

fn always(_: &Capabilities) -> bool {
    true
}

fn has_secondary(c: &Capabilities) -> bool {
    c.primary.allows(PrimaryControls::ACTIVATE_SECONDARY_CONTROLS)
        && c.secondary.may_be_one != u32::MAX
}

fn has_tertiary(c: &Capabilities) -> bool {
    c.primary.allows(PrimaryControls::ACTIVATE_TERTIARY_CONTROLS)
}

fn has_secondary_exit(c: &Capabilities) -> bool {
    c.exit.allows(ExitControls::ACTIVATE_SECONDARY_CONTROLS)
}

fn has_virtual_nmis(c: &Capabilities) -> bool {
    c.pin_based.allows(PinBasedControls::VIRTUAL_NMIS)
}

fn has_shadowing(c: &Capabilities) -> bool {
    c.secondary.allows(SecondaryControls::VMCS_SHADOWING)
}

fn has_tpr_shadow(c: &Capabilities) -> bool {
    c.primary.allows(PrimaryControls::USE_TPR_SHADOW)
}

fn has_apic_accesses(c: &Capabilities) -> bool {
    c.secondary.allows(SecondaryControls::VIRTUALIZE_APIC_ACCESSES)
}

fn has_x2apic(c: &Capabilities) -> bool {
    let controls = SecondaryControls::VIRTUALIZE_X2APIC_MODE;
    has_tpr_shadow(c) && has_apic_accesses(c) && c.secondary.allows(controls)
}

fn has_delivery(c: &Capabilities) -> bool {
    let controls = SecondaryControls::VIRTUAL_INTERRUPT_DELIVERY
        | SecondaryControls::APIC_REGISTER_VIRTUALIZATION;
    has_tpr_shadow(c) && c.secondary.allows(controls)
}

fn has_posting(c: &Capabilities) -> bool {
    has_delivery(c) && c.pin_based.allows(PinBasedControls::PROCESS_POSTED_INTERRUPTS)
}

/// EPT, and the unrestricted guest that the base behind it is.
fn has_ept(c: &Capabilities) -> bool {
    c.secondary.allows(SecondaryControls::ENABLE_EPT | SecondaryControls::UNRESTRICTED_GUEST)
}

fn has_pml(c: &Capabilities) -> bool {
    has_ept(c) && c.secondary.allows(SecondaryControls::ENABLE_PML)
}

fn has_spp(c: &Capabilities) -> bool {
    has_ept(c) && c.secondary.allows(SecondaryControls::SUB_PAGE_WRITE_PERMISSIONS)
}

fn has_functions(c: &Capabilities) -> bool {
    has_ept(c)
        && c.secondary.allows(SecondaryControls::ENABLE_VM_FUNCTIONS)
        && c.vm_functions.contains(VmFunctions::EPTP_SWITCHING)
}

fn has_ve(c: &Capabilities) -> bool {
    c.secondary.allows(SecondaryControls::EPT_VIOLATION_VE)
}

fn without_cet(c: &Capabilities) -> bool {
    !c.has_cet()
}

fn checks_error_code(c: &Capabilities) -> bool {
    !c.basic.any_error_code()
}

fn nothing(_: &mut Editor<'_>) {}

/// The lowest bit that is 1.
fn lowest(word: u32) -> u64 {
    (word & word.wrapping_neg()).into()
}

/// The highest bit that is 0: one without a meaning, or that other rules do not read.
fn highest_clear(word: u32) -> u64 {
    1_u64.checked_shl(31_u32.wrapping_sub(word.leading_ones())).unwrap_or(0)
}

/// The first address beyond the CPU's physical-address width.
fn just_beyond(e: &Editor<'_>) -> PhysicalAddress {
    PhysicalAddress(1 << (e.capabilities.physical_address_width % 64))
}

fn pin(e: &mut Editor<'_>, controls: PinBasedControls) {
    e.set_bits(field::PIN_BASED_CONTROLS, controls.bits().into());
}

fn no_pin(e: &mut Editor<'_>, controls: PinBasedControls) {
    e.clear_bits(field::PIN_BASED_CONTROLS, controls.bits().into());
}

fn primary(e: &mut Editor<'_>, controls: PrimaryControls) {
    e.set_bits(field::PRIMARY_CONTROLS, controls.bits().into());
}

fn no_primary(e: &mut Editor<'_>, controls: PrimaryControls) {
    e.clear_bits(field::PRIMARY_CONTROLS, controls.bits().into());
}

/// Sets secondary controls. If they were not activated, they were all 0.
fn secondary(e: &mut Editor<'_>, controls: SecondaryControls) {
    if !e.get(field::PRIMARY_CONTROLS).contains(PrimaryControls::ACTIVATE_SECONDARY_CONTROLS) {
        primary(e, PrimaryControls::ACTIVATE_SECONDARY_CONTROLS);
        e.set(field::SECONDARY_CONTROLS, SecondaryControls::empty());
    }
    e.set_bits(field::SECONDARY_CONTROLS, controls.bits().into());
}

fn no_secondary(e: &mut Editor<'_>, controls: SecondaryControls) {
    e.clear_bits(field::SECONDARY_CONTROLS, controls.bits().into());
}

fn exit(e: &mut Editor<'_>, controls: ExitControls) {
    e.set_bits(field::VM_EXIT_CONTROLS, controls.bits().into());
}

fn no_exit(e: &mut Editor<'_>, controls: ExitControls) {
    e.clear_bits(field::VM_EXIT_CONTROLS, controls.bits().into());
}

fn io_bitmaps(e: &mut Editor<'_>, a: PhysicalAddress, b: PhysicalAddress) {
    primary(e, PrimaryControls::USE_IO_BITMAPS);
    e.set(field::IO_BITMAP_A, a);
    e.set(field::IO_BITMAP_B, b);
}

fn msr_bitmap(e: &mut Editor<'_>, address: PhysicalAddress) {
    primary(e, PrimaryControls::USE_MSR_BITMAPS);
    e.set(field::MSR_BITMAP, address);
}

/// The address is as it may be where nobody looks.
fn no_msr_bitmap(e: &mut Editor<'_>) {
    msr_bitmap(e, CROOKED);
    no_primary(e, PrimaryControls::USE_MSR_BITMAPS);
}

fn shadow(e: &mut Editor<'_>, vmread: PhysicalAddress, vmwrite: PhysicalAddress) {
    secondary(e, SecondaryControls::VMCS_SHADOWING);
    e.set(field::VMREAD_BITMAP_ADDRESS, vmread);
    e.set(field::VMWRITE_BITMAP_ADDRESS, vmwrite);
}

/// A virtual-APIC page whose TPR is 0 if it is [`PAGE`].
fn tpr_shadow(e: &mut Editor<'_>, page: PhysicalAddress, threshold: u32) {
    primary(e, PrimaryControls::USE_TPR_SHADOW);
    e.set(field::VIRTUAL_APIC_ADDRESS, page);
    e.set(field::TPR_THRESHOLD, threshold);
}

fn apic_accesses(e: &mut Editor<'_>, page: PhysicalAddress) {
    secondary(e, SecondaryControls::VIRTUALIZE_APIC_ACCESSES);
    e.set(field::APIC_ACCESS_ADDRESS, page);
}

fn deliver(e: &mut Editor<'_>) {
    tpr_shadow(e, PAGE, 0);
    secondary(e, SecondaryControls::VIRTUAL_INTERRUPT_DELIVERY);
    pin(e, PinBasedControls::EXTERNAL_INTERRUPT_EXITING);
    e.set(field::GUEST_INTERRUPT_STATUS, 0);
}

fn post(e: &mut Editor<'_>) {
    deliver(e);
    pin(e, PinBasedControls::PROCESS_POSTED_INTERRUPTS);
    exit(e, ExitControls::ACKNOWLEDGE_INTERRUPT_ON_EXIT);
    e.set(field::POSTED_INTERRUPT_NOTIFICATION_VECTOR, 0xFF);
    e.set(field::POSTED_INTERRUPT_DESCRIPTOR_ADDRESS, PAGE);
}

/// Replaces the bits of `mask` in the EPT pointer.
fn eptp(e: &mut Editor<'_>, mask: u64, bits: u64) {
    e.clear_bits(field::EPT_POINTER, mask);
    e.set_bits(field::EPT_POINTER, bits);
}

fn without_ept(e: &mut Editor<'_>, controls: SecondaryControls) {
    secondary(e, controls);
    no_secondary(e, SecondaryControls::ENABLE_EPT);
}

fn with_page(
    e: &mut Editor<'_>,
    control: SecondaryControls,
    address: Field<PhysicalAddress>,
    page: PhysicalAddress,
) {
    secondary(e, control);
    e.set(address, page);
}

fn pml(e: &mut Editor<'_>, page: PhysicalAddress) {
    with_page(e, SecondaryControls::ENABLE_PML, field::PML_ADDRESS, page);
    e.set(field::PML_INDEX, 511);
}

fn spp(e: &mut Editor<'_>, page: PhysicalAddress) {
    let control = SecondaryControls::SUB_PAGE_WRITE_PERMISSIONS;
    with_page(e, control, field::SUB_PAGE_PERMISSION_TABLE_POINTER, page);
}

fn eptp_list(e: &mut Editor<'_>, page: PhysicalAddress) {
    with_page(e, SecondaryControls::ENABLE_VM_FUNCTIONS, field::EPTP_LIST_ADDRESS, page);
    e.set(field::VM_FUNCTION_CONTROLS, VmFunctions::EPTP_SWITCHING);
}

fn ve_information(e: &mut Editor<'_>, page: PhysicalAddress) {
    with_page(e, SecondaryControls::EPT_VIOLATION_VE, field::VE_INFORMATION_ADDRESS, page);
}

fn exit_store(e: &mut Editor<'_>, address: u64, count: u32) {
    e.set(field::VM_EXIT_MSR_STORE_ADDRESS, PhysicalAddress(address));
    e.set(field::VM_EXIT_MSR_STORE_COUNT, count);
}

fn exit_load(e: &mut Editor<'_>, address: u64, count: u32) {
    e.set(field::VM_EXIT_MSR_LOAD_ADDRESS, PhysicalAddress(address));
    e.set(field::VM_EXIT_MSR_LOAD_COUNT, count);
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
