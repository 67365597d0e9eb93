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

    use std::boxed::Box;
    use std::rc::Rc;

    use super::*;
    use crate::memory::address::PhysicalAddress;
    use crate::memory::frame::Frame;
    use crate::memory::page::Page;

    /// A box that tells when its page is freed.
    struct Counted(Box<Page>, #[allow(dead_code)] Rc<()>);

    impl core::ops::Deref for Counted {
        type Target = Page;
        fn deref(&self) -> &Page {
            &self.0
        }
    }

    fn frame(alive: &Rc<()>) -> Frame<Counted> {
        let page = Box::new(Page::new());
        let address = PhysicalAddress((&raw const *page).expose_provenance() as u64);
        // SAFETY: a box, whose address stands for the physical one.
        unsafe { Frame::new(Counted(page, Rc::clone(alive)), address) }
    }

    #[test]
    fn dropping_leaks_and_taking_does_not() {
        let alive = Rc::new(());
        let _ = Held::new(frame(&alive));
        assert_eq!(Rc::strong_count(&alive), 2, "leaked");
        drop(Held::new(frame(&alive)).into_owner());
        assert_eq!(Rc::strong_count(&alive), 2, "given back and freed");
    }

    /// The CPU keeps a pointer of its own to a page whose owner is moved about. With the
    /// box itself in the place of [`Held`], Miri calls the write undefined behaviour.
    #[test]
    fn the_cpu_writes_while_the_owner_is_moved() {
        /// Moves the value as a function does that takes it.
        #[inline(never)]
        fn moved<P>(held: Held<P>) -> Held<P> {
            held
        }
        let page = Box::new(Page::new());
        let cpu: *const Page = &raw const *page;
        // SAFETY: a box, whose address stands for the physical one.
        let owner = unsafe { Frame::new(page, PhysicalAddress(cpu.addr() as u64)) };
        let held = moved(moved(Held::new(owner)));
        // What the CPU does is as a pointer from before the moves would.
        // SAFETY: the page is alive as long as its owner is held.
        unsafe { (*cpu).write(0, 7) };
        assert_eq!(held.into_owner().into_owner().read(0), 7);
    }
}
