//! Entries of the EPT paging structures.

use bitflags::bitflags;

use crate::ept::{EptError, EptRules, Level, MemoryType, Misconfiguration, PageSize};
use crate::memory::address::PhysicalAddress;

bitflags! {
    /// All bits of an entry but its address, its memory type and bit 7.
    ///
    /// An entry with none of [`READ`](Self::READ), [`WRITE`](Self::WRITE) and
    /// [`EXECUTE`](Self::EXECUTE) is not present. Source: SDM, "EPT Translation
    /// Mechanism", the tables of formats.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct EntryFlags: u64 {
        /// Data reads are allowed.
        const READ = 1 << 0;
        /// Data writes are allowed.
        const WRITE = 1 << 1;
        /// Instruction fetches are allowed; with mode-based execute control, those
        /// from supervisor-mode linear addresses.
        const EXECUTE = 1 << 2;
        /// The guest's PAT has no influence on the memory type. Pages only.
        const IGNORE_PAT = 1 << 6;
        /// The CPU has used the entry. Set by it where EPTP\[6\] is 1.
        const ACCESSED = 1 << 8;
        /// The guest has written to the page. Set by the CPU where EPTP\[6\] is 1.
        /// Pages only.
        const DIRTY = 1 << 9;
        /// Instruction fetches from user-mode linear addresses are allowed. Ignored
        /// without mode-based execute control, with it a present entry has one of
        /// bits 0, 1, 2 and this.
        const USER_EXECUTE = 1 << 10;
        /// The guest paging structures that lead to the page are verified. Pages
        /// only; needs "guest-paging verification".
        const VERIFY_GUEST_PAGING = 1 << 57;
        /// The CPU may write to the page when it sets accessed and dirty flags of
        /// guest paging, even if the guest may not. Pages only; needs "EPT
        /// paging-write control".
        const PAGING_WRITE = 1 << 58;
        /// Supervisor shadow-stack accesses to the page are allowed. Pages only;
        /// needs EPTP\[7\].
        const SUPERVISOR_SHADOW_STACK = 1 << 60;
        /// Writes are allowed per 128 bytes. 4-KiB pages only; needs "sub-page write
        /// permissions for EPT".
        const SUB_PAGE_WRITE = 1 << 61;
        /// An EPT violation here exits instead of raising #VE in the guest. Counts in
        /// an entry that is not present too; needs "EPT-violation #VE".
        const SUPPRESS_VE = 1 << 63;

        /// Every ordinary access.
        const ALL_ACCESS = Self::READ.bits() | Self::WRITE.bits() | Self::EXECUTE.bits();
        /// Bits that the CPU never looks at: 11, 56:52, 59 and 62. Yours.
        const IGNORED = 1 << 11 | 0b1_1111 << 52 | 1 << 59 | 1 << 62;
        /// Unknown bits are kept.
        const _ = !0;
    }
}

/// Bits 51:12, of an entry and of EPTP.
pub(super) const ADDRESS: u64 = 0x000F_FFFF_FFFF_F000;
/// Bits 5:3.
const MEMORY_TYPE: u64 = 0b111 << 3;
/// Bit 7 above the page table: the entry maps a page.
const MAPS_PAGE: u64 = 1 << 7;

impl EntryFlags {
    /// The flags of a present entry that decide who may access: bits 2:0, and 10
    /// where the CPU looks at it.
    pub const fn rights(rules: &EptRules) -> Self {
        if rules.mode_based_execute {
            Self::ALL_ACCESS.union(Self::USER_EXECUTE)
        } else {
            Self::ALL_ACCESS
        }
    }
}

/// An entry, taken apart.
///
/// ```
/// use vmx_core::ept::*;
/// use vmx_core::PhysicalAddress;
/// let rules = EptRules::new(EptVpidCapabilities::from_bits_retain(0x0671_4141), 46);
/// assert_eq!(Entry::decode(0, Level::Pml4, &rules), Ok(Entry::NotPresent));
///
/// let Ok(Entry::Page(page)) = Entry::decode(0x1234_5033, Level::PageTable, &rules) else {
///     panic!("a page");
/// };
/// assert_eq!(page.address, PhysicalAddress(0x1234_5000));
/// assert_eq!(page.memory_type, MemoryType::WriteBack);
/// assert_eq!(page.flags, EntryFlags::READ | EntryFlags::WRITE);
///
/// // Writable but not readable.
/// assert_eq!(
///     Entry::decode(0x1234_5032, Level::PageTable, &rules),
///     Err(Misconfiguration::WriteWithoutRead)
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Not present. The CPU looks at nothing but [`EntryFlags::SUPPRESS_VE`].
    NotPresent,
    /// References a table of the level below.
    Table(TableEntry),
    /// Maps a page.
    Page(PageEntry),
}

