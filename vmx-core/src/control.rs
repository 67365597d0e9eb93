//! The VMX control words, and which of their bits a CPU allows.
//!
//! A capability MSR says of each bit whether it may be 0 and whether it may be 1
//! ([`AllowedSettings`]). [`AllowedSettings::negotiate`] turns *required* and
//! *wanted* bits into a word that the CPU accepts, or names what it refuses.
//! Source: SDM, appendix "VMX Capability Reporting Facility", and "VM-Execution
//! Control Fields", "VM-Exit Control Fields", "VM-Entry Control Fields".

use core::fmt;

use bitflags::{Flags, bitflags};

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
        /// Unknown bits are kept.
        const _ = !0;
    }

    /// Primary VM-exit controls.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct ExitControls: u32 {
        /// DR7 and IA32_DEBUGCTL are saved.
        const SAVE_DEBUG_CONTROLS = 1 << 2;
        /// The host is in 64-bit mode.
        const HOST_ADDRESS_SPACE_SIZE = 1 << 9;
        /// IA32_PERF_GLOBAL_CTRL is loaded.
        const LOAD_IA32_PERF_GLOBAL_CTRL = 1 << 12;
        /// The interrupt controller is acknowledged.
        const ACKNOWLEDGE_INTERRUPT_ON_EXIT = 1 << 15;
        /// IA32_PAT is saved.
        const SAVE_IA32_PAT = 1 << 18;
        /// IA32_PAT is loaded.
        const LOAD_IA32_PAT = 1 << 19;
        /// IA32_EFER is saved.
        const SAVE_IA32_EFER = 1 << 20;
        /// IA32_EFER is loaded.
        const LOAD_IA32_EFER = 1 << 21;
        /// The VMX-preemption timer's value is saved.
        const SAVE_VMX_PREEMPTION_TIMER_VALUE = 1 << 22;
        /// IA32_BNDCFGS is cleared.
        const CLEAR_IA32_BNDCFGS = 1 << 23;
        /// Intel PT does not show VMX operation.
        const CONCEAL_VMX_FROM_PT = 1 << 24;
        /// IA32_RTIT_CTL is cleared.
        const CLEAR_IA32_RTIT_CTL = 1 << 25;
        /// IA32_LBR_CTL is cleared.
        const CLEAR_IA32_LBR_CTL = 1 << 26;
        /// UINV is cleared.
        const CLEAR_UINV = 1 << 27;
        /// The host's CET state is loaded. Without it the guest's IA32_S_CET
        /// stays live in the host.
        const LOAD_CET_STATE = 1 << 28;
        /// IA32_PKRS is loaded.
        const LOAD_PKRS = 1 << 29;
        /// IA32_PERF_GLOBAL_CTRL is saved.
        const SAVE_IA32_PERF_GLOBAL_CTRL = 1 << 30;
        /// The secondary VM-exit controls are used.
        const ACTIVATE_SECONDARY_CONTROLS = 1 << 31;
        /// Unknown bits are kept.
        const _ = !0;
    }

    /// VM-entry controls.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct EntryControls: u32 {
        /// DR7 and IA32_DEBUGCTL are loaded.
        const LOAD_DEBUG_CONTROLS = 1 << 2;
        /// The guest is in IA-32e mode.
        const IA32E_MODE_GUEST = 1 << 9;
        /// Entry to SMM.
        const ENTRY_TO_SMM = 1 << 10;
        /// The dual-monitor treatment ends.
        const DEACTIVATE_DUAL_MONITOR_TREATMENT = 1 << 11;
        /// IA32_PERF_GLOBAL_CTRL is loaded.
        const LOAD_IA32_PERF_GLOBAL_CTRL = 1 << 13;
        /// IA32_PAT is loaded.
        const LOAD_IA32_PAT = 1 << 14;
        /// IA32_EFER is loaded.
        const LOAD_IA32_EFER = 1 << 15;
        /// IA32_BNDCFGS is loaded.
        const LOAD_IA32_BNDCFGS = 1 << 16;
        /// Intel PT does not show VMX operation.
        const CONCEAL_VMX_FROM_PT = 1 << 17;
        /// IA32_RTIT_CTL is loaded.
        const LOAD_IA32_RTIT_CTL = 1 << 18;
        /// UINV is loaded.
        const LOAD_UINV = 1 << 19;
        /// The guest's CET state is loaded.
        const LOAD_CET_STATE = 1 << 20;
        /// IA32_LBR_CTL is loaded.
        const LOAD_IA32_LBR_CTL = 1 << 21;
        /// IA32_PKRS is loaded.
        const LOAD_PKRS = 1 << 22;
        /// Unknown bits are kept.
        const _ = !0;
    }
}

