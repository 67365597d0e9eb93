//! The MSR-load and MSR-store lists: MSRs that VM entry and VM exit move.
//!
//! Source: SDM, "VM-Exit Controls for MSRs", "VM-Entry Controls for MSRs", "Loading
//! MSRs" of VM entries and of VM exits, "Saving MSRs".
//!
//! An entry that may not stand in a list ends in an entry failure (reason 34), or,
//! in the lists of VM exit, in a VMX abort: the CPU shuts down. So [`MsrList::push`]
//! refuses it with the name of the rule.
//!
//! Not here: which MSRs exit ([`intercept`](crate::intercept)).
//!
//! ```
//! use vmx_core::msr_list::{MsrContext, MsrEntry, MsrList, MsrListUse, NotLoadable, Refused};
//! use vmx_core::{MsrIndex, Page, PhysicalAddress};
//! use vmx_core::memory::{LinearAddressWidth, Physical};
//!
//! let pages = [Page::new()];
//! let pages = Physical::new(&pages[..], PhysicalAddress(0x5000));
//! let mut list = MsrList::empty(pages, MsrListUse::LOAD | MsrListUse::STORE, 512);
//! let context = MsrContext {
//!     shadow_stacks: true,
//!     ..MsrContext::minimal(LinearAddressWidth::Bits48)
//! };
//! list.push(MsrEntry::new(MsrIndex::IA32_PL0_SSP, 0x8000), &context)?;
//! let misaligned = MsrEntry::new(MsrIndex::IA32_PL1_SSP, 0x8001);
//! let refused = Refused::Load(NotLoadable::Misaligned);
//! assert_eq!(list.push(misaligned, &context), Err(refused));
//! // For the list's two fields:
//! assert_eq!((list.address(), list.count()), (PhysicalAddress(0x5000), 1));
//! # Ok::<(), Refused>(())
//! ```

mod load;
mod store;

use core::fmt;

use bitflags::bitflags;

pub use load::{MsrContext, NotLoadable, check_load_entry};
pub use store::{NotStorable, check_store_entry};

use crate::memory::access::Memory;
use crate::memory::address::PhysicalAddress;
use crate::memory::page::{PAGE_WORDS, Page};
use crate::memory::physical::Physical;
use crate::msr::index::MsrIndex;

/// 64-bit words in an entry.
const ENTRY_WORDS: usize = 2;
/// Entries in a page: 256.
const ENTRIES_PER_PAGE: usize = PAGE_WORDS / ENTRY_WORDS;

/// An entry of a list, 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C, align(16))]
pub struct MsrEntry {
    /// Bits 31:0: the MSR.
    pub msr: MsrIndex,
    /// Bits 63:32: must be zero.
    pub reserved: u32,
    /// Bits 127:64: the value to load, or the place for the stored one.
    pub value: u64,
}

impl MsrEntry {
    /// An entry whose reserved bits are zero.
    pub const fn new(msr: MsrIndex, value: u64) -> Self {
        Self { msr, reserved: 0, value }
    }

    const fn from_words(words: [u64; 2]) -> Self {
        let [first, value] = words;
        Self { msr: MsrIndex(first as u32), reserved: (first >> 32) as u32, value }
    }

    const fn into_words(self) -> [u64; 2] {
        [(self.reserved as u64) << 32 | self.msr.0 as u64, self.value]
    }

    /// The entry at `position`, counted from 0, of the list at `list`, as the CPU
    /// reads it; `None` outside memory or if the list is not 16-byte aligned.
    pub fn read<M: Memory + ?Sized>(
        memory: &M,
        list: PhysicalAddress,
        position: usize,
    ) -> Option<Self> {
        if !list.0.is_multiple_of(16) {
            return None;
        }
        let offset = u64::try_from(position).ok()?.checked_mul(16)?;
        let address = list.0.checked_add(offset)?;
        let first = memory.read_word(PhysicalAddress(address))?;
        Some(Self::from_words([first, memory.read_word(PhysicalAddress(address | 8))?]))
    }
}

bitflags! {
    /// What a list is used for. One list may be both: what VM exit stores, the next
    /// VM entry loads again.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct MsrListUse: u8 {
        /// VM entry or VM exit loads the MSRs.
        const LOAD = 1 << 0;
        /// VM exit stores the MSRs.
        const STORE = 1 << 1;
    }
}

/// A view of pages as a list of MSRs, processed in the order of the entries.
///
/// The pages follow each other in physical memory too: the CPU knows only the
/// address of the first. Put [`address`](Self::address) into the list's address field,
/// and [`count`](Self::count) into its count field after every change.
#[derive(Debug)]
pub struct MsrList<'m> {
    pages: Physical<'m, [Page]>,
    uses: MsrListUse,
    count: usize,
    capacity: usize,
}

impl<'m> MsrList<'m> {
    /// A list without entries in `pages`, for at most `limit` entries: 512 * (N + 1),
    /// N from IA32_VMX_MISC\[27:25\]. Beyond it the CPU's behaviour is undefined.
    /// A page has room for 256. Source: SDM, "Miscellaneous Data".
    pub const fn empty(pages: Physical<'m, [Page]>, uses: MsrListUse, limit: u32) -> Self {
        let room = pages.contents().len().saturating_mul(ENTRIES_PER_PAGE);
        let limit = limit as usize;
        Self { pages, uses, count: 0, capacity: if limit < room { limit } else { room } }
    }

