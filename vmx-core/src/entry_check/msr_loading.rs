//! Loading MSRs from the VM-entry MSR-load area. Source: SDM, "Loading MSRs".

use super::rule::{Group, Rule, Section, all_hold};
use super::state::EntryState;
use crate::control::entry::EntryControls;
use crate::cpu::register_bits::Cr0;
use crate::msr_list::{MsrContext, MsrEntry, NotLoadable, check_load_entry};
use crate::vmcs::field::encoding::Encoding;
use crate::vmcs::field::{GUEST_CR0, VM_ENTRY_MSR_LOAD_ADDRESS, VM_ENTRY_MSR_LOAD_COUNT};

/// The reasons for which an entry is refused, as [`check_load_entry`] gives them.
pub(super) const MSR_LOADING: Section = Section {
    group: Group::MsrLoad,
    title: "Loading MSRs",
    // Most entries load no MSR.
    all_hold: |state| entries(state).is_empty() || all_hold(MSR_LOADING.rules, state),
    rules: &[
        Rule::new(
            "msr-load-not-fs-or-gs-base",
            "no entry names IA32_FS_BASE or IA32_GS_BASE",
            READS,
            |state| none_refused(state, |reason| reason == NotLoadable::SegmentBase),
        ),
        Rule::new(
            "msr-load-not-x2apic",
            "no entry names an MSR from 800h to 8FFh, those of the x2APIC",
            READS,
            |state| none_refused(state, |reason| reason == NotLoadable::X2Apic),
        ),
        Rule::new(
            "msr-load-not-of-smm",
            "no entry names IA32_SMM_MONITOR_CTL, unless the entry is from SMM",
            READS,
            |state| none_refused(state, |reason| reason == NotLoadable::SystemManagementMode),
        ),
        Rule::new(
            "msr-load-not-microcode",
            "no entry names IA32_BIOS_UPDT_TRIG or IA32_BIOS_SIGN_ID, which a CPU may refuse",
            READS,
            |state| none_refused(state, |reason| reason == NotLoadable::ModelSpecific),
        )
        .optional(),
        Rule::new("msr-load-reserved-bits", "bits 63:32 of every entry are 0", READS, |state| {
            entries(state).iter().all(|entry| entry.reserved == 0)
        }),
        Rule::new(
            "msr-load-value-legal",
            "WRMSR would accept every entry's MSR and value",
            READS,
            |state| none_refused(state, is_of_wrmsr),
        ),
    ],
};

const READS: &[Encoding] =
    &[VM_ENTRY_MSR_LOAD_ADDRESS.encoding(), VM_ENTRY_MSR_LOAD_COUNT.encoding()];

/// The entries that VM entry loads, as far as they are known.
#[inline]
fn entries<'s>(state: &'s EntryState<'_>) -> &'s [MsrEntry] {
    let area = state.memory().msr_load_area;
    let count = state.get(VM_ENTRY_MSR_LOAD_COUNT) as usize;
    area.get(..count).unwrap_or(area)
}

/// Why VM entry refuses the entry.
fn refusal(state: &EntryState<'_>, entry: &MsrEntry) -> Option<NotLoadable> {
    match check_load_entry(entry, &context(state)) {
        Err(NotLoadable::SystemManagementMode) if state.circumstances().in_smm => None,
        judged => judged.err(),
    }
}

/// What WRMSR goes by once VM entry has loaded the guest's state.
fn context(state: &EntryState<'_>) -> MsrContext {
    let capabilities = state.capabilities();
    MsrContext {
        linear_address_width: capabilities.linear_address_width,
        shadow_stacks: capabilities.has_shadow_stacks,
        indirect_branch_tracking: capabilities.has_indirect_branch_tracking,
        // Stands in a CPUID leaf that is no part of the capabilities: none is refused.
        xss: u64::MAX,
        paging: state.get(GUEST_CR0).contains(Cr0::PG),
        // With paging, the only case in which it matters, LME is what LMA is.
        long_mode_enable: state.entry(EntryControls::IA32E_MODE_GUEST),
    }
}

/// Whether no entry, its reserved bits apart, is refused for such a reason.
fn none_refused(state: &EntryState<'_>, is_reason: fn(NotLoadable) -> bool) -> bool {
    entries(state).iter().all(|entry| {
        let entry = MsrEntry::new(entry.msr, entry.value);
        !refusal(state, &entry).is_some_and(is_reason)
    })
}

/// Whether it is WRMSR that would refuse the value, whatever loads it.
const fn is_of_wrmsr(reason: NotLoadable) -> bool {
    match reason {
        NotLoadable::ReservedBits
        | NotLoadable::SegmentBase
        | NotLoadable::X2Apic
        | NotLoadable::SystemManagementMode
        | NotLoadable::ModelSpecific => false,
        NotLoadable::ReadOnly
        | NotLoadable::NoSuchMsr
        | NotLoadable::ReservedValueBits { .. }
        | NotLoadable::NotCanonical
        | NotLoadable::Misaligned
        | NotLoadable::SuppressAndTracker
        | NotLoadable::MemoryType
        | NotLoadable::LongModeChange => true,
    }
}

/// The number, from 1, of the first entry that is refused for any reason; 0 if none is.
pub(super) fn first_refused(state: &EntryState<'_>) -> u64 {
    let is_refused = |entry| refusal(state, entry).is_some();
    entries(state).iter().position(is_refused).map_or(0, |place| place as u64 + 1)
}

/// Whether the CPU may refuse the entry with this number: it is refused, and none before
/// it must be.
pub(super) fn may_stop_at(state: &EntryState<'_>, number: u64) -> bool {
    let entries = entries(state);
    let place = number.checked_sub(1).and_then(|place| usize::try_from(place).ok());
    let Some((entry, before)) = place.and_then(|place| entries.get(..=place)?.split_last()) else {
        return false;
    };
    let must_be_refused =
        |entry| refusal(state, entry).is_some_and(|reason| reason != NotLoadable::ModelSpecific);
    refusal(state, entry).is_some() && !before.iter().any(must_be_refused)
}
