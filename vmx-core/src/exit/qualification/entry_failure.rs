//! VM-entry failures that exit. Source: SDM, "VM-Entry Failures During or After
//! Loading Guest State".

use core::fmt;

/// The exit qualification of an entry failure due to invalid guest state.
///
/// A CPU may leave it 0 for failures that have a number of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct GuestStateFailure(pub u64);

impl GuestStateFailure {
    /// Most failures.
    pub const OTHER: Self = Self(0);
    /// The checks of the page-directory-pointer-table entries failed.
    pub const PDPTES: Self = Self(2);
    /// The injection of an NMI while events are blocked by STI. A CPU may not have
    /// this check.
    pub const NMI: Self = Self(3);
    /// The checks of the VMCS link pointer failed.
    pub const VMCS_LINK_POINTER: Self = Self(4);
}

impl fmt::Display for GuestStateFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::OTHER => f.write_str("no particular check"),
            Self::PDPTES => f.write_str("checks of the PDPTEs"),
            Self::NMI => f.write_str("injection of an NMI while events are blocked by STI"),
            Self::VMCS_LINK_POINTER => f.write_str("checks of the VMCS link pointer"),
            Self(other) => write!(f, "a check with the unknown number {other}"),
        }
    }
}

/// The exit qualification of an entry failure due to MSR loading.
///
/// ```
/// use vmx_core::exit::qualification::MsrLoadingFailure;
/// // The third entry of the VM-entry MSR-load list.
/// assert_eq!(MsrLoadingFailure(3).position(), Some(2));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct MsrLoadingFailure(pub u64);

impl MsrLoadingFailure {
    /// The position of the entry that failed, counted from 0 (the field counts from
    /// 1); `None` for 0.
    pub const fn position(self) -> Option<u64> {
        self.0.checked_sub(1)
    }
}
