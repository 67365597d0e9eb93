//! CPUs to try the cases on without one: dumps of models of the second processor, for
//! `Capabilities::from_dump`, and one with everything.

use vmx_core::Capabilities;
use vmx_core::capability::{EptVpidCapabilities, FixedBits, VmxBasic, VmxMisc};
use vmx_core::control::{AllowedSettings, VmFunctions};
use vmx_core::memory::LinearAddressWidth;

/// Bochs' `sapphire_rapids`: CET, tertiary controls, linear addresses of 57 bits.
pub const SAPPHIRE_RAPIDS: &str = "
480 01d8100000000004
48d 000000ff00000016
48e fffbfffe04006172
48f f87fffff00036dfb
490 0058ffff000011fb
485 00000000600401e0
486 0000000080000021
487 00000000ffffffff
488 0000000000002000
489 0000000003f73fff
48a 0000000000000050
48b 06d77fff00000000
48c 00000f0106f34141
491 0000000000000001
492 0000000000000080
493 000000000100000c
CPUID 7.0: 00000000 00000000 00000080 00100000
CPUID 80000008.0: 00003928 00000000 00000000 00000000
";

/// Bochs' `tigerlake`: CET, linear addresses of 48 bits.
pub const TIGER_LAKE: &str = "
480 01d8100000000004
48d 000000ff00000016
48e fff9fffe04006172
48f d07fffff00036dfb
490 0010ffff000011fb
485 00000000600401e0
486 0000000080000021
487 00000000ffffffff
488 0000000000002000
489 0000000000f72fff
48a 0000000000000050
48b 02d77fff00000000
48c 00000f0106f34141
491 0000000000000001
492 0000000000000000
493 0000000000000008
CPUID 7.0: 00000000 00000000 00000080 00100000
CPUID 80000008.0: 00003028 00000000 00000000 00000000
";

/// Bochs' `corei7_skylake_x`: no CET.
pub const SKYLAKE_X: &str = "
480 00d810000000002b
48d 000000ff00000016
48e fff9fffe04006172
48f 407fffff00036dfb
490 0000ffff000011fb
485 00000000600401e0
486 0000000080000021
487 00000000ffffffff
488 0000000000002000
489 00000000003727ff
48a 0000000000000050
48b 02577fff00000000
48c 00000f0106734141
491 0000000000000001
492 0000000000000000
493 0000000000000000
CPUID 7.0: 00000000 00000000 00000000 00000000
CPUID 80000008.0: 00003028 00000000 00000000 00000000
";

/// Bochs' `corei7_ivy_bridge_3770k`: no accessed and dirty flags for EPT either.
pub const IVY_BRIDGE: &str = "
480 00d810000000002b
48d 0000007f00000016
48e fff9fffe04006172
48f 407fffff00036dfb
490 0000ffff000011fb
485 00000000000401e0
486 0000000080000021
487 00000000ffffffff
488 0000000000002000
489 00000000001727ff
48a 0000000000000050
48b 000008ff00000000
48c 00000f0106114141
491 0000000000000000
492 0000000000000000
493 0000000000000000
CPUID 7.0: 00000000 00000000 00000000 00000000
CPUID 80000008.0: 00003028 00000000 00000000 00000000
";

/// A CPU that no one has made: every control and feature of the manual, physical
/// addresses of 46 bits. A few controls are fixed and a few bits reserved, to be tried.
pub const EVERYTHING: Capabilities = Capabilities {
    basic: VmxBasic(0x00D8_1000_0000_0004),
    pin_based: AllowedSettings { must_be_one: 0x16, may_be_one: 0xFF },
    primary: AllowedSettings { must_be_one: 0x0400_6172, may_be_one: 0xFFFB_FFFE },
    secondary: AllowedSettings { must_be_one: 0, may_be_one: u32::MAX },
    tertiary: AllowedSettings::from_allowed_ones(0x21DF),
    exit: AllowedSettings { must_be_one: 0x0003_6DFB, may_be_one: u32::MAX },
    secondary_exit: AllowedSettings::from_allowed_ones(0xF),
    entry: AllowedSettings { must_be_one: 0x11FB, may_be_one: 0x01FF_FFFF },
    misc: VmxMisc(0x0004_01E0),
    cr0_fixed: FixedBits { must_be_one: 0x8000_0021, may_be_one: 0xFFFF_FFFF },
    cr4_fixed: FixedBits { must_be_one: 0x2000, may_be_one: 0x1_03FF_FFFF },
    vmcs_enum: 0x50,
    ept_vpid: EptVpidCapabilities::from_bits_retain(0x0001_0F01_06F3_4141),
    vm_functions: VmFunctions::EPTP_SWITCHING,
    linear_address_width: LinearAddressWidth::Bits48,
    physical_address_width: 46,
    has_shadow_stacks: true,
    has_indirect_branch_tracking: true,
};
