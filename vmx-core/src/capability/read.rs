//! Reading the capabilities of the running CPU.
//!
//! Above both the capabilities and the traits through which a CPU is seen.

use super::capabilities::Capabilities;
use super::ept_vpid::EptVpidCapabilities;
use super::fixed_bits::FixedBits;
use super::vmx_basic::VmxBasic;
use super::vmx_misc::VmxMisc;
use crate::control::allowed_settings::AllowedSettings;
use crate::control::execution::{PrimaryControls, SecondaryControls, VmFunctions};
use crate::control::exit::ExitControls;
use crate::cpu::cpuid::Cpuid;
use crate::cpu::msr::Msr;
use crate::memory::linear_address::LinearAddressWidth;
use crate::msr::named::NamedMsr;

impl Capabilities {
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
    pub(super) fn from_msrs<E>(
        mut read: impl FnMut(NamedMsr) -> Result<u64, E>,
    ) -> Result<Self, E> {
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
    pub(super) const fn with_features(self, ecx: u32, edx: u32) -> Self {
        Self {
            has_shadow_stacks: ecx & 1 << 7 != 0,
            has_indirect_branch_tracking: edx & 1 << 20 != 0,
            ..self
        }
    }

    /// With the address widths of CPUID.80000008h:EAX; where that leaf is absent
    /// (zero), physical addresses have 36 bits.
    pub(super) const fn with_widths(self, eax: u32) -> Self {
        let physical_address_width = match eax & 0xFF {
            0 => 36,
            width => width,
        };
        Self { linear_address_width: linear_width(eax), physical_address_width, ..self }
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
