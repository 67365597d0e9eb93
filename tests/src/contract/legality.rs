//! Which values the CET MSRs take: a second reading of the manual.
//!
//! Written without looking at `cet-policy`, by another method (comparing against
//! shifted-out bits instead of masks by feature), so that a slip in one of the two
//! shows as a difference. Source: SDM, "Model-Specific Registers", and "Control-flow
//! Enforcement Technology", MSRs.

use cet_policy::GuestCet;
use vmx_core::MsrIndex;
use vmx_core::memory::LinearAddressWidth;

/// Whether bits from the top of the address width upwards are all equal.
pub const fn is_canonical(value: u64, width: LinearAddressWidth) -> bool {
    let upper = value >> (width.bits() - 1);
    upper == 0 || upper == u64::MAX >> (width.bits() - 1)
}

/// A value for IA32_PL0_SSP to IA32_PL3_SSP: a multiple of 4, canonical.
pub const fn ssp_is_legal(value: u64, width: LinearAddressWidth) -> bool {
    value.is_multiple_of(4) && is_canonical(value, width)
}

/// A value for IA32_S_CET or IA32_U_CET on a CPU with these features.
pub fn control_is_legal(
    value: u64,
    shadow_stacks: bool,
    tracking: bool,
    width: LinearAddressWidth,
) -> bool {
    let bit = |number: u32| value >> number & 1 == 1;
    let shadow_stack_part = bit(0) || bit(1);
    let reserved_part = (6..=9).any(bit);
    let tracking_part = (2..=5).any(bit) || value >> 10 != 0;
    (shadow_stacks || tracking)
        && !reserved_part
        && (shadow_stacks || !shadow_stack_part)
        && (tracking || !tracking_part)
        && !(bit(10) && bit(11))
        && is_canonical(value, width)
}

/// Whether WRMSR of a CET MSR succeeds in a guest with these features.
pub fn guest_may_write(
    msr: MsrIndex,
    value: u64,
    guest: &GuestCet,
    width: LinearAddressWidth,
) -> bool {
    match msr.0 {
        0x6A0 | 0x6A2 => {
            control_is_legal(value, guest.shadow_stacks, guest.indirect_branch_tracking, width)
        }
        0x6A4..=0x6A7 => guest.shadow_stacks && ssp_is_legal(value, width),
        0x6A8 => guest.shadow_stacks && is_canonical(value, width),
        0xDA0 => value & !guest.xss == 0,
        _ => false,
    }
}
