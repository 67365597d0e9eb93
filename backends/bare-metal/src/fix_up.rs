//! WRMSR that reports #GP(0) instead of raising it, with a hand from the host's #GP
//! handler.
//!
//! CPUID does not tell everything about the values that an MSR takes: some CPUs and
//! hypervisors judge an address by CR4.LA57 and not by the width that CPUID reports.
//! Whether they take a value can only be tried, and trying must not end the host. So
//! WRMSR stands in one place, [`BareMetal::try_write_msr`] leads there, and the
//! handler asks [`general_protection_fix_up`] about every #GP before it does anything
//! else. A host whose handler does not ask gets the #GP as from any other WRMSR.
//!
//! The fix-up changes general registers and leaves RIP: WRMSR is executed again, with
//! the value that the MSR held before. So it works in a host that runs on a shadow
//! stack, where IRET to another RIP would raise #CP.

use core::arch::{asm, naked_asm};
use core::fmt;

use vmx_core::MsrIndex;
use x86::msr::rdmsr;

use crate::{BareMetal, SwitchOptions};

/// What RDI holds while the value is tried.
const TRYING: u64 = 0;
/// What RDI holds after the fix-up.
const REFUSED: u64 = 1;

/// WRMSR would have raised #GP(0); the MSR holds what it held before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GeneralProtection;

impl fmt::Display for GeneralProtection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the CPU does not take the value: WRMSR of it raises #GP(0)")
    }
}

impl core::error::Error for GeneralProtection {}

/// General registers at the time of an exception, from the handler's trap frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // Each field is the register of its name.
pub struct FixUpRegisters {
    pub rax: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
}

/// Mends a #GP(0) of [`BareMetal::try_write_msr`], and of what rests on it
/// ([`accepts_ssp`](vmx_core::cpu::SupervisorSsp::accepts_ssp)).
///
/// For the host's handler of vector 13. Call it first, for an exception of ring 0 (bits
/// 1:0 of the saved CS are 0), with the saved RIP and registers. After `true` put
/// `registers` back into the trap frame, leave RIP and all else as they were, and
/// return by IRET. After `false` nothing has changed, and the exception is the host's.
///
/// It takes no lock, needs no stack to speak of and may run while interrupts are off.
/// The trap frame must hold the four registers and give them back: a handler that
/// saves none, or whose compiler hides them, needs a stub in assembly around it.
///
/// ```no_run
/// use vmx_bare_metal::{FixUpRegisters, general_protection_fix_up};
///
/// /// What this kernel's stubs push, and pop again before IRETQ.
/// #[repr(C)]
/// struct TrapFrame {
///     rdi: u64,
///     rsi: u64,
///     rdx: u64,
///     rax: u64,
///     // … the other general registers …
///     error_code: u64,
///     rip: u64,
///     cs: u64,
/// }
///
/// fn general_protection(frame: &mut TrapFrame) {
///     let TrapFrame { rax, rdx, rsi, rdi, .. } = *frame;
///     let mut registers = FixUpRegisters { rax, rdx, rsi, rdi };
///     if frame.cs & 3 == 0 && general_protection_fix_up(frame.rip, &mut registers) {
///         let FixUpRegisters { rax, rdx, rsi, rdi } = registers;
///         (frame.rax, frame.rdx, frame.rsi, frame.rdi) = (rax, rdx, rsi, rdi);
///         return;
///     }
///     // … what this kernel does about any other #GP …
/// }
/// ```
pub fn general_protection_fix_up(rip: u64, registers: &mut FixUpRegisters) -> bool {
    // Not twice: what faults with the old value too would be tried for ever.
    if rip != tried_at() || registers.rdi != TRYING {
        return false;
    }
    registers.rax = registers.rsi & 0xFFFF_FFFF;
    registers.rdx = registers.rsi >> 32;
    registers.rdi = REFUSED;
    true
}

/// The address of the WRMSR that the fix-up knows.
fn tried_at() -> u64 {
    (wrmsr_and_return as *const ()).addr() as u64
}

/// The WRMSR whose #GP is mended: the function's first instruction, so that its address
/// is the function's.
#[unsafe(naked)]
unsafe extern "sysv64" fn wrmsr_and_return() {
    naked_asm!("wrmsr", "ret")
}

