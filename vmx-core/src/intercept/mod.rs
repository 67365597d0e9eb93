//! Which guest accesses exit: MSRs, I/O ports, and VMCS fields of a nested hypervisor.
//!
//! Not here: exits by control bits alone ([`control`](crate::control)).

pub(crate) mod io_bitmap;
pub(crate) mod msr_bitmap;
mod page_bits;
pub(crate) mod vmcs_access_bitmap;

pub use io_bitmap::{IoBitmaps, IoSize};
pub use msr_bitmap::{MsrAccess, MsrBitmap, MsrGroup, OutsideMsrBitmap};
pub use vmcs_access_bitmap::{OutsideVmcsAccessBitmap, VmcsAccessBitmap};
