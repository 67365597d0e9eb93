//! Instructions of each kind that Bochs' log is counted for, in known numbers.

use core::arch::asm;

use vmx_core::cet::CET_S;

use crate::output::console::say;
use crate::output::exit::{ExitKind, passed};

/// Executes instructions of each kind that Bochs' log is counted for, and
/// reports how many: the count of the log must come to the same.
pub(super) fn counts() -> ExitKind {
    const XSS: u32 = 0xDA0;
    const PL0_SSP: u32 = 0x6A4;
    let mut area = ExtendedState([0; 640]);
    // Its header says: compacted, component 12 only.
    area.0[520..528].copy_from_slice(&(1 << 63 | CET_S).to_le_bytes());

    let write = |first: u64| {
        for register in 0..3 {
            // SAFETY: the three registers exist with shadow stacks, which the
            // start demanded, and take any canonical multiple of 4; none is
            // used, since everything runs in ring 0.
            unsafe { x86::msr::wrmsr(PL0_SSP + register, first + u64::from(register) * 8) };
        }
    };
    // SAFETY: the register exists with XSAVES, which the start demanded, and
    // bit 12 with shadow stacks.
    unsafe { x86::msr::wrmsr(XSS, CET_S) };
    write(0x1000);
    xsaves(&mut area, CET_S);
    // Restores from an image that is not initial, which Bochs logs as WRMSR
    // too, between two accesses that are real.
    write(0x2000);
    xrstors(&area, CET_S);
    // SAFETY: as for `write`.
    let restored = unsafe { x86::msr::rdmsr(PL0_SSP) };
    // And from an initial image, which Bochs does not log as WRMSR.
    area.0[512..520].fill(0);
    xrstors(&area, CET_S);
    write(0);
    if restored != 0x1000 {
        say(format_args!("error XRSTORS restored {restored:#x} instead of 0x1000"));
        return ExitKind::Failed;
    }
    say(format_args!(
        "result policy=none guest=all passed=1 failed=0 skipped=0 switches=0 exits=0 rdmsr=1 \
         wrmsr=6 wrmsr_xss=1 xsaves=1 xrstors=2 canary_rdmsr=0 canary_wrmsr=3 bytes_per_vcpu=0"
    ));
    passed(1)
}

/// An XSAVE area: 512 bytes, the header's 64, and room for component 12.
#[repr(C, align(64))]
struct ExtendedState([u8; 640]);

fn xsaves(area: &mut ExtendedState, components: u64) {
    // SAFETY: the area is aligned and large enough for component 12, the only
    // one that this file saves.
    unsafe {
        asm!("xsaves64 [{}]", in(reg) area, in("eax") components as u32,
             in("edx") (components >> 32) as u32, options(nostack, preserves_flags));
    }
}

fn xrstors(area: &ExtendedState, components: u64) {
    // SAFETY: the area has a valid header, and component 12 in it came from
    // XSAVES; the registers that it restores are not in use.
    unsafe {
        asm!("xrstors64 [{}]", in(reg) area, in("eax") components as u32,
             in("edx") (components >> 32) as u32, options(nostack, preserves_flags));
    }
}
