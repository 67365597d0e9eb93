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
    Release(u64, PageSize),
}

/// Addresses that often share tables, and lie at their ends.
fn any_address() -> impl Strategy<Value = u64> {
    let ends = prop::sample::select(&[0u64, 1, 511][..]);
    (prop::sample::select(&[0u64, 1, 511, 512][..]), ends.clone(), ends)
        .prop_map(|(gib, mib2, kib4)| gib << 30 | mib2 << 21 | kib4 << 12)
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
        2 => place().prop_map(|(at, size)| Operation::Release(at, size)),
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
        pages.iter().for_each(|page| page.fill(fill));
        for (page, index, word) in words {
            pages[page].write(index, word);
        }
        let tables = table_pages(&pages);
        let top = if five_levels { Level::Pml5 } else { Level::Pml4 };
        let ept = ept(&tables, top, EVERYTHING);
        let at = GuestPhysicalAddress(at);
        let frame = || PhysicalAddress(BASE + 0x3000);
        let mut frames = [frame(), frame()].into_iter();
        if let Ok(found) = ept.translate(at) {
            prop_assert!(EVERYTHING.fits_width(found.address.0));
        }
        match operation {
            Operation::Map(_, page, existing) => {
                let _ = ept.map(at, page, existing, &mut frames);
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
                let _ = ept.split(at, &mut frames);
            }
            Operation::Release(_, size) => {
                let _ = ept.release_table(at, size);
            }
        }
        let (address, flags) = (PhysicalAddress(at.0), EntryFlags::ALL_ACCESS);
        let memory_type = MemoryType::WriteBack;
        let _ = ept.map_range(at, address, bytes, memory_type, flags, &mut frames);
        let _ = ept.translate(at);
    }
}
