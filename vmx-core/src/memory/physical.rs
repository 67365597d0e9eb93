//! Something in memory, and where that is physically.

use core::fmt;
use core::ops::Deref;

use super::address::PhysicalAddress;
use super::page::Page;

/// Something that the CPU also reads, with its physical address, borrowed: a
/// [`Page`], a row of them (`[Page]`), or a structure smaller than a page.
///
/// The address is what somebody says: it is not acted on before VM entry, whose
/// contract covers what the VMCS points to.
///
/// ```
/// use vmx_core::{Page, PhysicalAddress};
/// use vmx_core::memory::{Physical, PhysicalPage};
/// let pages = [Page::new(), Page::new()];
/// let row = Physical::new(&pages[..], PhysicalAddress(0x5000));
/// let first = PhysicalPage::new(&row[0], row.address());
/// first.write(0, 1);
/// assert_eq!(pages[0].read(0), 1);
/// ```
pub struct Physical<'m, T: ?Sized> {
    it: &'m T,
    address: PhysicalAddress,
}

/// A page and where it is in physical memory.
pub type PhysicalPage<'m> = Physical<'m, Page>;

impl<'m, T: ?Sized> Physical<'m, T> {
    /// `it`, which begins at `address`.
    pub const fn new(it: &'m T, address: PhysicalAddress) -> Self {
        Self { it, address }
    }

    /// `it`, at an address that no CPU takes: for a test, and for what no VMCS is to
    /// point to. VM entry refuses the address.
    ///
    /// ```
    /// use vmx_core::{MsrBitmap, Page};
    /// use vmx_core::memory::PhysicalPage;
    /// let page = Page::new();
    /// let bitmap = MsrBitmap::all_exit(PhysicalPage::unplaced(&page));
    /// # assert!(bitmap.address().0 >> 52 != 0);
    /// ```
    pub const fn unplaced(it: &'m T) -> Self {
        Self { it, address: PhysicalAddress(!0xFFF) }
    }

    /// What is there, for as long as it is borrowed.
    pub const fn contents(self) -> &'m T {
        self.it
    }

    /// Its physical address, as the VMCS wants it.
    pub const fn address(self) -> PhysicalAddress {
        self.address
    }
}

impl<T: ?Sized> Deref for Physical<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.it
    }
}

// Derived, these would ask the same of `T`.
impl<T: ?Sized> Clone for Physical<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: ?Sized> Copy for Physical<'_, T> {}

impl<T: ?Sized> fmt::Debug for Physical<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Physical({:#x})", self.address.0)
    }
}
