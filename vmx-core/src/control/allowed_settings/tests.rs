extern crate std;

use std::string::ToString;

use proptest::prelude::*;

use super::*;

proptest! {
    /// Whatever is granted, the CPU accepts; whatever is refused, it lacks.
    #[test]
    fn negotiation_agrees_with_the_cpu(msr: u64, required: u32, wanted: u32) {
        let allowed = AllowedSettings::from_msr(msr | (msr << 32));
        let required = PrimaryControls::from_bits_retain(required);
        let wanted = PrimaryControls::from_bits_retain(wanted);
        match allowed.negotiate(required, wanted) {
            Ok(word) => {
                prop_assert!(word.contains(required));
                prop_assert_eq!(word.bits() & allowed.must_be_one, allowed.must_be_one);
                prop_assert_eq!(word.bits() & !allowed.may_be_one, 0);
                prop_assert_eq!(
                    word.bits() & wanted.bits(),
                    wanted.bits() & (allowed.may_be_one)
                        & (required.bits() | wanted.bits() | allowed.must_be_one)
                );
            }
            Err(Refused(bits)) => {
                prop_assert!(!bits.is_empty() && required.contains(bits));
                prop_assert_eq!(bits.bits() & allowed.may_be_one, 0);
            }
        }
    }

    #[test]
    fn a_64_bit_word_has_allowed_ones_only(msr: u64, required: u64, wanted: u64) {
        let allowed = AllowedSettings::from_allowed_ones(msr);
        let required = TertiaryControls::from_bits_retain(required & msr);
        let wanted = TertiaryControls::from_bits_retain(wanted);
        let word = allowed.negotiate(required, wanted);
        prop_assert_eq!(word, Ok(required | TertiaryControls::from_bits_retain(wanted.bits() & msr)));
    }

    #[test]
    fn a_capability_msr_survives(msr: u64) {
        prop_assert_eq!(AllowedSettings::from_msr(msr).to_msr(), msr);
    }
}

#[test]
fn a_refusal_names_each_bit() {
    let none = AllowedSettings::from_msr(0);
    let required = ExitControls::LOAD_CET_STATE | ExitControls::from_bits_retain(1);
    let refused = none.negotiate(required, ExitControls::empty()).unwrap_err();
    assert_eq!(refused.to_string(), "VM-exit controls: LOAD_CET_STATE and unnamed bits 0x00000001");
}
