//! CR0, CR2, CR3 and CR4, with every bit as the CPU has it.
//!
//! Not by the `x86` crate: its CR4 drops the bits that it does not know, and
//! writing the rest back would clear CR4.CET.
//!
//! No block promises `preserves_flags`: MOV to or from a control register leaves
//! OF, SF, ZF, AF, PF and CF undefined (SDM, "MOV—Move to/from Control Registers").

use core::arch::asm;

use vmx_core::cpu::{ControlRegisters, Cr0, Cr4};

use crate::{BareMetal, SwitchOptions};

impl<O: SwitchOptions> ControlRegisters for BareMetal<O> {
    fn read_cr0(&mut self) -> Cr0 {
        let value;
        // SAFETY: ring 0 by the contract of `BareMetal::new`; reading changes nothing.
        unsafe { asm!("mov {}, cr0", out(reg) value, options(nomem, nostack)) };
        Cr0::from_bits_retain(value)
    }

    fn read_cr2(&mut self) -> u64 {
        let value;
        // SAFETY: as for CR0.
        unsafe { asm!("mov {}, cr2", out(reg) value, options(nomem, nostack)) };
        value
    }

    fn read_cr3(&mut self) -> u64 {
        let value;
        // SAFETY: as for CR0.
        unsafe { asm!("mov {}, cr3", out(reg) value, options(nomem, nostack)) };
        value
    }

    fn read_cr4(&mut self) -> Cr4 {
        let value;
        // SAFETY: as for CR0.
        unsafe { asm!("mov {}, cr4", out(reg) value, options(nomem, nostack)) };
        Cr4::from_bits_retain(value)
    }

    // The writes are not `nomem`: what memory means may depend on the register.

    unsafe fn write_cr0(&mut self, value: Cr0) {
        // SAFETY: ring 0; the caller answers for the value.
        unsafe { asm!("mov cr0, {}", in(reg) value.bits(), options(nostack)) };
    }

    unsafe fn write_cr4(&mut self, value: Cr4) {
        // SAFETY: ring 0; the caller answers for the value.
        unsafe { asm!("mov cr4, {}", in(reg) value.bits(), options(nostack)) };
    }
}
