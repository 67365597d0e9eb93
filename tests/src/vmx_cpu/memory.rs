//! Physical memory, with owners of its pages, and what CPUs use of it.

use core::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use vmx_core::memory::{Memory, PAGE_SIZE, PageOwner};
use vmx_core::{Page, PhysicalAddress};

/// Where memory begins.
const BASE: u64 = 0x10_0000;

/// What a CPU uses a page for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Use {
    /// The VMXON region of this CPU.
    VmxonRegion(u32),
    /// The region of a VMCS that is active on this CPU.
    ActiveVmcs(u32),
    /// The region of a VMCS that was active at VMXOFF: this CPU may still write to it.
    Abandoned(u32),
}

/// What is known of one page.
#[derive(Clone, Copy, Debug, Default)]
struct Frame {
    /// Software owns it: it was allocated, and its owner was not dropped.
    is_owned: bool,
    used: Option<Use>,
}

/// Physical memory of a number of pages, which CPUs and software share.
pub struct PhysicalMemory {
    pages: Box<[Page]>,
    frames: Mutex<Frames>,
}

struct Frames {
    frames: Vec<Frame>,
    /// Pages without an owner, the last one first: addresses come back soon.
    free: Vec<usize>,
}

impl PhysicalMemory {
    /// Memory of so many pages, filled with garbage.
    pub fn new(pages: usize) -> Self {
        let frames =
            Frames { frames: vec![Frame::default(); pages], free: (0..pages).rev().collect() };
        let pages: Box<[Page]> = (0..pages).map(|_| Page::new()).collect();
        for page in &pages {
            page.fill(0xA5A5_A5A5_A5A5_A5A5);
        }
        Self { pages, frames: Mutex::new(frames) }
    }

    /// A page with its owner; `None` when all have one.
    pub fn allocate(&self) -> Option<OwnedPage<'_>> {
        let mut frames = self.lock();
        let number = frames.free.pop()?;
        frames.frames[number].is_owned = true;
        Some(OwnedPage { memory: self, number })
    }

    /// How many pages have no owner.
    pub fn free(&self) -> usize {
        self.lock().free.len()
    }

    /// What a CPU uses the page at `address` for.
    pub fn used(&self, address: PhysicalAddress) -> Option<Use> {
        let number = self.number(address)?;
        self.lock().frames[number].used
    }

    /// The page at `address` for a CPU that begins to use it.
    pub(super) fn begin_use(&self, address: PhysicalAddress, begins: Use) -> &Page {
        let page = self.cpu_page(address, begins);
        if let Some(number) = self.number(address) {
            let frame = &mut self.lock().frames[number];
            if let Some(used) = frame.used {
                panic!("{begins:?} at {address:?}, which is {used:?}");
            }
            frame.used = Some(begins);
        }
        page
    }

    /// The page at `address`, which software must own, for a CPU.
    pub(super) fn cpu_page(&self, address: PhysicalAddress, by: Use) -> &Page {
        let Some(number) = self.number(address) else {
            panic!("{by:?} at {address:?}, where there is no memory");
        };
        assert!(
            self.lock().frames[number].is_owned,
            "{by:?} at {address:?}: the page was given back, and may be anybody's"
        );
        &self.pages[number]
    }

    /// A CPU does not use the page at `address` any more, or for something else.
    pub(super) fn end_use(&self, address: PhysicalAddress, instead: Option<Use>) {
        if let Some(number) = self.number(address) {
            self.lock().frames[number].used = instead;
        }
    }

    fn number(&self, address: PhysicalAddress) -> Option<usize> {
        let number = usize::try_from(address.0.checked_sub(BASE)? / PAGE_SIZE as u64).ok()?;
        (number < self.pages.len()).then_some(number)
    }

    fn lock(&self) -> MutexGuard<'_, Frames> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory for PhysicalMemory {
    fn page(&self, address: PhysicalAddress) -> Option<&Page> {
        self.pages.get(self.number(address)?)
    }
}

impl fmt::Debug for PhysicalMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.lock().frames.iter()).finish()
    }
}

/// The owner of a page of [`PhysicalMemory`]; dropped, the page is free.
///
/// Using or dropping it while a CPU uses the page is what a lifecycle must not do, and
/// panics. Forgotten, the page is leaked.
pub struct OwnedPage<'m> {
    memory: &'m PhysicalMemory,
    number: usize,
}

impl OwnedPage<'_> {
    /// Panics while a CPU uses the page.
    fn assert_unused(&self, does: &str) {
        // A second panic would end the process before the first one is read.
        if !std::thread::panicking() {
            let used = self.memory.lock().frames[self.number].used;
            assert!(used.is_none(), "software {does} {self:?}, which is {used:?}");
        }
    }
}

// SAFETY: (1, 2, 3) The number fixes page and address, and is handed out again only when
// the owner was dropped. (4) Forgotten, the number is never handed out again; the borrow
// may end, but the CPUs are values that reach the pages through the same borrow.
unsafe impl PageOwner for OwnedPage<'_> {
    fn page(&self) -> &Page {
        self.assert_unused("touches");
        &self.memory.pages[self.number]
    }

    fn address(&self) -> PhysicalAddress {
        PhysicalAddress(BASE + (self.number * PAGE_SIZE) as u64)
    }
}

impl Drop for OwnedPage<'_> {
    fn drop(&mut self) {
        self.assert_unused("frees");
        let mut frames = self.memory.lock();
        frames.frames[self.number].is_owned = false;
        frames.free.push(self.number);
    }
}

impl fmt::Debug for OwnedPage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnedPage({:#x})", self.address().0)
    }
}
