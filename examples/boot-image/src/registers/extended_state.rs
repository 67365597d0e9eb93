//! SSE and XSAVE, switched on at the start.
//!
//! The image itself is compiled without SSE; guests and the XSAVE-backed
//! policy need the state to be enabled.

use vmx_core::cpu::Cr4;

use crate::registers::control_registers;

/// XCR0 as the image runs: x87 and SSE state.
const XCR0: u64 = 0b11;

/// Sets CR4.OSFXSR and CR4.OSXMMEXCPT and, if the processor has XSAVE,
/// CR4.OSXSAVE and XCR0.
pub(crate) fn enable() {
    let mut bits = Cr4::OSFXSR | Cr4::OSXMMEXCPT;
    let xsave = core::arch::x86_64::__cpuid(1).ecx & (1 << 26) != 0;
    if xsave {
        bits |= Cr4::OSXSAVE;
    }
    // SAFETY: every 64-bit processor has the first two bits, CPUID vouches for
    // the third, and none of them changes what compiled code does.
    unsafe { control_registers::set_cr4(bits) };
    if xsave {
        // SAFETY: CR4.OSXSAVE is 1; x87 and SSE exist wherever XSAVE does.
        unsafe {
            core::arch::asm!(
                "xsetbv",
                in("ecx") 0,
                in("eax") XCR0 as u32,
                in("edx") (XCR0 >> 32) as u32,
                options(nomem, nostack, preserves_flags)
            );
        }
    }
}

/// Reads XCR0; 0 if the processor has no XSAVE.
pub(crate) fn xcr0() -> u64 {
    if !control_registers::cr4().contains(Cr4::OSXSAVE) {
        return 0;
    }
    let (low, high): (u32, u32);
    // SAFETY: CR4.OSXSAVE is 1, so the instruction and the register exist.
    unsafe {
        core::arch::asm!(
            "xgetbv",
            in("ecx") 0,
            out("eax") low,
            out("edx") high,
            options(nomem, nostack, preserves_flags)
        );
    }
    u64::from(high) << 32 | u64::from(low)
}
