//! MSR numbers.

use core::fmt;
use core::ops::RangeInclusive;

/// The number of a model-specific register, as in ECX of RDMSR and WRMSR.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct MsrIndex(pub u32);

impl MsrIndex {
    /// IA32_FEATURE_CONTROL: bit 0 locks it, bit 2 allows VMXON outside SMX.
    pub const IA32_FEATURE_CONTROL: Self = Self(0x3A);
    /// IA32_U_CET: CET controls of user mode.
    pub const IA32_U_CET: Self = Self(0x6A0);
    /// IA32_S_CET: CET controls of supervisor mode.
    pub const IA32_S_CET: Self = Self(0x6A2);
    /// IA32_PL0_SSP: the shadow-stack pointer loaded on entry to ring 0.
    pub const IA32_PL0_SSP: Self = Self(0x6A4);
    /// IA32_PL1_SSP: the same for ring 1.
    pub const IA32_PL1_SSP: Self = Self(0x6A5);
    /// IA32_PL2_SSP: the same for ring 2.
    pub const IA32_PL2_SSP: Self = Self(0x6A6);
    /// IA32_PL3_SSP: user mode's shadow-stack pointer while the CPU is elsewhere.
    pub const IA32_PL3_SSP: Self = Self(0x6A7);
    /// IA32_INTERRUPT_SSP_TABLE_ADDR: base of the interrupt SSP table.
    pub const IA32_INTERRUPT_SSP_TABLE_ADDR: Self = Self(0x6A8);
    /// 800h to 8FFh: the local APIC's registers in x2APIC mode. The register at the
    /// byte offset n of the APIC page is MSR 800h + n / 16.
    pub const X2APIC: RangeInclusive<Self> = Self(0x800)..=Self(0x8FF);
    /// IA32_XSS: the supervisor state components that XSAVES and XRSTORS manage.
    pub const IA32_XSS: Self = Self(0xDA0);

    /// Whether it is one of [`X2APIC`](Self::X2APIC).
    pub const fn is_x2apic(self) -> bool {
        Self::X2APIC.start().0 <= self.0 && self.0 <= Self::X2APIC.end().0
    }
}

impl fmt::Debug for MsrIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MSR {:X}h", self.0)
    }
}

impl fmt::Display for MsrIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
