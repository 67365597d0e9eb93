//! The EPTP list: the EPT pointers among which a guest switches by itself, with
//! VMFUNC leaf 0. Source: SDM, "EPTP Switching", "VM-Function Controls".
//!
//! ```
//! use vmx_core::{Page, PhysicalAddress};
//! use vmx_core::ept::{EptPointer, EptpList};
//! use vmx_core::memory::PhysicalPage;
//! let page = Page::new();
//! let list = EptpList::empty(PhysicalPage::new(&page, PhysicalAddress(0x5000)));
//! let view = EptPointer::from_bits(0x9000_001E); // on a real CPU, an `Ept`'s pointer
//! list.set(3, Some(view))?;
//! assert_eq!((list.get(3), list.get(4)), (Some(view), None));
//! assert!(list.set(512, None).is_err());
//! assert_eq!(list.address(), PhysicalAddress(0x5000)); // for `field::EPTP_LIST_ADDRESS`
//! # Ok::<(), vmx_core::ept::BeyondList>(())
//! ```

use core::fmt;

use super::pointer::EptPointer;
use crate::memory::address::PhysicalAddress;
use crate::memory::page::PAGE_WORDS;
use crate::memory::physical::PhysicalPage;

/// A view of a page as an EPTP list of 512 EPT pointers.
///
/// VMFUNC with an entry that VM entry would refuse as EPT pointer exits; so does one
/// with an index above 511. A 0 is such an entry.
#[derive(Clone, Copy, Debug)]
pub struct EptpList<'m> {
    page: PhysicalPage<'m>,
}

impl<'m> EptpList<'m> {
    /// Entries in a list.
    pub const ENTRIES: usize = PAGE_WORDS;

    /// A list in `page`, which is overwritten: VMFUNC exits with every index.
    pub fn empty(page: PhysicalPage<'m>) -> Self {
        page.fill(0);
        Self { page }
    }

    /// The list that `page` holds already.
    pub const fn from_page(page: PhysicalPage<'m>) -> Self {
        Self { page }
    }

    /// The value of the field
    /// [`EPTP_LIST_ADDRESS`](crate::vmcs::field::EPTP_LIST_ADDRESS).
    pub const fn address(&self) -> PhysicalAddress {
        self.page.address()
    }

    /// The EPT pointer at `index`; `None` where there is none, so that VMFUNC exits.
    pub fn get(&self, index: usize) -> Option<EptPointer> {
        // Beyond the page a word reads as 0 too.
        Some(self.page.read(index)).filter(|raw| *raw != 0).map(EptPointer::from_bits)
    }

    /// Lets the guest switch to an EPT pointer, or to none: VMFUNC exits then. Where EPT
    /// pointers share tables, say so
    /// ([`Ept::sharing_tables`](super::Ept::sharing_tables)).
    ///
    /// # Errors
    /// [`BeyondList`].
    pub fn set(&self, index: usize, pointer: Option<EptPointer>) -> Result<(), BeyondList> {
        if index >= Self::ENTRIES {
            return Err(BeyondList { index });
        }
        self.page.write(index, pointer.map_or(0, EptPointer::bits));
        Ok(())
    }
}

/// The EPTP list has 512 entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeyondList {
    /// The index.
    pub index: usize,
}

impl fmt::Display for BeyondList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "index {} is beyond the 512 entries of an EPTP list", self.index)
    }
}

impl core::error::Error for BeyondList {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::page::Page;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn entries_are_words(index in prop_oneof![0usize..600, any::<usize>()], value: u64) {
            let page = Page::new();
            let list = EptpList::empty(PhysicalPage::unplaced(&page));
            let (inside, pointer) = (index < 512, EptPointer::from_bits(value));
            prop_assert_eq!(list.set(index, Some(pointer)).is_ok(), inside);
            prop_assert_eq!(list.get(index), (inside && value != 0).then_some(pointer));
            prop_assert_eq!(page.read(index), if inside { value } else { 0 });
            prop_assert_eq!(list.set(index, None).is_ok(), inside);
            prop_assert_eq!(list.get(index), None);
        }
    }
}
