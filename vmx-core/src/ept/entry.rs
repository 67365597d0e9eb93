//! Entries of the EPT paging structures.

use super::address::{ADDRESS, Level, PageSize};
use super::entry_bits::{EntryFlags, MAPS_PAGE, MEMORY_TYPE, fields, maps_page, memory_type};
use super::error::EptError;
use super::memory_type::MemoryType;
use super::rules::{EptRules, Misconfiguration};
use crate::memory::address::PhysicalAddress;

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
                memory_type: memory_type(raw).map_err(Misconfiguration::MemoryType)?,
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
        Ok(address.0 | rules.rights().bits())
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
        let rules = EptRules::new(
            crate::capability::ept_vpid::EptVpidCapabilities::from_bits_retain(!0),
            52,
        );
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
