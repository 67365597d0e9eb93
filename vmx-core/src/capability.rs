//! What a CPU's VMX can do, as a plain value.

use crate::control::AllowedSettings;
use crate::cpu::{Cpuid, Msr};
use crate::msr::NamedMsr;
use crate::ssp::LinearAddressWidth;
use crate::vmx_basic::VmxBasic;

/// The capability MSRs and address widths of one CPU.
///
/// Read it from a CPU with [`read`](Self::read), or write one down in a test.
/// Source: SDM, appendix "VMX Capability Reporting Facility".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// IA32_VMX_BASIC.
    pub basic: VmxBasic,
    /// Pin-based controls; TRUE where it exists, as are the others.
    pub pin_based: AllowedSettings,
    /// Primary processor-based controls.
    pub primary: AllowedSettings,
    /// Secondary processor-based controls; nothing allowed where they are absent.
    pub secondary: AllowedSettings,
    /// VM-exit controls.
    pub exit: AllowedSettings,
    /// VM-entry controls.
    pub entry: AllowedSettings,
    /// IA32_VMX_MISC.
    pub misc: u64,
    /// CR0 bits fixed in VMX operation.
    pub cr0_fixed: FixedBits,
    /// CR4 bits fixed in VMX operation.
    pub cr4_fixed: FixedBits,
    /// Width of linear addresses.
    pub linear_address_width: LinearAddressWidth,
}

/// Bits of a control register that VMX operation fixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedBits {
    /// Bits that must be 1 (the FIXED0 MSR).
    pub must_be_one: u64,
    /// Bits that may be 1 (the FIXED1 MSR).
    pub may_be_one: u64,
}

impl FixedBits {
    /// Bits that `value` has 0 and must have 1.
    pub const fn missing(self, value: u64) -> u64 {
        self.must_be_one & !value
    }

    /// Bits that `value` has 1 and must have 0.
    pub const fn excess(self, value: u64) -> u64 {
        value & !self.may_be_one
    }

    /// `value` with the fixed bits as the CPU wants them.
    pub const fn apply(self, value: u64) -> u64 {
        (value | self.must_be_one) & self.may_be_one
    }
}

/// The CPU has no VMX: CPUID.1:ECX\[5\] is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoVmx;

impl core::fmt::Display for NoVmx {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("this CPU has no VMX (CPUID.1:ECX[5] is 0)")
    }
}

impl core::error::Error for NoVmx {}

impl Capabilities {
    /// Reads the capabilities of the running CPU.
    ///
    /// # Errors
    /// [`NoVmx`], before any capability MSR is touched.
    pub fn read<C: Cpuid + Msr + ?Sized>(cpu: &mut C) -> Result<Self, NoVmx> {
        if cpu.cpuid(1, 0).ecx & (1 << 5) == 0 {
            return Err(NoVmx);
        }
        let basic = VmxBasic(cpu.read_named(NamedMsr::VmxBasic));
        let mut settings = |plain, precise| {
            let msr = if basic.has_true_controls() { precise } else { plain };
            AllowedSettings::from_msr(cpu.read_named(msr))
        };
        let pin_based = settings(NamedMsr::VmxPinBasedCtls, NamedMsr::VmxTruePinBasedCtls);
        let primary = settings(NamedMsr::VmxProcBasedCtls, NamedMsr::VmxTrueProcBasedCtls);
        let exit = settings(NamedMsr::VmxExitCtls, NamedMsr::VmxTrueExitCtls);
        let entry = settings(NamedMsr::VmxEntryCtls, NamedMsr::VmxTrueEntryCtls);
        let has_secondary =
            primary.allows(crate::control::PrimaryControls::ACTIVATE_SECONDARY_CONTROLS);
        let secondary = if has_secondary { cpu.read_named(NamedMsr::VmxProcBasedCtls2) } else { 0 };
        Ok(Self {
            basic,
            pin_based,
            primary,
            secondary: AllowedSettings::from_msr(secondary),
            exit,
            entry,
            misc: cpu.read_named(NamedMsr::VmxMisc),
            cr0_fixed: FixedBits {
                must_be_one: cpu.read_named(NamedMsr::VmxCr0Fixed0),
                may_be_one: cpu.read_named(NamedMsr::VmxCr0Fixed1),
            },
            cr4_fixed: FixedBits {
                must_be_one: cpu.read_named(NamedMsr::VmxCr4Fixed0),
                may_be_one: cpu.read_named(NamedMsr::VmxCr4Fixed1),
            },
            linear_address_width: linear_address_width(cpu),
        })
    }

    /// How far the VMX-preemption timer is slower than the TSC: it counts down
    /// once every 2^n TSC ticks, n from IA32_VMX_MISC\[4:0\].
    pub const fn preemption_timer_shift(&self) -> u32 {
        (self.misc & 0x1F) as u32
    }
}

/// The width of linear addresses, from CPUID.80000008h:EAX\[15:8\].
pub fn linear_address_width<C: Cpuid + ?Sized>(cpu: &mut C) -> LinearAddressWidth {
    match (cpu.cpuid(0x8000_0008, 0).eax >> 8) & 0xFF {
        57.. => LinearAddressWidth::Bits57,
        _ => LinearAddressWidth::Bits48,
    }
}
