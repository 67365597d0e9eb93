extern crate std;
use super::*;
use crate::memory::linear_address::LinearAddressWidth::{Bits48, Bits57};
use proptest::prelude::*;
use std::string::ToString;
use std::vec::Vec;

const MINIMAL: MsrContext = MsrContext::minimal(Bits48);
const FULL: MsrContext =
    MsrContext { shadow_stacks: true, indirect_branch_tracking: true, xss: 0x1800, ..MINIMAL };

fn load(msr: u32, value: u64, context: &MsrContext) -> Result<(), NotLoadable> {
    check_load_entry(&MsrEntry::new(MsrIndex(msr), value), context)
}

fn store(msr: u32, context: &MsrContext) -> Result<(), NotStorable> {
    check_store_entry(&MsrEntry::new(MsrIndex(msr), 0), context)
}

#[test]
fn msrs_that_no_list_takes() {
    for msr in 0..0x2000 {
        assert_eq!(load(msr, 0, &FULL) == Err(NotLoadable::X2Apic), msr >> 8 == 8, "{msr:x}");
        assert_eq!(store(msr, &FULL) == Err(NotStorable::X2Apic), msr >> 8 == 8, "{msr:x}");
    }
    assert_eq!(load(0xC000_0100, 0, &FULL), Err(NotLoadable::SegmentBase));
    assert_eq!(load(0xC000_0101, 0, &FULL), Err(NotLoadable::SegmentBase));
    assert_eq!(store(0xC000_0100, &FULL), Ok(()));
    assert_eq!(load(0x9B, 0, &FULL), Err(NotLoadable::SystemManagementMode));
    assert_eq!(store(0x9E, &FULL), Err(NotStorable::SystemManagementMode));
    for msr in [0x79, 0x8B] {
        assert_eq!(load(msr, 0, &FULL), Err(NotLoadable::ModelSpecific));
        assert_eq!(store(msr, &FULL), Err(NotStorable::ModelSpecific));
    }
    for msr in [0x9E, 0xFE, 0x10A, 0x480, 0x491] {
        assert_eq!(load(msr, 0, &FULL), Err(NotLoadable::ReadOnly));
    }
    assert_eq!(store(0x49, &FULL), Err(NotStorable::WriteOnly));
    assert_eq!(store(0x480, &FULL), Ok(()));
}

#[test]
fn reserved_bits_of_the_entry() {
    for bit in 0..32 {
        let entry = MsrEntry { reserved: 1 << bit, ..MsrEntry::new(MsrIndex(0xC000_0082), 0) };
        assert_eq!(check_load_entry(&entry, &FULL), Err(NotLoadable::ReservedBits));
        assert_eq!(check_store_entry(&entry, &FULL), Err(NotStorable::ReservedBits));
    }
}

#[test]
fn addresses_are_canonical() {
    let five_levels = MsrContext { linear_address_width: Bits57, ..FULL };
    for msr in [
        0x175,
        0x176,
        0x600,
        0x986,
        0x987,
        0x989,
        0x98A,
        0x6A4,
        0x6A7,
        0x6A8,
        0xC000_0082,
        0xC000_0083,
        0xC000_0102,
        0x6A2,
    ] {
        assert_eq!(load(msr, 1 << 46, &FULL), Ok(()), "{msr:x}");
        assert_eq!(load(msr, 1 << 47, &FULL), Err(NotLoadable::NotCanonical), "{msr:x}");
        assert_eq!(load(msr, 1 << 47, &five_levels), Ok(()), "{msr:x}");
        assert_eq!(load(msr, 1 << 62, &five_levels), Err(NotLoadable::NotCanonical), "{msr:x}");
    }
}

