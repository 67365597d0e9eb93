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
/// this CPU's own: the manual leaves them to each.
const IN_MEMORY: u64 = 0x7C1E_A12E_D000_0000;
/// The word of a region whose data a CPU holds.
const IN_CPU: u64 = 0x10AD_ED00_0000_0000;
/// The index of that word. The one before has the revision identifier.
const MARK: usize = 1;
/// The index of the first field's word.
const FIRST_FIELD: usize = 2;

const _: () = assert!(FIRST_FIELD + FIELDS.len() <= vmx_core::memory::PAGE_WORDS);

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
    /// VMPTRLD: takes the data out of the region.
    ///
    /// # Panics
    /// If the region was never VMCLEARed, or not since another CPU loaded it.
    pub(super) fn load(region: &Page, capabilities: &Capabilities) -> Self {
        assert_eq!(region.read(MARK), IN_MEMORY, "VMPTRLD of a region without VMCLEAR before");
        let mut fields = FieldValues::new();
        for (row, field) in FIELDS.iter().enumerate() {
            if field.encoding.exists(capabilities) {
                fields.set_raw(field.encoding, region.read(FIRST_FIELD + row));
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
        for (row, field) in FIELDS.iter().enumerate() {
            region.write(FIRST_FIELD + row, self.fields.get_raw(field.encoding).unwrap_or(0));
        }
        region.write(MARK, IN_MEMORY);
    }
}
