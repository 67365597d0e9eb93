//! The I/O bitmaps: which I/O instructions of the guest exit.
//!
//! Source: SDM, "I/O-Bitmap Addresses", and "Instructions That Cause VM Exits
//! Conditionally", IN, INS, OUT and OUTS.
//!
//! ```
//! use vmx_core::{Page, PhysicalAddress};
//! use vmx_core::intercept::{IoBitmaps, IoSize};
//! use vmx_core::memory::PhysicalPage;
//! let (a, b) = (Page::new(), Page::new());
//! let bitmaps = IoBitmaps::all_exit(
//!     PhysicalPage::new(&a, PhysicalAddress(0x5000)),
//!     PhysicalPage::new(&b, PhysicalAddress(0x9000)),
//! );
//! assert_eq!(bitmaps.address_b(), PhysicalAddress(0x9000)); // for `field::IO_BITMAP_B`
//! bitmaps.set_exits(0x3F8..=0x3FF, false); // the first serial port is the guest's
//! assert!(!bitmaps.exits(0x3FC, IoSize::Bytes4));
//! assert!(bitmaps.exits(0x3FD, IoSize::Bytes4)); // reaches port 400h
//! ```

use core::ops::RangeInclusive;

use crate::intercept::page_bits;
use crate::memory::address::PhysicalAddress;
use crate::memory::page::{PAGE_WORDS, Page};
use crate::memory::physical::PhysicalPage;

/// Ports in each of the two bitmaps.
const PORTS: u32 = 0x8000;

/// How many bytes an I/O instruction moves at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IoSize {
    /// One.
    Bytes1 = 1,
    /// Two.
    Bytes2 = 2,
    /// Four.
    Bytes4 = 4,
}

impl IoSize {
    /// Every size.
    pub const ALL: [Self; 3] = [Self::Bytes1, Self::Bytes2, Self::Bytes4];

    /// The size in bytes.
    pub const fn bytes(self) -> u16 {
        self as u16
    }

    /// The size of so many bytes; `None` if no I/O instruction moves as many.
    pub const fn from_bytes(bytes: u64) -> Option<Self> {
        match bytes {
            1 => Some(Self::Bytes1),
            2 => Some(Self::Bytes2),
            4 => Some(Self::Bytes4),
            _ => None,
        }
    }
}

/// A view of two pages as I/O bitmaps A, for ports 0 to 7FFFh, and B, for ports
/// 8000h to FFFFh. A 1 bit means that an access to the port exits. The two may be one
/// page: then ports that are 8000h apart share a bit.
///
/// Words are atomic, so several vCPUs may share the bitmaps; but then what one of
/// them lets through, all do.
#[derive(Clone, Copy, Debug)]
pub struct IoBitmaps<'m> {
    a: PhysicalPage<'m>,
    b: PhysicalPage<'m>,
}

impl<'m> IoBitmaps<'m> {
    /// Bitmaps in the pages, which are overwritten: every access exits.
    pub fn all_exit(a: PhysicalPage<'m>, b: PhysicalPage<'m>) -> Self {
        a.fill(u64::MAX);
        b.fill(u64::MAX);
        Self { a, b }
    }

    /// Bitmaps in the pages, which are overwritten: only accesses that wrap
    /// around exit.
    pub fn none_exits(a: PhysicalPage<'m>, b: PhysicalPage<'m>) -> Self {
        a.fill(0);
        b.fill(0);
        Self { a, b }
    }

    /// The bitmaps that the pages hold already.
    pub const fn from_pages(a: PhysicalPage<'m>, b: PhysicalPage<'m>) -> Self {
        Self { a, b }
    }

    /// Bitmaps in the pages, which are overwritten: an access exits if it exits by
    /// `first` or by `second`. What changes meanwhile may be missed.
    pub fn exits_by_either(
        a: PhysicalPage<'m>,
        b: PhysicalPage<'m>,
        first: &IoBitmaps<'_>,
        second: &IoBitmaps<'_>,
    ) -> Self {
        page_bits::write_or(&a, &first.a, &second.a);
        page_bits::write_or(&b, &first.b, &second.b);
        Self { a, b }
    }

    /// The value of the field [`IO_BITMAP_A`](crate::vmcs::field::IO_BITMAP_A).
    pub const fn address_a(&self) -> PhysicalAddress {
        self.a.address()
    }

    /// The value of the field [`IO_BITMAP_B`](crate::vmcs::field::IO_BITMAP_B).
    pub const fn address_b(&self) -> PhysicalAddress {
        self.b.address()
    }

    /// Whether an access of this size at this port exits: it does if any of its
    /// ports has its bit, and always if it wraps around from FFFFh to 0.
    #[inline]
    pub fn exits(&self, port: u16, size: IoSize) -> bool {
        match port.checked_add(size.bytes() - 1) {
            Some(last) => (port..=last).any(|port| self.port_exits(port)),
            None => true,
        }
    }

    /// Whether the port has its bit.
    #[inline]
    pub fn port_exits(&self, port: u16) -> bool {
        let (page, bit) = self.place(port);
        page.read(bit / 64) & (1 << (bit % 64)) != 0
    }

