//! What a CPU's VMX can do, as a plain value.

use super::ept_vpid::EptVpidCapabilities;
use super::fixed_bits::FixedBits;
use crate::capability::vmx_basic::VmxBasic;
use crate::capability::vmx_misc::VmxMisc;
use crate::control::allowed_settings::AllowedSettings;
use crate::control::execution::VmFunctions;
use crate::memory::address::PhysicalAddress;
use crate::memory::linear_address::LinearAddressWidth;

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
