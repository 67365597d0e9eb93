//! How a policy broke its contract.

use core::fmt;

use crate::contract::machine::HostFault;
use crate::contract::operation::Op;

/// The numbered points of [`Policy`](cet_policy::Policy)'s contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // The contract explains them.
pub enum Point {
    Preservation = 1,
    Isolation = 2,
    HostIntegrity = 3,
    Idempotence = 4,
    Transparency = 5,
    Reset = 6,
    Honesty = 7,
}

/// By which way the wrong value came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Eye {
    /// The guest's RDMSR.
    Rdmsr,
    /// The guest's XSAVES.
    Xsaves,
    /// A change to ring 0, 1 or 2, or SETSSBSY, in the guest.
    RingChange,
    /// The host asking the driver.
    Host,
}

/// Who a value belongs to: every value in the model has one owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// Zero.
    Nobody,
    /// The host.
    Host,
    /// This vCPU, but it is not the value wanted.
    Itself,
    /// Another vCPU.
    OtherGuest,
}

/// One broken promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// Somebody sees a value that the guest did not write last.
    WrongValue {
        /// Through what.
        eye: Eye,
        /// Which register, by ring.
        ring: usize,
        /// The value seen.
        found: u64,
        /// The value wanted.
        expected: u64,
        /// Whose value was seen.
        owner: Owner,
    },
    /// A host's register does not hold the host's value though no vCPU is loaded.
    HostValueLost {
        /// Which register, by ring.
        ring: usize,
        /// What it holds.
        found: u64,
    },
    /// Load of a loaded or put of a parked vCPU touched registers.
    Touched {
        /// How many accesses.
        accesses: u32,
    },
    /// A guest's instruction faulted where it must not, or the other way round.
    WrongFault {
        /// Whether #GP(0) was due.
        expected: bool,
    },
    /// The host's own operation was taken though it is not legal, or refused
    /// though it is.
    WrongRefusal {
        /// Whether it should have been refused.
        expected: bool,
    },
    /// After a reset without a way to the registers the guest's accesses do not
    /// exit as at the start.
    NotRearmed,
    /// The guest's IA32_XSS or IA32_S_CET is not what it wrote.
    WrongControl {
        /// What it is.
        found: u64,
        /// What it should be.
        expected: u64,
    },
    /// The policy's code faulted in the host.
    Faulted(HostFault),
}

impl Broken {
    /// The point of the contract.
    pub const fn point(&self) -> Point {
        match self {
            Self::WrongValue { owner: Owner::Host | Owner::OtherGuest, .. } => Point::Isolation,
            Self::WrongValue { .. } => Point::Preservation,
            Self::HostValueLost { .. } | Self::Faulted(_) => Point::HostIntegrity,
            Self::Touched { .. } => Point::Idempotence,
            Self::WrongFault { .. } | Self::WrongControl { .. } | Self::WrongRefusal { .. } => {
                Point::Transparency
            }
            Self::NotRearmed => Point::Reset,
        }
    }
}

/// A broken promise, and the history that shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The driver or policy.
    pub name: &'static str,
    /// What broke.
    pub broken: Broken,
    /// On which vCPU.
    pub vcpu: usize,
    /// The shortest history found; the last step shows it.
    pub history: Vec<Op>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} breaks {:?} on vCPU {}: {:x?} after",
            self.name,
            self.broken.point(),
            self.vcpu,
            self.broken
        )?;
        for op in &self.history {
            write!(f, " {op:x?};")?;
        }
        Ok(())
    }
}

impl core::error::Error for Violation {}
