//! The guests' program: one piece of machine code, a role for each guest.
//!
//! Every guest starts at the entry with its role in RDI and its rounds in RSI. It
//! counts its checks in its data page, yields by VMCALL with RAX = 0 after each
//! round, and ends with RAX = 1. An exception that it did not provoke makes it call
//! with RAX = 2, the vector in RBX, and error code and RIP (or RIP and CS) in RCX
//! and RDX.
//!
//! | role | what it does |
//! |---|---|
//! | [`Role::Wrmsr`] | own shadow stack; writes its registers by WRMSR |
//! | [`Role::Xrstors`] | the same, but writes them by XRSTORS of component 12 |
//! | [`Role::Unused`] | never uses the feature; must always read zeros |
//! | [`Role::Hang`] | never exits by itself, to try the time limit |
//! | [`Role::WideAddress`] | writes an address that needs more than 48 bits, and says what came of it |

use core::arch::global_asm;
use core::fmt;

use crate::guest_memory::{BASE, DATA, TOKEN, XSAVE_AREAS};

/// Bytes from one exception stub to the next; vector 0's is the first.
pub const STUB_SIZE: u64 = 16;
/// Linear address of the program's entry.
pub const ENTRY: u64 = BASE + 32 * STUB_SIZE;

/// Byte offset, in the data page, of the count of passed checks.
pub const PASSED: usize = 0x00;
/// The count of failed checks.
pub const FAILED: usize = 0x08;
/// The number of the first failed check.
pub const FIRST_FAILED: usize = 0x10;
/// What the first failed check found.
pub const FOUND: usize = 0x18;
/// What it should have found.
pub const EXPECTED: usize = 0x20;
/// Whether WRMSR of [`WIDE_ADDRESS`] raised #GP(0), 0 or 1.
pub const WIDE_FAULTS: usize = 0x28;
/// What IA32_PL0_SSP holds after it.
pub const WIDE_VALUE: usize = 0x30;

/// An address for IA32_PL0_SSP that is canonical for 57 bits and not for 48.
pub const WIDE_ADDRESS: u64 = 1 << 55;

/// What a guest does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u64)]
pub enum Role {
    /// Writes its registers by WRMSR.
    Wrmsr = 1,
    /// Writes them by XRSTORS.
    Xrstors = 2,
    /// Never uses them.
    Unused = 3,
    /// Loops for ever.
    Hang = 4,
    /// Writes [`WIDE_ADDRESS`].
    WideAddress = 5,
}

impl Role {
    /// The three that share the CPU.
    pub const ALL: [Self; 3] = [Self::Wrmsr, Self::Xrstors, Self::Unused];

    /// How many checks a guest makes in this many rounds.
    pub const fn checks(self, rounds: u64) -> u64 {
        /// Each illegal value: #GP seen, and the register unchanged.
        const ILLEGAL: u64 = 2 * ILLEGAL_VALUES;
        match self {
            // Zeros, illegal values, SSP and token after SETSSBSY; then each round
            // SSP, three registers, a call, a #CP, illegal values.
            Self::Wrmsr => 3 + ILLEGAL + 2 + rounds * (1 + 3 + 2 + ILLEGAL),
            // And what XSAVES stores.
            Self::Xrstors => 3 + ILLEGAL + 2 + rounds * (1 + 3 + 3 + 2 + ILLEGAL),
            // Zeros; each round three registers and IA32_S_CET.
            Self::Unused => 3 + rounds * 4,
            // What comes of it is judged outside.
            Self::Hang | Self::WideAddress => 0,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wrmsr => "wrmsr",
            Self::Xrstors => "xrstors",
            Self::Unused => "unused",
            Self::Hang => "hang",
            Self::WideAddress => "wide-address",
        })
    }
}

/// What the check numbers in the program mean.
pub const fn check_meaning(number: u64) -> &'static str {
    match number {
        0 => "none",
        1 => "IA32_PL0..2_SSP are zero at the start",
        2 => "an illegal value raises #GP(0)",
        3 => "an illegal value changes nothing",
        4 => "SETSSBSY loads SSP from IA32_PL0_SSP",
        5 => "SETSSBSY marks the token busy",
        6 => "SSP survives a switch",
        7 => "IA32_PL0_SSP survives a switch",
        8 => "IA32_PL1_SSP survives a switch",
        9 => "IA32_PL2_SSP survives a switch",
        10 => "XSAVES stores the guest's own values",
        11 => "call and return leave SSP as it was",
        12 => "a corrupted return raises #CP with error code 1, once, and can be repaired",
        13 => "IA32_S_CET is zero when unused",
        _ => "a check without a number",
    }
}

/// Rows of the table of illegal values in the program.
const ILLEGAL_VALUES: u64 = 8;

unsafe extern "C" {
    static guest_program_start: u8;
    static guest_program_end: u8;
}

/// The machine code, position-independent, to be put at [`BASE`].
pub fn code() -> &'static [u8] {
    let start = &raw const guest_program_start;
    let end = &raw const guest_program_end;
    let length = end.addr().saturating_sub(start.addr());
    // SAFETY: the assembly below defines both symbols in one section, the second
    // behind the first, with `length` initialised bytes between them that nobody
    // writes.
    unsafe { core::slice::from_raw_parts(start, length) }
}

global_asm!(
    include_str!("guest_program.s"),
    base_data = const DATA,
    token = const TOKEN,
    xsave_areas = const XSAVE_AREAS,
    passed = const PASSED,
    failed = const FAILED,
    first_failed = const FIRST_FAILED,
    found = const FOUND,
    expected = const EXPECTED,
    wide_faults = const WIDE_FAULTS,
    wide_value = const WIDE_VALUE,
    wide_address = const WIDE_ADDRESS,
    illegal_values = const ILLEGAL_VALUES,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_fits_and_starts_with_its_stubs() {
        assert!(code().len() > 32 * STUB_SIZE as usize);
        assert!(code().len() < 2 * 4096);
    }
}