/// A control word, with the manual's name for it.
pub trait ControlWord: Flags<Bits = u32> + Copy {
    /// The manual's name, as it stands in an error.
    const NAME: &'static str;
}

impl ControlWord for PinBasedControls {
    const NAME: &'static str = "pin-based controls";
}
impl ControlWord for PrimaryControls {
    const NAME: &'static str = "primary processor-based controls";
}
impl ControlWord for SecondaryControls {
    const NAME: &'static str = "secondary processor-based controls";
}
impl ControlWord for ExitControls {
    const NAME: &'static str = "VM-exit controls";
}
impl ControlWord for EntryControls {
    const NAME: &'static str = "VM-entry controls";
}

/// What a CPU allows in a control word: the low half of the capability MSR has
/// the bits that must be 1, the high half those that may be 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AllowedSettings {
    /// Bits that must be 1.
    pub must_be_one: u32,
    /// Bits that may be 1.
    pub may_be_one: u32,
}

impl AllowedSettings {
    /// Takes a capability MSR apart.
    pub const fn from_msr(value: u64) -> Self {
        Self { must_be_one: value as u32, may_be_one: (value >> 32) as u32 }
    }

    /// Whether every bit of `controls` may be 1.
    pub fn allows<W: ControlWord>(self, controls: W) -> bool {
        controls.bits() & !self.may_be_one == 0
    }

    /// A word with all `required` bits, those `wanted` bits that the CPU has, and
    /// the bits that it fixes to 1. Look at the result to see which of `wanted`
    /// it holds.
    ///
    /// # Errors
    /// [`Refused`] with every required bit that the CPU cannot set.
    pub fn negotiate<W: ControlWord>(self, required: W, wanted: W) -> Result<W, Refused<W>> {
        let missing = required.bits() & !self.may_be_one;
        if missing != 0 {
            return Err(Refused(W::from_bits_retain(missing)));
        }
        let word = required.bits() | (wanted.bits() & self.may_be_one) | self.must_be_one;
        Ok(W::from_bits_retain(word))
    }
}

/// The required control bits that a CPU refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused<W>(pub W);

impl<W: ControlWord> fmt::Display for Refused<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", W::NAME)?;
        let mut names = self.0.iter_names();
        for (name, _) in names.by_ref() {
            write!(f, " {name}")?;
        }
        let unnamed = names.remaining().bits();
        if unnamed != 0 {
            write!(f, " and unnamed bits {unnamed:#010x}")?;
        }
        Ok(())
    }
}

impl<W: ControlWord + fmt::Debug> core::error::Error for Refused<W> {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever is granted, the CPU accepts; whatever is refused, it lacks.
        #[test]
        fn negotiation_agrees_with_the_cpu(msr: u64, required: u32, wanted: u32) {
            let allowed = AllowedSettings::from_msr(msr | (msr << 32));
            let required = PrimaryControls::from_bits_retain(required);
            let wanted = PrimaryControls::from_bits_retain(wanted);
            match allowed.negotiate(required, wanted) {
                Ok(word) => {
                    prop_assert!(word.contains(required));
                    prop_assert_eq!(word.bits() & allowed.must_be_one, allowed.must_be_one);
                    prop_assert_eq!(word.bits() & !allowed.may_be_one, 0);
                    prop_assert_eq!(
                        word.bits() & wanted.bits(),
                        wanted.bits() & (allowed.may_be_one)
                            & (required.bits() | wanted.bits() | allowed.must_be_one)
                    );
                }
                Err(Refused(bits)) => {
                    prop_assert!(!bits.is_empty() && required.contains(bits));
                    prop_assert_eq!(bits.bits() & allowed.may_be_one, 0);
                }
            }
        }
    }

    #[test]
    fn a_refusal_names_each_bit() {
        extern crate std;
        use std::string::ToString;
        let none = AllowedSettings::from_msr(0);
        let required = ExitControls::LOAD_CET_STATE | ExitControls::from_bits_retain(1);
        let refused = none.negotiate(required, ExitControls::empty()).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "VM-exit controls: LOAD_CET_STATE and unnamed bits 0x00000001"
        );
    }
}
