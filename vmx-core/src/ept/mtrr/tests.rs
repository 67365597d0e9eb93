extern crate std;

use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::cpu::cpuid::CpuidResult;
use crate::msr::index::MsrIndex;

const KIB4: PageSize = PageSize::Size4KiB;
const MIB2: PageSize = PageSize::Size2MiB;
const GIB1: PageSize = PageSize::Size1GiB;

fn mtrrs(default: u64, fixed: Option<[u64; 11]>, pairs: &[(u64, u64)]) -> Mtrrs {
    Mtrrs::read(|msr| match msr.index().0 {
        0xFE => pairs.len() as u64 | u64::from(fixed.is_some()) << 8,
        0x2FF => default,
        number @ 0x200..0x250 => {
            let (base, mask) = pairs[(number as usize - 0x200) / 2];
            if number % 2 == 0 { base } else { mask }
        }
        number => {
            let numbers = [0x250, 0x258, 0x259].into_iter().chain(0x268..0x270);
            let index = numbers.into_iter().position(|msr| msr == number).expect("an MTRR");
            fixed.expect("fixed ranges")[index]
        }
    })
    .expect("few enough")
}

fn type_of(mtrrs: &Mtrrs, address: u64, size: PageSize) -> Option<MemoryType> {
    mtrrs.memory_type(PhysicalAddress(address), size)
}

/// A pair for `bytes` bytes, a power of two, with a width of 39 bits.
fn pair(base: u64, bytes: u64, memory_type: MemoryType) -> (u64, u64) {
    (base | memory_type.number(), !(bytes - 1) & ((1 << 39) - 1) | VALID)
}

/// A PC with 6 GiB as its firmware sets it up: UC by default, WB for all memory
/// with an uncacheable hole of 512 MiB below 4 GiB, and the usual first MiB.
#[test]
fn a_pc() {
    use MemoryType::{Uncacheable, WriteBack, WriteProtected};
    const WB: u64 = 0x0606_0606_0606_0606;
    const WP: u64 = 0x0505_0505_0505_0505;
    let fixed = [WB, WB, 0, WP, WP, WP, WP, WP, WP, WP, WP];
    let pc = mtrrs(
        0xC00,
        Some(fixed),
        &[
            pair(0, 4 << 30, WriteBack),
            pair(4 << 30, 2 << 30, WriteBack),
            pair(0xE000_0000, 512 << 20, Uncacheable),
            (0, 0),
        ],
    );
    for (address, size, expected) in [
        (0, KIB4, Some(WriteBack)),
        (0x9_F000, KIB4, Some(WriteBack)),
        (0xA_0000, KIB4, Some(Uncacheable)),
        (0xB_F000, KIB4, Some(Uncacheable)),
        (0xC_0000, KIB4, Some(WriteProtected)),
        (0xF_F000, KIB4, Some(WriteProtected)),
        (0x10_0000, KIB4, Some(WriteBack)),
        (0, MIB2, None),
        (0, GIB1, None),
        (2 << 20, MIB2, Some(WriteBack)),
        (1 << 30, GIB1, Some(WriteBack)),
        (3 << 30, GIB1, None),
        (0xDFE0_0000, MIB2, Some(WriteBack)),
        (0xE000_0000, MIB2, Some(Uncacheable)),
        (4 << 30, GIB1, Some(WriteBack)),
        (6 << 30, GIB1, Some(Uncacheable)),
        (0x7F_C000_0000, GIB1, Some(Uncacheable)),
    ] {
        assert_eq!(type_of(&pc, address, size), expected, "{address:#x} {size}");
    }
}

/// SDM, "MTRR Precedences".
#[test]
fn overlaps() {
    use MemoryType::{Uncacheable, WriteBack, WriteCombining, WriteProtected, WriteThrough};
    for (first, second, expected) in [
        (WriteBack, WriteBack, WriteBack),
        (WriteBack, Uncacheable, Uncacheable),
        (WriteCombining, Uncacheable, Uncacheable),
        (WriteThrough, WriteBack, WriteThrough),
        (WriteCombining, WriteBack, Uncacheable),
        (WriteProtected, WriteThrough, Uncacheable),
    ] {
        for (one, other) in [(first, second), (second, first)] {
            let both = mtrrs(0xC06, None, &[pair(0, 1 << 30, one), pair(0, 1 << 30, other)]);
            assert_eq!(type_of(&both, 0x1000, KIB4), Some(expected), "{one:?} {other:?}");
            assert_eq!(type_of(&both, 0, GIB1), Some(expected), "{one:?} {other:?}");
        }
    }
}

#[test]
fn switched_off_everything_is_uncacheable() {
    let pairs = [pair(0, 1 << 30, MemoryType::WriteBack)];
    assert_eq!(type_of(&mtrrs(0x406, None, &pairs), 0, GIB1), Some(MemoryType::Uncacheable));
    // Fixed ranges alone can be off.
    let without_fixed = mtrrs(0x806, Some([0; 11]), &pairs);
    assert_eq!(type_of(&without_fixed, 0, GIB1), Some(MemoryType::WriteBack));
}

