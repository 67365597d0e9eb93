//! Which values the CET MSRs take.

use core::fmt;

use vmx_core::MsrIndex;
use vmx_core::cet::{CetControl, Ssp};
use vmx_core::memory::LinearAddressWidth;

use crate::features::GuestCet;

/// Why the CPU answers WRMSR (or RDMSR) of a CET MSR with #GP(0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IllegalValue {
    /// The MSR does not exist for this guest.
    NoSuchMsr,
    /// A reserved bit is set; bits of a feature that is absent are reserved.
    ReservedBits {
        /// The offending bits.
        bits: u64,
    },
    /// SUPPRESS and TRACKER are both set.
    SuppressAndTracker,
    /// Bits 1:0 of a shadow-stack pointer are not zero.
    Misaligned,
    /// An address is not canonical.
    NotCanonical,
    /// An address is canonical by the width that CPUID reports, and this CPU raises
    /// #GP(0) all the same, as it is set up now: it, or a hypervisor below, goes by
    /// CR4.LA57. [`check_msr_value`] cannot know, [`VcpuCet`](crate::VcpuCet) asks.
    RefusedByCpu,
}

impl fmt::Display for IllegalValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchMsr => f.write_str("the MSR does not exist for this guest"),
            Self::ReservedBits { bits } => write!(f, "reserved bits {bits:#x} are set"),
            Self::SuppressAndTracker => f.write_str("SUPPRESS and TRACKER are both set"),
            Self::Misaligned => f.write_str("bits 1:0 are not zero"),
            Self::NotCanonical => f.write_str("the address is not canonical"),
            Self::RefusedByCpu => f.write_str(
                "the address needs more than 48 bits, and this CPU refuses it as it is set up now",
            ),
        }
    }
}

impl core::error::Error for IllegalValue {}

/// Checks a value for one of the CET MSRs (6A0h, 6A2h, 6A4h to 6A8h) as a CPU with
/// the guest's features does; `None` for any other MSR.
///
/// Source: SDM, "Model-Specific Registers" tables, and "Control-flow Enforcement
/// Technology (CET)". Canonical is by the widest linear address that the CPU
/// supports, whatever CR4.LA57 says; a CPU that departs from that
/// [says so itself](IllegalValue::RefusedByCpu).
///
/// ```
/// use cet_policy::{GuestCet, IllegalValue, check_msr_value};
/// use vmx_core::MsrIndex;
/// use vmx_core::memory::LinearAddressWidth::Bits48;
/// let guest = GuestCet { shadow_stacks: true, ..GuestCet::default() };
/// let check = |msr, value| check_msr_value(MsrIndex(msr), value, &guest, Bits48);
/// assert_eq!(check(0x6A4, 0x8000), Some(Ok(())));
/// assert_eq!(check(0x6A4, 0x8001), Some(Err(IllegalValue::Misaligned)));
/// // ENDBR_EN is reserved without indirect-branch tracking.
/// assert_eq!(check(0x6A2, 0b100), Some(Err(IllegalValue::ReservedBits { bits: 0b100 })));
/// assert_eq!(check(0x10, 0), None);
/// ```
pub fn check_msr_value(
    msr: MsrIndex,
    value: u64,
    guest: &GuestCet,
    width: LinearAddressWidth,
) -> Option<Result<(), IllegalValue>> {
    let exists = match msr {
        MsrIndex::IA32_U_CET | MsrIndex::IA32_S_CET => {
            guest.shadow_stacks || guest.indirect_branch_tracking
        }
        MsrIndex::IA32_PL0_SSP
        | MsrIndex::IA32_PL1_SSP
        | MsrIndex::IA32_PL2_SSP
        | MsrIndex::IA32_PL3_SSP
        | MsrIndex::IA32_INTERRUPT_SSP_TABLE_ADDR => guest.shadow_stacks,
        _ => return None,
    };
    if !exists {
        return Some(Err(IllegalValue::NoSuchMsr));
    }
    Some(match msr {
        MsrIndex::IA32_U_CET | MsrIndex::IA32_S_CET => check_control(value, guest, width),
        MsrIndex::IA32_INTERRUPT_SSP_TABLE_ADDR => check_canonical(value, width),
        _ => check_ssp(value, width).map(|_| ()),
    })
}

