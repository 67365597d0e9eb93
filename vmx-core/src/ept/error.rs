//! Why an operation on EPT is refused.

use core::fmt;

use super::address::{Level, PageSize};
use super::pointer_check::EptPointerError;
use super::rules::Misconfiguration;
use crate::memory::address::PhysicalAddress;

/// Why an operation on EPT is refused. Unless the operation says otherwise, nothing has
/// changed.
///
/// ```
/// use vmx_core::ept::{EptError, Level, Misconfiguration};
/// let reason = Misconfiguration::WriteWithoutRead;
/// assert_eq!(
///     EptError::Misconfigured { level: Level::PageTable, reason }.to_string(),
///     "EPT: a misconfigured entry in the PageTable: writable (bit 1) but not readable (bit 0)"
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EptError {
    /// EPTP is not one that the CPU takes.
    Pointer(EptPointerError),
    /// The CPU has not the INVEPT that changes of these tables need.
    NoInvept,
    /// An address, guest-physical or physical, or a number of bytes is not a
    /// multiple of the page size.
    Misaligned {
        /// The address or number.
        address: u64,
        /// The page size.
        size: PageSize,
    },
    /// An address, guest-physical or physical, has more bits than can be used.
    BeyondWidth {
        /// The address.
        address: u64,
        /// How many bits there are.
        bits: u32,
    },
    /// The CPU's EPT has no pages of this size.
    PageSize(PageSize),
    /// These bits are not flags but belong to the address, the memory type or bit 7.
    NotAFlag(u64),
    /// None of the rights is given, so the entry would not be present: unmap instead.
    NoRights,
    /// The entry would be a misconfiguration.
    Refused(Misconfiguration),
    /// A misconfigured entry was met on the way.
    Misconfigured {
        /// The level of the table that it is in.
        level: Level,
        /// What is wrong with it.
        reason: Misconfiguration,
    },
    /// Nothing is mapped there; the entry at this level is not present.
    NotMapped(Level),
    /// Something is mapped there already, by a page of this size.
    AlreadyMapped(PageSize),
    /// The page there has this larger size: split it first.
    LargerPage(PageSize),
    /// A table of this level divides the region, for smaller pages: unmap them first.
    DividedBy(Level),
    /// The memory has no page left for a table.
    OutOfFrames,
    /// The memory has no page at the address of a table.
    NoMemory(PhysicalAddress),
    /// Somebody else changed the entry meanwhile, beyond its accessed and dirty flags.
    ChangedMeanwhile,
}

impl From<EptPointerError> for EptError {
    fn from(error: EptPointerError) -> Self {
        Self::Pointer(error)
    }
}

impl fmt::Display for EptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pointer(error) => fmt::Display::fmt(error, f),
            Self::NoInvept => f.write_str(
                "EPT: this CPU lacks the INVEPT that changes of the tables need \
                 (IA32_VMX_EPT_VPID_CAP[20], [25], [26]), and must not use them",
            ),
            Self::Misaligned { address, size } => {
                write!(f, "EPT: {address:#x} is not a multiple of {size}")
            }
            Self::BeyondWidth { address, bits } => {
                write!(f, "EPT: address {address:#x} has more than {bits} bits")
            }
            Self::PageSize(size) => write!(f, "this CPU's EPT has no pages of {size}"),
            Self::NotAFlag(bits) => write!(f, "EPT: bits {bits:#x} of an entry are no flags"),
            Self::NoRights => f.write_str("EPT: a page without any right is not present"),
            Self::Refused(reason) => write!(f, "EPT: the entry would be misconfigured: {reason}"),
            Self::Misconfigured { level, reason } => {
                write!(f, "EPT: a misconfigured entry in the {level:?}: {reason}")
            }
            Self::NotMapped(level) => {
                write!(f, "EPT: nothing is mapped there (no entry in the {level:?})")
            }
            Self::AlreadyMapped(size) => write!(f, "EPT: a page of {size} is mapped there"),
            Self::LargerPage(size) => {
                write!(f, "EPT: the page there is one of {size}; split it first")
            }
            Self::DividedBy(level) => {
                write!(f, "EPT: a {level:?} divides the region; unmap what it maps first")
            }
            Self::OutOfFrames => f.write_str("EPT: the memory has no page left for a table"),
            Self::NoMemory(address) => {
                write!(f, "EPT: there is no memory for a table at {:#x}", address.0)
            }
            Self::ChangedMeanwhile => {
                f.write_str("EPT: somebody else changed the entry at the same time")
            }
        }
    }
}

impl core::error::Error for EptError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Pointer(error) => Some(error),
            Self::Refused(reason) | Self::Misconfigured { reason, .. } => Some(reason),
            _ => None,
        }
    }
}