impl Entry {
    /// Takes the raw entry of a table of this level apart.
    ///
    /// # Errors
    /// The [`Misconfiguration`] with which a CPU that meets the entry exits
    /// (exit reason 49).
    pub fn decode(raw: u64, level: Level, rules: &EptRules) -> Result<Self, Misconfiguration> {
        if !rules.is_present(raw) {
            return Ok(Self::NotPresent);
        }
        if let Some(misconfiguration) = rules.misconfiguration(raw, level) {
            return Err(misconfiguration);
        }
        let address = PhysicalAddress(raw & ADDRESS);
        let size = level.page_size().filter(|_| maps_page(raw, level));
        Ok(match size {
            None => {
                let fields = ADDRESS | MEMORY_TYPE | MAPS_PAGE;
                let flags = EntryFlags::from_bits_retain(raw & !fields);
                Self::Table(TableEntry { address, flags })
            }
            Some(size) => Self::Page(PageEntry {
                address,
                size,
                memory_type: memory_type(raw)?,
                flags: EntryFlags::from_bits_retain(raw & !fields(size)),
            }),
        })
    }
}

/// An entry that references a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableEntry {
    /// Where the table is.
    pub address: PhysicalAddress,
    /// The other bits. The rights limit those of everything below.
    pub flags: EntryFlags,
}

impl TableEntry {
    /// The entry that references the table at `address` and limits nothing.
    ///
    /// # Errors
    /// [`EptError::Misaligned`], [`EptError::BeyondWidth`].
    pub fn encode(address: PhysicalAddress, rules: &EptRules) -> Result<u64, EptError> {
        check_address(address, PageSize::Size4KiB, rules)?;
        Ok(address.0 | EntryFlags::rights(rules).bits())
    }
}

/// An entry that maps a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageEntry {
    /// Where the page is in the host's physical memory.
    pub address: PhysicalAddress,
    /// Its size.
    pub size: PageSize,
    /// The memory type of the guest's accesses, to be combined with the guest's PAT
    /// unless [`EntryFlags::IGNORE_PAT`] is set.
    pub memory_type: MemoryType,
    /// Rights and all other bits.
    pub flags: EntryFlags,
}

impl PageEntry {
    /// The raw entry, for a table of the level `self.size.level()`.
    ///
    /// # Errors
    /// [`EptError::Misaligned`], [`EptError::BeyondWidth`]: the address.
    /// [`EptError::NotAFlag`]: `flags` has bits of another field.
    /// [`EptError::NoRights`]: the entry would not be present.
    /// [`EptError::Refused`]: it would be a misconfiguration.
    pub fn encode(&self, rules: &EptRules) -> Result<u64, EptError> {
        check_address(self.address, self.size, rules)?;
        let foreign = self.flags.bits() & fields(self.size);
        if foreign != 0 {
            return Err(EptError::NotAFlag(foreign));
        }
        let maps_page = if self.size == PageSize::Size4KiB { 0 } else { MAPS_PAGE };
        let raw = self.address.0 | self.flags.bits() | maps_page | self.memory_type.number() << 3;
        if !rules.is_present(raw) {
            return Err(EptError::NoRights);
        }
        match rules.misconfiguration(raw, self.size.level()) {
            None => Ok(raw),
            Some(misconfiguration) => Err(EptError::Refused(misconfiguration)),
        }
    }
}

/// Whether a raw, present entry maps a page. Bit 7 of a PML4E or PML5E is reserved
/// and never does; an EPT PTE always does, and ignores it.
pub(super) const fn maps_page(raw: u64, level: Level) -> bool {
    matches!(level, Level::PageTable) || level.page_size().is_some() && raw & MAPS_PAGE != 0
}

