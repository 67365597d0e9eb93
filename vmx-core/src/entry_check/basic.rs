//! Checks before any field is looked at.

use super::rule::{Group, Rule, Section, all_hold};
use crate::cpu::world_switch::EntryInstruction;

/// The checks, in the order in which the CPU makes them.
pub(super) const BASIC: Section = Section {
    group: Group::Basic,
    title: "Basic VM-Entry Checks",
    all_hold: |state| all_hold(BASIC.rules, state),
    rules: &[
        Rule::new(
            "current-vmcs",
            "there is a current VMCS, and it is not a shadow VMCS",
            &[],
            |state| state.circumstances().has_current_vmcs,
        ),
        Rule::new(
            "not-blocked-by-mov-ss",
            "the instruction before VMLAUNCH or VMRESUME was not MOV SS or POP SS",
            &[],
            |state| !state.circumstances().blocking_by_mov_ss,
        ),
        Rule::new(
            "launch-needs-clear-vmcs",
            "VMLAUNCH is executed for a VMCS whose launch state is clear",
            &[],
            |state| {
                let circumstances = state.circumstances();
                circumstances.instruction != EntryInstruction::Launch || !circumstances.is_launched
            },
        ),
        Rule::new(
            "resume-needs-launched-vmcs",
            "VMRESUME is executed for a VMCS whose launch state is launched",
            &[],
            |state| {
                let circumstances = state.circumstances();
                circumstances.instruction != EntryInstruction::Resume || circumstances.is_launched
            },
        ),
    ],
};
