//! The closed set of MSRs that a safe method may read.

use super::index::MsrIndex;

/// The MSRs that [`Msr::read_named`](crate::cpu::Msr::read_named) reads.
///
/// Reading one has no effect on anything. Where the CPU lacks it, RDMSR raises
/// #GP(0) in the host; each entry says what brings it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NamedMsr {
    /// IA32_APIC_BASE.
    ApicBase,
    /// IA32_FEATURE_CONTROL; exists with VMX or SMX.
    FeatureControl,
    /// IA32_SPEC_CTRL; needs CPUID.7.0:EDX\[26\].
    SpecCtrl,
    /// IA32_MTRRCAP; needs CPUID.1:EDX\[12\], as do all MTRRs.
    MtrrCap,
    /// IA32_SYSENTER_CS.
    SysenterCs,
    /// IA32_SYSENTER_ESP.
    SysenterEsp,
    /// IA32_SYSENTER_EIP.
    SysenterEip,
    /// IA32_FRED_RSP1; needs FRED, as do the next seven.
    FredRsp1,
    /// IA32_FRED_RSP2.
    FredRsp2,
    /// IA32_FRED_RSP3.
    FredRsp3,
    /// IA32_FRED_STKLVLS.
    FredStklvls,
    /// IA32_FRED_SSP1.
    FredSsp1,
    /// IA32_FRED_SSP2.
    FredSsp2,
    /// IA32_FRED_SSP3.
    FredSsp3,
    /// IA32_FRED_CONFIG.
    FredConfig,
    /// IA32_MTRR_PHYSBASEn; needs IA32_MTRRCAP\[7:0\] above n.
    MtrrPhysBase(VariableMtrr),
    /// IA32_MTRR_PHYSMASKn; needs IA32_MTRRCAP\[7:0\] above n.
    MtrrPhysMask(VariableMtrr),
    /// IA32_MTRR_FIX64K_00000: 00000h to 7FFFFh, 64 KiB each; needs IA32_MTRRCAP\[8\],
    /// as do the next ten.
    MtrrFix64K00000,
    /// IA32_MTRR_FIX16K_80000: 80000h to 9FFFFh, 16 KiB each.
    MtrrFix16K80000,
    /// IA32_MTRR_FIX16K_A0000: A0000h to BFFFFh, 16 KiB each.
    MtrrFix16KA0000,
    /// IA32_MTRR_FIX4K_C0000: C0000h to C7FFFh, 4 KiB each.
    MtrrFix4KC0000,
    /// IA32_MTRR_FIX4K_C8000: C8000h to CFFFFh, 4 KiB each.
    MtrrFix4KC8000,
    /// IA32_MTRR_FIX4K_D0000: D0000h to D7FFFh, 4 KiB each.
    MtrrFix4KD0000,
    /// IA32_MTRR_FIX4K_D8000: D8000h to DFFFFh, 4 KiB each.
    MtrrFix4KD8000,
    /// IA32_MTRR_FIX4K_E0000: E0000h to E7FFFh, 4 KiB each.
    MtrrFix4KE0000,
    /// IA32_MTRR_FIX4K_E8000: E8000h to EFFFFh, 4 KiB each.
    MtrrFix4KE8000,
    /// IA32_MTRR_FIX4K_F0000: F0000h to F7FFFh, 4 KiB each.
    MtrrFix4KF0000,
    /// IA32_MTRR_FIX4K_F8000: F8000h to FFFFFh, 4 KiB each.
    MtrrFix4KF8000,
    /// IA32_PAT.
    Pat,
    /// IA32_MTRR_DEF_TYPE.
    MtrrDefType,
    /// IA32_PERF_GLOBAL_CTRL; needs architectural performance monitoring.
    PerfGlobalCtrl,
    /// IA32_VMX_BASIC; exists with VMX, as do the next ones unless they say more.
    VmxBasic,
    /// IA32_VMX_PINBASED_CTLS.
    VmxPinBasedCtls,
    /// IA32_VMX_PROCBASED_CTLS.
    VmxProcBasedCtls,
    /// IA32_VMX_EXIT_CTLS.
    VmxExitCtls,
    /// IA32_VMX_ENTRY_CTLS.
    VmxEntryCtls,
    /// IA32_VMX_MISC.
    VmxMisc,
    /// IA32_VMX_CR0_FIXED0.
    VmxCr0Fixed0,
    /// IA32_VMX_CR0_FIXED1.
    VmxCr0Fixed1,
    /// IA32_VMX_CR4_FIXED0.
    VmxCr4Fixed0,
    /// IA32_VMX_CR4_FIXED1.
    VmxCr4Fixed1,
    /// IA32_VMX_VMCS_ENUM.
    VmxVmcsEnum,
    /// IA32_VMX_PROCBASED_CTLS2; needs the secondary processor-based controls.
    VmxProcBasedCtls2,
    /// IA32_VMX_EPT_VPID_CAP; needs "enable EPT" or "enable VPID".
    VmxEptVpidCap,
    /// IA32_VMX_TRUE_PINBASED_CTLS; needs IA32_VMX_BASIC bit 55, as do the next three.
    VmxTruePinBasedCtls,
    /// IA32_VMX_TRUE_PROCBASED_CTLS.
    VmxTrueProcBasedCtls,
    /// IA32_VMX_TRUE_EXIT_CTLS.
    VmxTrueExitCtls,
    /// IA32_VMX_TRUE_ENTRY_CTLS.
    VmxTrueEntryCtls,
    /// IA32_VMX_VMFUNC; needs "enable VM functions".
    VmxVmfunc,
    /// IA32_VMX_PROCBASED_CTLS3; needs the tertiary processor-based controls.
    VmxProcBasedCtls3,
    /// IA32_VMX_EXIT_CTLS2; needs the secondary VM-exit controls.
    VmxExitCtls2,
    /// IA32_S_CET; needs shadow stacks or indirect-branch tracking.
    SCet,
    /// IA32_INTERRUPT_SSP_TABLE_ADDR; needs shadow stacks.
    InterruptSspTableAddr,
    /// IA32_PKRS; needs protection keys for supervisor pages.
    Pkrs,
    /// IA32_XSS; needs XSAVES.
    Xss,
    /// IA32_EFER.
    Efer,
    /// IA32_FS_BASE.
    FsBase,
    /// IA32_GS_BASE.
    GsBase,
}

