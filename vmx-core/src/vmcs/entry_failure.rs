//! A VM entry that failed.

use core::fmt;

use super::error::VmxError;
use crate::exit::reason::ExitReason;

/// VM entry failed: the guest did not execute an instruction, and the VMCS is as it was
/// but for the exit information. [`CurrentVmcs::explain`](super::CurrentVmcs::explain)
/// tells why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EntryFailure {
    /// VMLAUNCH or VMRESUME failed. Controls and host state are judged so, with errors 7
    /// and 8.
    Instruction(VmxError),
    /// The CPU gave up while or after it loaded guest state, and exited with bit 31 of the
    /// reason: 33 for guest state, 34 for the MSR-load area, 41 for a machine check.
    GuestState {
        /// Exit reason, bit 31 set.
        reason: ExitReason,
        /// Exit qualification.
        qualification: u64,
    },
    /// The switch returned as after a VM exit, but the exit information cannot be read:
    /// the VMCS is not the current one any more.
    ExitInformation(VmxError),
}

impl fmt::Display for EntryFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instruction(error) => write!(f, "VM entry: {error}"),
            Self::GuestState { reason, qualification } => {
                write!(f, "VM entry: {reason}, exit qualification {qualification:#x}")
            }
            Self::ExitInformation(error) => {
                write!(f, "the exit information cannot be read after VM entry: {error}")
            }
        }
    }
}

impl core::error::Error for EntryFailure {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Instruction(error) | Self::ExitInformation(error) => Some(error),
            Self::GuestState { .. } => None,
        }
    }
}
