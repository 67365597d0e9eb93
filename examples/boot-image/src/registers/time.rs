//! How long something took, by the time-stamp counter.

use core::arch::x86_64::{__cpuid, _rdtsc};
use core::time::Duration;

/// Ticks per microsecond of a CPU that does not tell: more than any has, so that a wait
/// is too long rather than too short.
const TICKS_IF_UNKNOWN: u64 = 6000;

/// Ticks of the time-stamp counter per microsecond (SDM, "Time-Stamp Counter", "Determining
/// the Processor Base Frequency").
fn ticks_per_microsecond() -> u64 {
    let highest = __cpuid(0).eax;
    if highest >= 0x15 {
        // The counter's rate is that of the core crystal clock times EBX / EAX.
        let leaf = __cpuid(0x15);
        let product = u64::from(leaf.ecx) * u64::from(leaf.ebx);
        if let Some(hertz @ 1..) = product.checked_div(leaf.eax.into()) {
            return hertz.div_ceil(1_000_000);
        }
    }
    if highest >= 0x16 {
        // In MHz.
        let base = u64::from(__cpuid(0x16).eax & 0xFFFF);
        if base != 0 {
            return base;
        }
    }
    TICKS_IF_UNKNOWN
}

/// A moment that is over some time from now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    start: u64,
    ticks: u64,
}

impl Deadline {
    /// That much time from now.
    pub(crate) fn after(time: Duration) -> Self {
        let microseconds = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Self { start: now(), ticks: ticks_per_microsecond().saturating_mul(microseconds) }
    }

    /// Whether it is over.
    pub(crate) fn is_over(&self) -> bool {
        now().wrapping_sub(self.start) >= self.ticks
    }
}

fn now() -> u64 {
    // SAFETY: every 64-bit CPU has RDTSC, and CR4.TSD does not forbid it to ring 0.
    unsafe { _rdtsc() }
}
