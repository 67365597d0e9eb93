//! Interruptibility, pending debug exceptions and activity: fields of the guest's
//! non-register state.
//!
//! Source: SDM, "Guest Non-Register State".

use core::fmt;

use bitflags::bitflags;

bitflags! {
    /// The interruptibility state: events that are blocked for a while.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct InterruptibilityState: u32 {
        /// STI has just set RFLAGS.IF: no interrupt after the next instruction.
        const BLOCKING_BY_STI = 1 << 0;
        /// MOV SS or POP SS: no interrupt, NMI or debug trap after it.
        const BLOCKING_BY_MOV_SS = 1 << 1;
        /// The CPU is in system-management mode.
        const BLOCKING_BY_SMI = 1 << 2;
        /// An NMI is being handled; with "virtual NMIs", a virtual one.
        const BLOCKING_BY_NMI = 1 << 3;
        /// The exit happened in an enclave.
        const ENCLAVE_INTERRUPTION = 1 << 4;
        /// Unknown bits are kept.
        const _ = !0;
    }

    /// Debug exceptions that are recognised but not yet delivered.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct PendingDebugExceptions: u64 {
        /// The condition of breakpoint 0 was met, even if DR7 does not enable it.
        const B0 = 1 << 0;
        /// The same for breakpoint 1.
        const B1 = 1 << 1;
        /// The same for breakpoint 2.
        const B2 = 1 << 2;
        /// The same for breakpoint 3.
        const B3 = 1 << 3;
        /// A bus lock was asserted while its detection was enabled.
        const BLD = 1 << 11;
        /// At least one breakpoint that was met is enabled in DR7.
        const ENABLED_BREAKPOINT = 1 << 12;
        /// A single step or a taken branch.
        const BS = 1 << 14;
        /// The exception occurred in a transactional region.
        const RTM = 1 << 16;
        /// Unknown bits are kept.
        const _ = !0;
    }
}

/// The activity state: whether the guest executes instructions. A number that is
/// not among the constants is a value like the others; VM entry refuses it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(transparent)]
pub struct ActivityState(pub u32);

impl ActivityState {
    /// Executes instructions.
    pub const ACTIVE: Self = Self(0);
    /// Has executed HLT.
    pub const HLT: Self = Self(1);
    /// Shut down by a triple fault or another serious error.
    pub const SHUTDOWN: Self = Self(2);
    /// Waits for a start-up IPI.
    pub const WAIT_FOR_SIPI: Self = Self(3);
}

impl fmt::Debug for ActivityState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ACTIVE => f.write_str("active"),
            Self::HLT => f.write_str("HLT"),
            Self::SHUTDOWN => f.write_str("shutdown"),
            Self::WAIT_FOR_SIPI => f.write_str("wait-for-SIPI"),
            Self(other) => write!(f, "unknown activity state {other}"),
        }
    }
}
