//! One check of VM entry, and how it is told when it is broken.

use core::fmt;

use super::state::EntryState;
use crate::vmcs::field::encoding::Encoding;

/// What a rule judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// Before any field is looked at.
    Basic,
    /// The control fields.
    Controls,
    /// The host-state area.
    HostState,
    /// The guest-state area.
    GuestState,
    /// The VM-entry MSR-load area.
    MsrLoad,
}

/// The checks of one section of the manual.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// What they judge.
    pub group: Group,
    /// The section's title.
    pub title: &'static str,
    /// Whether the state obeys all of them: one function, into which the compiler has
    /// put those of the rules.
    pub(super) all_hold: fn(&EntryState<'_>) -> bool,
    /// The checks, in the section's order.
    pub rules: &'static [Rule],
}

/// Whether all rules hold. Called with a constant it becomes one piece of code in which
/// most calls are inlined: a valid state costs half of what it does rule by rule.
#[inline(always)]
pub(super) fn all_hold(rules: &[Rule], state: &EntryState<'_>) -> bool {
    rules.iter().all(|rule| (rule.holds)(state))
}

/// One check of VM entry.
#[derive(Clone, Copy)]
pub struct Rule {
    /// A short name, unique among all rules: `host-cr4-fixed-bits`.
    pub name: &'static str,
    /// What must hold, as a sentence: "CR4 has every bit that VMX operation fixes".
    pub demand: &'static str,
    /// The fields that it reads, the one that is at fault first.
    pub reads: &'static [Encoding],
    /// The exit qualification if a guest rule is broken; 0 for most.
    pub qualification: u64,
    /// The manual leaves it to the CPU whether it checks this.
    pub is_optional: bool,
    /// Whether the state obeys it.
    pub holds: fn(&EntryState<'_>) -> bool,
}

impl Rule {
    /// A rule whose exit qualification is 0, if it is one of the guest state.
    pub(super) const fn new(
        name: &'static str,
        demand: &'static str,
        reads: &'static [Encoding],
        holds: fn(&EntryState<'_>) -> bool,
    ) -> Self {
        Self { name, demand, reads, qualification: 0, is_optional: false, holds }
    }

    /// The same rule with another exit qualification.
    pub(super) const fn with_qualification(self, qualification: u64) -> Self {
        Self { qualification, ..self }
    }

    /// The same rule, which not every CPU checks.
    pub(super) const fn optional(self) -> Self {
        Self { is_optional: true, ..self }
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rule({})", self.name)
    }
}

/// A broken rule, with the state that breaks it. Its `Display` is a sentence:
///
/// > host state: CR0 has every bit that VMX operation fixes (Checks on Host Control
/// > Registers, MSRs, and SSP), but HOST_CR0 is 0x10033
#[derive(Clone, Copy)]
pub struct Violation<'s> {
    /// The section that the rule is from.
    pub section: &'static Section,
    /// The rule.
    pub rule: &'static Rule,
    pub(super) state: &'s EntryState<'s>,
}

impl fmt::Debug for Violation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Violation({})", self.rule.name)
    }
}

impl fmt::Display for Violation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let group = match self.section.group {
            Group::Basic => "before the checks",
            Group::Controls => "controls",
            Group::HostState => "host state",
            Group::GuestState => "guest state",
            Group::MsrLoad => "MSR loading",
        };
        write!(f, "{group}: {} ({})", self.rule.demand, self.section.title)?;
        let mut separator = ", but ";
        for encoding in self.rule.reads {
            match (encoding.name(), self.state.fields().get_raw(*encoding)) {
                (Some(name), Some(value)) => write!(f, "{separator}{name} is {value:#x}")?,
                (Some(name), None) => write!(f, "{separator}this CPU has no {name}")?,
                (None, _) => continue,
            }
            separator = ", ";
        }
        Ok(())
    }
}
