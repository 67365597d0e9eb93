//! Loading MSRs from the VM-entry MSR-load area. Source: SDM, "Loading MSRs".

use super::rule::{Group, Rule, Section, all_hold};
use super::state::{EntryState, MsrLoadEntry};
use crate::capability::Capabilities;
use crate::field::{VM_ENTRY_MSR_LOAD_ADDRESS, VM_ENTRY_MSR_LOAD_COUNT};
use crate::msr::MsrIndex;
use crate::ssp::CetControl;

/// The reasons for which an entry is refused.
///
/// What WRMSR refuses is judged for the MSRs of [`wrmsr_faults`]; values of others are
/// taken to be legal.
pub(super) const MSR_LOADING: Section = Section {
    group: Group::MsrLoad,
    title: "Loading MSRs",
    all_hold: |state| all_hold(MSR_LOADING.rules, state),
    rules: &[
        Rule::new(
            "msr-load-not-fs-or-gs-base",
            "no entry names IA32_FS_BASE or IA32_GS_BASE",
            READS,
            |state| none(state, is_fs_or_gs_base),
        ),
        Rule::new(
            "msr-load-not-x2apic",
            "no entry names an MSR from 800h to 8FFh, those of the x2APIC",
            READS,
            |state| none(state, is_x2apic),
        ),
        Rule::new(
            "msr-load-not-of-smm",
            "no entry names IA32_SMM_MONITOR_CTL, unless the entry is from SMM",
            READS,
            |state| none(state, is_of_smm),
        ),
        Rule::new(
            "msr-load-not-microcode",
            "no entry names IA32_BIOS_UPDT_TRIG or IA32_BIOS_SIGN_ID, which a CPU may refuse",
            READS,
            |state| none(state, is_of_microcode),
        )
        .optional(),
        Rule::new("msr-load-reserved-bits", "bits 63:32 of every entry are 0", READS, |state| {
            none(state, has_reserved_bits)
        }),
        Rule::new(
            "msr-load-value-legal",
            "WRMSR would accept every entry's value",
            READS,
            |state| none(state, is_refused_by_wrmsr),
        ),
    ],
};

const READS: &[crate::field::Encoding] =
    &[VM_ENTRY_MSR_LOAD_ADDRESS.encoding(), VM_ENTRY_MSR_LOAD_COUNT.encoding()];

/// Why an entry is refused.
type Reason = fn(&EntryState<'_>, &MsrLoadEntry) -> bool;

/// The reasons that every CPU goes by.
const CERTAIN: [Reason; 5] =
    [is_fs_or_gs_base, is_x2apic, is_of_smm, has_reserved_bits, is_refused_by_wrmsr];

/// The entries that VM entry loads, as far as they are known.
fn entries<'s>(state: &'s EntryState<'_>) -> &'s [MsrLoadEntry] {
    let area = state.memory().msr_load_area;
    let count = state.get(VM_ENTRY_MSR_LOAD_COUNT) as usize;
    area.get(..count).unwrap_or(area)
}

fn none(state: &EntryState<'_>, reason: Reason) -> bool {
    !entries(state).iter().any(|entry| reason(state, entry))
}

/// The number, from 1, of the first entry that is refused for any reason; 0 if none is.
pub(super) fn first_refused(state: &EntryState<'_>) -> u64 {
    let bad = |entry| is_certain(state, entry) || is_of_microcode(state, entry);
    entries(state).iter().position(bad).map_or(0, |place| place as u64 + 1)
}

/// Whether the CPU may refuse the entry with this number: it is refused, and none before
/// it must be.
pub(super) fn may_stop_at(state: &EntryState<'_>, number: u64) -> bool {
    let entries = entries(state);
    let place = number.checked_sub(1).and_then(|place| usize::try_from(place).ok());
    let Some((entry, before)) = place.and_then(|place| entries.get(..=place)?.split_last()) else {
        return false;
    };
    (is_certain(state, entry) || is_of_microcode(state, entry))
        && !before.iter().any(|entry| is_certain(state, entry))
}

fn is_certain(state: &EntryState<'_>, entry: &MsrLoadEntry) -> bool {
    CERTAIN.iter().any(|reason| reason(state, entry))
}

fn is_fs_or_gs_base(_: &EntryState<'_>, entry: &MsrLoadEntry) -> bool {
    matches!(entry.index, 0xC000_0100 | 0xC000_0101)
}

fn is_x2apic(_: &EntryState<'_>, entry: &MsrLoadEntry) -> bool {
    entry.index >> 8 == 8
}

fn is_of_smm(state: &EntryState<'_>, entry: &MsrLoadEntry) -> bool {
    entry.index == 0x9B && !state.circumstances().in_smm
}

fn is_of_microcode(_: &EntryState<'_>, entry: &MsrLoadEntry) -> bool {
    matches!(entry.index, 0x79 | 0x8B)
}

fn has_reserved_bits(_: &EntryState<'_>, entry: &MsrLoadEntry) -> bool {
    entry.reserved != 0
}

fn is_refused_by_wrmsr(state: &EntryState<'_>, entry: &MsrLoadEntry) -> bool {
    wrmsr_faults(state.capabilities(), MsrIndex(entry.index), entry.value)
}

/// Whether WRMSR raises #GP, for MSRs whose values follow from [`Capabilities`].
fn wrmsr_faults(capabilities: &Capabilities, msr: MsrIndex, value: u64) -> bool {
    let is_canonical = capabilities.linear_address_width.is_canonical(value);
    match msr.0 {
        // SYSENTER_ESP and _EIP, LSTAR, CSTAR, KERNEL_GS_BASE, INTERRUPT_SSP_TABLE_ADDR.
        0x175 | 0x176 | 0xC000_0082 | 0xC000_0083 | 0xC000_0102 | 0x6A8 => !is_canonical,
        // PL0_SSP to PL3_SSP.
        0x6A4..=0x6A7 => !is_canonical || value & 0b11 != 0,
        // U_CET and S_CET.
        0x6A0 | 0x6A2 => !is_canonical || has_illegal_cet_bits(CetControl::from_bits_retain(value)),
        0x277 => !is_pat(value),
        0xC000_0080 => value & !EFER_BITS != 0,
        // The VMX capability MSRs are read-only.
        0x480..=0x493 => true,
        _ => false,
    }
}

/// IA32_EFER.SCE, LME, LMA and NXE; the other bits are reserved.
pub(super) const EFER_BITS: u64 = 1 | 1 << 8 | 1 << 10 | 1 << 11;

/// Whether IA32_S_CET or IA32_U_CET has a reserved bit, or SUPPRESS and TRACKER both.
pub(super) const fn has_illegal_cet_bits(value: CetControl) -> bool {
    const RESERVED: u64 = 0xF << 6;
    value.bits() & RESERVED != 0 || value.contains(CetControl::SUPPRESS.union(CetControl::TRACKER))
}

/// Whether every byte of IA32_PAT is a memory type: 0, 1, 4, 5, 6 or 7.
pub(super) const fn is_pat(value: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // Bits 7:3 are 0, and bit 1 comes with bit 2 only.
    value & (0xF8 * ONES) == 0 && (value >> 1) & !(value >> 2) & ONES == 0
}
