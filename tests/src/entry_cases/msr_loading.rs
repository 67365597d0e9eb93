//! The cases of the VM-entry MSR-load area.

use vmx_core::MsrIndex;
use vmx_core::msr_list::MsrEntry;
use vmx_core::vmcs::field::VM_ENTRY_MSR_LOAD_COUNT;

use super::case::NotShown::FeatureOnNoModel;
use super::case::{Case, Edit, by, edits};
use super::editor::Editor;

/// IA32_SYSENTER_CS, which every VM exit loads again.
const SYSENTER_CS: MsrEntry = entry(0x174, 0);
const IA32_PAT: u32 = 0x277;

/// The cases.
pub(super) const CASES: &[Case] = &[
    edits("msr-load-not-fs-or-gs-base", by(|e| load(e, &[entry(0xC000_0100, 0)])), LEGAL)
        .of("IA32_FS_BASE"),
    edits(
        "msr-load-not-fs-or-gs-base",
        by(|e| load(e, &[SYSENTER_CS, entry(0xC000_0101, 0)])),
        LEGAL,
    )
    .of("IA32_GS_BASE, second entry"),
    edits("msr-load-not-x2apic", by(|e| load(e, &[entry(0x808, 0)])), LEGAL),
    edits("msr-load-not-of-smm", by(|e| load(e, &[entry(0x9B, 0)])), LEGAL),
    edits("msr-load-not-microcode", by(|e| load(e, &[entry(0x79, 0)])), LEGAL).not_shown(
        FeatureOnNoModel(
            "a load area that refuses microcode MSRs; the manual leaves it to the CPU",
        ),
    ),
    edits(
        "msr-load-reserved-bits",
        by(|e| load(e, &[MsrEntry { reserved: 1, ..SYSENTER_CS }])),
        LEGAL,
    ),
    edits(
        "msr-load-value-legal",
        by(|e| load(e, &[entry(IA32_PAT, 2)])),
        by(|e| load(e, &[entry(IA32_PAT, 0x0007_0406_0007_0406)])),
    ),
];

const LEGAL: Edit = by(|e| load(e, &[SYSENTER_CS]));

const fn entry(msr: u32, value: u64) -> MsrEntry {
    MsrEntry::new(MsrIndex(msr), value)
}

/// Loads these MSRs.
fn load(e: &mut Editor<'_>, entries: &[MsrEntry]) {
    for (place, entry) in e.memory.msr_load_area.iter_mut().zip(entries) {
        *place = *entry;
    }
    e.set(VM_ENTRY_MSR_LOAD_COUNT, entries.len() as u32);
}