#[test]
fn a_range_that_changes_nothing_mixes_nothing() {
    let same = mtrrs(0xC06, None, &[pair(0, 1 << 20, MemoryType::WriteBack)]);
    assert_eq!(type_of(&same, 0, GIB1), Some(MemoryType::WriteBack));
    let other = mtrrs(0xC06, None, &[pair(0, 1 << 20, MemoryType::WriteThrough)]);
    assert_eq!(type_of(&other, 0, GIB1), None);
    // Where all is uncacheable, nothing else matters.
    let (all, part) = (MemoryType::Uncacheable, MemoryType::WriteThrough);
    let within = mtrrs(0xC06, None, &[pair(0, 1 << 30, all), pair(0, 1 << 20, part)]);
    assert_eq!(type_of(&within, 0, GIB1), Some(all));
}

#[test]
fn more_pairs_than_numbers_are_refused() {
    assert_eq!(Mtrrs::read(|_| 41), Err(MtrrError::TooManyRanges { count: 41 }));
    assert!(Mtrrs::read(|msr| if msr == NamedMsr::MtrrCap { 40 } else { 0 }).is_ok());
}

/// A CPU with two pairs and the fixed ranges, or without MTRRs, that has no other.
struct Cpu {
    has_mtrrs: bool,
}

impl Cpuid for Cpu {
    fn cpuid(&mut self, leaf: u32, _: u32) -> CpuidResult {
        let edx = if leaf == 1 && self.has_mtrrs { 1 << 12 } else { 0 };
        CpuidResult { edx, ..CpuidResult::default() }
    }
}

impl Msr for Cpu {
    fn read_named(&mut self, msr: NamedMsr) -> u64 {
        assert!(self.has_mtrrs, "RDMSR of {msr:?} raises #GP(0)");
        match msr.index().0 {
            0xFE => 0x102,
            0x2FF => 0xC06,
            0x200..0x204 | 0x250 | 0x258 | 0x259 | 0x268..0x270 => 0,
            _ => panic!("RDMSR of {msr:?} raises #GP(0)"),
        }
    }
    unsafe fn read_msr(&mut self, msr: MsrIndex) -> u64 {
        panic!("{msr} is not of the closed set");
    }
    unsafe fn write_msr(&mut self, msr: MsrIndex, _: u64) {
        panic!("{msr} written");
    }
}

#[test]
fn a_cpu_is_read_without_touching_what_it_lacks() {
    let read = Mtrrs::from_cpu(&mut Cpu { has_mtrrs: true }).unwrap();
    assert_eq!(type_of(&read, 0, KIB4), Some(MemoryType::Uncacheable));
    assert_eq!(type_of(&read, 1 << 20, KIB4), Some(MemoryType::WriteBack));
    assert_eq!(Mtrrs::from_cpu(&mut Cpu { has_mtrrs: false }), Err(MtrrError::NoMtrrs));
}

/// The manual's rules for one address, step by step.
fn manual(default: u64, pairs: &[(u64, u64)], address: u64) -> MemoryType {
    let found: Vec<u64> = pairs
        .iter()
        .filter(|(base, mask)| {
            let mask = mask >> 12;
            address >> 12 & mask == base >> 12 & mask
        })
        .filter(|(_, mask)| mask & VALID != 0)
        .map(|(base, _)| base & 0xFF)
        .collect();
    let all = |types: &[u64]| found.iter().all(|number| types.contains(number));
    let number = match found.first() {
        None => default & 0xFF,
        Some(first) if all(&[*first]) => *first,
        Some(_) if found.contains(&0) => 0,
        Some(_) if all(&[4, 6]) => 4,
        Some(_) => 0,
    };
    MemoryType::from_number(number).unwrap_or(MemoryType::Uncacheable)
}

prop_compose! {
    /// A pair with a base and mask of few bits, so that pairs overlap; also masks
    /// with holes.
    fn any_pair()(
        base in 0u64..32,
        mask in 0u64..32,
        number in prop::sample::select(&[0u64, 1, 4, 5, 6, 6, 6, 2, 255][..]),
        valid: bool,
        shift in 12u32..32,
    ) -> (u64, u64) {
        (base << shift | number, mask << shift | u64::from(valid) << 11)
    }
}

proptest! {
    #[test]
    fn one_type_for_a_page_is_that_of_all_its_parts(
        pairs in prop::collection::vec(any_pair(), 0..5),
        number in prop::sample::select(&[0u64, 4, 6][..]),
        page in 0u64..64,
        samples in prop::collection::vec(any::<u64>(), if cfg!(miri) { 1 } else { 32 }),
    ) {
        let default = ENABLE | number;
        let mtrrs = mtrrs(default, None, &pairs);
        for size in PageSize::LARGEST_FIRST {
            let start = page * size.bytes();
            let parts = samples.iter().map(|sample| start + size.offset(*sample));
            for part in parts.chain([start, start + size.bytes() - 1]) {
                let expected = manual(default, &pairs, part);
                prop_assert_eq!(type_of(&mtrrs, part, KIB4), Some(expected));
                if let Some(whole) = type_of(&mtrrs, part, size) {
                    prop_assert_eq!(whole, expected, "{} at {:#x}", size, part);
                }
            }
        }
    }

    /// Register contents that WRMSR would never take.
    #[test]
    fn any_registers_give_small_pages_a_type(seed: [u64; 16], address: u64, fixed: bool) {
        let garbage = |msr: NamedMsr| match msr.index().0 {
            0xFE => 40 | u64::from(fixed) << 8,
            number => seed[number as usize % 16],
        };
        let mtrrs = Mtrrs::read(garbage).unwrap();
        prop_assert!(type_of(&mtrrs, address, KIB4).is_some());
        type_of(&mtrrs, address, GIB1);
    }
}
