//! Any operation on the tables, and tables that hold garbage.

use proptest::prelude::*;

use super::*;

/// What can be done to the tables.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    Map(u64, PageEntry, Existing),
    Unmap(u64, PageSize),
    Protect(u64, PageSize, EntryFlags),
    ClearAccessedDirty(u64, PageSize),
    Split(u64),
    UnmapRange(u64, u64),
}

/// Addresses that often share tables, and lie at their ends.
pub(super) fn any_address() -> impl Strategy<Value = u64> {
    let ends = prop::sample::select(&[0u64, 1, 511][..]);
    (prop::sample::select(&[0u64, 1, 511, 512][..]), ends.clone(), ends)
        .prop_map(|(gib, mib2, kib4)| gib << 30 | mib2 << 21 | kib4 << 12)
}

/// A range between two such addresses, or a small one.
fn any_range() -> impl Strategy<Value = (u64, u64)> {
    let between = (any_address(), any_address())
        .prop_map(|(one, other)| (one.min(other), one.max(other) - one.min(other)));
    prop_oneof![between, (any_address(), (0u64..4).prop_map(|pages| pages << 12))]
}

fn any_size() -> impl Strategy<Value = PageSize> {
    prop::sample::select(&PageSize::LARGEST_FIRST[..])
}

fn any_flags() -> impl Strategy<Value = EntryFlags> {
    prop_oneof![
        Just(EntryFlags::ALL_ACCESS),
        Just(EntryFlags::READ | EntryFlags::SUPERVISOR_SHADOW_STACK),
        any::<u64>().prop_map(|bits| {
            let all = EntryFlags::all().iter_names().fold(0, |bits, (_, flag)| bits | flag.bits());
            EntryFlags::from_bits_retain(bits & all & !0x000F_FFFF_FFFF_F0B8)
        }),
    ]
}

pub(super) fn any_operation() -> impl Strategy<Value = Operation> {
    // Most addresses are aligned to the page.
    let place = || {
        (any_address(), any_size(), 0..8).prop_map(|(address, size, aligned)| {
            (if aligned == 0 { address } else { address - size.offset(address) }, size)
        })
    };
    let page = (place(), any_address(), any_flags(), prop::bool::ANY).prop_map(
        |((at, size), address, flags, replace)| {
            let address = PhysicalAddress(address - size.offset(address));
            let memory_type = MemoryType::WriteBack;
            let page = PageEntry { address, size, memory_type, flags };
            let existing = if replace { Existing::Replace } else { Existing::Refuse };
            Operation::Map(at, page, existing)
        },
    );
    prop_oneof![
        4 => page,
        2 => place().prop_map(|(at, size)| Operation::Unmap(at, size)),
        2 => (place(), any_flags())
            .prop_map(|((at, size), flags)| Operation::Protect(at, size, flags)),
        1 => place().prop_map(|(at, size)| Operation::ClearAccessedDirty(at, size)),
        2 => any_address().prop_map(Operation::Split),
        2 => any_range().prop_map(|(at, bytes)| Operation::UnmapRange(at, bytes)),
    ]
}

proptest! {
    /// Whatever the tables hold, every operation comes to an end without a panic, and
    /// what cannot be translated has a reason.
    #[test]
    fn garbage_is_survived(
        words in prop::collection::vec(
            (0usize..6, prop::sample::select(&[0usize, 1, 511][..]), prop_oneof![
                any::<u64>(),
                // References and pages within the memory.
                (0u64..7, 0u64..0x1000, 0u64..4)
                    .prop_map(|(page, low, high)| (BASE + (page << 12)) | low | high << 60),
            ]),
            0..40,
        ),
        fill in prop_oneof![Just(0u64), any::<u64>(), Just(BASE | 7), Just(BASE | 0x107)],
        at in prop_oneof![any::<u64>(), any_address()],
        bytes in prop_oneof![any::<u64>(), 0u64..0x40_0000],
        operation in any_operation(),
        five_levels: bool,
    ) {
        let pages = pages(6);
        let top = if five_levels { Level::Pml5 } else { Level::Pml4 };
        let mut ept = ept(&pages, top, EVERYTHING);
        pages.iter().for_each(|page| page.fill(fill));
        for (page, index, word) in words {
            pages[page].write(index, word);
        }
        let at = GuestPhysicalAddress(at);
        if let Ok(found) = ept.translate(at) {
            prop_assert!(EVERYTHING.fits_width(found.address.0));
        }
        match operation {
            Operation::Map(_, page, existing) => {
                let _ = ept.map(at, page, existing);
            }
            Operation::Unmap(_, size) => {
                let _ = ept.unmap(at, size);
            }
            Operation::Protect(_, size, flags) => {
                let _ = ept.protect(at, size, flags);
            }
            Operation::ClearAccessedDirty(_, size) => {
                let _ = ept.clear_accessed_dirty(at, size);
            }
            Operation::Split(_) => {
                let _ = ept.split(at);
            }
            Operation::UnmapRange(_, bytes) => {
                let _ = ept.unmap_range(GuestPhysicalAddress(at.0 & !0xFFF), bytes, |_, _| {});
            }
        }
        let (address, flags) = (PhysicalAddress(at.0), EntryFlags::ALL_ACCESS);
        let memory_type = MemoryType::WriteBack;
        let count = ept.tables_to_map_range(at, address, bytes, memory_type, flags);
        let available = ept.memory().available();
        if ept.map_range(at, address, bytes, memory_type, flags).is_ok() {
            prop_assert_eq!(count, Ok(available - ept.memory().available()));
        }
        let _ = ept.translate(at);
        let _ = ept.mappings(at, 1 << 30).take(1000).count();
        let pending = ept.pending();
        // SAFETY: no CPU walks these tables.
        unsafe { ept.invalidated(pending) };
        let _ = ept.translate(at);
    }
}