impl NamedMsr {
    /// The fixed-range MTRRs, in the order of what they cover.
    pub const FIXED_MTRRS: [Self; 11] = [
        Self::MtrrFix64K00000,
        Self::MtrrFix16K80000,
        Self::MtrrFix16KA0000,
        Self::MtrrFix4KC0000,
        Self::MtrrFix4KC8000,
        Self::MtrrFix4KD0000,
        Self::MtrrFix4KD8000,
        Self::MtrrFix4KE0000,
        Self::MtrrFix4KE8000,
        Self::MtrrFix4KF0000,
        Self::MtrrFix4KF8000,
    ];

    /// The MSR's number.
    pub const fn index(self) -> MsrIndex {
        MsrIndex(match self {
            Self::ApicBase => 0x1B,
            Self::FeatureControl => 0x3A,
            Self::SpecCtrl => 0x48,
            Self::MtrrCap => 0xFE,
            Self::SysenterCs => 0x174,
            Self::SysenterEsp => 0x175,
            Self::SysenterEip => 0x176,
            Self::FredRsp1 => 0x1CD,
            Self::FredRsp2 => 0x1CE,
            Self::FredRsp3 => 0x1CF,
            Self::FredStklvls => 0x1D0,
            Self::FredSsp1 => 0x1D1,
            Self::FredSsp2 => 0x1D2,
            Self::FredSsp3 => 0x1D3,
            Self::FredConfig => 0x1D4,
            Self::MtrrPhysBase(range) => 0x200 + 2 * range.0 as u32,
            Self::MtrrPhysMask(range) => 0x201 + 2 * range.0 as u32,
            Self::MtrrFix64K00000 => 0x250,
            Self::MtrrFix16K80000 => 0x258,
            Self::MtrrFix16KA0000 => 0x259,
            Self::MtrrFix4KC0000 => 0x268,
            Self::MtrrFix4KC8000 => 0x269,
            Self::MtrrFix4KD0000 => 0x26A,
            Self::MtrrFix4KD8000 => 0x26B,
            Self::MtrrFix4KE0000 => 0x26C,
            Self::MtrrFix4KE8000 => 0x26D,
            Self::MtrrFix4KF0000 => 0x26E,
            Self::MtrrFix4KF8000 => 0x26F,
            Self::Pat => 0x277,
            Self::MtrrDefType => 0x2FF,
            Self::PerfGlobalCtrl => 0x38F,
            Self::VmxBasic => 0x480,
            Self::VmxPinBasedCtls => 0x481,
            Self::VmxProcBasedCtls => 0x482,
            Self::VmxExitCtls => 0x483,
            Self::VmxEntryCtls => 0x484,
            Self::VmxMisc => 0x485,
            Self::VmxCr0Fixed0 => 0x486,
            Self::VmxCr0Fixed1 => 0x487,
            Self::VmxCr4Fixed0 => 0x488,
            Self::VmxCr4Fixed1 => 0x489,
            Self::VmxVmcsEnum => 0x48A,
            Self::VmxProcBasedCtls2 => 0x48B,
            Self::VmxEptVpidCap => 0x48C,
            Self::VmxTruePinBasedCtls => 0x48D,
            Self::VmxTrueProcBasedCtls => 0x48E,
            Self::VmxTrueExitCtls => 0x48F,
            Self::VmxTrueEntryCtls => 0x490,
            Self::VmxVmfunc => 0x491,
            Self::VmxProcBasedCtls3 => 0x492,
            Self::VmxExitCtls2 => 0x493,
            Self::SCet => 0x6A2,
            Self::InterruptSspTableAddr => 0x6A8,
            Self::Pkrs => 0x6E1,
            Self::Xss => 0xDA0,
            Self::Efer => 0xC000_0080,
            Self::FsBase => 0xC000_0100,
            Self::GsBase => 0xC000_0101,
        })
    }
}

