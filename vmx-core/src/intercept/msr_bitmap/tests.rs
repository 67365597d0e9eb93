extern crate std;
use super::*;
use crate::memory::page::Page;
use proptest::prelude::*;
use std::vec::Vec;

#[test]
fn the_four_parts_are_where_the_manual_has_them() {
    for (msr, access, byte) in [
        (0, MsrAccess::Read, 0x000),
        (0xC000_0000, MsrAccess::Read, 0x400),
        (0, MsrAccess::Write, 0x800),
        (0xC000_0000, MsrAccess::Write, 0xC00),
        (0x1FFF, MsrAccess::Read, 0x3FF),
        (0xC000_1FFF, MsrAccess::Write, 0xFFF),
    ] {
        let page = Page::new();
        MsrBitmap::from_page(PhysicalPage::unplaced(&page)).intercept(MsrIndex(msr), access);
        let word = page.read(byte / 8);
        assert_eq!(word.trailing_zeros() as usize / 8, byte % 8, "{msr:x}");
        assert_eq!(word.count_ones(), 1, "{msr:x}");
    }
}

/// Every MSR number at and around the ranges, every number that shares low bits
/// with one inside: none is aliased.
#[test]
fn only_the_two_ranges_have_bits() {
    let inside = |msr: u32| msr < 0x2000 || (0xC000_0000..0xC000_2000).contains(&msr);
    // Miri is slow, and looks at one in 1009.
    let step = if cfg!(miri) { 1009 } else { 1 };
    let bases = (0..=u32::MAX >> 13).step_by(step).map(|upper| upper << 13);
    for msr in bases.flat_map(|base| [base, base | 0x6A4, base | 0x1FFF]) {
        assert_eq!(bit_of(MsrIndex(msr)).is_some(), inside(msr), "{msr:x}");
    }
}

fn any_msr() -> impl Strategy<Value = u32> {
    prop_oneof![0u32..0x4000, 0xBFFF_F000u32..0xC000_3000, any::<u32>()]
}

fn any_access() -> impl Strategy<Value = MsrAccess> {
    prop_oneof![Just(MsrAccess::Read), Just(MsrAccess::Write)]
}

proptest! {
    /// No MSR is aliased to another's bit, and reads and writes are apart.
    #[test]
    fn only_the_named_access_changes(a in any_msr(), b in any_msr()) {
        let page = Page::new();
        let bitmap = MsrBitmap::all_exit(PhysicalPage::unplaced(&page));
        let inside = bitmap.pass(MsrIndex(a), MsrAccess::Write).is_ok();
        prop_assert_eq!(inside, a < 0x2000 || (0xC000_0000..0xC000_2000).contains(&a));
        prop_assert_eq!(bitmap.exits(MsrIndex(a), MsrAccess::Write), !inside);
        prop_assert!(bitmap.exits(MsrIndex(a), MsrAccess::Read));
        prop_assert!(a == b || bitmap.exits(MsrIndex(b), MsrAccess::Write));
    }

    /// A range does what its MSRs would do one by one, or nothing.
    #[test]
    fn a_range_is_its_msrs(
        first in any_msr(),
        length in 0u32..600,
        access in any_access(),
        exits: bool,
    ) {
        let last = first.saturating_add(length);
        let (page, expected) = (Page::new(), Page::new());
        let (bitmap, one_by_one) = if exits {
            (MsrBitmap::none_exits(PhysicalPage::unplaced(&page)), MsrBitmap::none_exits(PhysicalPage::unplaced(&expected)))
        } else {
            (MsrBitmap::all_exit(PhysicalPage::unplaced(&page)), MsrBitmap::all_exit(PhysicalPage::unplaced(&expected)))
        };
        let range = MsrIndex(first)..=MsrIndex(last);
        let msrs = (first..=last).map(MsrIndex);
        let refused = if exits {
            bitmap.intercept_range(range, access);
            msrs.for_each(|msr| one_by_one.intercept(msr, access));
            None
        } else {
            let answers: Vec<_> = msrs.map(|msr| one_by_one.pass(msr, access)).collect();
            let refused = answers.into_iter().find_map(Result::err);
            prop_assert_eq!(bitmap.pass_range(range, access).err(), refused);
            refused
        };
        if refused.is_some() {
            one_by_one.page.fill(u64::MAX);
        }
        for word in 0..512 {
            prop_assert_eq!(page.read(word), expected.read(word));
        }
    }

    /// What is let through is what the iterator finds.
    #[test]
    fn passing_finds_what_passes(msrs in proptest::collection::vec(any_msr(), 0..20)) {
        let page = Page::new();
        let bitmap = MsrBitmap::all_exit(PhysicalPage::unplaced(&page));
        let mut passed: Vec<u32> = msrs
            .into_iter()
            .filter(|msr| bitmap.pass(MsrIndex(*msr), MsrAccess::Write).is_ok())
            .collect();
        passed.sort_unstable();
        passed.dedup();
        let found: Vec<u32> = bitmap.passing(MsrAccess::Write).map(|msr| msr.0).collect();
        prop_assert_eq!(found, passed);
        prop_assert_eq!(bitmap.passing(MsrAccess::Read).count(), 0);
    }

    /// A group is its MSRs.
    #[test]
    fn a_group_is_its_msrs(first in any_msr(), pattern: u64, access in any_access()) {
        let page = Page::new();
        let bitmap = MsrBitmap::all_exit(PhysicalPage::unplaced(&page));
        let expected: Vec<u32> =
            (0..64).filter(|n| pattern & (1 << n) != 0).map(|n| first.wrapping_add(n)).collect();
        match MsrGroup::from_pattern(MsrIndex(first), pattern) {
            Some(group) => {
                bitmap.set_group(group, access, false);
                let found: Vec<u32> = bitmap.passing(access).map(|msr| msr.0).collect();
                prop_assert_eq!(found, expected);
            }
            None => prop_assert!(
                bit_of(MsrIndex(first)).is_none()
                    || expected.iter().any(|msr| msr / 64 != first / 64)
            ),
        }
    }

    #[test]
    fn either_bitmap_makes_an_access_exit(
        a in any_msr(), b in any_msr(), query in any_msr(), access in any_access(),
    ) {
        let (first, second, third) = (Page::new(), Page::new(), Page::new());
        let (first, second) = (MsrBitmap::none_exits(PhysicalPage::unplaced(&first)), MsrBitmap::none_exits(PhysicalPage::unplaced(&second)));
        first.intercept(MsrIndex(a), access);
        second.intercept(MsrIndex(b), access);
        let either = MsrBitmap::exits_by_either(PhysicalPage::unplaced(&third), &first, &second);
        for msr in [a, b, query].map(MsrIndex) {
            for access in MsrAccess::ALL {
                let expected = first.exits(msr, access) || second.exits(msr, access);
                prop_assert_eq!(either.exits(msr, access), expected);
            }
        }
    }
}
