//! The closed set of MSRs that a safe method may read.

use super::index::MsrIndex;

/// The MSRs that [`Msr::read_named`](crate::cpu::Msr::read_named) reads.
///
/// Reading one has no effect on anything. Where the CPU lacks it, RDMSR raises
/// #GP(0) in the host; each entry says what brings it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
#[non_exhaustive]
pub enum NamedMsr {
    /// IA32_FEATURE_CONTROL; exists with VMX or SMX.
    FeatureControl = 0x3A,
    /// IA32_SPEC_CTRL; needs CPUID.7.0:EDX\[26\].
    SpecCtrl = 0x48,
    /// IA32_SYSENTER_CS.
    SysenterCs = 0x174,
    /// IA32_SYSENTER_ESP.
    SysenterEsp = 0x175,
    /// IA32_SYSENTER_EIP.
    SysenterEip = 0x176,
    /// IA32_FRED_RSP1; needs FRED, as do the next seven.
    FredRsp1 = 0x1CD,
    /// IA32_FRED_RSP2.
    FredRsp2 = 0x1CE,
    /// IA32_FRED_RSP3.
    FredRsp3 = 0x1CF,
    /// IA32_FRED_STKLVLS.
    FredStklvls = 0x1D0,
    /// IA32_FRED_SSP1.
    FredSsp1 = 0x1D1,
    /// IA32_FRED_SSP2.
    FredSsp2 = 0x1D2,
    /// IA32_FRED_SSP3.
    FredSsp3 = 0x1D3,
    /// IA32_FRED_CONFIG.
    FredConfig = 0x1D4,
    /// IA32_PAT.
    Pat = 0x277,
    /// IA32_PERF_GLOBAL_CTRL; needs architectural performance monitoring.
    PerfGlobalCtrl = 0x38F,
    /// IA32_VMX_BASIC; exists with VMX, as do the next ones unless they say more.
    VmxBasic = 0x480,
    /// IA32_VMX_PINBASED_CTLS.
    VmxPinBasedCtls = 0x481,
    /// IA32_VMX_PROCBASED_CTLS.
    VmxProcBasedCtls = 0x482,
    /// IA32_VMX_EXIT_CTLS.
    VmxExitCtls = 0x483,
    /// IA32_VMX_ENTRY_CTLS.
    VmxEntryCtls = 0x484,
    /// IA32_VMX_MISC.
    VmxMisc = 0x485,
    /// IA32_VMX_CR0_FIXED0.
    VmxCr0Fixed0 = 0x486,
    /// IA32_VMX_CR0_FIXED1.
    VmxCr0Fixed1 = 0x487,
    /// IA32_VMX_CR4_FIXED0.
    VmxCr4Fixed0 = 0x488,
    /// IA32_VMX_CR4_FIXED1.
    VmxCr4Fixed1 = 0x489,
    /// IA32_VMX_VMCS_ENUM.
    VmxVmcsEnum = 0x48A,
    /// IA32_VMX_PROCBASED_CTLS2; needs the secondary processor-based controls.
    VmxProcBasedCtls2 = 0x48B,
    /// IA32_VMX_EPT_VPID_CAP; needs "enable EPT" or "enable VPID".
    VmxEptVpidCap = 0x48C,
    /// IA32_VMX_TRUE_PINBASED_CTLS; needs IA32_VMX_BASIC bit 55, as do the next three.
    VmxTruePinBasedCtls = 0x48D,
    /// IA32_VMX_TRUE_PROCBASED_CTLS.
    VmxTrueProcBasedCtls = 0x48E,
    /// IA32_VMX_TRUE_EXIT_CTLS.
    VmxTrueExitCtls = 0x48F,
    /// IA32_VMX_TRUE_ENTRY_CTLS.
    VmxTrueEntryCtls = 0x490,
    /// IA32_VMX_VMFUNC; needs "enable VM functions".
    VmxVmfunc = 0x491,
    /// IA32_VMX_PROCBASED_CTLS3; needs the tertiary processor-based controls.
    VmxProcBasedCtls3 = 0x492,
    /// IA32_VMX_EXIT_CTLS2; needs the secondary VM-exit controls.
    VmxExitCtls2 = 0x493,
    /// IA32_S_CET; needs shadow stacks or indirect-branch tracking.
    SCet = 0x6A2,
    /// IA32_INTERRUPT_SSP_TABLE_ADDR; needs shadow stacks.
    InterruptSspTableAddr = 0x6A8,
    /// IA32_PKRS; needs protection keys for supervisor pages.
    Pkrs = 0x6E1,
    /// IA32_XSS; needs XSAVES.
    Xss = 0xDA0,
    /// IA32_EFER.
    Efer = 0xC000_0080,
    /// IA32_FS_BASE.
    FsBase = 0xC000_0100,
    /// IA32_GS_BASE.
    GsBase = 0xC000_0101,
}

impl NamedMsr {
    /// The MSR's number.
    pub const fn index(self) -> MsrIndex {
        MsrIndex(self as u32)
    }
}
