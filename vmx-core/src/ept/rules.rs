//! What makes an entry present, well-formed or a misconfiguration.

use core::fmt;

use super::address::{ADDRESS, Level, PageSize};
use super::entry_bits::{EntryFlags, maps_page, memory_type};
use crate::capability::capabilities::Capabilities;
use crate::capability::ept_vpid::EptVpidCapabilities;
use crate::control::execution::{SecondaryControls, TertiaryControls};
use crate::control::set::ControlSet;

/// What decides how the CPU reads an entry: its capabilities, its physical-address
/// width and the VM-execution controls that give bits a meaning.
///
/// ```
/// use vmx_core::ept::*;
/// let without_execute_only = EptVpidCapabilities::from_bits_retain(0x0671_4140);
/// let rules = EptRules::new(without_execute_only, 46);
/// assert_eq!(rules.misconfiguration(0x1033, Level::PageTable), None);
/// assert_eq!(
///     rules.misconfiguration(0x1034, Level::PageTable),
///     Some(Misconfiguration::ExecuteOnly)
/// );
/// assert_eq!(
///     rules.misconfiguration(1 << 46 | 0x33, Level::PageTable),
///     Some(Misconfiguration::BeyondWidth)
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EptRules {
    /// IA32_VMX_EPT_VPID_CAP.
    pub capabilities: EptVpidCapabilities,
    /// The width of physical addresses in bits: MAXPHYADDR. More than 52, the widest
    /// that an entry can hold, counts as 52.
    pub physical_address_width: u32,
    /// "Mode-based execute control for EPT" is 1: bit 10 counts.
    pub mode_based_execute: bool,
    /// "EPT paging-write control" is 1: bit 58 counts.
    pub paging_write: bool,
}

impl EptRules {
    /// The rules without mode-based execute control and EPT paging-write control.
    pub const fn new(capabilities: EptVpidCapabilities, physical_address_width: u32) -> Self {
        Self {
            capabilities,
            physical_address_width,
            mode_based_execute: false,
            paging_write: false,
        }
    }

    /// The rules of a CPU for a guest that runs with these controls.
    ///
    /// ```
    /// use vmx_core::Capabilities;
    /// use vmx_core::control::{ControlSet, SecondaryControls};
    /// use vmx_core::ept::{EptRules, EptVpidCapabilities};
    /// // On a real CPU: `Capabilities::read`, and `ControlSet::negotiate`.
    /// let cpu = Capabilities {
    ///     ept_vpid: EptVpidCapabilities::from_bits_retain(0x0673_4141),
    ///     physical_address_width: 46,
    ///     ..Capabilities::NOTHING
    /// };
    /// let controls = ControlSet {
    ///     secondary: SecondaryControls::MODE_BASED_EXECUTE_CONTROL,
    ///     ..ControlSet::EMPTY
    /// };
    /// let rules = EptRules::of(&cpu, &controls);
    /// assert!(rules.mode_based_execute && !rules.paging_write);
    /// assert_eq!(rules.width(), 46);
    /// ```
    pub const fn of(capabilities: &Capabilities, controls: &ControlSet) -> Self {
        Self {
            capabilities: capabilities.ept_vpid,
            physical_address_width: capabilities.physical_address_width,
            mode_based_execute: controls
                .secondary
                .contains(SecondaryControls::MODE_BASED_EXECUTE_CONTROL),
            paging_write: controls.tertiary.contains(TertiaryControls::EPT_PAGING_WRITE_CONTROL),
        }
    }

    /// The width of the physical addresses that an entry can hold, in bits.
    pub const fn width(&self) -> u32 {
        if self.physical_address_width < 52 { self.physical_address_width } else { 52 }
    }

    /// The flags of a present entry that decide who may access: bits 2:0, and 10
    /// where the CPU looks at it.
    pub const fn rights(&self) -> EntryFlags {
        if self.mode_based_execute {
            EntryFlags::ALL_ACCESS.union(EntryFlags::USER_EXECUTE)
        } else {
            EntryFlags::ALL_ACCESS
        }
    }

    /// Whether an address is within the physical-address width.
    pub const fn fits_width(&self, address: u64) -> bool {
        address >> self.width() == 0
    }

    /// Whether a raw entry is present.
    pub const fn is_present(&self, raw: u64) -> bool {
        raw & self.rights().bits() != 0
    }

    /// Why the CPU does not take a raw entry of a table of this level; `None` if it
    /// does, or if the entry is not present.
    /// Source: SDM, "EPT Misconfigurations".
    pub const fn misconfiguration(&self, raw: u64, level: Level) -> Option<Misconfiguration> {
        let flags = EntryFlags::from_bits_retain(raw);
        if !self.is_present(raw) {
            return None;
        }
        let is_page = maps_page(raw, level);
        if !flags.contains(EntryFlags::READ) {
            if flags.contains(EntryFlags::WRITE) {
                return Some(Misconfiguration::WriteWithoutRead);
            }
            // Present, so it is executable, for whomever.
            if !self.capabilities.supports_execute_only() {
                return Some(Misconfiguration::ExecuteOnly);
            }
            if is_page && self.paging_write && flags.contains(EntryFlags::PAGING_WRITE) {
                return Some(Misconfiguration::PagingWriteWithoutRead);
            }
        }
        if let (true, Some(size)) = (is_page, level.page_size())
            && !self.capabilities.supports_page_size(size)
        {
            return Some(Misconfiguration::PageSize(size));
        }
        let reserved = raw & reserved_bits(level, is_page);
        if reserved != 0 {
            return Some(Misconfiguration::ReservedBits(reserved));
        }
        if !self.fits_width(raw & ADDRESS) {
            return Some(Misconfiguration::BeyondWidth);
        }
        match memory_type(raw) {
            Err(reserved) if is_page => Some(Misconfiguration::MemoryType(reserved)),
            _ => None,
        }
    }
}

