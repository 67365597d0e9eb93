//! The VMREAD and VMWRITE bitmaps: which fields a guest hypervisor reaches in its
//! shadow VMCS without an exit. Source: SDM, "VMCS Shadowing Bitmap Addresses".
//!
//! ```
//! use vmx_core::{Page, PhysicalAddress};
//! use vmx_core::intercept::VmcsAccessBitmap;
//! use vmx_core::memory::PhysicalPage;
//! use vmx_core::vmcs::field;
//! use vmx_core::vmcs::field::Encoding;
//! let page = Page::new();
//! let vmread = VmcsAccessBitmap::all_exit(PhysicalPage::new(&page, PhysicalAddress(0x5000)));
//! vmread.pass(field::GUEST_RIP.encoding())?;
//! assert!(!vmread.exits(field::GUEST_RIP.encoding()));
//! assert!(vmread.pass(Encoding(0x8000)).is_err()); // always exits
//! assert_eq!(vmread.address(), PhysicalAddress(0x5000)); // for `field::VMREAD_BITMAP_ADDRESS`
//! # Ok::<(), vmx_core::intercept::OutsideVmcsAccessBitmap>(())
//! ```

use core::fmt;

use crate::intercept::page_bits;
use crate::memory::address::PhysicalAddress;
use crate::memory::page::PAGE_WORDS;
use crate::memory::physical::PhysicalPage;
use crate::vmcs::field::encoding::Encoding;

/// A view of a page as VMREAD or VMWRITE bitmap. A 1 bit means that the instruction
/// exits for the field with the bit's number; a 0 bit, that it accesses the VMCS
/// that the link pointer names. An encoding above 7FFFh has no bit and always exits.
#[derive(Clone, Copy, Debug)]
pub struct VmcsAccessBitmap<'m> {
    page: PhysicalPage<'m>,
}

impl<'m> VmcsAccessBitmap<'m> {
    /// A bitmap in `page`, which is overwritten: the instruction always exits.
    pub fn all_exit(page: PhysicalPage<'m>) -> Self {
        page.fill(u64::MAX);
        Self { page }
    }

    /// The bitmap that `page` holds already.
    pub const fn from_page(page: PhysicalPage<'m>) -> Self {
        Self { page }
    }

    /// The value of the field
    /// [`VMREAD_BITMAP_ADDRESS`](crate::vmcs::field::VMREAD_BITMAP_ADDRESS) or
    /// [`VMWRITE_BITMAP_ADDRESS`](crate::vmcs::field::VMWRITE_BITMAP_ADDRESS).
    pub const fn address(&self) -> PhysicalAddress {
        self.page.address()
    }

    /// Whether the instruction exits for a field.
    pub fn exits(&self, field: Encoding) -> bool {
        match bit_of(field) {
            Some(bit) => self.page.read(bit / 64) & (1 << (bit % 64)) != 0,
            None => true,
        }
    }

    /// Makes the instruction exit for a field. For one without a bit it always does.
    pub fn intercept(&self, field: Encoding) {
        if let Some(bit) = bit_of(field) {
            self.page.set_bits(bit / 64, 1 << (bit % 64));
        }
    }

    /// Lets the instruction go to the shadow VMCS for a field.
    ///
    /// # Errors
    /// [`OutsideVmcsAccessBitmap`] if the encoding has no bit: it always exits.
    pub fn pass(&self, field: Encoding) -> Result<(), OutsideVmcsAccessBitmap> {
        let bit = bit_of(field).ok_or(OutsideVmcsAccessBitmap(field))?;
        self.page.clear_bits(bit / 64, 1 << (bit % 64));
        Ok(())
    }

    /// The encodings for which the instruction does not exit, in ascending order.
    pub fn passing(&self) -> impl Iterator<Item = Encoding> + 'm {
        page_bits::zeros(self.page.contents(), 0, PAGE_WORDS).map(|bit| Encoding(bit as u32))
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
    use crate::memory::page::Page;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn only_the_named_field_changes(
            a in prop_oneof![0u32..0x8010, any::<u32>()],
            b in prop_oneof![0u32..0x8010, any::<u32>()],
        ) {
            let page = Page::new();
            let bitmap = VmcsAccessBitmap::all_exit(PhysicalPage::unplaced(&page));
            let inside = a < 0x8000;
            prop_assert_eq!(bitmap.pass(Encoding(a)).is_ok(), inside);
            prop_assert_eq!(bitmap.exits(Encoding(a)), !inside);
            prop_assert!(a == b || bitmap.exits(Encoding(b)));
            let passing = inside.then_some(Encoding(a));
            prop_assert!(bitmap.passing().eq(passing));
            bitmap.intercept(Encoding(a));
            prop_assert!(bitmap.exits(Encoding(a)));
        }
    }
}
