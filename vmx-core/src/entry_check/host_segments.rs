//! Host segment and descriptor-table registers.

use super::address::is_canonical;
use super::rule::{Group, Rule, Section, all_hold};
use crate::control::exit::ExitControls;
use crate::vmcs::field;

/// Selectors and bases.
pub(super) const HOST_SEGMENTS: Section = Section {
    group: Group::HostState,
    title: "Checks on Host Segment and Descriptor-Table Registers",
    all_hold: |state| all_hold(HOST_SEGMENTS.rules, state),
    rules: &[
        Rule::new(
            "host-selectors-rpl-and-ti",
            "RPL (bits 1:0) and TI (bit 2) of the host's CS, SS, DS, ES, FS, GS and TR selectors \
             are 0",
            &[
                field::HOST_CS_SELECTOR.encoding(),
                field::HOST_SS_SELECTOR.encoding(),
                field::HOST_DS_SELECTOR.encoding(),
                field::HOST_ES_SELECTOR.encoding(),
                field::HOST_FS_SELECTOR.encoding(),
                field::HOST_GS_SELECTOR.encoding(),
                field::HOST_TR_SELECTOR.encoding(),
            ],
            |state| {
                let all = state.get(field::HOST_CS_SELECTOR)
                    | state.get(field::HOST_SS_SELECTOR)
                    | state.get(field::HOST_DS_SELECTOR)
                    | state.get(field::HOST_ES_SELECTOR)
                    | state.get(field::HOST_FS_SELECTOR)
                    | state.get(field::HOST_GS_SELECTOR)
                    | state.get(field::HOST_TR_SELECTOR);
                all & 0b111 == 0
            },
        ),
        Rule::new(
            "host-cs-selector-not-null",
            "the host's CS selector is not 0",
            &[field::HOST_CS_SELECTOR.encoding()],
            |state| state.get(field::HOST_CS_SELECTOR) != 0,
        ),
        Rule::new(
            "host-tr-selector-not-null",
            "the host's TR selector is not 0",
            &[field::HOST_TR_SELECTOR.encoding()],
            |state| state.get(field::HOST_TR_SELECTOR) != 0,
        ),
        Rule::new(
            "host-ss-selector-not-null",
            "without \"host address-space size\", the host's SS selector is not 0",
            &[field::HOST_SS_SELECTOR.encoding(), field::VM_EXIT_CONTROLS.encoding()],
            |state| {
                state.exit(ExitControls::HOST_ADDRESS_SPACE_SIZE)
                    || state.get(field::HOST_SS_SELECTOR) != 0
            },
        ),
        Rule::new(
            "host-fs-base-canonical",
            "the host's FS base is canonical",
            &[field::HOST_FS_BASE.encoding()],
            |state| is_canonical(state, state.get(field::HOST_FS_BASE)),
        ),
        Rule::new(
            "host-gs-base-canonical",
            "the host's GS base is canonical",
            &[field::HOST_GS_BASE.encoding()],
            |state| is_canonical(state, state.get(field::HOST_GS_BASE)),
        ),
        Rule::new(
            "host-gdtr-base-canonical",
            "the host's GDTR base is canonical",
            &[field::HOST_GDTR_BASE.encoding()],
            |state| is_canonical(state, state.get(field::HOST_GDTR_BASE)),
        ),
        Rule::new(
            "host-idtr-base-canonical",
            "the host's IDTR base is canonical",
            &[field::HOST_IDTR_BASE.encoding()],
            |state| is_canonical(state, state.get(field::HOST_IDTR_BASE)),
        ),
        Rule::new(
            "host-tr-base-canonical",
            "the host's TR base is canonical",
            &[field::HOST_TR_BASE.encoding()],
            |state| is_canonical(state, state.get(field::HOST_TR_BASE)),
        ),
    ],
};
