//! The local APIC, by which one CPU reaches another; in x2APIC mode.
//!
//! In this mode its registers are MSRs (SDM, "Extended XAPIC (x2APIC)"), so no page has to be
//! mapped uncacheable, an APIC ID has 32 bits, and a message is sent by one WRMSR, which
//! needs no polling. Every CPU with CET has the mode, and so have those with VMX since 2009
//! and every hypervisor that nests VMX.

use core::arch::asm;
use core::arch::x86_64::__cpuid;
use core::fmt;

use x86::io::outb;
use x86::msr::{
    IA32_APIC_BASE, IA32_X2APIC_APICID, IA32_X2APIC_EOI, IA32_X2APIC_ICR, IA32_X2APIC_SIVR, rdmsr,
    wrmsr,
};

/// Vector of the interrupt by which a CPU draws another one's attention.
pub(crate) const ATTENTION: u8 = 0x20;
/// Vector of the interrupt that the APIC delivers when the one it announced is gone (SDM,
/// "Spurious Interrupt"). Some APICs have its lowest four bits always set.
pub(crate) const SPURIOUS: u8 = 0x2F;

/// IA32_APIC_BASE: the APIC is on.
const ENABLED: u64 = 1 << 11;
/// IA32_APIC_BASE: in x2APIC mode.
const X2APIC_MODE: u64 = 1 << 10;
/// Spurious-interrupt vector register: the APIC takes interrupts.
const SOFTWARE_ENABLE: u64 = 1 << 8;

/// Interrupt command register: level "assert", which every message but one of old has.
const ASSERT: u64 = 1 << 14;
/// Interrupt command register: the destination shorthand "all excluding self".
const ALL_BUT_SELF: u64 = 0b11 << 18;

/// What one CPU can do to others (SDM, "Interrupt Command Register (ICR)").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Message {
    /// The interrupt [`ATTENTION`]. In the host it waits until the CPU takes interrupts; in a
    /// guest it causes a VM exit, if the VMCS says external-interrupt exiting.
    Attention,
    /// A non-maskable interrupt.
    Nmi,
}

impl Message {
    /// Delivery mode and vector.
    const fn command(self) -> u64 {
        match self {
            Self::Attention => ASSERT | ATTENTION as u64,
            Self::Nmi => ASSERT | 0b100 << 8,
        }
    }
}

/// Why the local APIC cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LocalApicError {
    /// CPUID reports no x2APIC mode.
    NoX2ApicMode,
}

impl fmt::Display for LocalApicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "this CPU has no x2APIC mode (CPUID.1:ECX[21]), by which the image starts other CPUs",
        )
    }
}

impl core::error::Error for LocalApicError {}

/// Brings this CPU's local APIC into x2APIC mode and lets it take messages. Its ID.
///
/// The only interrupts that it lets in are the two vectors above: its own sources are masked
/// by reset, and the old interrupt controllers are masked here.
///
/// # Errors
///
/// See [`LocalApicError`].
pub(crate) fn enable() -> Result<u32, LocalApicError> {
    if __cpuid(1).ecx & (1 << 21) == 0 {
        return Err(LocalApicError::NoX2ApicMode);
    }
    for data_port in [0x21, 0xA1] {
        // SAFETY: the interrupt masks of the two 8259A of a PC: nothing but interrupts, which
        // the image does not use, depends on them.
        unsafe { outb(data_port, 0xFF) };
    }
    // SAFETY: the MSR exists with a local APIC.
    let base = unsafe { rdmsr(IA32_APIC_BASE) };
    // The mode can only be entered from the enabled state.
    for bits in [ENABLED, ENABLED | X2APIC_MODE] {
        // SAFETY: as above; the transition is one that the manual allows. Nobody uses the
        // registers in memory, which disappear.
        unsafe { wrmsr(IA32_APIC_BASE, base | bits) };
    }
    // SAFETY: the MSR exists in x2APIC mode; the vector has a gate.
    unsafe { wrmsr(IA32_X2APIC_SIVR, SOFTWARE_ENABLE | u64::from(SPURIOUS)) };
    // SAFETY: as above.
    Ok(unsafe { rdmsr(IA32_X2APIC_APICID) } as u32)
}

/// Sends a message to the CPU with this APIC ID, which may be this one.
///
/// #GP, which is reported, if this CPU's local APIC was not enabled.
pub(crate) fn send(message: Message, apic_id: u32) {
    // SAFETY: a CPU that gets one of these two messages goes on where it was, or stops:
    // the handlers of both vectors keep what they interrupt.
    unsafe { command(u64::from(apic_id) << 32 | message.command()) };
}

/// Resets all CPUs but this one, and leaves them waiting for [`start_up_others`].
///
/// # Safety
///
/// 1. None of these CPUs executes code of the image: whatever it had borrowed would be
///    borrowed for ever.
pub(crate) unsafe fn init_others() {
    const INIT: u64 = 0b101 << 8;
    // SAFETY: the caller's contract.
    unsafe { command(ALL_BUT_SELF | ASSERT | INIT) };
}

/// Lets all CPUs but this one that wait for it start in real mode at the beginning of a page.
///
/// # Safety
///
/// 1. The page below 1 MiB with this number holds code that a CPU which comes from INIT may
///    execute.
pub(crate) unsafe fn start_up_others(page: u8) {
    const START_UP: u64 = 0b110 << 8;
    // SAFETY: the caller's contract.
    unsafe { command(ALL_BUT_SELF | ASSERT | START_UP | u64::from(page)) };
}

/// Writes the interrupt command register. Whatever was stored before is seen by the CPU that
/// gets the message: WRMSR of this register does not wait for stores by itself (SDM,
/// "x2APIC Register Address Space").
///
/// # Safety
///
/// 1. What the message does to its target is sound.
unsafe fn command(command: u64) {
    // SAFETY: fences of SSE2, which every 64-bit CPU has. Not `nomem`: stores stay before.
    unsafe { asm!("mfence", "lfence", options(nostack, preserves_flags)) };
    // SAFETY: the MSR exists in x2APIC mode; the effect is the caller's contract.
    unsafe { wrmsr(IA32_X2APIC_ICR, command) };
}

/// Tells this CPU's local APIC that the interrupt in service was handled.
pub(crate) fn end_of_interrupt() {
    // SAFETY: the MSR takes 0 in x2APIC mode; outside of it #GP is reported.
    unsafe { wrmsr(IA32_X2APIC_EOI, 0) };
}
