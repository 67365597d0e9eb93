//! What an operation will take is what it takes.

extern crate std;

use std::vec::Vec;

use proptest::prelude::*;

use super::model::{Model, step};
use super::operation::{Operation, any_address, any_operation};
use super::*;

/// What takes tables.
#[derive(Clone, Debug)]
enum Wish {
    Page(u64, PageEntry, Existing),
    Range(u64, u64, u64),
    /// With so many bytes of other memory type at an address.
    Identity(u64, u64, (u64, u64)),
}

fn any_wish() -> impl Strategy<Value = Wish> {
    let page = any_operation().prop_filter_map("a page", |operation| match operation {
        Operation::Map(at, page, existing) => Some(Wish::Page(at, page, existing)),
        _ => None,
    });
    // Physical memory that allows small pages only, or large ones too.
    let small = (any_address(), any_bytes(22), prop::sample::select(&[0x1000u64, 0x5000][..]));
    let large = (any_address(), any_bytes(31));
    let hole = (any_address(), 12u32..22).prop_map(|(at, bits)| (at, 1 << bits));
    prop_oneof![
        page,
        small.prop_map(|(at, bytes, offset)| Wish::Range(at, (2 << 30) + at + offset, bytes)),
        large.prop_map(|(at, bytes)| Wish::Range(at, (2 << 30) + at, bytes)),
        (any_address(), any_bytes(31), hole)
            .prop_map(|(at, bytes, hole)| Wish::Identity(at, bytes, hole)),
    ]
}

/// One or two powers of two between 4 KiB and 2^`bits` bytes.
fn any_bytes(bits: u32) -> impl Strategy<Value = u64> {
    let power = move || (12..=bits).prop_map(|bits| 1u64 << bits);
    (power(), power()).prop_map(|(one, other)| one | other)
}

/// Write-back, with a hole.
fn mtrrs(hole: (u64, u64)) -> Mtrrs {
    let (start, bytes) = hole;
    Mtrrs::read(|msr| match msr.index().0 {
        0xFE => 1,
        0x2FF => 0x806,
        0x200 => start & !(bytes - 1),
        0x201 => ((1 << 46) - bytes) | 0x800,
        _ => 0,
    })
    .unwrap()
}

fn count(ept: &Ept<Scattered>, wish: &Wish) -> Result<usize, EptError> {
    let (memory_type, all) = (MemoryType::WriteBack, EntryFlags::ALL_ACCESS);
    match *wish {
        Wish::Page(at, page, existing) => {
            ept.tables_to_map(GuestPhysicalAddress(at), page, existing)
        }
        Wish::Range(at, address, bytes) => ept.tables_to_map_range(
            GuestPhysicalAddress(at),
            PhysicalAddress(address),
            bytes,
            memory_type,
            all,
        ),
        Wish::Identity(at, bytes, hole) => {
            let range = PhysicalAddress(at)..PhysicalAddress(at + bytes);
            ept.tables_to_map_identity(range, all, &mtrrs(hole))
        }
    }
}

fn fulfil(ept: &mut Ept<Scattered>, wish: &Wish) -> Result<(), EptError> {
    let (memory_type, all) = (MemoryType::WriteBack, EntryFlags::ALL_ACCESS);
    match *wish {
        Wish::Page(at, page, existing) => {
            ept.map(GuestPhysicalAddress(at), page, existing).map(|_| ())
        }
        Wish::Range(at, address, bytes) => ept.map_range(
            GuestPhysicalAddress(at),
            PhysicalAddress(address),
            bytes,
            memory_type,
            all,
        ),
        Wish::Identity(at, bytes, hole) => {
            let range = PhysicalAddress(at)..PhysicalAddress(at + bytes);
            ept.map_identity(range, all, &mtrrs(hole))
        }
    }
}

proptest! {
    /// With exactly the tables that were counted it works, with one less it does not,
    /// and counting changes nothing and says what else would be refused.
    #[test]
    fn the_count_is_exact(
        operations in prop::collection::vec(any_operation(), 0..8),
        wish in any_wish(),
        one_less: bool,
    ) {
        let mut ept = ept_in(Scattered::default(), Level::Pml4, EVERYTHING);
        let mut model = Model::default();
        for operation in operations {
            let _ = step(&mut ept, &mut model, operation)?;
        }
        let look = |ept: &Ept<Scattered>| -> Vec<_> {
            ept.mappings(GuestPhysicalAddress(0), u64::MAX).collect()
        };
        let before = (look(&ept), ept.memory().in_use(), ept.pending());
        let counted = count(&ept, &wish);
        prop_assert_eq!(&before, &(look(&ept), ept.memory().in_use(), ept.pending()));

        let allocated = ept.memory().allocated;
        match counted {
            Ok(counted) if one_less && counted > 0 => {
                ept.memory_mut().left = Some(counted - 1);
                prop_assert_eq!(fulfil(&mut ept, &wish), Err(EptError::OutOfFrames));
            }
            Ok(counted) => {
                ept.memory_mut().left = Some(counted);
                prop_assert_eq!(fulfil(&mut ept, &wish), Ok(()));
                prop_assert_eq!(ept.memory().allocated - allocated, counted);
            }
            Err(error) => prop_assert_eq!(fulfil(&mut ept, &wish), Err(error)),
        }
    }
}
