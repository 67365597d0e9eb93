//! The general registers, as exit information numbers them.
//!
//! ```
//! use vmx_core::GuestRegisters;
//! use vmx_core::exit::GeneralRegister;
//! let mut registers = GuestRegisters { r9: 7, ..GuestRegisters::default() };
//! assert_eq!(GeneralRegister::from_number(9).value(&registers, 0), 7);
//! assert!(GeneralRegister::Rcx.set(&mut registers, 5).is_ok());
//! assert_eq!(registers.rcx, 5);
//! ```

use core::fmt;

use crate::cpu::guest_registers::GuestRegisters;

/// One of the sixteen general registers. Source: SDM, "Exit Qualification for
/// Control-Register Accesses", bits 11:8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)] // Each variant is the register of its name.
pub enum GeneralRegister {
    Rax = 0,
    Rcx = 1,
    Rdx = 2,
    Rbx = 3,
    Rsp = 4,
    Rbp = 5,
    Rsi = 6,
    Rdi = 7,
    R8 = 8,
    R9 = 9,
    R10 = 10,
    R11 = 11,
    R12 = 12,
    R13 = 13,
    R14 = 14,
    R15 = 15,
}

impl GeneralRegister {
    /// All sixteen, in the order of their numbers.
    pub const ALL: [Self; 16] = [
        Self::Rax,
        Self::Rcx,
        Self::Rdx,
        Self::Rbx,
        Self::Rsp,
        Self::Rbp,
        Self::Rsi,
        Self::Rdi,
        Self::R8,
        Self::R9,
        Self::R10,
        Self::R11,
        Self::R12,
        Self::R13,
        Self::R14,
        Self::R15,
    ];

    /// The register that bits 3:0 of `number` name.
    #[inline]
    pub const fn from_number(number: u64) -> Self {
        Self::ALL[(number & 0xF) as usize]
    }

    /// The register's number.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The register's value; `rsp` is the value of RSP, which the VMCS holds
    /// ([`GUEST_RSP`](crate::vmcs::field::GUEST_RSP)).
    pub const fn value(self, registers: &GuestRegisters, rsp: u64) -> u64 {
        match self {
            Self::Rax => registers.rax,
            Self::Rcx => registers.rcx,
            Self::Rdx => registers.rdx,
            Self::Rbx => registers.rbx,
            Self::Rsp => rsp,
            Self::Rbp => registers.rbp,
            Self::Rsi => registers.rsi,
            Self::Rdi => registers.rdi,
            Self::R8 => registers.r8,
            Self::R9 => registers.r9,
            Self::R10 => registers.r10,
            Self::R11 => registers.r11,
            Self::R12 => registers.r12,
            Self::R13 => registers.r13,
            Self::R14 => registers.r14,
            Self::R15 => registers.r15,
        }
    }

    /// Gives the register a value, all 64 bits of it.
    ///
    /// # Errors
    /// [`RspIsInTheVmcs`] for RSP: write [`GUEST_RSP`](crate::vmcs::field::GUEST_RSP).
    pub const fn set(
        self,
        registers: &mut GuestRegisters,
        value: u64,
    ) -> Result<(), RspIsInTheVmcs> {
        *match self {
            Self::Rax => &mut registers.rax,
            Self::Rcx => &mut registers.rcx,
            Self::Rdx => &mut registers.rdx,
            Self::Rbx => &mut registers.rbx,
            Self::Rsp => return Err(RspIsInTheVmcs),
            Self::Rbp => &mut registers.rbp,
            Self::Rsi => &mut registers.rsi,
            Self::Rdi => &mut registers.rdi,
            Self::R8 => &mut registers.r8,
            Self::R9 => &mut registers.r9,
            Self::R10 => &mut registers.r10,
            Self::R11 => &mut registers.r11,
            Self::R12 => &mut registers.r12,
            Self::R13 => &mut registers.r13,
            Self::R14 => &mut registers.r14,
            Self::R15 => &mut registers.r15,
        } = value;
        Ok(())
    }
}

/// RSP is not among [`GuestRegisters`]: the VMCS holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RspIsInTheVmcs;

impl fmt::Display for RspIsInTheVmcs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the guest's RSP is a field of the VMCS")
    }
}

impl core::error::Error for RspIsInTheVmcs {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_register_is_a_place_of_its_own() {
        for register in GeneralRegister::ALL {
            assert_eq!(GeneralRegister::from_number(register.number().into()), register);
            let mut registers = GuestRegisters::default();
            let is_rsp = register == GeneralRegister::Rsp;
            assert_eq!(register.set(&mut registers, 1).is_err(), is_rsp);
            for other in GeneralRegister::ALL {
                let expected = u64::from(other == register);
                assert_eq!(other.value(&registers, is_rsp.into()), expected);
            }
        }
        assert_eq!(GeneralRegister::from_number(u64::MAX), GeneralRegister::R15);
    }
}
