//! A page of relaxed atomics.

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bytes in a page: 4 KiB.
pub const PAGE_SIZE: usize = 4096;
/// 64-bit words in a page.
pub const PAGE_WORDS: usize = PAGE_SIZE / 8;

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
