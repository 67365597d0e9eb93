//! VMREAD and VMWRITE for `cargo xtask bench core` to disassemble. Nothing here is ever
//! executed.
//!
//! Each function does one access with a constant field and calls [`probe_failed`] where
//! it fails, so its success path is the one that does not get there. The value is an
//! argument or the result, in a register either way.

use vmx_bare_metal::BareMetal;
use vmx_core::cpu::VmcsAccess;
use vmx_core::vmcs::field;
use x86::bits64::vmx;
use x86::vmx::vmcs::guest;

/// Keeps the functions in the program.
#[used]
static READS: [fn() -> u64; 2] = [probe_vmread, probe_x86_vmread];
#[used]
static WRITES: [fn(u64); 2] = [probe_vmwrite, probe_x86_vmwrite];

/// What a hypervisor does about a failed access.
#[unsafe(no_mangle)]
#[cold]
#[inline(never)]
fn probe_failed() -> ! {
    std::process::abort()
}

#[unsafe(no_mangle)]
fn probe_vmread() -> u64 {
    // SAFETY: never executed.
    let cpu = unsafe { BareMetal::new() };
    match cpu.read(field::GUEST_RIP) {
        Ok(value) => value,
        Err(_) => probe_failed(),
    }
}

#[unsafe(no_mangle)]
fn probe_vmwrite(value: u64) {
    // SAFETY: never executed.
    let mut cpu = unsafe { BareMetal::new() };
    if cpu.write(field::GUEST_RIP, value).is_err() {
        probe_failed();
    }
}

#[unsafe(no_mangle)]
fn probe_x86_vmread() -> u64 {
    // SAFETY: never executed.
    match unsafe { vmx::vmread(guest::RIP) } {
        Ok(value) => value,
        Err(_) => probe_failed(),
    }
}

#[unsafe(no_mangle)]
fn probe_x86_vmwrite(value: u64) {
    // SAFETY: never executed.
    if unsafe { vmx::vmwrite(guest::RIP, value) }.is_err() {
        probe_failed();
    }
}
