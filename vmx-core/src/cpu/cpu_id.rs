//! A number for a logical processor.
//!
//! ```
//! use vmx_core::cpu::CpuId;
//! assert_ne!(CpuId(0), CpuId(1)); // a VMCS that is active on one is not on the other
//! ```

/// The caller's number for a logical processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CpuId(pub u32);