    /// Where the list is: the value of its address field, such as
    /// [`VM_ENTRY_MSR_LOAD_ADDRESS`](crate::vmcs::field::VM_ENTRY_MSR_LOAD_ADDRESS).
    pub const fn address(&self) -> PhysicalAddress {
        self.pages.address()
    }

    /// How many entries there are: the value of the list's count field.
    pub const fn count(&self) -> u32 {
        // The capacity is no more than the limit, which is a u32.
        self.count as u32
    }

    /// How many entries there can be.
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Appends an entry and returns its position.
    ///
    /// # Errors
    /// [`Refused`], and nothing has changed.
    pub fn push(&mut self, entry: MsrEntry, context: &MsrContext) -> Result<usize, Refused> {
        self.judge(&entry, context)?;
        let position = self.count;
        if position >= self.capacity {
            return Err(Refused::Full);
        }
        self.write(position, entry);
        self.count = position + 1;
        Ok(position)
    }

    /// Replaces the entry at `position`.
    ///
    /// # Errors
    /// [`Refused`], and nothing has changed.
    pub fn set(
        &mut self,
        position: usize,
        entry: MsrEntry,
        context: &MsrContext,
    ) -> Result<(), Refused> {
        self.judge(&entry, context)?;
        if position >= self.count {
            return Err(Refused::NoSuchEntry);
        }
        self.write(position, entry);
        Ok(())
    }

    /// Gives the entry at `position` another value, which is not judged: the caller
    /// vouches for it. Made for every VM entry, with an [`Ssp`](crate::cet::Ssp) or with
    /// what another list stored.
    ///
    /// # Errors
    /// [`Refused::NoSuchEntry`].
    #[inline]
    pub fn set_value(&mut self, position: usize, value: u64) -> Result<(), Refused> {
        if position >= self.count {
            return Err(Refused::NoSuchEntry);
        }
        if let Some(page) = self.pages.get(position / ENTRIES_PER_PAGE) {
            page.write(position % ENTRIES_PER_PAGE * ENTRY_WORDS + 1, value);
        }
        Ok(())
    }

    /// The entry at `position`.
    #[inline]
    pub fn get(&self, position: usize) -> Option<MsrEntry> {
        if position >= self.count {
            return None;
        }
        let page = self.pages.get(position / ENTRIES_PER_PAGE)?;
        let word = position % ENTRIES_PER_PAGE * ENTRY_WORDS;
        Some(MsrEntry::from_words([page.read(word), page.read(word + 1)]))
    }

    /// The position of the first entry for an MSR.
    pub fn find(&self, msr: MsrIndex) -> Option<usize> {
        self.iter().position(|entry| entry.msr == msr)
    }

    /// Takes the entry at `position` out; the later ones move up, in order.
    pub fn remove(&mut self, position: usize) -> Option<MsrEntry> {
        let removed = self.get(position)?;
        for later in position + 1..self.count {
            if let Some(entry) = self.get(later) {
                self.write(later - 1, entry);
            }
        }
        self.count -= 1;
        Some(removed)
    }

    /// The entries, in order.
    pub fn iter(&self) -> impl Iterator<Item = MsrEntry> + '_ {
        (0..self.count).filter_map(|position| self.get(position))
    }

    fn judge(&self, entry: &MsrEntry, context: &MsrContext) -> Result<(), Refused> {
        if self.uses.contains(MsrListUse::LOAD) {
            check_load_entry(entry, context).map_err(Refused::Load)?;
        }
        if self.uses.contains(MsrListUse::STORE) {
            check_store_entry(entry, context).map_err(Refused::Store)?;
        }
        Ok(())
    }

    fn write(&self, position: usize, entry: MsrEntry) {
        if let Some(page) = self.pages.get(position / ENTRIES_PER_PAGE) {
            let word = position % ENTRIES_PER_PAGE * ENTRY_WORDS;
            let [first, value] = entry.into_words();
            page.write(word, first);
            page.write(word + 1, value);
        }
    }
}

/// Why a list does not take an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// It may not stand in a load list.
    Load(NotLoadable),
    /// It may not stand in a store list.
    Store(NotStorable),
    /// The list has as many entries as it can have.
    Full,
    /// There is no entry at the position.
    NoSuchEntry,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(cause) => write!(f, "not for an MSR-load list: {cause}"),
            Self::Store(cause) => write!(f, "not for an MSR-store list: {cause}"),
            Self::Full => f.write_str("the MSR list is full"),
            Self::NoSuchEntry => f.write_str("the MSR list has no entry at this position"),
        }
    }
}

impl core::error::Error for Refused {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Load(cause) => Some(cause),
            Self::Store(cause) => Some(cause),
            Self::Full | Self::NoSuchEntry => None,
        }
    }
}

#[cfg(test)]
mod tests;
