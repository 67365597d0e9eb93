//! What a CPU's VMX can do, as a plain value.
//!
//! Read it from a CPU ([`Capabilities::read`]), take it from a text
//! ([`Capabilities::from_dump`]), or write it down:
//!
//! ```
//! use vmx_core::Capabilities;
//! use vmx_core::vmx_misc::VmxMisc;
//! let cpu = Capabilities { misc: VmxMisc(5), ..Capabilities::NOTHING };
//! assert_eq!(cpu.preemption_timer_shift(), 5);
//! assert_eq!(cpu.check(), Ok(()));
//! ```

use crate::control::{
    AllowedSettings, ExitControls, PrimaryControls, SecondaryControls, VmFunctions,
};
use crate::cpu::{Cpuid, Msr};
use crate::frame::PhysicalAddress;
use crate::msr::NamedMsr;
use crate::ssp::LinearAddressWidth;
use crate::vmx_basic::VmxBasic;
use crate::vmx_misc::VmxMisc;

pub use check::Contradiction;
pub use dump::{DumpError, LineError};
pub use ept_vpid::EptVpidCapabilities;

mod check;
mod dump;
mod ept_vpid;

/// The capability MSRs of one CPU, its address widths and its CET features.
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
    /// Tertiary processor-based controls; nothing allowed where they are absent.
    pub tertiary: AllowedSettings<u64>,
    /// VM-exit controls.
    pub exit: AllowedSettings,
    /// Secondary VM-exit controls; nothing allowed where they are absent.
    pub secondary_exit: AllowedSettings<u64>,
    /// VM-entry controls.
    pub entry: AllowedSettings,
    /// IA32_VMX_MISC.
    pub misc: VmxMisc,
    /// CR0 bits fixed in VMX operation.
    pub cr0_fixed: FixedBits,
    /// CR4 bits fixed in VMX operation.
    pub cr4_fixed: FixedBits,
    /// IA32_VMX_VMCS_ENUM: bits 9:1 are the highest index (bits 9:1) of an
    /// encoding that the CPU has.
    pub vmcs_enum: u64,
    /// IA32_VMX_EPT_VPID_CAP; empty without EPT and VPID.
    pub ept_vpid: EptVpidCapabilities,
    /// IA32_VMX_VMFUNC: the VM functions that may be enabled.
    pub vm_functions: VmFunctions,
    /// Width of linear addresses.
    pub linear_address_width: LinearAddressWidth,
    /// Width of physical addresses in bits: MAXPHYADDR.
    pub physical_address_width: u32,
    /// CPUID.7.0:ECX\[7\]: shadow stacks.
    pub has_shadow_stacks: bool,
    /// CPUID.7.0:EDX\[20\]: indirect-branch tracking.
    pub has_indirect_branch_tracking: bool,
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
    /// A CPU that allows no control to be 1 and fixes no bit of CR0 and CR4; its
    /// regions have 4096 bytes, linear addresses 48 bits and physical ones 36.
    /// What a test starts from.
    pub const NOTHING: Self = Self {
        basic: VmxBasic(6 << 50 | 4096 << 32),
        pin_based: AllowedSettings::<u32>::NOTHING,
        primary: AllowedSettings::<u32>::NOTHING,
        secondary: AllowedSettings::<u32>::NOTHING,
        tertiary: AllowedSettings::<u64>::NOTHING,
        exit: AllowedSettings::<u32>::NOTHING,
        secondary_exit: AllowedSettings::<u64>::NOTHING,
        entry: AllowedSettings::<u32>::NOTHING,
        misc: VmxMisc(0),
        cr0_fixed: FixedBits { must_be_one: 0, may_be_one: u64::MAX },
        cr4_fixed: FixedBits { must_be_one: 0, may_be_one: u64::MAX },
        vmcs_enum: 0,
        ept_vpid: EptVpidCapabilities::empty(),
        vm_functions: VmFunctions::empty(),
        linear_address_width: LinearAddressWidth::Bits48,
        physical_address_width: 36,
        has_shadow_stacks: false,
        has_indirect_branch_tracking: false,
    };

    /// Reads the capabilities of the running CPU. An MSR that does not exist on it
    /// is not touched.
    ///
    /// # Errors
    /// [`NoVmx`], before any capability MSR is touched.
    pub fn read<C: Cpuid + Msr + ?Sized>(cpu: &mut C) -> Result<Self, NoVmx> {
        if cpu.cpuid(1, 0).ecx & (1 << 5) == 0 {
            return Err(NoVmx);
        }
        let features = cpu.cpuid(7, 0);
        let widths = cpu.cpuid(0x8000_0008, 0);
        let read = |msr| Ok::<_, core::convert::Infallible>(cpu.read_named(msr));
        let capabilities = match Self::from_msrs(read) {
            Ok(capabilities) => capabilities,
            Err(never) => match never {},
        };
        Ok(capabilities.with_features(features.ecx, features.edx).with_widths(widths.eax))
    }

    /// Everything that comes from MSRs. `read` is called only for those that the
    /// ones before say exist.
    fn from_msrs<E>(mut read: impl FnMut(NamedMsr) -> Result<u64, E>) -> Result<Self, E> {
        let basic = VmxBasic(read(NamedMsr::VmxBasic)?);
        let mut settings = |plain, precise| {
            let msr = if basic.has_true_controls() { precise } else { plain };
            Ok(AllowedSettings::from_msr(read(msr)?))
        };
        let pin_based = settings(NamedMsr::VmxPinBasedCtls, NamedMsr::VmxTruePinBasedCtls)?;
        let primary = settings(NamedMsr::VmxProcBasedCtls, NamedMsr::VmxTrueProcBasedCtls)?;
        let exit = settings(NamedMsr::VmxExitCtls, NamedMsr::VmxTrueExitCtls)?;
        let entry = settings(NamedMsr::VmxEntryCtls, NamedMsr::VmxTrueEntryCtls)?;

        let mut read_if = |exists, msr| if exists { read(msr) } else { Ok(0) };
        let has_secondary = primary.allows(PrimaryControls::ACTIVATE_SECONDARY_CONTROLS);
        let has_tertiary = primary.allows(PrimaryControls::ACTIVATE_TERTIARY_CONTROLS);
        let has_secondary_exit = exit.allows(ExitControls::ACTIVATE_SECONDARY_CONTROLS);
        let secondary =
            AllowedSettings::from_msr(read_if(has_secondary, NamedMsr::VmxProcBasedCtls2)?);
        let tertiary = read_if(has_tertiary, NamedMsr::VmxProcBasedCtls3)?;
        let secondary_exit = read_if(has_secondary_exit, NamedMsr::VmxExitCtls2)?;
        let has_ept_or_vpid = secondary.allows(SecondaryControls::ENABLE_EPT)
            || secondary.allows(SecondaryControls::ENABLE_VPID);
        let ept_vpid = read_if(has_ept_or_vpid, NamedMsr::VmxEptVpidCap)?;
        let has_functions = secondary.allows(SecondaryControls::ENABLE_VM_FUNCTIONS);
        let vm_functions = read_if(has_functions, NamedMsr::VmxVmfunc)?;
        Ok(Self {
            basic,
            pin_based,
            primary,
            secondary,
            tertiary: AllowedSettings::from_allowed_ones(tertiary),
            exit,
            secondary_exit: AllowedSettings::from_allowed_ones(secondary_exit),
            entry,
            misc: VmxMisc(read(NamedMsr::VmxMisc)?),
            cr0_fixed: FixedBits {
                must_be_one: read(NamedMsr::VmxCr0Fixed0)?,
                may_be_one: read(NamedMsr::VmxCr0Fixed1)?,
            },
            cr4_fixed: FixedBits {
                must_be_one: read(NamedMsr::VmxCr4Fixed0)?,
                may_be_one: read(NamedMsr::VmxCr4Fixed1)?,
            },
            vmcs_enum: read(NamedMsr::VmxVmcsEnum)?,
            ept_vpid: EptVpidCapabilities::from_bits_retain(ept_vpid),
            vm_functions: VmFunctions::from_bits_retain(vm_functions),
            ..Self::NOTHING
        })
    }

    /// With the CET features of CPUID.7.0:ECX and EDX.
    const fn with_features(self, ecx: u32, edx: u32) -> Self {
        Self {
            has_shadow_stacks: ecx & 1 << 7 != 0,
            has_indirect_branch_tracking: edx & 1 << 20 != 0,
            ..self
        }
    }

    /// With the address widths of CPUID.80000008h:EAX; where that leaf is absent
    /// (zero), physical addresses have 36 bits.
    const fn with_widths(self, eax: u32) -> Self {
        let physical_address_width = match eax & 0xFF {
            0 => 36,
            width => width,
        };
        Self { linear_address_width: linear_width(eax), physical_address_width, ..self }
    }

    /// How far the VMX-preemption timer is slower than the TSC: it counts down
    /// once every 2^n TSC ticks, n from IA32_VMX_MISC\[4:0\].
    pub const fn preemption_timer_shift(&self) -> u32 {
        self.misc.preemption_timer_shift()
    }

    /// IA32_VMX_VMCS_ENUM\[9:1\]: the highest index (bits 9:1) of an encoding that
    /// the CPU has.
    pub const fn highest_field_index(&self) -> u32 {
        (self.vmcs_enum >> 1) as u32 & 0x1FF
    }

    /// Whether the CPU has CET, of either kind.
    pub const fn has_cet(&self) -> bool {
        self.has_shadow_stacks || self.has_indirect_branch_tracking
    }

    /// Whether a VMCS may hold `address`: no bit beyond the physical-address width,
    /// nor beyond 32 bits where IA32_VMX_BASIC\[48\] says so. Alignment is another
    /// matter.
    pub const fn is_physical_address(&self, address: PhysicalAddress) -> bool {
        let basic = self.basic.limits_addresses_to_32_bits();
        let width = if basic { 32 } else { self.physical_address_width };
        // A shift by 64 or more leaves no bit.
        match address.0.checked_shr(width) {
            Some(beyond) => beyond == 0,
            None => true,
        }
    }
}

/// The width in CPUID.80000008h:EAX\[15:8\].
const fn linear_width(eax: u32) -> LinearAddressWidth {
    match (eax >> 8) & 0xFF {
        57.. => LinearAddressWidth::Bits57,
        _ => LinearAddressWidth::Bits48,
    }
}

/// The width of linear addresses, from CPUID.80000008h:EAX\[15:8\].
pub fn linear_address_width<C: Cpuid + ?Sized>(cpu: &mut C) -> LinearAddressWidth {
    linear_width(cpu.cpuid(0x8000_0008, 0).eax)
}

#[cfg(test)]
mod tests;
