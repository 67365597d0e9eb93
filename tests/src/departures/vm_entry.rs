//! Departures in the checks of VM entry.

use super::departure::Departure;

/// The rows.
pub(super) const ROWS: &[Departure] = &[
    Departure {
        id: "host-cr4-cet-without-wp",
        manual: "VM entry fails with error 8 if host CR4.CET is 1 and host CR0.WP is 0, whatever \
                 the VM-exit controls say",
        bochs: "checks it only where the VM-exit control \"load CET state\" is 1",
        versions: "2.7, 3.0",
        reason: "the check stands inside the block of that control",
        source: "Bochs cpu/vmx.cc, VMenterLoadCheckHostState; SDM, Checks on Host Control \
                 Registers, MSRs, and SSP",
        used_by: "VM-entry checks of the host state",
    },
    Departure {
        id: "host-perf-global-ctrl-unchecked",
        manual: "VM entry with the VM-exit control \"load IA32_PERF_GLOBAL_CTRL\" fails with error 8 \
                 if the host's value has a reserved bit",
        bochs: "accepts the control and looks at the field neither then nor at VM exit",
        versions: "3.0",
        reason: "there are no performance counters",
        source: "Bochs cpu/vmx.cc, VMenterLoadCheckHostState; SDM, Checks on Host Control \
                 Registers, MSRs, and SSP",
        used_by: "VM-entry checks of the host state: the rule has no case",
    },
    Departure {
        id: "pkrs-upper-half-lost",
        manual: "VM entry with \"load PKRS\" fails if bits 63:32 of the field are not 0: host error \
                 8, guest exit reason 33",
        bochs: "never sees the bits and enters",
        versions: "3.0",
        reason: "the field is copied into a 32-bit variable before it is checked",
        source: "Bochs cpu/vmx.cc, VMenterLoadCheckHostState and VMenterLoadCheckGuestState, \
                 cpu/vmx.h, pkrs; SDM, Checks on Host Control Registers, MSRs, and SSP",
        used_by: "VM-entry checks of host and guest state: the rules have no case",
    },
    Departure {
        id: "secondary-exit-controls-upper-half",
        manual: "VM entry fails with error 7 if a reserved bit of the secondary VM-exit controls is 1",
        bochs: "checks bits 31:0",
        versions: "3.0",
        reason: "the mask of supported bits is a 32-bit value, and so is its complement",
        source: "Bochs cpu/vmx.cc, VMenterLoadCheckVmControls; SDM, Checks on VM-Exit Control \
                 Fields",
        used_by: "VM-entry checks of the controls: the case takes a low bit",
    },
    Departure {
        id: "posted-interrupt-descriptor-page",
        manual: "the posted-interrupt descriptor is aligned to 64 bytes",
        bochs: "wants it aligned to 4096 bytes, else error 7",
        versions: "3.0",
        reason: "one function checks this address and those of pages",
        source: "Bochs cpu/vmx.cc, VMenterLoadCheckVmControls; SDM, Checks on VM-Execution \
                 Control Fields",
        used_by: "VM-entry checks of the controls: the edge is a page",
    },
    Departure {
        id: "posted-interrupts-without-tpr-shadow",
        manual: "\"process posted interrupts\" needs \"virtual-interrupt delivery\", which needs \
                 \"use TPR shadow\", else error 7; vector and descriptor are checked",
        bochs: "checks neither of these where \"use TPR shadow\" is 0",
        versions: "3.0",
        reason: "the checks stand inside the block of that control",
        source: "Bochs cpu/vmx.cc, VMenterLoadCheckVmControls; SDM, Checks on VM-Execution \
                 Control Fields",
        used_by: "VM-entry checks of the controls: set \"use TPR shadow\" in these cases",
    },
    Departure {
        id: "injected-error-code-unchecked",
        manual: "where IA32_VMX_BASIC[56] is 1, a hardware exception may be injected into protected \
                 mode with or without an error code; other events, and events in real mode, still \
                 must not have one, else error 7",
        bochs: "accepts an error code with any event",
        versions: "3.0",
        reason: "a CPU with CET skips the whole comparison",
        source: "Bochs cpu/vmx.cc, VMenterLoadCheckVmControls; SDM, Checks on VM-Entry Control \
                 Fields",
        used_by: "VM-entry checks of the controls: the case runs on models without CET",
    },
    Departure {
        id: "other-event-without-monitor-trap-flag",
        manual: "event type 7 is reserved on a CPU without \"monitor trap flag\": error 7",
        bochs: "accepts the type with any vector on such a model",
        versions: "3.0",
        reason: "the feature guards the check of the vector only",
        source: "Bochs cpu/vmx.cc, VMenterLoadCheckVmControls; SDM, Checks on VM-Entry Control \
                 Fields",
        used_by: "VM-entry checks of the controls: the case uses type 1",
    },
    Departure {
        id: "msr-area-length-wraps",
        manual: "the last byte of an MSR area, 16 times its count further on, lies within the \
                 physical-address width, else error 7",
        bochs: "multiplies in 32 bits: counts that differ by 1 << 28 are the same to it",
        versions: "3.0",
        reason: "count and product are 32-bit integers",
        source: "Bochs cpu/vmx.cc, VMenterLoadCheckVmControls; SDM, Checks on VM-Exit Control \
                 Fields",
        used_by: "VM-entry checks of the controls: cases use counts of 1 and 2",
    },
    Departure {
        id: "guest-s-cet-canonical",
        manual: "VM entry asks of guest IA32_S_CET only that reserved bits are 0 and that SUPPRESS \
                 and TRACKER are not both 1",
        bochs: "fails the entry also if the field is not canonical",
        versions: "3.0",
        reason: "the guest's field is checked as the host's",
        source: "Bochs cpu/vmx.cc, VMenterLoadCheckGuestState; SDM, Checks on Guest Control \
                 Registers, Debug Registers, and MSRs",
        used_by: "VM-entry checks of the guest state",
    },
    Departure {
        id: "guest-rip-non-canonical",
        manual: "VM entry to 64-bit code fails if RIP bits above the linear-address width are not \
                 all equal",
        bochs: "enters; RIP is checked only in 32-bit code, for bits 63:32",
        versions: "3.0",
        reason: "the check for 64-bit code is missing",
        source: "Bochs cpu/vmx.cc, VMenterLoadCheckGuestState; SDM, Checks on Guest RIP, RFLAGS, \
                 and SSP",
        used_by: "VM-entry checks of the guest state",
    },
    Departure {
        id: "guest-debugctl-unchecked",
        manual: "VM entry that loads debug controls fails if IA32_DEBUGCTL has a reserved bit",
        bochs: "reads the field and neither checks nor loads it",
        versions: "3.0",
        reason: "the MSR is not implemented",
        source: "Bochs cpu/vmx.cc, VMenterLoadCheckGuestState; SDM, Checks on Guest Control Registers, Debug Registers, and MSRs",
        used_by: "VM-entry checks of the guest state",
    },
    Departure {
        id: "guest-perf-global-ctrl-unchecked",
        manual: "VM entry that loads IA32_PERF_GLOBAL_CTRL fails if it has a reserved bit",
        bochs: "accepts the control and does not look at the field",
        versions: "3.0",
        reason: "the MSR is not implemented",
        source: "Bochs cpu/vmx.cc, VMenterLoadCheckGuestState, and vmcs.cc, init_vmentry_ctrls; SDM, Checks on Guest Control Registers, Debug Registers, and MSRs",
        used_by: "VM-entry checks of the guest state",
    },
    Departure {
        id: "guest-ia32e-without-paging",
        manual: "VM entry to an IA-32e mode guest fails if CR0.PG is 0",
        bochs: "checks CR4.PAE and not CR0.PG; an unrestricted guest is entered with IA32_EFER.LMA = 1 and no paging",
        versions: "3.0",
        reason: "without \"unrestricted guest\" the fixed bits of CR0 cover it",
        source: "Bochs cpu/vmx.cc, VMenterLoadCheckGuestState; SDM, Checks on Guest Control Registers, Debug Registers, and MSRs",
        used_by: "VM-entry checks of the guest state",
    },
    Departure {
        id: "guest-virtual-8086-in-real-mode",
        manual: "VM entry fails if RFLAGS.VM is 1 and CR0.PE is 0",
        bochs: "refuses RFLAGS.VM only in an IA-32e mode guest",
        versions: "3.0",
        reason: "the half of the check for unrestricted guests is missing",
        source: "Bochs cpu/vmx.cc, VMenterLoadCheckGuestState; SDM, Checks on Guest RIP, RFLAGS, and SSP",
        used_by: "VM-entry checks of the guest state",
    },
    Departure {
        id: "guest-ssp-canonical",
        manual: "VM entry asks of guest SSP that bits above the linear-address width are equal; SSP need not be canonical, and its upper half may be set whatever the mode",
        bochs: "fails the entry if SSP is not canonical, or has an upper half outside IA-32e mode",
        versions: "3.0",
        reason: "the guest's field is checked as the host's",
        source: "Bochs cpu/vmx.cc, VMenterLoadCheckGuestState; SDM, Checks on Guest RIP, RFLAGS, and SSP",
        used_by: "VM-entry checks of the guest state",
    },
    Departure {
        id: "guest-hlt-injection-unchecked",
        manual: "VM entry into HLT fails if the injected event is another than an external interrupt, an NMI, #DB, #MC or a pending MTF VM exit",
        bochs: "injects any event",
        versions: "3.0",
        reason: "only wait-for-SIPI and shutdown are checked",
        source: "Bochs cpu/vmx.cc, VMenterLoadCheckGuestState; SDM, Checks on Guest Non-Register State",
        used_by: "VM-entry checks of the guest state",
    },
    Departure {
        id: "guest-nmi-injection-while-blocked",
        manual: "VM entry with \"virtual NMIs\" fails if it injects an NMI while NMIs are blocked",
        bochs: "enters",
        versions: "3.0",
        reason: "the check is missing",
        source: "Bochs cpu/vmx.cc, VMenterLoadCheckGuestState; SDM, Checks on Guest Non-Register State",
        used_by: "VM-entry checks of the guest state",
    },
    Departure {
        id: "guest-nmi-sti-qualification",
        manual: "a CPU that refuses to inject an NMI into a guest with blocking by STI reports exit qualification 3",
        bochs: "refuses it with exit qualification 0",
        versions: "3.0",
        reason: "blocking by STI and by MOV SS are one check",
        source: "Bochs cpu/vmx.cc, VMenterLoadCheckGuestState; SDM, VM-Entry Failures During or After Loading Guest State",
        used_by: "VM-entry checks of the guest state",
    },
    Departure {
        id: "guest-pending-debug-step-unchecked",
        manual: "VM entry with blocking by STI or MOV SS, or into HLT, fails if BS in the pending debug exceptions does not agree with RFLAGS.TF and IA32_DEBUGCTL.BTF",
        bochs: "does not compare them",
        versions: "3.0",
        reason: "the check is missing",
        source: "Bochs cpu/vmx.cc, VMenterLoadCheckGuestState; SDM, Checks on Guest Non-Register State",
        used_by: "VM-entry checks of the guest state",
    },
    Departure {
        id: "guest-pending-debug-32-bits",
        manual: "VM entry fails if bits 63:17 of the pending debug exceptions are not 0",
        bochs: "looks at bits 31:0",
        versions: "3.0",
        reason: "the field is cut to 32 bits when it is read",
        source: "Bochs cpu/vmx.cc, VMenterLoadCheckGuestState; SDM, Checks on Guest Non-Register State",
        used_by: "VM-entry checks of the guest state",
    },
    Departure {
        id: "guest-null-ss-unchecked",
        manual: "the checks of SS apply to every usable SS",
        bochs: "passes over the base, type, S, P, granularity and reserved bits of a usable SS whose selector is null, before 64-bit code",
        versions: "3.0",
        reason: "a null selector is taken to mean an unusable register",
        source: "Bochs cpu/vmx.cc, VMenterLoadCheckGuestState; SDM, Checks on Guest Segment Registers",
        used_by: "VM-entry checks of the guest state",
    },
    Departure {
        id: "spec-ctrl-load-not-reported",
        manual: "IA32_VMX_ENTRY_CTLS reports the VM-entry control \"load IA32_SPEC_CTRL\" where the CPU has it",
        bochs: "never reports it, though it implements the check; the bit goes into the secondary VM-exit controls",
        versions: "3.0",
        reason: "the capability is added to the wrong word",
        source: "Bochs cpu/vmcs.cc, init_vmentry_ctrls; SDM, VM-Entry Control Fields",
        used_by: "VM-entry checks of the guest state",
    },
    Departure {
        id: "smm-entry-stops",
        manual: "VM entry with \"entry to SMM\" outside SMM fails with error 7",
        bochs: "stops the emulator where the control is accepted",
        versions: "3.0",
        reason: "entry to SMM is not implemented",
        source: "Bochs cpu/vmx.cc, VMenterLoadCheckGuestState; SDM, VM-Entry Control Fields",
        used_by: "VM-entry checks of the controls: do not set it",
    },
];