/// The bits of a present entry that must be 0, whatever the CPU's width.
const fn reserved_bits(level: Level, is_page: bool) -> u64 {
    match (level, is_page) {
        (Level::PageTable, _) => 0,
        // Below the page's number: 20:12 or 29:12.
        (_, true) => (1 << level.shift()) - (1 << 12),
        // Bits 6:3; bit 7 is 0, or the entry would map a page.
        (Level::PageDirectory | Level::PageDirectoryPointerTable, false) => 0x78,
        (Level::Pml4 | Level::Pml5, false) => 0xF8,
    }
}

/// Why a CPU that meets an entry exits with "EPT misconfiguration" (reason 49).
/// Source: SDM, "EPT Misconfigurations".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misconfiguration {
    /// Bit 1 without bit 0.
    WriteWithoutRead,
    /// Executable without bit 0, on a CPU that cannot do that.
    ExecuteOnly,
    /// Bit 58 without bit 0 in an entry that maps a page, under "EPT paging-write
    /// control".
    PagingWriteWithoutRead,
    /// Bit 7 for a size of pages that the CPU does not have.
    PageSize(PageSize),
    /// These bits must be 0.
    ReservedBits(u64),
    /// The address is beyond the physical-address width.
    BeyondWidth,
    /// This memory type is reserved (2, 3 or 7).
    MemoryType(u8),
}

impl fmt::Display for Misconfiguration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WriteWithoutRead => f.write_str("writable (bit 1) but not readable (bit 0)"),
            Self::ExecuteOnly => f.write_str(
                "executable but not readable (bit 0), which needs IA32_VMX_EPT_VPID_CAP[0]",
            ),
            Self::PagingWriteWithoutRead => {
                f.write_str("paging-write access (bit 58) but not readable (bit 0)")
            }
            Self::PageSize(size) => write!(f, "this CPU's EPT has no pages of {size} (bit 7)"),
            Self::ReservedBits(bits) => write!(f, "reserved bits {bits:#x} are set"),
            Self::BeyondWidth => f.write_str("the address is beyond the physical-address width"),
            Self::MemoryType(number) => write!(f, "memory type {number} (bits 5:3) is reserved"),
        }
    }
}

impl core::error::Error for Misconfiguration {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ept::test_support::{LEVELS, any_rules};
    use proptest::prelude::*;

    /// The manual's list, written down a second time and otherwise: by the value of
    /// bits 7:0 and a mask for each format.
    fn manual(raw: u64, level: Level, rules: &EptRules) -> bool {
        let bit = |n: u32| raw >> n & 1 == 1;
        let user = rules.mode_based_execute && bit(10);
        if raw & 0b111 == 0 && !user {
            return false;
        }
        let capability = |n: u32| rules.capabilities.bits() >> n & 1 == 1;
        let page = match level {
            Level::PageTable => true,
            Level::PageDirectory | Level::PageDirectoryPointerTable => bit(7),
            Level::Pml4 | Level::Pml5 => false,
        };
        let unreadable = !bit(0)
            && (bit(1)
                || !capability(0) && (bit(2) || user)
                || rules.paging_write && page && bit(58));
        let low = match (level, page) {
            (Level::PageTable, _) => 0,
            (Level::PageDirectory, true) => 0x001F_F000 | if capability(16) { 0 } else { 0x80 },
            (Level::PageDirectory, false) => 0x78,
            (Level::PageDirectoryPointerTable, true) => {
                0x3FFF_F000 | if capability(17) { 0 } else { 0x80 }
            }
            (Level::PageDirectoryPointerTable, false) => 0x78,
            (Level::Pml4 | Level::Pml5, _) => 0xF8,
        };
        let width = rules.width();
        let high = (0..64).any(|n| n >= width && (12..52).contains(&n) && bit(n));
        unreadable || raw & low != 0 || high || page && matches!(raw >> 3 & 7, 2 | 3 | 7)
    }

    proptest! {
        #[test]
        fn agrees_with_the_manual(
            raw in prop_oneof![
                any::<u64>(),
                // Few bits, so that not every entry has a reserved one.
                (0u64..0x1000, 12u32..64).prop_map(|(low, bit)| 1 << bit | low),
            ],
            rules in any_rules(),
        ) {
            for level in LEVELS {
                prop_assert_eq!(
                    rules.misconfiguration(raw, level).is_some(),
                    manual(raw, level, &rules),
                    "{:?}", level
                );
            }
        }
    }

    /// All values of the low twelve bits, at every level. Too many for Miri.
    #[cfg(not(miri))]
    #[test]
    fn agrees_with_the_manual_on_all_low_bits() {
        for capabilities in [0, 1, 1 << 16, 1 << 17, 1 | 3 << 16] {
            for mode_based_execute in [false, true] {
                let rules = EptRules::new(EptVpidCapabilities::from_bits_retain(capabilities), 40);
                let rules = EptRules { mode_based_execute, paging_write: true, ..rules };
                for level in LEVELS {
                    for low in 0..0x1000 {
                        for raw in [low, low | 1 << 58, low | 1 << 39, low | 1 << 40] {
                            assert_eq!(
                                rules.misconfiguration(raw, level).is_some(),
                                manual(raw, level, &rules),
                                "{raw:#x} {level:?} {rules:?}"
                            );
                        }
                    }
                }
            }
        }
    }
}
