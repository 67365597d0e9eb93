//! A page that has been given to VMX.

use core::fmt;

use super::address::PhysicalAddress;
use super::page::Page;

/// A page given to VMX, with the physical address that somebody vouched for.
///
/// Whoever holds a `Frame` may hand it to the CPU as a VMXON region or a VMCS,
/// and the CPU then writes to it outside Rust's sight.
pub struct Frame<'m> {
    page: &'m Page,
    address: PhysicalAddress,
}

impl<'m> Frame<'m> {
    /// Gives `page` to VMX.
    ///
    /// # Safety
    ///
    /// 1. `address` is the physical address of `page`, and both are 4-KiB aligned.
    /// 2. No other `Frame` of this page exists, and nobody else reads or writes
    ///    the page while this one, or a region made from it, does.
    /// 3. The memory stays a page for VMX until the `Frame` is taken back
    ///    ([`into_page`](Self::into_page)). A `Frame`, or a region made from it,
    ///    that is dropped or forgotten is never given back: the CPU may still
    ///    write to it, even after `'m`.
    pub const unsafe fn new(page: &'m Page, address: PhysicalAddress) -> Self {
        Self { page, address }
    }

    /// The page, to read and write.
    pub const fn page(&self) -> &'m Page {
        self.page
    }

    /// The page's physical address.
    pub const fn address(&self) -> PhysicalAddress {
        self.address
    }

    /// Takes the page back from VMX. A region in use has swallowed its frame, so
    /// the CPU no longer knows this one.
    pub fn into_page(self) -> (&'m Page, PhysicalAddress) {
        (self.page, self.address)
    }
}

impl fmt::Debug for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({:#x})", self.address.0)
    }
}
