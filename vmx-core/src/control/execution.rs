//! VM-execution control words.
//! Source: SDM, "VM-Execution Control Fields".

use bitflags::bitflags;

bitflags! {
    /// Pin-based VM-execution controls: asynchronous events.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct PinBasedControls: u32 {
        /// External interrupts exit.
        const EXTERNAL_INTERRUPT_EXITING = 1 << 0;
        /// NMIs exit.
        const NMI_EXITING = 1 << 3;
        /// NMIs are never blocked; "blocking by NMI" is of virtual NMIs.
        const VIRTUAL_NMIS = 1 << 5;
        /// The VMX-preemption timer counts down and exits at zero.
        const ACTIVATE_VMX_PREEMPTION_TIMER = 1 << 6;
        /// Posted interrupts are processed.
        const PROCESS_POSTED_INTERRUPTS = 1 << 7;
        /// Unknown bits are kept.
        const _ = !0;
    }

    /// Primary processor-based VM-execution controls.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct PrimaryControls: u32 {
        /// Exit as soon as the guest could take an interrupt.
        const INTERRUPT_WINDOW_EXITING = 1 << 2;
        /// RDTSC adds the TSC offset.
        const USE_TSC_OFFSETTING = 1 << 3;
        /// HLT exits.
        const HLT_EXITING = 1 << 7;
        /// INVLPG exits.
        const INVLPG_EXITING = 1 << 9;
        /// MWAIT exits.
        const MWAIT_EXITING = 1 << 10;
        /// RDPMC exits.
        const RDPMC_EXITING = 1 << 11;
        /// RDTSC and RDTSCP exit.
        const RDTSC_EXITING = 1 << 12;
        /// MOV to CR3 exits.
        const CR3_LOAD_EXITING = 1 << 15;
        /// MOV from CR3 exits.
        const CR3_STORE_EXITING = 1 << 16;
        /// The tertiary controls are used.
        const ACTIVATE_TERTIARY_CONTROLS = 1 << 17;
        /// MOV to CR8 exits.
        const CR8_LOAD_EXITING = 1 << 19;
        /// MOV from CR8 exits.
        const CR8_STORE_EXITING = 1 << 20;
        /// TPR virtualisation and other APIC features.
        const USE_TPR_SHADOW = 1 << 21;
        /// Exit as soon as the guest could take an NMI.
        const NMI_WINDOW_EXITING = 1 << 22;
        /// MOV to and from debug registers exits.
        const MOV_DR_EXITING = 1 << 23;
        /// I/O instructions exit (without the bitmaps).
        const UNCONDITIONAL_IO_EXITING = 1 << 24;
        /// The I/O bitmaps decide which I/O instructions exit.
        const USE_IO_BITMAPS = 1 << 25;
        /// Exit after each guest instruction.
        const MONITOR_TRAP_FLAG = 1 << 27;
        /// The MSR bitmap decides which RDMSR and WRMSR exit; else all do.
        const USE_MSR_BITMAPS = 1 << 28;
        /// MONITOR exits.
        const MONITOR_EXITING = 1 << 29;
        /// PAUSE exits.
        const PAUSE_EXITING = 1 << 30;
        /// The secondary controls are used.
        const ACTIVATE_SECONDARY_CONTROLS = 1 << 31;
        /// Unknown bits are kept.
        const _ = !0;
    }

    /// Secondary processor-based VM-execution controls.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct SecondaryControls: u32 {
        /// Accesses to the APIC-access page are virtualised.
        const VIRTUALIZE_APIC_ACCESSES = 1 << 0;
        /// Extended page tables.
        const ENABLE_EPT = 1 << 1;
        /// Instructions that read or write descriptor-table registers exit.
        const DESCRIPTOR_TABLE_EXITING = 1 << 2;
        /// RDTSCP does not raise #UD.
        const ENABLE_RDTSCP = 1 << 3;
        /// x2APIC MSRs are virtualised.
        const VIRTUALIZE_X2APIC_MODE = 1 << 4;
        /// Translations are tagged by a virtual-processor identifier.
        const ENABLE_VPID = 1 << 5;
        /// WBINVD exits.
        const WBINVD_EXITING = 1 << 6;
        /// The guest may run unpaged or in real mode.
        const UNRESTRICTED_GUEST = 1 << 7;
        /// APIC registers are virtualised.
        const APIC_REGISTER_VIRTUALIZATION = 1 << 8;
        /// Virtual interrupts are delivered.
        const VIRTUAL_INTERRUPT_DELIVERY = 1 << 9;
        /// A loop of PAUSE exits.
        const PAUSE_LOOP_EXITING = 1 << 10;
        /// RDRAND exits.
        const RDRAND_EXITING = 1 << 11;
        /// INVPCID does not raise #UD.
        const ENABLE_INVPCID = 1 << 12;
        /// VMFUNC does not raise #UD.
        const ENABLE_VM_FUNCTIONS = 1 << 13;
        /// VMREAD and VMWRITE of the guest may access a shadow VMCS.
        const VMCS_SHADOWING = 1 << 14;
        /// ENCLS is governed by a bitmap.
        const ENABLE_ENCLS_EXITING = 1 << 15;
        /// RDSEED exits.
        const RDSEED_EXITING = 1 << 16;
        /// Page-modification logging.
        const ENABLE_PML = 1 << 17;
        /// EPT violations may become #VE.
        const EPT_VIOLATION_VE = 1 << 18;
        /// Intel PT does not show VMX operation.
        const CONCEAL_VMX_FROM_PT = 1 << 19;
        /// XSAVES and XRSTORS do not raise #UD.
        const ENABLE_XSAVES = 1 << 20;
        /// ENQCMD and ENQCMDS translate the guest's PASID.
        const PASID_TRANSLATION = 1 << 21;
        /// EPT execute permissions differ for user and supervisor.
        const MODE_BASED_EXECUTE_CONTROL = 1 << 22;
        /// EPT write permission per 128 bytes.
        const SUB_PAGE_WRITE_PERMISSIONS = 1 << 23;
        /// Intel PT uses guest-physical addresses.
        const PT_USES_GUEST_PHYSICAL = 1 << 24;
        /// The TSC is scaled.
        const USE_TSC_SCALING = 1 << 25;
        /// TPAUSE, UMONITOR and UMWAIT do not raise #UD.
        const ENABLE_USER_WAIT_AND_PAUSE = 1 << 26;
        /// PCONFIG is governed by a bitmap.
        const ENABLE_PCONFIG = 1 << 27;
        /// ENCLV is governed by a bitmap.
        const ENABLE_ENCLV_EXITING = 1 << 28;
        /// ENCLS and ENCLV tell the VMM about conflicts over enclave pages.
        const ENABLE_EPC_VIRTUALIZATION_EXTENSIONS = 1 << 29;
        /// A bus lock exits after the instruction.
        const VMM_BUS_LOCK_DETECTION = 1 << 30;
        /// Exit when no instruction boundary is reached for a set time.
        const INSTRUCTION_TIMEOUT = 1 << 31;
        /// Unknown bits are kept.
        const _ = !0;
    }

    /// Tertiary processor-based VM-execution controls: a 64-bit word.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct TertiaryControls: u64 {
        /// LOADIWKEY exits.
        const LOADIWKEY_EXITING = 1 << 0;
        /// Linear addresses above a prefix are translated by the hypervisor's
        /// own page tables (HLAT).
        const ENABLE_HLAT = 1 << 1;
        /// EPT entries may allow the writes of page walks only.
        const EPT_PAGING_WRITE_CONTROL = 1 << 2;
        /// EPT entries may demand that a walk came through verified entries.
        const GUEST_PAGING_VERIFICATION = 1 << 3;
        /// Writes to the interrupt-command register send posted interrupts.
        const IPI_VIRTUALIZATION = 1 << 4;
        /// EPT of SEAM non-root operation uses wide guest-physical addresses.
        const SEAM_GUEST_PHYSICAL_ADDRESS_WIDTH = 1 << 5;
        /// RDMSRLIST and WRMSRLIST do not raise #UD.
        const ENABLE_MSR_LIST_INSTRUCTIONS = 1 << 6;
        /// Guest accesses to IA32_SPEC_CTRL go through a mask and a shadow.
        const VIRTUALIZE_IA32_SPEC_CTRL = 1 << 7;
        /// The guest's TSC-deadline timer runs without exits.
        const APIC_TIMER_VIRTUALIZATION = 1 << 8;
        /// PBNDKB does not raise #UD.
        const ENABLE_PBNDKB = 1 << 9;
        /// Architectural PEBS uses guest-physical addresses.
        const PEBS_USES_GUEST_PHYSICAL = 1 << 12;
        /// AVX10 instructions of 512 bits raise #UD.
        const EMULATE_AVX10_VL256 = 1 << 13;
        /// Unknown bits are kept.
        const _ = !0;
    }

    /// VM functions, that the guest invokes with VMFUNC: a 64-bit word.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct VmFunctions: u64 {
        /// Function 0 loads an EPT pointer from the EPTP list.
        const EPTP_SWITCHING = 1 << 0;
        /// Unknown bits are kept.
        const _ = !0;
    }
}
