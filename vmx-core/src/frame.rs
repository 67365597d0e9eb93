//! Pages that the CPU also touches.
//!
//! VMX regions, bitmaps and guest memory are read and written by the processor,
//! or by another vCPU of the same VM, at any time. Such a page is therefore a
//! page of relaxed atomics ([`Page`]), reached by physical address through
//! [`Memory`]. A page that has been given to VMX for good is a [`Frame`].
//!
//! ```
//! use vmx_core::{Page, PhysicalAddress};
//! let page = Page::new();
//! page.write(2, 0x1234);
//! assert_eq!(page.read(2), 0x1234);
//! assert_eq!(PhysicalAddress(0x5123).page_offset(), 0x123);
//! ```

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bytes in a page: 4 KiB.
pub const PAGE_SIZE: usize = 4096;
/// 64-bit words in a page.
pub const PAGE_WORDS: usize = PAGE_SIZE / 8;

/// A physical address, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct PhysicalAddress(pub u64);

impl PhysicalAddress {
    /// The offset within the 4-KiB page, in bytes.
    pub const fn page_offset(self) -> usize {
        (self.0 % PAGE_SIZE as u64) as usize
    }
}

impl fmt::Debug for PhysicalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PhysicalAddress({:#x})", self.0)
    }
}

/// A 4-KiB page of memory that the CPU may read or write at any time.
///
/// All access is by relaxed atomic words: nothing is promised about the order in
/// which another processor sees two words. Execute what the architecture asks
/// for (VM entry, INVEPT, a lock) where order matters.
#[repr(C, align(4096))]
pub struct Page([AtomicU64; PAGE_WORDS]);

static_assertions::const_assert_eq!(core::mem::size_of::<Page>(), PAGE_SIZE);
static_assertions::assert_impl_all!(Page: Sync, Send);

impl Page {
    /// A page of zeros.
    pub const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; PAGE_WORDS])
    }

    /// The word at `index` (not a byte offset); 0 beyond the page.
    #[inline]
    pub fn read(&self, index: usize) -> u64 {
        self.0.get(index).map_or(0, |word| word.load(Relaxed))
    }

    /// Writes the word at `index` (not a byte offset); nothing beyond the page.
    #[inline]
    pub fn write(&self, index: usize, value: u64) {
        if let Some(word) = self.0.get(index) {
            word.store(value, Relaxed);
        }
    }

    /// Sets the bits of `mask` in the word at `index`, as one atomic step.
    #[inline]
    pub fn set_bits(&self, index: usize, mask: u64) {
        if let Some(word) = self.0.get(index) {
            word.fetch_or(mask, Relaxed);
        }
    }

    /// Clears the bits of `mask` in the word at `index`, as one atomic step.
    #[inline]
    pub fn clear_bits(&self, index: usize, mask: u64) {
        if let Some(word) = self.0.get(index) {
            word.fetch_and(!mask, Relaxed);
        }
    }

    /// Writes `new` into the word at `index` if it holds `current`, as one atomic step.
    ///
    /// # Errors
    /// What the word holds instead (0 beyond the page); nothing is written.
    #[inline]
    pub fn compare_exchange(&self, index: usize, current: u64, new: u64) -> Result<(), u64> {
        let word = self.0.get(index).ok_or(0u64)?;
        word.compare_exchange(current, new, Relaxed, Relaxed).map(|_| ())
    }

    /// Writes the same word everywhere.
    pub fn fill(&self, value: u64) {
        for word in &self.0 {
            word.store(value, Relaxed);
        }
    }

    /// Copies `bytes` to the byte offset `offset`. Nobody else may write the
    /// words at the two ends meanwhile: their other bytes are read and written back.
    ///
    /// # Errors
    /// [`OutsidePage`], and nothing is written, if the bytes do not fit.
    pub fn write_bytes(&self, offset: usize, bytes: &[u8]) -> Result<(), OutsidePage> {
        if offset.checked_add(bytes.len()).is_none_or(|end| end > PAGE_SIZE) {
            return Err(OutsidePage);
        }
        for (position, byte) in (offset..).zip(bytes) {
            let shift = position % 8 * 8;
            let word = self.read(position / 8) & !(0xFF << shift);
            self.write(position / 8, word | u64::from(*byte) << shift);
        }
        Ok(())
    }
}

impl Default for Page {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Page(4 KiB)")
    }
}

/// Bytes that do not fit into the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutsidePage;

impl fmt::Display for OutsidePage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes reach beyond the end of the page")
    }
}

impl core::error::Error for OutsidePage {}

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

/// Memory reached by physical address.
///
/// Implement it for what your hypervisor maps: bare metal has an offset mapping,
/// a software CPU its own memory.
pub trait Memory {
    /// The page that contains `address`; `None` where there is no memory.
    fn page(&self, address: PhysicalAddress) -> Option<&Page>;

    /// The 64-bit word at `address`; `None` outside memory or across words.
    fn read_word(&self, address: PhysicalAddress) -> Option<u64> {
        let offset = address.page_offset();
        offset.is_multiple_of(8).then(|| self.page(address).map(|page| page.read(offset / 8)))?
    }
}

impl<M: Memory + ?Sized> Memory for &M {
    fn page(&self, address: PhysicalAddress) -> Option<&Page> {
        (**self).page(address)
    }
}

static_assertions::assert_obj_safe!(Memory);

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_land_where_they_should(offset in 0usize..4200, bytes: std::vec::Vec<u8>) {
            let page = Page::new();
            page.fill(u64::MAX);
            let fits = offset + bytes.len() <= PAGE_SIZE;
            prop_assert_eq!(page.write_bytes(offset, &bytes).is_ok(), fits);
            for position in 0..PAGE_SIZE {
                let found = (page.read(position / 8) >> (position % 8 * 8)) as u8;
                let expected = match position.checked_sub(offset).and_then(|at| bytes.get(at)) {
                    Some(byte) if fits => *byte,
                    _ => 0xFF,
                };
                prop_assert_eq!(found, expected);
            }
        }
    }
}