/// The number n of a pair of variable-range MTRRs, IA32_MTRR_PHYSBASEn and
/// IA32_MTRR_PHYSMASKn.
///
/// ```
/// use vmx_core::MsrIndex;
/// use vmx_core::msr::{NamedMsr, VariableMtrr};
/// let third = VariableMtrr::new(2).map(|n| NamedMsr::MtrrPhysMask(n).index());
/// assert_eq!(third, Some(MsrIndex(0x205)));
/// assert_eq!(VariableMtrr::new(VariableMtrr::COUNT), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VariableMtrr(u8);

impl VariableMtrr {
    /// As many pairs as their numbers, 200h to 24Fh, leave room for. A CPU has fewer:
    /// IA32_MTRRCAP\[7:0\].
    pub const COUNT: u8 = 40;

    /// The pair of this number; `None` from [`COUNT`](Self::COUNT) on.
    pub const fn new(number: u8) -> Option<Self> {
        if number < Self::COUNT { Some(Self(number)) } else { None }
    }

    /// The number.
    pub const fn number(self) -> u8 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use x86::msr;

    /// Against another crate's numbers.
    #[test]
    fn the_numbers_are_those_of_others() {
        let variable = |n| VariableMtrr::new(n).unwrap();
        for (ours, theirs) in [
            (NamedMsr::ApicBase, msr::IA32_APIC_BASE),
            (NamedMsr::FeatureControl, msr::IA32_FEATURE_CONTROL),
            (NamedMsr::MtrrCap, msr::IA32_MTRRCAP),
            (NamedMsr::SysenterCs, msr::IA32_SYSENTER_CS),
            (NamedMsr::SysenterEsp, msr::IA32_SYSENTER_ESP),
            (NamedMsr::SysenterEip, msr::IA32_SYSENTER_EIP),
            (NamedMsr::MtrrPhysBase(variable(0)), msr::IA32_MTRR_PHYSBASE0),
            (NamedMsr::MtrrPhysMask(variable(0)), msr::IA32_MTRR_PHYSMASK0),
            (NamedMsr::MtrrPhysBase(variable(9)), msr::IA32_MTRR_PHYSBASE9),
            (NamedMsr::MtrrPhysMask(variable(9)), msr::IA32_MTRR_PHYSMASK9),
            (NamedMsr::Pat, msr::IA32_PAT),
            (NamedMsr::MtrrDefType, msr::IA32_MTRR_DEF_TYPE),
            (NamedMsr::PerfGlobalCtrl, msr::IA32_PERF_GLOBAL_CTRL),
            (NamedMsr::VmxBasic, msr::IA32_VMX_BASIC),
            (NamedMsr::VmxMisc, msr::IA32_VMX_MISC),
            (NamedMsr::VmxVmcsEnum, msr::IA32_VMX_VMCS_ENUM),
            (NamedMsr::VmxProcBasedCtls2, msr::IA32_VMX_PROCBASED_CTLS2),
            (NamedMsr::VmxEptVpidCap, msr::IA32_VMX_EPT_VPID_CAP),
            (NamedMsr::Efer, msr::IA32_EFER),
            (NamedMsr::FsBase, msr::IA32_FS_BASE),
            (NamedMsr::GsBase, msr::IA32_GS_BASE),
        ] {
            assert_eq!(ours.index(), MsrIndex(theirs), "{ours:?}");
        }
        let theirs = [
            msr::IA32_MTRR_FIX64K_00000,
            msr::IA32_MTRR_FIX16K_80000,
            msr::IA32_MTRR_FIX16K_A0000,
            msr::IA32_MTRR_FIX4K_C0000,
            msr::IA32_MTRR_FIX4K_C8000,
            msr::IA32_MTRR_FIX4K_D0000,
            msr::IA32_MTRR_FIX4K_D8000,
            msr::IA32_MTRR_FIX4K_E0000,
            msr::IA32_MTRR_FIX4K_E8000,
            msr::IA32_MTRR_FIX4K_F0000,
            msr::IA32_MTRR_FIX4K_F8000,
        ];
        assert_eq!(NamedMsr::FIXED_MTRRS.map(|msr| msr.index().0), theirs);
    }
}
