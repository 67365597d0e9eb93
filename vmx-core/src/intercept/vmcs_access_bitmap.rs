//! The VMREAD and VMWRITE bitmaps: which fields a guest hypervisor reaches in its
//! shadow VMCS without an exit. Source: SDM, "VMCS Shadowing Bitmap Addresses".
//!
//! ```
//! use vmx_core::Page;
//! use vmx_core::intercept::VmcsAccessBitmap;
//! use vmx_core::vmcs::field;
//! use vmx_core::vmcs::field::Encoding;
//! let page = Page::new();
//! let vmread = VmcsAccessBitmap::all_exit(&page);
//! vmread.set_exits(field::GUEST_RIP.encoding(), false)?;
//! assert!(!vmread.exits(field::GUEST_RIP.encoding()));
//! assert!(vmread.set_exits(Encoding(0x8000), false).is_err());
//! # Ok::<(), vmx_core::intercept::OutsideVmcsAccessBitmap>(())
//! ```

use core::fmt;

use crate::intercept::page_bits;
use crate::memory::page::{PAGE_WORDS, Page};
use crate::vmcs::field::encoding::Encoding;

/// A view of a page as VMREAD or VMWRITE bitmap. A 1 bit means that the instruction
/// exits for the field with the bit's number; a 0 bit, that it accesses the VMCS
/// that the link pointer names. An encoding above 7FFFh has no bit and always exits.
#[derive(Clone, Copy, Debug)]
pub struct VmcsAccessBitmap<'m> {
    page: &'m Page,
}

impl<'m> VmcsAccessBitmap<'m> {
    /// A bitmap in `page`, which is overwritten: the instruction always exits.
    pub fn all_exit(page: &'m Page) -> Self {
        page.fill(u64::MAX);
        Self { page }
    }

    /// The bitmap that `page` holds already.
    pub const fn from_page(page: &'m Page) -> Self {
        Self { page }
    }

    /// Whether the instruction exits for a field.
    pub fn exits(&self, field: Encoding) -> bool {
        match bit_of(field) {
            Some(bit) => self.page.read(bit / 64) & (1 << (bit % 64)) != 0,
            None => true,
        }
    }

    /// Makes the instruction exit for a field, or go to the shadow VMCS.
    ///
    /// # Errors
    /// [`OutsideVmcsAccessBitmap`] if the encoding has no bit and shall not exit.
    pub fn set_exits(&self, field: Encoding, exits: bool) -> Result<(), OutsideVmcsAccessBitmap> {
        match bit_of(field) {
            Some(bit) if exits => self.page.set_bits(bit / 64, 1 << (bit % 64)),
            Some(bit) => self.page.clear_bits(bit / 64, 1 << (bit % 64)),
            None if exits => {}
            None => return Err(OutsideVmcsAccessBitmap(field)),
        }
        Ok(())
    }

    /// The encodings for which the instruction does not exit, in ascending order.
    pub fn passing(&self) -> impl Iterator<Item = Encoding> + 'm {
        page_bits::zeros(self.page, 0, PAGE_WORDS).map(|bit| Encoding(bit as u32))
    }
}

/// The bit of an encoding; `None` above 7FFFh.
const fn bit_of(field: Encoding) -> Option<usize> {
    if field.0 <= 0x7FFF { Some(field.0 as usize) } else { None }
}

/// The encoding is above 7FFFh: access to it always exits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutsideVmcsAccessBitmap(pub Encoding);

impl fmt::Display for OutsideVmcsAccessBitmap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} has no bit in a VMREAD or VMWRITE bitmap and always exits", self.0)
    }
}

impl core::error::Error for OutsideVmcsAccessBitmap {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn only_the_named_field_changes(
            a in prop_oneof![0u32..0x8010, any::<u32>()],
            b in prop_oneof![0u32..0x8010, any::<u32>()],
        ) {
            let page = Page::new();
            let bitmap = VmcsAccessBitmap::all_exit(&page);
            let inside = a < 0x8000;
            prop_assert_eq!(bitmap.set_exits(Encoding(a), false).is_ok(), inside);
            prop_assert_eq!(bitmap.exits(Encoding(a)), !inside);
            prop_assert!(a == b || bitmap.exits(Encoding(b)));
            let passing = inside.then_some(Encoding(a));
            prop_assert!(bitmap.passing().eq(passing));
            prop_assert!(bitmap.set_exits(Encoding(a), true).is_ok());
            prop_assert!(bitmap.exits(Encoding(a)));
        }
    }
}
