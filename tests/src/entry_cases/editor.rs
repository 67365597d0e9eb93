//! What a case changes: the fields of a valid state, and what VM entry looks at besides.

use vmx_core::control::{
    EntryControls, ExitControls, PinBasedControls, PrimaryControls, SecondaryControls,
    SecondaryExitControls, TertiaryControls,
};
use vmx_core::entry_check::{Circumstances, EntryMemory};
use vmx_core::msr_list::MsrEntry;
use vmx_core::vmcs::FieldValues;
use vmx_core::vmcs::field::{
    Encoding, Field, FieldValue, PIN_BASED_CONTROLS, PRIMARY_CONTROLS, SECONDARY_CONTROLS,
    SECONDARY_VM_EXIT_CONTROLS, TERTIARY_CONTROLS, VM_ENTRY_CONTROLS, VM_EXIT_CONTROLS,
};
use vmx_core::{Capabilities, PhysicalAddress};

/// What VM entry reads in memory besides the VMCS. Whoever tries the cases provides the
/// pages, and before each entry writes into them what the case left here.
#[derive(Clone, Copy, Debug)]
pub struct CaseMemory {
    /// The current VMCS.
    pub current_vmcs: PhysicalAddress,
    /// The VMXON region, if its address is known.
    pub vmxon_region: Option<PhysicalAddress>,
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
            vmxon_region: self.vmxon_region,
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
    /// The circumstances of the entry. Only cases that are not shown change them.
    pub circumstances: &'a mut Circumstances,
    /// The CPU's capabilities.
    pub capabilities: &'a Capabilities,
}

impl Editor<'_> {
    /// The value of a field; zero where there is none.
    pub fn get<V: FieldValue>(&self, field: Field<V>) -> V {
        self.values.get_or_zero(field)
    }

    /// Sets a field.
    pub fn set<V: FieldValue>(&mut self, field: Field<V>, value: V) {
        self.values.set(field, value);
    }

    /// Sets bits of a field.
    pub fn set_bits<V: FieldValue>(&mut self, field: Field<V>, bits: u64) {
        self.values.set_raw(field.encoding(), self.raw(field.encoding()) | bits);
    }

    /// Clears bits of a field.
    pub fn clear_bits<V: FieldValue>(&mut self, field: Field<V>, bits: u64) {
        self.values.set_raw(field.encoding(), self.raw(field.encoding()) & !bits);
    }

    /// Sets controls. A word that was not activated is, and was all 0.
    pub fn turn_on<W: Word>(&mut self, controls: W) {
        if let Some((of, activation)) = W::ACTIVATION
            && self.raw(of) & activation == 0
        {
            self.values.set_raw(of, self.raw(of) | activation);
            self.set(W::FIELD, W::from_field(0));
        }
        self.set_bits(W::FIELD, controls.into_field());
    }

    /// Clears controls.
    pub fn turn_off<W: Word>(&mut self, controls: W) {
        self.clear_bits(W::FIELD, controls.into_field());
    }

    /// The lowest bit that a physical address cannot have.
    pub fn just_beyond(&self) -> u64 {
        1u64.checked_shl(self.capabilities.physical_address_width).unwrap_or(0)
    }

    pub(super) fn raw(&self, encoding: Encoding) -> u64 {
        self.values.get_raw(encoding).unwrap_or(0)
    }
}

/// A control word, and the field that it stands in.
pub trait Word: FieldValue {
    /// The field.
    const FIELD: Field<Self>;
    /// Where the word is looked at only if a bit of another one is 1: that field, and
    /// the bit.
    const ACTIVATION: Option<(Encoding, u64)> = None;
}

impl Word for PinBasedControls {
    const FIELD: Field<Self> = PIN_BASED_CONTROLS;
}

impl Word for PrimaryControls {
    const FIELD: Field<Self> = PRIMARY_CONTROLS;
}

impl Word for SecondaryControls {
    const FIELD: Field<Self> = SECONDARY_CONTROLS;
    const ACTIVATION: Option<(Encoding, u64)> = {
        let activation = PrimaryControls::ACTIVATE_SECONDARY_CONTROLS.bits();
        Some((PRIMARY_CONTROLS.encoding(), activation as u64))
    };
}

impl Word for TertiaryControls {
    const FIELD: Field<Self> = TERTIARY_CONTROLS;
    const ACTIVATION: Option<(Encoding, u64)> = {
        let activation = PrimaryControls::ACTIVATE_TERTIARY_CONTROLS.bits();
        Some((PRIMARY_CONTROLS.encoding(), activation as u64))
    };
}

impl Word for ExitControls {
    const FIELD: Field<Self> = VM_EXIT_CONTROLS;
}

impl Word for SecondaryExitControls {
    const FIELD: Field<Self> = SECONDARY_VM_EXIT_CONTROLS;
    const ACTIVATION: Option<(Encoding, u64)> = {
        let activation = ExitControls::ACTIVATE_SECONDARY_CONTROLS.bits();
        Some((VM_EXIT_CONTROLS.encoding(), activation as u64))
    };
}

impl Word for EntryControls {
    const FIELD: Field<Self> = VM_ENTRY_CONTROLS;
}
