//! One VM-entry rule tried on a second processor: a state that breaks only it, and one
//! at the edge that does not.

use vmx_core::control::EntryControls;
use vmx_core::entry_check::EntryMemory;
use vmx_core::msr_list::MsrEntry;
use vmx_core::vmcs::FieldValues;
use vmx_core::vmcs::field;
use vmx_core::vmcs::field::{Encoding, Field, FieldValue, ReadWrite};
use vmx_core::{Capabilities, PhysicalAddress};

/// The valid state that a case starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// A guest in 64-bit mode, ring 0.
    Guest64,
    /// A guest in 32-bit paged protected mode, ring 0.
    Guest32,
    /// A guest in real mode, behind EPT as an unrestricted guest.
    GuestReal,
}

/// A rule and two states around it.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The rule's name, see `vmx_core::entry_check`.
    pub rule: &'static str,
    /// What tells two cases of one rule apart, in a few words.
    pub what: &'static str,
    /// What both states start from.
    pub base: Base,
    /// Whether a CPU can be in the states at all: it has the fields and controls.
    pub possible: fn(&Capabilities) -> bool,
    /// Breaks the rule, and no other.
    pub breaks: fn(&mut Editor<'_>),
    /// Comes as close as can be without breaking any.
    pub edge: fn(&mut Editor<'_>),
}

impl Case {
    /// A case of this rule that any CPU can be in.
    pub const fn new(
        rule: &'static str,
        base: Base,
        breaks: fn(&mut Editor<'_>),
        edge: fn(&mut Editor<'_>),
    ) -> Self {
        Self { rule, what: "", base, possible: |_| true, breaks, edge }
    }

    /// The same case, told apart from others of its rule.
    pub const fn of(self, what: &'static str) -> Self {
        Self { what, ..self }
    }

    /// The same case, for some CPUs only.
    pub const fn where_possible(self, possible: fn(&Capabilities) -> bool) -> Self {
        Self { possible, ..self }
    }
}

/// What VM entry reads in memory besides the VMCS. Whoever tries the cases provides the
/// pages, and before each entry writes into them what the case left here.
#[derive(Clone, Copy, Debug)]
pub struct CaseMemory {
    /// The current VMCS.
    pub current_vmcs: PhysicalAddress,
    /// A page that the VMCS link pointer may name.
    pub linked_region: PhysicalAddress,
    /// Its first four bytes.
    pub linked_region_start: u32,
    /// A page that CR3 may name as the top-level table of PAE paging.
    pub pdpt: PhysicalAddress,
    /// Its four entries.
    pub pdptes: [u64; 4],
    /// The VM-entry MSR-load area, at the address in its field, which the valid state
    /// has set; the count is a field.
    pub msr_load_area: [MsrEntry; 4],
}

impl CaseMemory {
    /// What the rules see of it.
    pub const fn as_entry_memory(&self) -> EntryMemory<'_> {
        EntryMemory {
            current_vmcs: Some(self.current_vmcs),
            vmxon_region: None,
            // The virtual-APIC page of the cases holds zeroes.
            virtual_tpr: Some(0),
            linked_region_start: Some(self.linked_region_start),
            pdptes: Some(self.pdptes),
            msr_load_area: &self.msr_load_area,
        }
    }
}

/// Changes a valid state.
#[derive(Debug)]
pub struct Editor<'a> {
    /// The fields.
    pub values: &'a mut FieldValues,
    /// Memory that VM entry reads.
    pub memory: &'a mut CaseMemory,
    /// The CPU's capabilities.
    pub capabilities: &'a Capabilities,
}

impl Editor<'_> {
    /// The value of a field; zero where there is none.
    pub fn get<V: FieldValue, A>(&self, field: Field<V, A>) -> V {
        self.values.get(field).unwrap_or_else(|| V::from_field(0))
    }

    /// Sets a field.
    pub fn set<V: FieldValue>(&mut self, field: Field<V, ReadWrite>, value: V) {
        self.values.set(field, value);
    }

    /// Sets bits of a field.
    pub fn set_bits<V: FieldValue>(&mut self, field: Field<V, ReadWrite>, bits: u64) {
        self.values.set_raw(field.encoding(), self.raw(field.encoding()) | bits);
    }

    /// Clears bits of a field.
    pub fn clear_bits<V: FieldValue>(&mut self, field: Field<V, ReadWrite>, bits: u64) {
        self.values.set_raw(field.encoding(), self.raw(field.encoding()) & !bits);
    }

    /// Sets VM-entry controls.
    pub fn turn_on(&mut self, controls: EntryControls) {
        self.set_bits(field::VM_ENTRY_CONTROLS, controls.bits().into());
    }

    fn raw(&self, encoding: Encoding) -> u64 {
        self.values.get_raw(encoding).unwrap_or(0)
    }
}

/// Why no model of the second processor can show a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotShown {
    /// No model has the feature.
    FeatureOnNoModel(&'static str),
    /// Whatever breaks the rule breaks this one first.
    ImpliedBy(&'static str),
    /// It needs a logical processor in SMM, or the dual-monitor treatment.
    NeedsSmm,
    /// It needs a host outside IA-32e mode.
    Needs32BitHost,
    /// The broken state stops the emulator.
    StopsTheEmulator(&'static str),
    /// The emulator does not check it: the departure's identifier.
    Departure(&'static str),
}

/// A rule that no case tries, with the reason.
#[derive(Clone, Copy, Debug)]
pub struct Exception {
    /// The rule's name.
    pub rule: &'static str,
    /// Why.
    pub reason: NotShown,
}