/// A value for one of the shadow-stack-pointer MSRs.
pub(crate) fn check_ssp(value: u64, width: LinearAddressWidth) -> Result<Ssp, IllegalValue> {
    use vmx_core::cet::IllegalSsp;
    Ssp::new(value, width).map_err(|illegal| match illegal {
        IllegalSsp::Misaligned => IllegalValue::Misaligned,
        IllegalSsp::NotCanonical => IllegalValue::NotCanonical,
    })
}

fn check_canonical(value: u64, width: LinearAddressWidth) -> Result<(), IllegalValue> {
    if width.is_canonical(value) { Ok(()) } else { Err(IllegalValue::NotCanonical) }
}

/// The bits of IA32_S_CET and IA32_U_CET that are not reserved for the guest.
pub(crate) const fn offered_control_bits(guest: &GuestCet) -> u64 {
    const SHADOW_STACK_BITS: u64 = 0b11;
    const RESERVED: u64 = 0b1111 << 6;
    const TRACKING_BITS: u64 = !(SHADOW_STACK_BITS | RESERVED);
    let mut bits = 0;
    if guest.shadow_stacks {
        bits |= SHADOW_STACK_BITS;
    }
    if guest.indirect_branch_tracking {
        bits |= TRACKING_BITS;
    }
    bits
}

/// A value for IA32_S_CET or IA32_U_CET.
fn check_control(
    value: u64,
    guest: &GuestCet,
    width: LinearAddressWidth,
) -> Result<(), IllegalValue> {
    let reserved = !offered_control_bits(guest);
    if value & reserved != 0 {
        return Err(IllegalValue::ReservedBits { bits: value & reserved });
    }
    let both = CetControl::SUPPRESS | CetControl::TRACKER;
    if CetControl::from_bits_retain(value).contains(both) {
        return Err(IllegalValue::SuppressAndTracker);
    }
    check_canonical(value & !0xFFF, width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use vmx_core::memory::LinearAddressWidth::{Bits48, Bits57};

    const ALL: GuestCet = GuestCet { shadow_stacks: true, indirect_branch_tracking: true, xss: 0 };

    #[test]
    fn the_edges_of_s_cet() {
        let check = |value, width| check_control(value, &ALL, width);
        for bit in 6..10 {
            assert_eq!(check(1 << bit, Bits48), Err(IllegalValue::ReservedBits { bits: 1 << bit }));
        }
        assert_eq!(check(1 << 10, Bits48), Ok(()));
        assert_eq!(check(1 << 11, Bits48), Ok(()));
        assert_eq!(check(3 << 10, Bits48), Err(IllegalValue::SuppressAndTracker));
        assert_eq!(check(1 << 47, Bits48), Err(IllegalValue::NotCanonical));
        assert_eq!(check(1 << 47, Bits57), Ok(()));
        assert_eq!(check(1 << 62, Bits57), Err(IllegalValue::NotCanonical));
    }

    proptest! {
        /// A feature taken away never makes a value legal.
        #[test]
        fn fewer_features_take_fewer_values(
            msr in prop_oneof![Just(0x6A0u32), 0x6A2u32..0x6A9],
            value in prop_oneof![any::<u64>(), any::<u64>().prop_map(|v| v & 0xFFFF), Just(0)],
            shadow_stacks: bool,
            indirect_branch_tracking: bool,
        ) {
            let less = GuestCet { shadow_stacks, indirect_branch_tracking, xss: 0 };
            for width in [Bits48, Bits57] {
                let ok = |guest| check_msr_value(MsrIndex(msr), value, guest, width) == Some(Ok(()));
                prop_assert!(!ok(&less) || ok(&ALL));
            }
        }
    }
}
