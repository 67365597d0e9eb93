//! An owner while the CPU has its page.

use core::mem::MaybeUninit;

use super::owner::PageOwner;

/// The owner of a page that the CPU may write to, from before the CPU is told the
/// address. Dropping this leaks the page: whoever knows that the CPU is done takes the
/// owner out.
///
/// Not the owner itself, because to move a box is to say that nobody else uses its
/// memory, and the compiler may act on that. A `MaybeUninit` says nothing.
#[derive(Debug)]
pub(crate) struct Held<P>(MaybeUninit<P>);

impl<P: PageOwner> Held<P> {
    /// Holds `owner`.
    pub(crate) const fn new(owner: P) -> Self {
        Self(MaybeUninit::new(owner))
    }

    /// The owner, while the CPU does not use the page.
    pub(crate) const fn owner(&self) -> &P {
        // SAFETY: `new` has initialised it.
        unsafe { self.0.assume_init_ref() }
    }

    /// The owner back, once the CPU does not know the page.
    pub(crate) fn into_owner(self) -> P {
        // SAFETY: `new` has initialised it, and it is gone with `self`.
        unsafe { self.0.assume_init() }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use core::cell::Cell;
    use std::boxed::Box;

    use super::*;
    use crate::memory::address::PhysicalAddress;
    use crate::memory::frame::Frame;
    use crate::memory::page::Page;

    /// An owner that tells when it is dropped.
    struct Counted<'a>(&'a Page, &'a Cell<u32>);

    // SAFETY: (1, 2) Both are fixed. (3, 4) No CPU uses the address.
    unsafe impl PageOwner for Counted<'_> {
        fn page(&self) -> &Page {
            self.0
        }
        fn address(&self) -> PhysicalAddress {
            PhysicalAddress(0x1000)
        }
    }

    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.1.set(self.1.get() + 1);
        }
    }

    #[test]
    fn dropping_leaks_and_taking_does_not() {
        let (page, drops) = (Page::new(), Cell::new(0));
        let _ = Held::new(Counted(&page, &drops));
        assert_eq!(drops.get(), 0, "leaked");
        drop(Held::new(Counted(&page, &drops)).into_owner());
        assert_eq!(drops.get(), 1, "given back");
    }

    /// The CPU keeps a pointer of its own to a page whose owner is moved about. With the
    /// owner itself in the place of [`Held`], Miri calls the write undefined behaviour.
    #[test]
    fn the_cpu_writes_while_the_owner_is_moved() {
        /// Moves the value as a function does that takes it.
        #[inline(never)]
        fn moved<P>(held: Held<P>) -> Held<P> {
            held
        }
        let page = Box::new(Page::new());
        let address = PhysicalAddress((&raw const *page).addr() as u64);
        // SAFETY: a box, whose address stands for the physical one.
        let held = Held::new(unsafe { Frame::new(page, address) });
        // The CPU is told where the page is, as late as that.
        let cpu: *const Page = held.owner().page();
        let held = moved(moved(held));
        // SAFETY: the page is alive as long as its owner is held.
        unsafe { (*cpu).write(0, 7) };
        assert_eq!(held.into_owner().into_owner().read(0), 7);
    }
}
