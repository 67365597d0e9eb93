//! Decoding why the guest exited: the exit reason and the qualification of an EPT
//! violation, from the raw values that VMREAD delivers.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use vmx_core::exit::qualification::{EptViolation, ExitQualification};
use vmx_core::exit::{BasicExitReason, ExitReason};

/// EPT violation.
static REASON: AtomicU32 = AtomicU32::new(48);
/// A write to a page that may be read and executed.
static QUALIFICATION: AtomicU64 = AtomicU64::new(0x1AA);

/// A handler's questions: did the entry fail, is it an EPT violation, a write, to the
/// guest's own page, no shadow-stack access, and what may be done there?
pub(crate) fn handler(count: u64) -> Result<(), String> {
    let permissions = handle(black_box(&REASON), black_box(&QUALIFICATION), count);
    if permissions == 0b101 * count { Ok(()) } else { Err("decoded otherwise than set".into()) }
}

#[inline(never)]
fn handle(reason: &AtomicU32, qualification: &AtomicU64, count: u64) -> u64 {
    let mut permissions = 0;
    for _ in 0..count {
        let reason = ExitReason(reason.load(Relaxed));
        if reason.is_entry_failure() || reason.basic() != BasicExitReason::EPT_VIOLATION {
            continue;
        }
        let violation = EptViolation::from_bits_retain(qualification.load(Relaxed));
        if violation.contains(EptViolation::WRITE)
            && violation.is_final_translation()
            && !violation.contains(EptViolation::SHADOW_STACK_ACCESS)
        {
            permissions += violation.permissions();
        }
    }
    permissions
}

/// The decoded value as a whole, for any exit reason, left in memory.
pub(crate) fn decoder(count: u64) -> Result<(), String> {
    decode(black_box(&REASON), black_box(&QUALIFICATION), count);
    Ok(())
}

#[inline(never)]
fn decode(reason: &AtomicU32, qualification: &AtomicU64, count: u64) {
    for _ in 0..count {
        let reason = ExitReason(reason.load(Relaxed));
        let decoded = ExitQualification::decode(reason.basic(), qualification.load(Relaxed));
        black_box((reason.is_entry_failure(), decoded));
    }
}
