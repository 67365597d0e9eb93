//! The bits of CR0, CR4 and RFLAGS. Source: SDM, "Control Registers", "EFLAGS Register".

use bitflags::bitflags;

bitflags! {
    /// CR0, all bits kept.
    ///
    /// ```
    /// use vmx_core::cpu::Cr0;
    /// let after_reset = Cr0::from_bits_retain(0x6000_0010);
    /// assert_eq!(after_reset, Cr0::CD | Cr0::NW | Cr0::ET);
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct Cr0: u64 {
        /// Protection enable.
        const PE = 1 << 0;
        /// Monitor coprocessor: WAIT heeds TS.
        const MP = 1 << 1;
        /// Emulation: x87 instructions raise #NM.
        const EM = 1 << 2;
        /// Task switched: x87, SSE and AVX instructions raise #NM.
        const TS = 1 << 3;
        /// Extension type; always 1.
        const ET = 1 << 4;
        /// Numeric error: x87 errors raise #MF.
        const NE = 1 << 5;
        /// Write protect: supervisor writes heed read-only pages.
        const WP = 1 << 16;
        /// Alignment mask: RFLAGS.AC counts in ring 3.
        const AM = 1 << 18;
        /// Not write-through.
        const NW = 1 << 29;
        /// Cache disable.
        const CD = 1 << 30;
        /// Paging.
        const PG = 1 << 31;
        /// Unknown bits are kept.
        const _ = !0;
    }
}

bitflags! {
    /// CR4, all bits kept.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct Cr4: u64 {
        /// Virtual-8086 mode extensions.
        const VME = 1 << 0;
        /// Protected-mode virtual interrupts.
        const PVI = 1 << 1;
        /// Time-stamp disable: RDTSC in ring 0 only.
        const TSD = 1 << 2;
        /// Debugging extensions: DR4 and DR5 raise #UD.
        const DE = 1 << 3;
        /// Page-size extensions: 4-MiB pages with 32-bit paging.
        const PSE = 1 << 4;
        /// Physical-address extension.
        const PAE = 1 << 5;
        /// Machine-check enable.
        const MCE = 1 << 6;
        /// Page-global enable.
        const PGE = 1 << 7;
        /// Performance-monitoring counter enable: RDPMC in any ring.
        const PCE = 1 << 8;
        /// The system saves SSE state; SSE is enabled.
        const OSFXSR = 1 << 9;
        /// The system handles #XM.
        const OSXMMEXCPT = 1 << 10;
        /// User-mode instruction prevention: SGDT, SIDT, SLDT, SMSW and STR.
        const UMIP = 1 << 11;
        /// 57-bit linear addresses: five-level paging.
        const LA57 = 1 << 12;
        /// VMX enable.
        const VMXE = 1 << 13;
        /// SMX enable.
        const SMXE = 1 << 14;
        /// RDFSBASE and its like are enabled.
        const FSGSBASE = 1 << 16;
        /// Process-context identifiers.
        const PCIDE = 1 << 17;
        /// XSAVE and XCR0 are enabled.
        const OSXSAVE = 1 << 18;
        /// Key locker.
        const KL = 1 << 19;
        /// Supervisor-mode execution prevention.
        const SMEP = 1 << 20;
        /// Supervisor-mode access prevention.
        const SMAP = 1 << 21;
        /// Protection keys for user-mode pages.
        const PKE = 1 << 22;
        /// Control-flow enforcement.
        const CET = 1 << 23;
        /// Protection keys for supervisor-mode pages.
        const PKS = 1 << 24;
        /// User interrupts.
        const UINTR = 1 << 25;
        /// Linear-address-space separation.
        const LASS = 1 << 27;
        /// Linear-address masking for supervisor pointers.
        const LAM_SUP = 1 << 28;
        /// Flexible return and event delivery.
        const FRED = 1 << 32;
        /// Unknown bits are kept.
        const _ = !0;
    }
}

