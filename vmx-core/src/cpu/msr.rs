//! Model-specific registers.

use crate::msr::index::MsrIndex;
use crate::msr::named::NamedMsr;

/// Model-specific registers.
pub trait Msr {
    /// RDMSR of an MSR from a closed set whose reading affects nothing. Raises
    /// #GP(0) in the host where the CPU lacks the MSR.
    fn read_named(&mut self, msr: NamedMsr) -> u64;

    /// RDMSR of any MSR.
    ///
    /// # Safety
    ///
    /// 1. The MSR exists on this CPU, or the #GP(0) is handled.
    /// 2. Reading it has no effect that anybody relies on not happening.
    unsafe fn read_msr(&mut self, msr: MsrIndex) -> u64;

    /// WRMSR of any MSR.
    ///
    /// # Safety
    ///
    /// 1. The MSR exists on this CPU and takes `value`, or the #GP(0) is handled.
    /// 2. The effect breaks nothing that Rust code relies on: addresses stay
    ///    mapped, modes stay what the compiler assumes, no handler is replaced by
    ///    one that is not there.
    unsafe fn write_msr(&mut self, msr: MsrIndex, value: u64);
}