/// WRMSR of `value`, or of `old` where the CPU does not take `value`.
///
/// # Safety
///
/// 1. The code runs in ring 0, and the MSR takes `old`, which it holds now.
/// 2. Neither value breaks anything that Rust code relies on.
pub(crate) unsafe fn try_wrmsr(
    msr: MsrIndex,
    value: u64,
    old: u64,
) -> Result<(), GeneralProtection> {
    let refused: u64;
    // SAFETY: the function called executes WRMSR and returns; it uses ECX, EDX and EAX,
    // which are given, and the fix-up of a #GP uses RAX, RDX and RDI, which are given
    // up, and RSI. What WRMSR does is the caller's (2). No `nostack`: CALL pushes. No
    // `nomem`: an MSR may govern memory.
    unsafe {
        asm!(
            "call {wrmsr}",
            wrmsr = sym wrmsr_and_return,
            in("ecx") msr.0,
            inout("eax") value as u32 => _,
            inout("edx") (value >> 32) as u32 => _,
            in("rsi") old,
            inout("rdi") TRYING => refused,
            options(preserves_flags),
        );
    }
    if refused == TRYING { Ok(()) } else { Err(GeneralProtection) }
}

impl<O: SwitchOptions> BareMetal<O> {
    /// WRMSR of any MSR that reports #GP(0) instead of raising it, where the host's #GP
    /// handler calls [`general_protection_fix_up`]; where it does not, the #GP reaches
    /// that handler as from any other WRMSR. RDMSR comes first.
    ///
    /// # Errors
    /// [`GeneralProtection`]: the CPU does not take the value, and the MSR holds what it
    /// held before.
    ///
    /// # Safety
    ///
    /// 1. RDMSR and WRMSR of this MSR exist on this CPU, or the #GP(0) is handled, and it
    ///    takes the value that it holds.
    /// 2. Reading it, and writing the value that it holds, have no effect that anybody
    ///    relies on not happening.
    /// 3. The effect of `value` breaks nothing that Rust code relies on, as
    ///    [`Msr::write_msr`](vmx_core::cpu::Msr::write_msr) says.
    pub unsafe fn try_write_msr(
        &mut self,
        msr: MsrIndex,
        value: u64,
    ) -> Result<(), GeneralProtection> {
        // SAFETY: ring 0 by the contract of `BareMetal::new`; the caller answers for the
        // MSR (1) and what reading it does (2).
        let old = unsafe { rdmsr(msr.0) };
        // SAFETY: `old` is what the MSR holds, which it takes (1) without effect (2); the
        // caller answers for `value` (3).
        unsafe { try_wrmsr(msr, value, old) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAVED: FixUpRegisters =
        FixUpRegisters { rax: 1, rdx: 2, rsi: 0x1234_5678_9ABC_DEF0, rdi: TRYING };

    #[test]
    fn the_wrmsr_is_tried_again_with_the_old_value() {
        let mut registers = SAVED;
        assert!(general_protection_fix_up(tried_at(), &mut registers));
        let expected = FixUpRegisters { rax: 0x9ABC_DEF0, rdx: 0x1234_5678, rdi: REFUSED, ..SAVED };
        assert_eq!(registers, expected);
        assert!(!general_protection_fix_up(tried_at(), &mut registers), "not for ever");
        assert_eq!(registers, expected);
    }

    #[test]
    fn other_exceptions_are_the_hosts() {
        for rip in [0, tried_at() - 1, tried_at() + 1, tried_at() + 2, u64::MAX] {
            let mut registers = SAVED;
            assert!(!general_protection_fix_up(rip, &mut registers));
            assert_eq!(registers, SAVED);
        }
    }

    /// WRMSR is the first instruction, so that the function's address is its address.
    #[test]
    fn the_known_address_is_that_of_wrmsr() {
        let code = core::ptr::with_exposed_provenance::<[u8; 3]>(
            (wrmsr_and_return as *const ()).expose_provenance(),
        );
        // SAFETY: the function is three bytes long and code is readable.
        assert_eq!(unsafe { code.read() }, [0x0F, 0x30, 0xC3]);
    }
}
