//! Control registers.

use super::register_bits::{Cr0, Cr4};

/// Control registers.
pub trait ControlRegisters {
    /// CR0, all bits kept.
    fn read_cr0(&mut self) -> Cr0;
    /// CR2, the address of the last page fault.
    ///
    /// A hypervisor that takes over a running system starts its guest with it
    /// ([`GuestRegisters::cr2`](crate::GuestRegisters::cr2)): the world switch loads that value before entry,
    /// and a page-fault handler of the system may be about to read the register.
    fn read_cr2(&mut self) -> u64;
    /// CR3.
    fn read_cr3(&mut self) -> u64;
    /// CR4, all bits kept.
    fn read_cr4(&mut self) -> Cr4;

    /// MOV to CR0.
    ///
    /// # Safety
    ///
    /// 1. The CPU accepts the value (fixed bits in VMX operation; CR0.WP stays 1
    ///    while CR4.CET is 1), or the #GP(0) is handled.
    /// 2. Paging, protection and the FPU stay as the running code needs them.
    unsafe fn write_cr0(&mut self, value: Cr0);

    /// MOV to CR4.
    ///
    /// # Safety
    ///
    /// 1. The CPU accepts the value (fixed bits in VMX operation; CR4.CET needs
    ///    CR0.WP), or the #GP(0) is handled.
    /// 2. Paging and the extensions that the running code uses stay on.
    unsafe fn write_cr4(&mut self, value: Cr4);
}
