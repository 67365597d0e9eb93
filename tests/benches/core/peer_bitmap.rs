//! An MSR bitmap as hypervisors in Rust usually have it, for comparison: bytes of its
//! own, a function per kind of access that finds the bit by range, one bit a call. Such
//! functions stand in another crate than their callers and are called, not inlined.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::bitmap::{ECX, SSPS};

/// The bitmap.
struct PeerBitmap {
    bytes: Vec<u8>,
}

impl PeerBitmap {
    /// Every access exits.
    fn all_exit() -> Self {
        Self { bytes: vec![0xFF; 4096] }
    }

    /// Makes RDMSR exit or not; whether the MSR has a bit.
    #[inline(never)]
    fn set_read_intercept(&mut self, msr: u32, intercept: bool) -> bool {
        self.set(0, msr, intercept)
    }

    /// Makes WRMSR exit or not; whether the MSR has a bit.
    #[inline(never)]
    fn set_write_intercept(&mut self, msr: u32, intercept: bool) -> bool {
        self.set(0x800, msr, intercept)
    }

    #[inline(always)]
    fn set(&mut self, part: usize, msr: u32, intercept: bool) -> bool {
        let (base, bit) = match msr {
            0..=0x1FFF => (part, msr),
            0xC000_0000..=0xC000_1FFF => (part + 0x400, msr - 0xC000_0000),
            _ => return false,
        };
        let (byte, bit) = (base + bit as usize / 8, bit % 8);
        if intercept {
            self.bytes[byte] |= 1 << bit;
        } else {
            self.bytes[byte] &= !(1 << bit);
        }
        true
    }
}

/// The three shadow-stack-pointer registers.
pub(crate) fn constant(count: u64) -> Result<(), String> {
    let mut bitmap = PeerBitmap::all_exit();
    if pass_constants(&mut bitmap, count) { Ok(()) } else { Err("an MSR has no bit".into()) }
}

#[inline(never)]
fn pass_constants(bitmap: &mut PeerBitmap, count: u64) -> bool {
    let mut all = true;
    for _ in 0..count {
        for msr in SSPS {
            all &= bitmap.set_read_intercept(msr.0, false);
            all &= bitmap.set_write_intercept(msr.0, false);
        }
    }
    all
}

/// One MSR whose number the compiler does not know.
pub(crate) fn runtime(count: u64) -> Result<(), String> {
    let mut bitmap = PeerBitmap::all_exit();
    if pass_runtime(&mut bitmap, black_box(&ECX), count) {
        Ok(())
    } else {
        Err("the MSR has no bit".into())
    }
}

#[inline(never)]
fn pass_runtime(bitmap: &mut PeerBitmap, ecx: &AtomicU32, count: u64) -> bool {
    for _ in 0..count {
        let msr = ecx.load(Relaxed);
        if !bitmap.set_read_intercept(msr, false) || !bitmap.set_write_intercept(msr, false) {
            return false;
        }
    }
    true
}