#[test]
fn cet_values() {
    for msr in 0x6A4..0x6A8 {
        assert_eq!(load(msr, 4, &FULL), Ok(()));
        for value in 1..4 {
            assert_eq!(load(msr, value, &FULL), Err(NotLoadable::Misaligned));
        }
        assert_eq!(load(msr, 0, &MINIMAL), Err(NotLoadable::NoSuchMsr));
        assert_eq!(store(msr, &MINIMAL), Err(NotStorable::NoSuchMsr));
    }
    let tracking_only = MsrContext { shadow_stacks: false, ..FULL };
    let shadow_stacks_only = MsrContext { indirect_branch_tracking: false, ..FULL };
    for msr in [0x6A0, 0x6A2] {
        assert_eq!(load(msr, 0xC00, &FULL), Err(NotLoadable::SuppressAndTracker));
        assert_eq!(load(msr, 0, &MINIMAL), Err(NotLoadable::NoSuchMsr));
        for bit in 0..12 {
            let value = 1 << bit;
            let reserved = Err(NotLoadable::ReservedValueBits { bits: value });
            let expect = |is_reserved| if is_reserved { reserved } else { Ok(()) };
            let never = (6..10).contains(&bit);
            assert_eq!(load(msr, value, &FULL), expect(never));
            assert_eq!(load(msr, value, &tracking_only), expect(never || bit < 2));
            assert_eq!(load(msr, value, &shadow_stacks_only), expect(never || bit >= 2));
        }
    }
    assert_eq!(load(0xDA0, 0x1800, &FULL), Ok(()));
    let reserved = Err(NotLoadable::ReservedValueBits { bits: 0x100 });
    assert_eq!(load(0xDA0, 0x1900, &FULL), reserved);
}

#[test]
fn reserved_bits_of_values() {
    for (msr, legal) in [
        (0x49, 1u64),
        (0x10B, 1),
        (0x6E1, 0xFFFF_FFFF),
        (0x988, 0xFF_FFFF_FFFF),
        (0x989, 0x7FFF_FFFF_FFC0),
        (0x98A, 0x7FFF_FFFF_FFF1),
        (0xC000_0103, 0xFFFF_FFFF),
    ] {
        for bit in 0..47 {
            let is_legal = legal & (1 << bit) != 0;
            assert_eq!(load(msr, 1 << bit, &FULL).is_ok(), is_legal, "{msr:x} {bit}");
        }
    }
}

#[test]
fn efer_and_pat() {
    let unpaged = MsrContext { paging: false, ..FULL };
    let legacy = MsrContext { long_mode_enable: false, ..FULL };
    let efer = 0xC000_0080;
    assert_eq!(load(efer, 0xD01, &FULL), Ok(()));
    assert_eq!(load(efer, 0x801, &FULL), Err(NotLoadable::LongModeChange));
    assert_eq!(load(efer, 0x100, &legacy), Err(NotLoadable::LongModeChange));
    assert_eq!(load(efer, 0x801, &legacy), Ok(()));
    assert_eq!(load(efer, 0x801, &unpaged), Ok(()));
    assert_eq!(load(efer, 0x102, &FULL), Err(NotLoadable::ReservedValueBits { bits: 2 }));
    assert_eq!(load(0x277, 0x0007_0406_0007_0406, &FULL), Ok(()));
    for byte in 0..8 {
        for memory_type in 0..=255u64 {
            let legal = matches!(memory_type, 0 | 1 | 4..=7);
            assert_eq!(load(0x277, memory_type << (byte * 8), &FULL).is_ok(), legal);
        }
    }
}

#[test]
fn a_list_ends_at_its_limit_or_its_pages() {
    let pages: [Page; 3] = core::array::from_fn(|_| Page::new());
    assert_eq!(
        MsrList::empty(Physical::unplaced(&pages[..1]), MsrListUse::LOAD, 512).capacity(),
        256
    );
    assert_eq!(
        MsrList::empty(Physical::unplaced(&pages[..]), MsrListUse::LOAD, 512).capacity(),
        512
    );
    let mut list = MsrList::empty(Physical::unplaced(&pages[..]), MsrListUse::LOAD, 512);
    for value in 0..512 {
        list.push(MsrEntry::new(MsrIndex(0x174), value), &FULL).unwrap();
    }
    assert_eq!(list.push(MsrEntry::new(MsrIndex(0x174), 0), &FULL), Err(Refused::Full));
    assert_eq!(list.get(511).unwrap().value, 511);
    assert_eq!(list.get(512), None);
    assert!(MsrList::empty(Physical::unplaced(&[][..]), MsrListUse::LOAD, 512).get(0).is_none());
}

#[test]
fn a_list_judges_by_its_uses() {
    let pages = [Page::new()];
    let entry = MsrEntry::new(MsrIndex(0xC000_0100), 0);
    let refused = Refused::Load(NotLoadable::SegmentBase);
    assert_eq!(
        MsrList::empty(Physical::unplaced(&pages[..]), MsrListUse::all(), 9).push(entry, &FULL),
        Err(refused)
    );
    assert_eq!(
        MsrList::empty(Physical::unplaced(&pages[..]), MsrListUse::STORE, 9).push(entry, &FULL),
        Ok(0)
    );
    assert_eq!(
        refused.to_string(),
        "not for an MSR-load list: IA32_FS_BASE and IA32_GS_BASE have VMCS fields"
    );
}