    /// Makes accesses to any of the ports exit, or pass through to the machine.
    /// A range that ends before it starts is empty.
    pub fn set_exits(&self, ports: RangeInclusive<u16>, exits: bool) {
        let (first, last) = (*ports.start(), *ports.end());
        if first > last {
            return;
        }
        let ((first_page, first_bit), (last_page, last_bit)) =
            (self.place(first), self.place(last));
        // The halves are compared, not the pages: both may be in one page.
        if is_in_b(first) == is_in_b(last) {
            page_bits::set_range(first_page, first_bit, last_bit, exits);
        } else {
            page_bits::set_range(first_page, first_bit, PORTS as usize - 1, exits);
            page_bits::set_range(last_page, 0, last_bit, exits);
        }
    }

    /// The ports that have no bit, in ascending order.
    pub fn passing(&self) -> impl Iterator<Item = u16> + 'm {
        let a = page_bits::zeros(self.a.contents(), 0, PAGE_WORDS).map(|bit| bit as u16);
        let b = page_bits::zeros(self.b.contents(), 0, PAGE_WORDS)
            .map(|bit| (bit + PORTS as usize) as u16);
        a.chain(b)
    }

    /// The page of a port's bit, and the bit's position in it.
    const fn place(&self, port: u16) -> (&'m Page, usize) {
        let page = if is_in_b(port) { self.b } else { self.a };
        (page.contents(), (port as u32 % PORTS) as usize)
    }
}

/// Whether the port's bit is in bitmap B.
const fn is_in_b(port: u16) -> bool {
    port as u32 >= PORTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Miri is slow, and looks at one port in 1009.
    const STEP: usize = if cfg!(miri) { 1009 } else { 1 };
    /// And at so many of the ports that pass.
    const PASSING: usize = if cfg!(miri) { 100 } else { usize::MAX };

    fn any_port() -> impl Strategy<Value = u16> {
        prop_oneof![any::<u16>(), 0x7FF0u16..0x8010, 0xFFF0u16..=0xFFFF, 0u16..8]
    }

    #[test]
    fn each_port_has_its_bit_where_the_manual_has_it() {
        let (a, b) = (Page::new(), Page::new());
        let bitmaps = IoBitmaps::from_pages(PhysicalPage::unplaced(&a), PhysicalPage::unplaced(&b));
        for port in (0..=u16::MAX).step_by(STEP) {
            bitmaps.set_exits(port..=port, true);
            let page = if port < 0x8000 { &a } else { &b };
            let bit = usize::from(port & 0x7FFF);
            assert_eq!(page.read(bit / 64), 1 << (bit % 64), "{port:x}");
            bitmaps.set_exits(port..=port, false);
        }
        assert!(bitmaps.passing().take(PASSING).eq((0..=u16::MAX).take(PASSING)));
    }

    proptest! {
        #[test]
        fn a_range_is_its_ports(first in any_port(), last in any_port(), exits: bool) {
            let (a, b) = (Page::new(), Page::new());
            let bitmaps = if exits {
                IoBitmaps::none_exits(PhysicalPage::unplaced(&a), PhysicalPage::unplaced(&b))
            } else {
                IoBitmaps::all_exit(PhysicalPage::unplaced(&a), PhysicalPage::unplaced(&b))
            };
            bitmaps.set_exits(first..=last, exits);
            for port in (0..=u16::MAX).step_by(STEP) {
                prop_assert_eq!(bitmaps.port_exits(port) == exits, (first..=last).contains(&port));
            }
            let expected = (0..=u16::MAX).filter(|port| (first..=last).contains(port) != exits);
            prop_assert!(bitmaps.passing().take(PASSING).eq(expected.take(PASSING)));
        }

        /// With both bitmaps in one page, no port of a range is forgotten.
        #[test]
        fn a_range_in_one_page_is_its_ports(first in any_port(), last in any_port()) {
            let page = Page::new();
            let bitmaps = IoBitmaps::none_exits(PhysicalPage::unplaced(&page), PhysicalPage::unplaced(&page));
            bitmaps.set_exits(first..=last, true);
            for port in (0..=u16::MAX).step_by(STEP) {
                let ports = [port, port ^ 0x8000];
                let expected = ports.iter().any(|port| (first..=last).contains(port));
                prop_assert_eq!(bitmaps.port_exits(port), expected, "{:x}", port);
            }
        }

        /// An access exits if one of its ports does, or if it wraps around.
        #[test]
        fn an_access_is_its_ports(marked in any_port(), port in any_port()) {
            let (a, b) = (Page::new(), Page::new());
            let bitmaps = IoBitmaps::none_exits(PhysicalPage::unplaced(&a), PhysicalPage::unplaced(&b));
            bitmaps.set_exits(marked..=marked, true);
            for size in IoSize::ALL {
                let end = u32::from(port) + u32::from(size.bytes());
                let touches = (u32::from(port)..end).contains(&u32::from(marked));
                prop_assert_eq!(bitmaps.exits(port, size), touches || end > 0x10000);
            }
        }

        #[test]
        fn either_makes_a_port_exit(x in any_port(), y in any_port(), query in any_port()) {
            let pages: [Page; 6] = core::array::from_fn(|_| Page::new());
            let first = IoBitmaps::none_exits(PhysicalPage::unplaced(&pages[0]), PhysicalPage::unplaced(&pages[1]));
            let second = IoBitmaps::none_exits(PhysicalPage::unplaced(&pages[2]), PhysicalPage::unplaced(&pages[3]));
            first.set_exits(x..=x, true);
            second.set_exits(y..=y, true);
            let either = IoBitmaps::exits_by_either(PhysicalPage::unplaced(&pages[4]), PhysicalPage::unplaced(&pages[5]), &first, &second);
            for port in [x, y, query] {
                prop_assert_eq!(either.port_exits(port), port == x || port == y);
            }
        }
    }
}
