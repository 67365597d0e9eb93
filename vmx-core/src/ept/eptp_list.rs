//! The EPTP list: the EPT pointers among which a guest switches by itself, with
//! VMFUNC leaf 0. Source: SDM, "EPTP Switching", "VM-Function Controls".
//!
//! ```
//! use vmx_core::Page;
//! use vmx_core::ept::EptpList;
//! let page = Page::new();
//! let list = EptpList::empty(&page);
//! assert!(list.set(3, 0x5000_001E).is_ok());
//! assert_eq!(list.get(3), Some(0x5000_001E));
//! assert!(list.set(512, 0).is_err());
//! ```

use core::fmt;

use crate::memory::page::{PAGE_WORDS, Page};

/// A view of a page as an EPTP list of 512 EPT pointers.
///
/// VMFUNC with an entry that VM entry would refuse as EPT pointer exits; so does one
/// with an index above 511. A 0 is such an entry.
#[derive(Clone, Copy, Debug)]
pub struct EptpList<'m> {
    page: &'m Page,
}

impl<'m> EptpList<'m> {
    /// Entries in a list.
    pub const ENTRIES: usize = PAGE_WORDS;

    /// A list in `page`, which is overwritten: VMFUNC exits with every index.
    pub fn empty(page: &'m Page) -> Self {
        page.fill(0);
        Self { page }
    }

    /// The list that `page` holds already.
    pub const fn from_page(page: &'m Page) -> Self {
        Self { page }
    }

    /// The EPT pointer at `index`, 0 if the guest may not switch there; `None`
    /// beyond the list.
    pub fn get(&self, index: usize) -> Option<u64> {
        (index < Self::ENTRIES).then(|| self.page.read(index))
    }

    /// Lets the guest switch to an EPT pointer, in the format of the VMCS field; 0
    /// forbids it.
    ///
    /// # Errors
    /// [`BeyondList`].
    pub fn set(&self, index: usize, ept_pointer: u64) -> Result<(), BeyondList> {
        if index >= Self::ENTRIES {
            return Err(BeyondList { index });
        }
        self.page.write(index, ept_pointer);
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
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn entries_are_words(index in prop_oneof![0usize..600, any::<usize>()], value: u64) {
            let page = Page::new();
            let list = EptpList::empty(&page);
            let inside = index < 512;
            prop_assert_eq!(list.set(index, value).is_ok(), inside);
            prop_assert_eq!(list.get(index), inside.then_some(value));
            prop_assert_eq!(page.read(index), if inside { value } else { 0 });
        }
    }
}
