//! Two readings of which values the CET MSRs take, against each other.

use cet_policy::{GuestCet, check_msr_value};
use proptest::prelude::*;
use vmx_core::MsrIndex;
use vmx_core::memory::LinearAddressWidth::{Bits48, Bits57};
use vmx_tests::contract::legality::guest_may_write;

/// Values near every edge: few bits set, canonical limits, anything.
fn value() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        (0u32..64).prop_map(|bit| 1 << bit),
        (0u32..64, 0u32..64).prop_map(|(a, b)| 1 << a | 1 << b),
        (0u32..64).prop_map(|shift| u64::MAX << shift),
        any::<u64>().prop_map(|value| value & 0xFFFF),
        any::<u64>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 4096,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn both_readings_agree(
        msr in 0x6A0u32..0x6AA,
        value in value(),
        shadow_stacks: bool,
        indirect_branch_tracking: bool,
        wide: bool,
    ) {
        let guest = GuestCet { shadow_stacks, indirect_branch_tracking, xss: 0 };
        let width = if wide { Bits57 } else { Bits48 };
        let ours = check_msr_value(MsrIndex(msr), value, &guest, width);
        let other = guest_may_write(MsrIndex(msr), value, &guest, width);
        prop_assert_eq!(ours == Some(Ok(())), other, "{:x} {:x} {:?} {:?}", msr, value, guest, ours);
    }
}
