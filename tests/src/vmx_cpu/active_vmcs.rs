//! A VMCS that is active on a CPU: the data that the CPU holds, and how it lies in memory.

use core::cell::Cell;

use vmx_core::vmcs::field::FIELDS;
use vmx_core::vmcs::{FieldValues, InstructionError};
use vmx_core::{Capabilities, Page};

/// The launch state of a VMCS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LaunchState {
    Clear,
    Launched,
}

/// What a CPU holds of an active VMCS. Its region has something else until VMCLEAR.
#[derive(Clone, Debug)]
pub(super) struct ActiveVmcs {
    pub(super) launch_state: LaunchState,
    pub(super) fields: FieldValues,
    /// The VM-instruction error field, which VMREAD writes too.
    pub(super) error: Cell<InstructionError>,
}

/// The word of a region whose data is in memory. This and the places of the fields are
/// this CPU's own, and of those with the same revision identifier: the manual leaves them
/// to each.
const IN_MEMORY: u64 = 0x7C1E_A12E_D000_0000;
/// The word of a region whose data a CPU holds.
const IN_CPU: u64 = 0x10AD_ED00_0000_0000;
/// The index of that word. The one before has the revision identifier.
const MARK: usize = 1;
/// The index of the first field's word; those that the CPU has follow each other.
const FIRST_FIELD: usize = 2;

const _: () = assert!(FIRST_FIELD + FIELDS.len() <= vmx_core::memory::PAGE_WORDS);

/// A zero for each field that a CPU with these capabilities has.
pub(super) fn zeros(capabilities: &Capabilities) -> FieldValues {
    let mut zeros = FieldValues::new();
    let encodings = FIELDS.iter().map(|field| field.encoding);
    encodings.filter(|field| field.exists(capabilities)).for_each(|field| zeros.set_raw(field, 0));
    zeros
}

/// The VMCS revision identifier, bits 30:0, and the shadow-VMCS indicator, bit 31.
pub(super) fn identifier(region: &Page) -> u32 {
    region.read(0) as u32
}

/// VMCLEAR of a VMCS that is not active here: its region becomes one that VMPTRLD takes.
/// Data from before stays.
pub(super) fn initialize(region: &Page) {
    if region.read(MARK) != IN_MEMORY {
        region.write(MARK, IN_MEMORY);
        for row in 0..FIELDS.len() {
            region.write(FIRST_FIELD + row, 0);
        }
    }
}

impl ActiveVmcs {
    /// VMPTRLD: takes the data out of the region. `zeros` has the fields that the CPU has.
    ///
    /// # Panics
    /// If the region was never VMCLEARed, or not since another CPU loaded it.
    pub(super) fn load(region: &Page, zeros: &FieldValues) -> Self {
        assert_eq!(region.read(MARK), IN_MEMORY, "VMPTRLD of a region without VMCLEAR before");
        let mut fields = zeros.clone();
        for (word, (encoding, _)) in (FIRST_FIELD..).zip(zeros.iter()) {
            match region.read(word) {
                0 => {}
                value => fields.set_raw(encoding, value),
            }
        }
        region.write(MARK, IN_CPU);
        let error = Cell::new(InstructionError(0));
        Self { launch_state: LaunchState::Clear, fields, error }
    }

    /// VMCLEAR: writes the data to the region.
    ///
    /// # Panics
    /// If somebody wrote to the region meanwhile.
    pub(super) fn store(&self, region: &Page) {
        assert_eq!(region.read(MARK), IN_CPU, "software wrote into an active VMCS's region");
        for (word, (_, value)) in (FIRST_FIELD..).zip(self.fields.iter()) {
            region.write(word, value);
        }
        region.write(MARK, IN_MEMORY);
    }
}
