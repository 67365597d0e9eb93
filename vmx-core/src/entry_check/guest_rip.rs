//! RIP, RFLAGS and SSP.

use super::guest_segments::{CS, SS, rights};
use super::rule::{Group, Rule, Section, all_hold};
use super::state::EntryState;
use crate::control::entry::EntryControls;
use crate::cpu::register_bits::{Cr0, Cr4, Rflags};
use crate::event::interruption::EventType;
use crate::vmcs::field::*;

/// Bits 63:22, 15, 5 and 3 of RFLAGS.
const RFLAGS_RESERVED: u64 = !0x3F_7FD7;

/// Whether the guest will run 64-bit code.
pub(super) fn is_64_bit_code(state: &EntryState<'_>) -> bool {
    state.entry(EntryControls::IA32E_MODE_GUEST) && rights::<CS>(state).is_long()
}

/// Whether all bits above the linear-address width are equal. The bit below them may
/// differ: the address need not be canonical.
fn has_equal_high_bits(state: &EntryState<'_>, address: u64) -> bool {
    let width = state.capabilities().linear_address_width.bits();
    matches!((address as i64) >> width, 0 | -1)
}

/// The type of the event that VM entry injects.
pub(super) fn injected(state: &EntryState<'_>) -> Option<EventType> {
    let event = state.get(VM_ENTRY_INTERRUPTION_INFORMATION);
    if event.is_valid() { Some(event.event_type()) } else { None }
}

/// Where the guest starts, and with which flags.
pub(super) const RIP_RFLAGS_AND_SSP: Section = Section {
    group: Group::GuestState,
    title: "Checks on Guest RIP, RFLAGS, and SSP",
    all_hold: |state| all_hold(RIP_RFLAGS_AND_SSP.rules, state),
    rules: &[
        Rule::new(
            "guest-rip-high-half",
            "bits 63:32 of RIP are 0 outside 64-bit code",
            &[
                GUEST_RIP.encoding(),
                GUEST_CS_ACCESS_RIGHTS.encoding(),
                VM_ENTRY_CONTROLS.encoding(),
            ],
            |state| state.get(GUEST_RIP) >> 32 == 0 || is_64_bit_code(state),
        ),
        Rule::new(
            "guest-rip-width",
            "bits of RIP above the linear-address width are equal in 64-bit code",
            &[
                GUEST_RIP.encoding(),
                GUEST_CS_ACCESS_RIGHTS.encoding(),
                VM_ENTRY_CONTROLS.encoding(),
            ],
            |state| has_equal_high_bits(state, state.get(GUEST_RIP)) || !is_64_bit_code(state),
        ),
        Rule::new(
            "guest-rflags-reserved-bits",
            "bits 63:22, 15, 5 and 3 of RFLAGS are 0",
            &[GUEST_RFLAGS.encoding()],
            |state| state.get(GUEST_RFLAGS).bits() & RFLAGS_RESERVED == 0,
        ),
        Rule::new(
            "guest-rflags-bit-1",
            "bit 1 of RFLAGS is 1",
            &[GUEST_RFLAGS.encoding()],
            |state| state.get(GUEST_RFLAGS).contains(Rflags::ALWAYS_ONE),
        ),
        Rule::new(
            "guest-virtual-8086-outside-ia32e",
            "RFLAGS.VM is 0 in an IA-32e mode guest",
            &[GUEST_RFLAGS.encoding(), VM_ENTRY_CONTROLS.encoding()],
            |state| {
                !state.entry(EntryControls::IA32E_MODE_GUEST)
                    || !state.get(GUEST_RFLAGS).contains(Rflags::VM)
            },
        ),
        Rule::new(
            "guest-virtual-8086-needs-protection",
            "RFLAGS.VM is 0 if CR0.PE is 0",
            &[GUEST_RFLAGS.encoding(), GUEST_CR0.encoding()],
            |state| {
                !state.get(GUEST_RFLAGS).contains(Rflags::VM)
                    || state.get(GUEST_CR0).contains(Cr0::PE)
            },
        ),
        Rule::new(
            "guest-injected-interrupt-needs-if",
            "RFLAGS.IF is 1 if an external interrupt is injected",
            &[GUEST_RFLAGS.encoding(), VM_ENTRY_INTERRUPTION_INFORMATION.encoding()],
            |state| {
                state.get(GUEST_RFLAGS).contains(Rflags::IF)
                    || injected(state) != Some(EventType::ExternalInterrupt)
            },
        ),
        Rule::new(
            "guest-ssp-aligned",
            "bits 1:0 of SSP are 0, if CET state is loaded",
            &[GUEST_SSP.encoding(), VM_ENTRY_CONTROLS.encoding()],
            |state| !state.entry(EntryControls::LOAD_CET_STATE) || state.get(GUEST_SSP) & 0b11 == 0,
        ),
        Rule::new(
            "guest-ssp-width",
            "bits of SSP above the linear-address width are equal, if CET state is loaded",
            &[GUEST_SSP.encoding(), VM_ENTRY_CONTROLS.encoding()],
            |state| {
                !state.entry(EntryControls::LOAD_CET_STATE)
                    || has_equal_high_bits(state, state.get(GUEST_SSP))
            },
        ),
        Rule::new(
            "guest-fred-ring-0-is-64-bit",
            "with CR4.FRED, code of ring 0 is 64-bit code: L (bit 13) of CS is 1",
            &[
                GUEST_CS_ACCESS_RIGHTS.encoding(),
                GUEST_SS_ACCESS_RIGHTS.encoding(),
                GUEST_CR4.encoding(),
            ],
            |state| {
                !has_fred(state) || rights::<SS>(state).dpl() != 0 || rights::<CS>(state).is_long()
            },
        ),
        Rule::new(
            "guest-fred-rings",
            "with CR4.FRED, the DPL of SS is 0 or 3",
            &[GUEST_SS_ACCESS_RIGHTS.encoding(), GUEST_CR4.encoding()],
            |state| !has_fred(state) || matches!(rights::<SS>(state).dpl(), 0 | 3),
        ),
        Rule::new(
            "guest-fred-ring-3-iopl",
            "with CR4.FRED, RFLAGS.IOPL is 0 in ring 3",
            &[GUEST_RFLAGS.encoding(), GUEST_SS_ACCESS_RIGHTS.encoding(), GUEST_CR4.encoding()],
            |state| {
                !has_fred(state)
                    || rights::<SS>(state).dpl() != 3
                    || !state.get(GUEST_RFLAGS).intersects(Rflags::IOPL)
            },
        ),
    ],
};

/// Whether the guest will deliver events by FRED.
pub(super) fn has_fred(state: &EntryState<'_>) -> bool {
    state.get(GUEST_CR4).contains(Cr4::FRED) && state.entry(EntryControls::IA32E_MODE_GUEST)
}