bitflags! {
    /// RFLAGS, all bits kept.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct Rflags: u64 {
        /// Carry.
        const CF = 1 << 0;
        /// Bit 1, which is always 1.
        const ALWAYS_ONE = 1 << 1;
        /// Parity.
        const PF = 1 << 2;
        /// Auxiliary carry.
        const AF = 1 << 4;
        /// Zero.
        const ZF = 1 << 6;
        /// Sign.
        const SF = 1 << 7;
        /// Trap: single-step #DB.
        const TF = 1 << 8;
        /// Interrupt enable.
        const IF = 1 << 9;
        /// Direction.
        const DF = 1 << 10;
        /// Overflow.
        const OF = 1 << 11;
        /// I/O privilege level, both bits.
        const IOPL = 0b11 << 12;
        /// Nested task.
        const NT = 1 << 14;
        /// Resume: no #DB of an instruction breakpoint.
        const RF = 1 << 16;
        /// Virtual-8086 mode.
        const VM = 1 << 17;
        /// Alignment check, or access control.
        const AC = 1 << 18;
        /// Virtual interrupt flag.
        const VIF = 1 << 19;
        /// Virtual interrupt pending.
        const VIP = 1 << 20;
        /// CPUID can be executed, where it can be changed.
        const ID = 1 << 21;
        /// Unknown bits are kept.
        const _ = !0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use x86::bits64::rflags::RFlags;
    use x86::controlregs;

    /// Each bit that the other crate names too is where that has it.
    #[test]
    fn the_bits_are_those_of_others() {
        for (ours, theirs) in [
            (Cr0::PE, controlregs::Cr0::CR0_PROTECTED_MODE),
            (Cr0::MP, controlregs::Cr0::CR0_MONITOR_COPROCESSOR),
            (Cr0::EM, controlregs::Cr0::CR0_EMULATE_COPROCESSOR),
            (Cr0::TS, controlregs::Cr0::CR0_TASK_SWITCHED),
            (Cr0::ET, controlregs::Cr0::CR0_EXTENSION_TYPE),
            (Cr0::NE, controlregs::Cr0::CR0_NUMERIC_ERROR),
            (Cr0::WP, controlregs::Cr0::CR0_WRITE_PROTECT),
            (Cr0::AM, controlregs::Cr0::CR0_ALIGNMENT_MASK),
            (Cr0::NW, controlregs::Cr0::CR0_NOT_WRITE_THROUGH),
            (Cr0::CD, controlregs::Cr0::CR0_CACHE_DISABLE),
            (Cr0::PG, controlregs::Cr0::CR0_ENABLE_PAGING),
        ] {
            assert_eq!(ours.bits(), theirs.bits() as u64, "{ours:?}");
        }
        for (ours, theirs) in [
            (Cr4::VME, controlregs::Cr4::CR4_ENABLE_VME),
            (Cr4::PVI, controlregs::Cr4::CR4_VIRTUAL_INTERRUPTS),
            (Cr4::TSD, controlregs::Cr4::CR4_TIME_STAMP_DISABLE),
            (Cr4::DE, controlregs::Cr4::CR4_DEBUGGING_EXTENSIONS),
            (Cr4::PSE, controlregs::Cr4::CR4_ENABLE_PSE),
            (Cr4::PAE, controlregs::Cr4::CR4_ENABLE_PAE),
            (Cr4::MCE, controlregs::Cr4::CR4_ENABLE_MACHINE_CHECK),
            (Cr4::PGE, controlregs::Cr4::CR4_ENABLE_GLOBAL_PAGES),
            (Cr4::PCE, controlregs::Cr4::CR4_ENABLE_PPMC),
            (Cr4::OSFXSR, controlregs::Cr4::CR4_ENABLE_SSE),
            (Cr4::OSXMMEXCPT, controlregs::Cr4::CR4_UNMASKED_SSE),
            (Cr4::UMIP, controlregs::Cr4::CR4_ENABLE_UMIP),
            (Cr4::LA57, controlregs::Cr4::CR4_ENABLE_LA57),
            (Cr4::VMXE, controlregs::Cr4::CR4_ENABLE_VMX),
            (Cr4::SMXE, controlregs::Cr4::CR4_ENABLE_SMX),
            (Cr4::FSGSBASE, controlregs::Cr4::CR4_ENABLE_FSGSBASE),
            (Cr4::PCIDE, controlregs::Cr4::CR4_ENABLE_PCID),
            (Cr4::OSXSAVE, controlregs::Cr4::CR4_ENABLE_OS_XSAVE),
            (Cr4::SMEP, controlregs::Cr4::CR4_ENABLE_SMEP),
            (Cr4::SMAP, controlregs::Cr4::CR4_ENABLE_SMAP),
            (Cr4::PKE, controlregs::Cr4::CR4_ENABLE_PROTECTION_KEY),
        ] {
            assert_eq!(ours.bits(), theirs.bits() as u64, "{ours:?}");
        }
        for (ours, theirs) in [
            (Rflags::CF, RFlags::FLAGS_CF),
            (Rflags::ALWAYS_ONE, RFlags::FLAGS_A1),
            (Rflags::PF, RFlags::FLAGS_PF),
            (Rflags::AF, RFlags::FLAGS_AF),
            (Rflags::ZF, RFlags::FLAGS_ZF),
            (Rflags::SF, RFlags::FLAGS_SF),
            (Rflags::TF, RFlags::FLAGS_TF),
            (Rflags::IF, RFlags::FLAGS_IF),
            (Rflags::DF, RFlags::FLAGS_DF),
            (Rflags::OF, RFlags::FLAGS_OF),
            (Rflags::IOPL, RFlags::FLAGS_IOPL3),
            (Rflags::NT, RFlags::FLAGS_NT),
            (Rflags::RF, RFlags::FLAGS_RF),
            (Rflags::VM, RFlags::FLAGS_VM),
            (Rflags::AC, RFlags::FLAGS_AC),
            (Rflags::VIF, RFlags::FLAGS_VIF),
            (Rflags::VIP, RFlags::FLAGS_VIP),
            (Rflags::ID, RFlags::FLAGS_ID),
        ] {
            assert_eq!(ours.bits(), theirs.bits(), "{ours:?}");
        }
    }

    /// The bits that no other crate here knows.
    #[test]
    fn newer_bits_are_where_the_manual_has_them() {
        let newer = [
            (Cr4::KL, 19),
            (Cr4::CET, 23),
            (Cr4::PKS, 24),
            (Cr4::UINTR, 25),
            (Cr4::LASS, 27),
            (Cr4::LAM_SUP, 28),
            (Cr4::FRED, 32),
        ];
        assert!(newer.iter().all(|(bit, number)| bit.bits() == 1 << number));
    }
}
