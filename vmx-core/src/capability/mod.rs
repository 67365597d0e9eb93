//! What a CPU's VMX can do, as a plain value.
//!
//! Read it from a CPU ([`Capabilities::read`]), take it from a text
//! ([`Capabilities::from_dump`]), or write it down:
//!
//! ```
//! use vmx_core::Capabilities;
//! use vmx_core::capability::VmxMisc;
//! let cpu = Capabilities { misc: VmxMisc(5), ..Capabilities::NOTHING };
//! assert_eq!(cpu.preemption_timer_shift(), 5);
//! assert_eq!(cpu.check(), Ok(()));
//! ```
//!
//! Not here: the choice of controls ([`control`](crate::control)), and what CPUID shows of
//! anything but VMX and address widths.

pub(crate) mod capabilities;
pub(crate) mod check;
pub(crate) mod difference;
pub(crate) mod dump;
pub(crate) mod ept_vpid;
pub(crate) mod fixed_bits;
pub(crate) mod read;
pub(crate) mod vmx_basic;
pub(crate) mod vmx_misc;

pub use capabilities::Capabilities;
pub use check::Contradiction;
pub use dump::{DumpError, LineError};
pub use ept_vpid::EptVpidCapabilities;
pub use fixed_bits::FixedBits;
pub use read::{NoVmx, linear_address_width};
pub use vmx_basic::VmxBasic;
pub use vmx_misc::VmxMisc;

#[cfg(test)]
pub(crate) mod tests;