/// The CPU finds in memory what the list says.
#[test]
fn entries_are_where_the_cpu_reads_them() {
    struct Pages([Page; 2]);
    impl Memory for Pages {
        fn page(&self, address: PhysicalAddress) -> Option<&Page> {
            self.0.get((address.0 / 4096).checked_sub(5)? as usize)
        }
    }
    let memory = Pages([Page::new(), Page::new()]);
    let mut list = MsrList::empty(Physical::unplaced(&memory.0[..]), MsrListUse::LOAD, 512);
    for value in 0..300 {
        list.push(MsrEntry::new(MsrIndex(0x1000 + value as u32), value), &FULL).unwrap();
    }
    let at = PhysicalAddress(0x5000);
    for position in 0..300 {
        assert_eq!(MsrEntry::read(&memory, at, position), list.get(position));
    }
    assert!(MsrEntry::read(&memory, at, 512).is_none());
    assert!(MsrEntry::read(&memory, at, usize::MAX).is_none());
    assert!(MsrEntry::read(&memory, PhysicalAddress(0x5008), 0).is_none());
    assert!(MsrEntry::read(&memory, PhysicalAddress(u64::MAX - 15), 1).is_none());
}

proptest! {
    /// A list behaves as a vector of its entries.
    #[test]
    fn a_list_is_a_vector(
        steps in proptest::collection::vec((0u8..4, 0usize..12, any::<u64>()), 0..60),
    ) {
        let pages = [Page::new()];
        let mut list = MsrList::empty(Physical::unplaced(&pages[..]), MsrListUse::all(), 8);
        let mut model: Vec<MsrEntry> = Vec::new();
        for (step, position, value) in steps {
            let entry = MsrEntry::new(MsrIndex(0x1000 + (value % 5) as u32), value);
            match step {
                0 => {
                    let answer = list.push(entry, &MINIMAL);
                    if model.len() < 8 {
                        prop_assert_eq!(answer, Ok(model.len()));
                        model.push(entry);
                    } else {
                        prop_assert_eq!(answer, Err(Refused::Full));
                    }
                }
                1 => {
                    let answer = list.set(position, entry, &MINIMAL);
                    prop_assert_eq!(answer.is_ok(), position < model.len());
                    if let Some(place) = model.get_mut(position) {
                        *place = entry;
                    }
                }
                2 => {
                    let answer = list.set_value(position, value);
                    prop_assert_eq!(answer.is_ok(), position < model.len());
                    if let Some(place) = model.get_mut(position) {
                        place.value = value;
                    }
                }
                _ => {
                    let removed = (position < model.len()).then(|| model.remove(position));
                    prop_assert_eq!(list.remove(position), removed);
                }
            }
            let found: Vec<MsrEntry> = list.iter().collect();
            prop_assert_eq!(&found, &model);
            prop_assert_eq!(list.count() as usize, model.len());
            prop_assert_eq!(list.find(entry.msr), model.iter().position(|it| it.msr == entry.msr));
        }
    }

    #[test]
    fn entries_keep_every_bit(words: [u64; 2]) {
        prop_assert_eq!(MsrEntry::from_words(words).into_words(), words);
    }

    /// Any entry has an answer, and a CPU with less takes no more.
    #[test]
    fn every_entry_is_judged(
        msr in prop_oneof![0u32..0x2000, 0xC000_0000u32..0xC000_0200, any::<u32>()],
        reserved in prop_oneof![Just(0u32), any::<u32>()],
        value: u64, flags: [bool; 4], xss: u64,
    ) {
        let entry = MsrEntry { msr: MsrIndex(msr), reserved, value };
        let [shadow_stacks, indirect_branch_tracking, paging, long_mode_enable] = flags;
        let context = MsrContext {
            linear_address_width: Bits48,
            shadow_stacks, indirect_branch_tracking, xss, paging, long_mode_enable,
        };
        let more = MsrContext {
            linear_address_width: Bits57,
            shadow_stacks: true, indirect_branch_tracking: true, xss: u64::MAX, ..context
        };
        if check_load_entry(&entry, &context).is_ok() {
            prop_assert_eq!(check_load_entry(&entry, &more), Ok(()));
        }
        if check_store_entry(&entry, &context).is_ok() {
            prop_assert_eq!(check_store_entry(&entry, &more), Ok(()));
        }
    }
}
