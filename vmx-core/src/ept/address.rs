//! Guest-physical addresses, levels of the tables and sizes of pages.

use core::fmt;

use crate::memory::page::PAGE_WORDS;
use crate::vmcs::field::value::FieldValue;

/// Bits 51:12: where the address is in an entry and in EPTP.
pub(super) const ADDRESS: u64 = 0x000F_FFFF_FFFF_F000;

/// A guest-physical address, in bytes: what the guest takes for a physical one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct GuestPhysicalAddress(pub u64);

impl fmt::Debug for GuestPhysicalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GuestPhysicalAddress({:#x})", self.0)
    }
}

impl FieldValue for GuestPhysicalAddress {
    fn from_field(raw: u64) -> Self {
        Self(raw)
    }
    fn into_field(self) -> u64 {
        self.0
    }
    fn describe(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// A level of the EPT paging structures. Source: SDM, "EPT Translation Mechanism".
///
/// ```
/// use vmx_core::ept::{GuestPhysicalAddress, Level};
/// let address = GuestPhysicalAddress(0x0000_1234_5678_9ABC);
/// assert_eq!(Level::PageTable.index(address), 0x189);
/// assert_eq!(Level::Pml4.below(), Some(Level::PageDirectoryPointerTable));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Level {
    /// EPT page table: its entries (PTEs) map 4-KiB pages.
    PageTable = 1,
    /// EPT page directory: its entries (PDEs) control 2 MiB each.
    PageDirectory = 2,
    /// EPT page-directory-pointer table: its entries (PDPTEs) control 1 GiB each.
    PageDirectoryPointerTable = 3,
    /// EPT PML4 table: the top with 4-level EPT; 512 GiB per entry.
    Pml4 = 4,
    /// EPT PML5 table: the top with 5-level EPT; 256 TiB per entry.
    Pml5 = 5,
}

impl Level {
    /// The bit of the guest-physical address at which this level's index begins.
    pub const fn shift(self) -> u32 {
        3 + 9 * self as u32
    }

    /// Which of a table's 512 entries the address selects at this level.
    pub const fn index(self, address: GuestPhysicalAddress) -> usize {
        (address.0 >> self.shift()) as usize % PAGE_WORDS
    }

    /// The level of the tables that this level's entries reference.
    pub const fn below(self) -> Option<Self> {
        match self {
            Self::PageTable => None,
            Self::PageDirectory => Some(Self::PageTable),
            Self::PageDirectoryPointerTable => Some(Self::PageDirectory),
            Self::Pml4 => Some(Self::PageDirectoryPointerTable),
            Self::Pml5 => Some(Self::Pml4),
        }
    }

    /// The size of the pages that this level's entries can map.
    pub const fn page_size(self) -> Option<PageSize> {
        match self {
            Self::PageTable => Some(PageSize::Size4KiB),
            Self::PageDirectory => Some(PageSize::Size2MiB),
            Self::PageDirectoryPointerTable => Some(PageSize::Size1GiB),
            Self::Pml4 | Self::Pml5 => None,
        }
    }
}

/// The size of a page that one entry maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PageSize {
    /// 4 KiB, by an EPT PTE.
    Size4KiB,
    /// 2 MiB, by an EPT PDE.
    Size2MiB,
    /// 1 GiB, by an EPT PDPTE.
    Size1GiB,
}

impl PageSize {
    /// All of them, the largest first.
    pub const LARGEST_FIRST: [Self; 3] = [Self::Size1GiB, Self::Size2MiB, Self::Size4KiB];

    /// The level whose entries map pages of this size.
    pub const fn level(self) -> Level {
        match self {
            Self::Size4KiB => Level::PageTable,
            Self::Size2MiB => Level::PageDirectory,
            Self::Size1GiB => Level::PageDirectoryPointerTable,
        }
    }

    /// Bytes in the page.
    pub const fn bytes(self) -> u64 {
        1 << self.level().shift()
    }

    /// The offset of an address within its page of this size, in bytes.
    pub const fn offset(self, address: u64) -> u64 {
        address % self.bytes()
    }
}

impl fmt::Display for PageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Size4KiB => "4 KiB",
            Self::Size2MiB => "2 MiB",
            Self::Size1GiB => "1 GiB",
        })
    }
}
