//! Selectors, the base of TR, and the descriptor tables.

use core::arch::asm;

use vmx_core::cpu::{SegmentState, Segments};
use x86::dtables::{DescriptorTablePointer, sgdt, sidt};
use x86::segmentation::{cs, ds, es, fs, gs, ss};
use x86::task;

use crate::{BareMetal, SwitchOptions};

impl<O: SwitchOptions> Segments for BareMetal<O> {
    fn segments(&mut self) -> SegmentState {
        let mut gdtr = DescriptorTablePointer::<u64>::default();
        let mut idtr = DescriptorTablePointer::<u64>::default();
        // SAFETY: ring 0 by the contract of `BareMetal::new`; the instruction
        // writes ten bytes, the size of the packed structure.
        unsafe { sgdt(&mut gdtr) };
        // SAFETY: as above.
        unsafe { sidt(&mut idtr) };
        // SAFETY: ring 0; reading the selector changes nothing.
        let tr = unsafe { task::tr() }.bits();
        let tr_base = descriptor_offset(tr, gdtr.limit).map_or(0, |offset| {
            // SAFETY: the descriptor lies within the limit of the GDT, which is
            // mapped by the contract of `BareMetal::new`.
            base_of(unsafe { read_descriptor(gdtr.base as u64 + offset) })
        });
        SegmentState {
            es: es().bits(),
            cs: cs().bits(),
            ss: ss().bits(),
            ds: ds().bits(),
            fs: fs().bits(),
            gs: gs().bits(),
            tr,
            tr_base,
            gdtr_base: gdtr.base as u64,
            idtr_base: idtr.base as u64,
        }
    }
}

/// Where in the GDT the 16-byte descriptor of `selector` is; `None` for the null
/// selector and for one outside the table (`limit` is its last byte).
fn descriptor_offset(selector: u16, limit: u16) -> Option<u64> {
    let offset = selector & !0b111;
    let last = u32::from(offset) + 15;
    (offset != 0 && last <= u32::from(limit)).then_some(offset.into())
}

/// The base in a 16-byte system descriptor (SDM, "TSS Descriptor in 64-bit mode").
const fn base_of([low, high]: [u64; 2]) -> u64 {
    (low >> 16 & 0x00FF_FFFF) | (low >> 56) << 24 | high << 32
}

/// Reads 16 bytes at a linear address.
///
/// In assembly because the CPU owns the table: it writes access bits into it, and
/// it may be any memory, of any alignment, that Rust knows nothing of.
///
/// # Safety
///
/// 1. The 16 bytes are mapped and readable in ring 0.
unsafe fn read_descriptor(address: u64) -> [u64; 2] {
    let (low, high);
    // SAFETY: the caller vouches for the bytes; loading them changes nothing.
    unsafe {
        asm!(
            "mov {low}, [{address}]",
            "mov {high}, [{address} + 8]",
            address = in(reg) address,
            // `low` is written before the last use of `address`: not a `lateout`.
            low = out(reg) low,
            high = lateout(reg) high,
            options(readonly, nostack, preserves_flags),
        );
    }
    [low, high]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_is_gathered_from_its_four_pieces() {
        // Base FFFF8123_456789ABh, limit 67h, busy 64-bit TSS (type Bh), present.
        let descriptor = [0x4500_8B67_89AB_0067, 0x0000_0000_FFFF_8123];
        assert_eq!(base_of(descriptor), 0xFFFF_8123_4567_89AB);
        assert_eq!(base_of([!0, !0]), !0);
        assert_eq!(base_of([0, 0]), 0);
    }

    #[test]
    fn a_descriptor_outside_the_table_is_not_read() {
        assert_eq!(descriptor_offset(0, 0xFFFF), None, "null selector");
        assert_eq!(descriptor_offset(0x28, 0x37), Some(0x28));
        assert_eq!(descriptor_offset(0x2B, 0x37), Some(0x28), "the RPL is no part of it");
        assert_eq!(descriptor_offset(0x28, 0x36), None, "its last byte is outside");
        assert_eq!(descriptor_offset(0xFFF8, 0xFFFF), None, "half of it is outside");
    }

    #[test]
    fn both_words_are_read_wherever_they_are() {
        let bytes: [u8; 17] = core::array::from_fn(|index| index as u8);
        // SAFETY: bytes 1 to 16 of a local array.
        let words = unsafe { read_descriptor(bytes.as_ptr() as u64 + 1) };
        assert_eq!(words, [0x0807_0605_0403_0201, 0x100F_0E0D_0C0B_0A09]);
    }
}
