//! The MSR bitmap: which RDMSR and WRMSR of the guest exit.

use core::fmt;

use crate::frame::Page;
use crate::msr::MsrIndex;

/// RDMSR or WRMSR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MsrAccess {
    /// RDMSR.
    Read,
    /// WRMSR.
    Write,
}

/// A view of a page as an MSR bitmap. A 1 bit means that the access exits.
///
/// Four parts of 1 KiB (SDM, "MSR-Bitmap Address"): reads of MSRs 0 to 1FFFh at
/// byte 0, reads of C0000000h to C0001FFFh at 400h, writes of the same at 800h
/// and C00h. An MSR outside both ranges always exits and has no bit.
///
/// Words are atomic, so several vCPUs may share a bitmap; but then what one of
/// them lets through, all do.
///
/// ```
/// use vmx_core::{MsrAccess, MsrBitmap, MsrIndex, Page};
/// let page = Page::new();
/// let bitmap = MsrBitmap::all_exit(&page);
/// bitmap.set_exits(MsrIndex::IA32_PL0_SSP, MsrAccess::Read, false)?;
/// assert!(!bitmap.exits(MsrIndex::IA32_PL0_SSP, MsrAccess::Read));
/// assert!(bitmap.exits(MsrIndex::IA32_PL0_SSP, MsrAccess::Write));
/// assert!(bitmap.set_exits(MsrIndex(0x4000_0000), MsrAccess::Read, false).is_err());
/// # Ok::<(), vmx_core::msr_bitmap::OutsideBitmap>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct MsrBitmap<'m> {
    page: &'m Page,
}

impl<'m> MsrBitmap<'m> {
    /// A bitmap in `page`, which is overwritten: every access exits.
    pub fn all_exit(page: &'m Page) -> Self {
        page.fill(u64::MAX);
        Self { page }
    }

    /// The bitmap that `page` holds already.
    pub const fn from_page(page: &'m Page) -> Self {
        Self { page }
    }

    /// Whether the access exits; always for an MSR outside both ranges.
    #[inline]
    pub fn exits(&self, msr: MsrIndex, access: MsrAccess) -> bool {
        match bit_position(msr, access) {
            Some(bit) => self.page.read(bit / 64) & (1 << (bit % 64)) != 0,
            None => true,
        }
    }

    /// Makes the access exit, or pass through to the CPU.
    ///
    /// # Errors
    /// [`OutsideBitmap`] if the MSR has no bit and shall pass through: the
    /// architecture has no way to let it.
    #[inline]
    pub fn set_exits(
        &self,
        msr: MsrIndex,
        access: MsrAccess,
        exits: bool,
    ) -> Result<(), OutsideBitmap> {
        match bit_position(msr, access) {
            Some(bit) if exits => self.page.set_bits(bit / 64, 1 << (bit % 64)),
            Some(bit) => self.page.clear_bits(bit / 64, 1 << (bit % 64)),
            None if exits => {}
            None => return Err(OutsideBitmap(msr)),
        }
        Ok(())
    }
}

/// The bit of an access within the page, or `None` outside both ranges.
const fn bit_position(msr: MsrIndex, access: MsrAccess) -> Option<usize> {
    const RANGE: u32 = 0x2000;
    const HIGH: u32 = 0xC000_0000;
    let part = match access {
        MsrAccess::Read => 0,
        MsrAccess::Write => 2,
    };
    if msr.0 < RANGE {
        Some(part * RANGE as usize + msr.0 as usize)
    } else if msr.0 >= HIGH && msr.0 - HIGH < RANGE {
        Some((part + 1) * RANGE as usize + (msr.0 - HIGH) as usize)
    } else {
        None
    }
}

/// The MSR is outside both ranges of the bitmap: access to it always exits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutsideBitmap(pub MsrIndex);

impl fmt::Display for OutsideBitmap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is outside both ranges of the MSR bitmap and always exits", self.0)
    }
}

impl core::error::Error for OutsideBitmap {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
            let bit = bit_position(MsrIndex(msr), access).unwrap();
            assert_eq!(bit / 8, byte, "{msr:x}");
        }
    }

    proptest! {
        /// No MSR is aliased to another's bit, and reads and writes are apart.
        #[test]
        fn only_the_named_access_changes(
            a in prop_oneof![0u32..0x4000, 0xBFFF_F000u32..0xC000_3000, any::<u32>()],
            b in prop_oneof![0u32..0x4000, 0xBFFF_F000u32..0xC000_3000, any::<u32>()],
        ) {
            let page = Page::new();
            let bitmap = MsrBitmap::all_exit(&page);
            let inside = bitmap.set_exits(MsrIndex(a), MsrAccess::Write, false).is_ok();
            prop_assert_eq!(inside, a < 0x2000 || (0xC000_0000..0xC000_2000).contains(&a));
            prop_assert_eq!(bitmap.exits(MsrIndex(a), MsrAccess::Write), !inside);
            prop_assert!(bitmap.exits(MsrIndex(a), MsrAccess::Read));
            prop_assert!(a == b || bitmap.exits(MsrIndex(b), MsrAccess::Write));
        }
    }
}
