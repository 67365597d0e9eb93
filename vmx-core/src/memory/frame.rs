//! Anything that points to a page, as its owner.

use core::fmt;
use core::ops::Deref;

use super::address::PhysicalAddress;
use super::owner::PageOwner;
use super::page::Page;

/// A pointer to a page with the physical address that somebody vouched for: the
/// [`PageOwner`] for boxes and borrows.
///
/// ```
/// use vmx_core::memory::PageOwner;
/// use vmx_core::{Frame, Page, PhysicalAddress};
///
/// let page = Box::new(Page::new());
/// let address = PhysicalAddress(&raw const *page as u64); // a kernel asks its page tables
/// // SAFETY: (1) memory is mapped to its own address here. (2) A box's page stays where
/// // it is and has no other user. (3) A forgotten box is leaked.
/// let frame = unsafe { Frame::new(page, address) };
/// assert_eq!(frame.address(), address);
/// let again: Box<Page> = frame.into_owner();
/// ```
pub struct Frame<P> {
    owner: P,
    address: PhysicalAddress,
}

impl<P: Deref<Target = Page>> Frame<P> {
    /// The page that `owner` points to, which is at the physical address `address`.
    ///
    /// # Safety
    ///
    /// 1. `address` is the physical address of the page, a multiple of 4 KiB, in memory
    ///    that the CPU may cache as write-back.
    /// 2. `owner` points to the same page wherever it is moved to, and nobody reaches
    ///    the page but through `owner` as long as the `Frame` exists.
    /// 3. If the `Frame` is forgotten, the memory stays a page that nobody uses, for
    ///    ever. A box and a `'static` borrow are so by themselves. With a shorter borrow
    ///    the caller answers for it: [`core::mem::forget`] is safe and ends the borrow,
    ///    while the CPU still writes.
    pub const unsafe fn new(owner: P, address: PhysicalAddress) -> Self {
        Self { owner, address }
    }

    /// Takes the page back. A region in use has swallowed its owner, so the CPU does not
    /// know this one.
    pub fn into_owner(self) -> P {
        self.owner
    }
}

// SAFETY: the contract of `new` says the same of the pointer: (1, 3) by its second clause,
// (2) by the first, (4) by the third.
unsafe impl<P: Deref<Target = Page>> PageOwner for Frame<P> {
    fn page(&self) -> &Page {
        &self.owner
    }

    fn address(&self) -> PhysicalAddress {
        self.address
    }
}

impl<P> fmt::Debug for Frame<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({:#x})", self.address.0)
    }
}
