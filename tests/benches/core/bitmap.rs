//! Passing RDMSR and WRMSR through the MSR bitmap.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use vmx_core::intercept::MsrAccess;
use vmx_core::intercept::MsrGroup;
use vmx_core::memory::PhysicalPage;
use vmx_core::{MsrBitmap, MsrIndex, Page};

/// The MSRs that a policy passes through at a guest's first use.
pub(crate) const SSPS: [MsrIndex; 3] =
    [MsrIndex::IA32_PL0_SSP, MsrIndex::IA32_PL1_SSP, MsrIndex::IA32_PL2_SSP];

/// The number in ECX at an exit.
pub(crate) static ECX: AtomicU32 = AtomicU32::new(MsrIndex::IA32_PL0_SSP.0);

static PAGE: Page = Page::new();

/// The three, one by one.
pub(crate) fn constant(count: u64) -> Result<(), String> {
    pass_constants(MsrBitmap::all_exit(PhysicalPage::unplaced(&PAGE)), count)?;
    is_passed(&SSPS)
}

#[inline(never)]
fn pass_constants(bitmap: MsrBitmap<'_>, count: u64) -> Result<(), String> {
    for _ in 0..count {
        for msr in SSPS {
            for access in MsrAccess::ALL {
                bitmap.pass(msr, access).map_err(|error| error.to_string())?;
            }
        }
    }
    Ok(())
}

/// The three as a group.
pub(crate) fn group(count: u64) -> Result<(), String> {
    pass_group(MsrBitmap::all_exit(PhysicalPage::unplaced(&PAGE)), count);
    is_passed(&SSPS)
}

#[inline(never)]
fn pass_group(bitmap: MsrBitmap<'_>, count: u64) {
    const GROUP: Option<MsrGroup> = MsrGroup::from_pattern(MsrIndex::IA32_PL0_SSP, 0b111);
    let Some(group) = GROUP else { return };
    for _ in 0..count {
        for access in MsrAccess::ALL {
            bitmap.set_group(group, access, false);
        }
    }
}

/// One MSR whose number the compiler does not know.
pub(crate) fn runtime(count: u64) -> Result<(), String> {
    pass_runtime(MsrBitmap::all_exit(PhysicalPage::unplaced(&PAGE)), black_box(&ECX), count)?;
    is_passed(&SSPS[..1])
}

#[inline(never)]
fn pass_runtime(bitmap: MsrBitmap<'_>, ecx: &AtomicU32, count: u64) -> Result<(), String> {
    for _ in 0..count {
        let msr = MsrIndex(ecx.load(Relaxed));
        for access in MsrAccess::ALL {
            bitmap.pass(msr, access).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// The work was really done.
fn is_passed(msrs: &[MsrIndex]) -> Result<(), String> {
    let bitmap = MsrBitmap::from_page(PhysicalPage::unplaced(&PAGE));
    for access in MsrAccess::ALL {
        if !bitmap.passing(access).eq(msrs.iter().copied()) {
            return Err(format!("{access:?}: the bitmap passes other MSRs than it should"));
        }
    }
    Ok(())
}
