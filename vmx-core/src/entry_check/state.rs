//! What the rules look at.

use crate::capability::capabilities::Capabilities;
use crate::control::entry::EntryControls;
use crate::control::execution::{
    PinBasedControls, PrimaryControls, SecondaryControls, TertiaryControls,
};
use crate::control::exit::{ExitControls, SecondaryExitControls};
use crate::cpu::world_switch::EntryInstruction;
use crate::memory::address::PhysicalAddress;
use crate::msr_list::MsrEntry;
use crate::vmcs::field;
use crate::vmcs::field::Field;
use crate::vmcs::field::value::FieldValue;
use crate::vmcs::field_values::FieldValues;

/// What VM entry depends on besides the VMCS's fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Circumstances {
    /// The instruction.
    pub instruction: EntryInstruction,
    /// There is a current VMCS, and it is not a shadow VMCS.
    pub has_current_vmcs: bool,
    /// The launch state of the VMCS is "launched".
    pub is_launched: bool,
    /// The host executed MOV SS or POP SS just before.
    pub blocking_by_mov_ss: bool,
    /// The host is in IA-32e mode (IA32_EFER.LMA = 1).
    pub host_ia32e_mode: bool,
    /// The logical processor is in system-management mode.
    pub in_smm: bool,
    /// Intel PT is tracing (IA32_RTIT_CTL.TraceEn = 1).
    pub tracing: bool,
}

impl Circumstances {
    /// A 64-bit host that launches a clear, current VMCS, outside SMM and untraced.
    pub const LAUNCH: Self = Self {
        instruction: EntryInstruction::Launch,
        has_current_vmcs: true,
        is_launched: false,
        blocking_by_mov_ss: false,
        host_ia32e_mode: true,
        in_smm: false,
        tracing: false,
    };

    /// As [`LAUNCH`](Self::LAUNCH), or VMRESUME of a VMCS that is launched.
    ///
    /// ```
    /// use vmx_core::cpu::EntryInstruction::Resume;
    /// use vmx_core::entry_check::Circumstances;
    /// let again = Circumstances::of(true);
    /// assert_eq!((again.instruction, again.is_launched), (Resume, true));
    /// assert_eq!(Circumstances::of(false), Circumstances::LAUNCH);
    /// ```
    pub const fn of(is_launched: bool) -> Self {
        let instruction =
            if is_launched { EntryInstruction::Resume } else { EntryInstruction::Launch };
        Self { instruction, is_launched, ..Self::LAUNCH }
    }
}

/// What VM entry reads in memory besides the VMCS. What is not given here is taken
/// to be as it must be: its rules hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EntryMemory<'a> {
    /// The physical address of the current VMCS.
    pub current_vmcs: Option<PhysicalAddress>,
    /// The physical address of the VMXON region.
    pub vmxon_region: Option<PhysicalAddress>,
    /// VTPR: the byte at offset 80h of the virtual-APIC page.
    pub virtual_tpr: Option<u8>,
    /// The first four bytes of the region that the VMCS link pointer names.
    pub linked_region_start: Option<u32>,
    /// The page-directory-pointer-table entries that guest CR3 names, for a guest with
    /// PAE paging and without EPT.
    pub pdptes: Option<[u64; 4]>,
    /// The VM-entry MSR-load area; as many entries as the count field says are looked
    /// at.
    pub msr_load_area: &'a [MsrEntry],
}

/// The fields, the CPU's capabilities and the circumstances of one VM entry.
///
/// A field without a value (the CPU has no such field) reads as zero: its control
/// cannot be on either. The control words are read once and are what the CPU goes
/// by: a word that is not activated is zero.
#[derive(Clone, Debug)]
pub struct EntryState<'a> {
    fields: &'a FieldValues,
    capabilities: &'a Capabilities,
    circumstances: Circumstances,
    memory: EntryMemory<'a>,
    pin_based: PinBasedControls,
    primary: PrimaryControls,
    secondary: SecondaryControls,
    tertiary: TertiaryControls,
    exit: ExitControls,
    secondary_exit: SecondaryExitControls,
    entry: EntryControls,
}

