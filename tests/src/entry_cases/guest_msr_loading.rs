//! The VM-entry MSR-load area.

use vmx_core::MsrIndex;
use vmx_core::msr_list::MsrEntry;
use vmx_core::vmcs::field::*;

use crate::entry_case::{Base, Case, Editor, Exception, NotShown};

/// IA32_SYSENTER_CS, which every VM exit loads again.
const SYSENTER_CS: u32 = 0x174;
const IA32_PAT: u32 = 0x277;

/// The cases.
pub const CASES: &[Case] = &[
    Case::new(
        "msr-load-not-fs-or-gs-base",
        Base::Guest64,
        |e| load_msrs(e, &[entry(0xC000_0100, 0)]),
        |e| load_msrs(e, &[entry(SYSENTER_CS, 0)]),
    )
    .of("IA32_FS_BASE"),
    Case::new(
        "msr-load-not-fs-or-gs-base",
        Base::Guest64,
        |e| load_msrs(e, &[entry(SYSENTER_CS, 0), entry(0xC000_0101, 0)]),
        |e| load_msrs(e, &[entry(SYSENTER_CS, 0)]),
    )
    .of("IA32_GS_BASE, second entry"),
    Case::new(
        "msr-load-not-x2apic",
        Base::Guest64,
        |e| load_msrs(e, &[entry(0x808, 0)]),
        |e| load_msrs(e, &[entry(SYSENTER_CS, 0)]),
    ),
    Case::new(
        "msr-load-not-of-smm",
        Base::Guest64,
        |e| load_msrs(e, &[entry(0x9B, 0)]),
        |e| load_msrs(e, &[entry(SYSENTER_CS, 0)]),
    ),
    Case::new(
        "msr-load-reserved-bits",
        Base::Guest64,
        |e| load_msrs(e, &[MsrEntry { reserved: 1, ..entry(SYSENTER_CS, 0) }]),
        |e| load_msrs(e, &[entry(SYSENTER_CS, 0)]),
    ),
    Case::new(
        "msr-load-value-legal",
        Base::Guest64,
        |e| load_msrs(e, &[entry(IA32_PAT, 2)]),
        |e| load_msrs(e, &[entry(IA32_PAT, 0x0007_0406_0007_0406)]),
    ),
];

/// What no case tries.
pub const EXCEPTIONS: &[Exception] = &[Exception {
    rule: "msr-load-not-microcode",
    reason: NotShown::FeatureOnNoModel(
        "a load area that refuses microcode MSRs; the manual leaves it to the CPU",
    ),
}];

fn entry(msr: u32, value: u64) -> MsrEntry {
    MsrEntry::new(MsrIndex(msr), value)
}

/// Loads these MSRs.
fn load_msrs(e: &mut Editor<'_>, entries: &[MsrEntry]) {
    for (place, entry) in e.memory.msr_load_area.iter_mut().zip(entries) {
        *place = *entry;
    }
    e.set(VM_ENTRY_MSR_LOAD_COUNT, entries.len() as u32);
}