/// Bits 5:3 of an entry that maps a page.
pub(super) const fn memory_type(raw: u64) -> Result<MemoryType, Misconfiguration> {
    let number = (raw & MEMORY_TYPE) >> 3;
    match MemoryType::from_number(number) {
        Some(memory_type) => Ok(memory_type),
        None => Err(Misconfiguration::MemoryType(number as u8)),
    }
}

/// The raw entry that maps part `index` (below 512) of the large page that `raw`
/// maps, `child` being the size of the parts.
pub(super) const fn part(raw: u64, child: PageSize, index: u64) -> u64 {
    let offset = index << child.level().shift();
    match child {
        // Bit 61 means nothing in a large page and must not begin to.
        PageSize::Size4KiB => (raw | offset) & !(MAPS_PAGE | EntryFlags::SUB_PAGE_WRITE.bits()),
        _ => raw | offset,
    }
}

/// The bits of an entry for a page of this size that are no flags.
const fn fields(size: PageSize) -> u64 {
    match size {
        PageSize::Size4KiB => ADDRESS | MEMORY_TYPE,
        _ => ADDRESS | MEMORY_TYPE | MAPS_PAGE,
    }
}

/// Whether an entry can hold the address of something of this size.
fn check_address(
    address: PhysicalAddress,
    size: PageSize,
    rules: &EptRules,
) -> Result<(), EptError> {
    if size.offset(address.0) != 0 {
        Err(EptError::Misaligned { address: address.0, size })
    } else if !rules.fits_width(address.0) {
        Err(EptError::BeyondWidth { address: address.0, bits: rules.width() })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ept::test_support::{any_level, any_rules};

    proptest! {
        /// Every raw entry is not present, misconfigured, or comes back from its
        /// parts bit by bit.
        #[test]
        fn nothing_is_lost(raw: u64, level in any_level(), rules in any_rules()) {
            match Entry::decode(raw, level, &rules) {
                Ok(Entry::NotPresent) => prop_assert!(!rules.is_present(raw)),
                Ok(Entry::Table(table)) => {
                    prop_assert_eq!(table.address.0 | table.flags.bits(), raw);
                }
                Ok(Entry::Page(page)) => {
                    prop_assert_eq!(page.size.level(), level);
                    prop_assert_eq!(page.encode(&rules), Ok(raw));
                }
                Err(found) => {
                    prop_assert_eq!(rules.misconfiguration(raw, level), Some(found));
                }
            }
        }

        /// What is encoded, the CPU takes, and takes for what it was made of.
        #[test]
        fn what_is_encoded_is_well_formed(
            address in any::<u64>().prop_map(|value| PhysicalAddress(value >> 12 & !0xFFF)),
            flags: u64,
            number in 0u64..8,
            size in prop::sample::select(&PageSize::LARGEST_FIRST[..]),
            rules in any_rules(),
        ) {
            let Some(memory_type) = MemoryType::from_number(number) else { return Ok(()) };
            let flags = EntryFlags::from_bits_retain(flags & !fields(size));
            let page = PageEntry { address, size, memory_type, flags };
            if let Ok(raw) = page.encode(&rules) {
                prop_assert_eq!(Entry::decode(raw, size.level(), &rules), Ok(Entry::Page(page)));
            }
        }
    }

    #[test]
    fn bits_of_other_fields_are_no_flags() {
        let rules = EptRules::new(crate::ept::EptVpidCapabilities::from_bits_retain(!0), 52);
        let page = |flags, size| PageEntry {
            address: PhysicalAddress(0),
            size,
            memory_type: MemoryType::WriteBack,
            flags: EntryFlags::READ | EntryFlags::from_bits_retain(flags),
        };
        for (flags, size) in [
            (1 << 12, PageSize::Size4KiB),
            (1 << 51, PageSize::Size1GiB),
            (1 << 3, PageSize::Size4KiB),
            (1 << 7, PageSize::Size2MiB),
        ] {
            assert_eq!(page(flags, size).encode(&rules), Err(EptError::NotAFlag(flags)));
        }
        // An EPT PTE ignores bit 7.
        assert!(page(1 << 7, PageSize::Size4KiB).encode(&rules).is_ok());
    }
}