impl<'a> EntryState<'a> {
    /// The state of an entry under `circumstances`.
    pub fn new(
        fields: &'a FieldValues,
        capabilities: &'a Capabilities,
        circumstances: Circumstances,
    ) -> Self {
        let mut state = Self {
            fields,
            capabilities,
            circumstances,
            memory: EntryMemory::default(),
            pin_based: PinBasedControls::empty(),
            primary: PrimaryControls::empty(),
            secondary: SecondaryControls::empty(),
            tertiary: TertiaryControls::empty(),
            exit: ExitControls::empty(),
            secondary_exit: SecondaryExitControls::empty(),
            entry: EntryControls::empty(),
        };
        state.pin_based = state.get(field::PIN_BASED_CONTROLS);
        state.primary = state.get(field::PRIMARY_CONTROLS);
        if state.primary(PrimaryControls::ACTIVATE_SECONDARY_CONTROLS) {
            state.secondary = state.get(field::SECONDARY_CONTROLS);
        }
        if state.primary(PrimaryControls::ACTIVATE_TERTIARY_CONTROLS) {
            state.tertiary = state.get(field::TERTIARY_CONTROLS);
        }
        state.exit = state.get(field::VM_EXIT_CONTROLS);
        if state.exit(ExitControls::ACTIVATE_SECONDARY_CONTROLS) {
            state.secondary_exit = state.get(field::SECONDARY_VM_EXIT_CONTROLS);
        }
        state.entry = state.get(field::VM_ENTRY_CONTROLS);
        state
    }

    /// The same entry with what it reads in memory.
    pub const fn with_memory(self, memory: EntryMemory<'a>) -> Self {
        Self { memory, ..self }
    }

    /// The value of a field; zero where the CPU has no such field.
    #[inline]
    pub fn get<V: FieldValue, A>(&self, field: Field<V, A>) -> V {
        self.fields.get_or_zero(field)
    }

    /// The fields.
    pub const fn fields(&self) -> &FieldValues {
        self.fields
    }

    /// The CPU's capabilities.
    #[inline]
    pub const fn capabilities(&self) -> &Capabilities {
        self.capabilities
    }

    /// The circumstances.
    pub const fn circumstances(&self) -> &Circumstances {
        &self.circumstances
    }

    /// What VM entry reads in memory.
    #[inline]
    pub const fn memory(&self) -> &EntryMemory<'a> {
        &self.memory
    }

    /// Whether all these pin-based controls are 1.
    #[inline]
    pub const fn pin_based(&self, controls: PinBasedControls) -> bool {
        self.pin_based.contains(controls)
    }

    /// Whether all these primary processor-based controls are 1.
    #[inline]
    pub const fn primary(&self, controls: PrimaryControls) -> bool {
        self.primary.contains(controls)
    }

    /// Whether all these secondary processor-based controls are 1 and activated.
    #[inline]
    pub const fn secondary(&self, controls: SecondaryControls) -> bool {
        self.secondary.contains(controls)
    }

    /// Whether all these tertiary processor-based controls are 1 and activated.
    #[inline]
    pub const fn tertiary(&self, controls: TertiaryControls) -> bool {
        self.tertiary.contains(controls)
    }

    /// Whether all these VM-exit controls are 1.
    #[inline]
    pub const fn exit(&self, controls: ExitControls) -> bool {
        self.exit.contains(controls)
    }

    /// Whether all these secondary VM-exit controls are 1 and activated.
    #[inline]
    pub const fn secondary_exit(&self, controls: SecondaryExitControls) -> bool {
        self.secondary_exit.contains(controls)
    }

    /// Whether all these VM-entry controls are 1.
    #[inline]
    pub const fn entry(&self, controls: EntryControls) -> bool {
        self.entry.contains(controls)
    }
}

/// Whether the control is 0, or the field's value is as `legal` says.
#[inline(always)]
pub(super) fn if_loaded(
    state: &EntryState<'_>,
    control: EntryControls,
    field: Field<u64>,
    legal: impl FnOnce(u64) -> bool,
) -> bool {
    !state.entry(control) || legal(state.get(field))
}
