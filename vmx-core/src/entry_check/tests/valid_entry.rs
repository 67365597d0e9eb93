//! A valid entry of a CPU with every feature, and what breaks its rules one by one.

extern crate std;

use std::vec::Vec;

use crate::capability::capabilities::Capabilities;
use crate::capability::ept_vpid::EptVpidCapabilities;
use crate::capability::fixed_bits::FixedBits;
use crate::capability::vmx_basic::VmxBasic;
use crate::capability::vmx_misc::VmxMisc;
use crate::cet::control::CetControl;
use crate::control::allowed_settings::AllowedSettings;
use crate::control::entry::EntryControls;
use crate::control::execution::{
    PinBasedControls, PrimaryControls, SecondaryControls, TertiaryControls, VmFunctions,
};
use crate::control::exit::{ExitControls, SecondaryExitControls};
use crate::entry_check::*;
use crate::event::interruption::InterruptionInformation;
use crate::memory::linear_address::LinearAddressWidth;
use crate::vmcs::field;
use crate::vmcs::field::Field;
use crate::vmcs::field::value::FieldValue;
use crate::vmcs::field_values::FieldValues;

/// What is beyond the physical-address width of [`Entry::valid`].
pub(super) const BEYOND_WIDTH: u64 = 1 << 39;
/// Canonical under neither width.
pub(super) const NOT_CANONICAL: u64 = 0x4000_0000_0000_0000;
/// A kernel's address.
pub(super) const HIGH: u64 = 0xFFFF_8000_0000_0000;

/// All that an entry depends on.
pub(super) struct Entry {
    pub(super) values: FieldValues,
    pub(super) capabilities: Capabilities,
    pub(super) circumstances: Circumstances,
}

/// A rule, and what makes a valid entry break only it.
pub(super) type Break = (&'static str, fn(&mut Entry));

impl Entry {
    /// A 64-bit host with CET launches a 64-bit guest behind EPT.
    pub(super) fn valid() -> Self {
        let mut entry = Self {
            values: FieldValues::new(),
            capabilities: capabilities(),
            circumstances: Circumstances::LAUNCH,
        };
        entry.set_controls();
        entry.set_host();
        entry
    }

    fn set_controls(&mut self) {
        let pin_based = PinBasedControls::from_bits_retain(0x16);
        self.set(field::PIN_BASED_CONTROLS, pin_based);
        self.set(field::PRIMARY_CONTROLS, PrimaryControls::from_bits_retain(0x0400_6172));
        self.add(PrimaryControls::ACTIVATE_SECONDARY_CONTROLS);
        self.add(PrimaryControls::ACTIVATE_TERTIARY_CONTROLS);
        self.set(field::SECONDARY_CONTROLS, SecondaryControls::ENABLE_EPT);
        self.set(field::TERTIARY_CONTROLS, TertiaryControls::empty());
        self.set(field::EPT_POINTER, 0x1000 | 3 << 3 | 6);
        self.set(field::VM_EXIT_CONTROLS, ExitControls::from_bits_retain(0x0003_6DFB));
        self.add(ExitControls::HOST_ADDRESS_SPACE_SIZE);
        self.add(ExitControls::LOAD_IA32_EFER | ExitControls::LOAD_IA32_PAT);
        self.add(ExitControls::LOAD_IA32_PERF_GLOBAL_CTRL | ExitControls::LOAD_PKRS);
        self.add(ExitControls::LOAD_CET_STATE | ExitControls::ACTIVATE_SECONDARY_CONTROLS);
        self.set(
            field::SECONDARY_VM_EXIT_CONTROLS,
            SecondaryExitControls::LOAD_FRED_STATE | SecondaryExitControls::LOAD_IA32_SPEC_CTRL,
        );
        self.set(field::VM_ENTRY_CONTROLS, EntryControls::from_bits_retain(0x11FB));
        self.add(EntryControls::IA32E_MODE_GUEST);
        self.set(field::VM_ENTRY_INTERRUPTION_INFORMATION, InterruptionInformation::NONE);
        self.set(field::GUEST_CR0, 0x8001_0033);
        self.set(field::GUEST_CR4, 0x2020);
    }

    fn set_host(&mut self) {
        self.set(field::HOST_CR0, 0x8001_0033);
        self.set(field::HOST_CR3, 0x1000);
        self.set(field::HOST_CR4, 0x0080_2020);
        self.set(field::HOST_CS_SELECTOR, 0x08);
        self.set(field::HOST_SS_SELECTOR, 0x10);
        self.set(field::HOST_TR_SELECTOR, 0x18);
        self.set(field::HOST_GDTR_BASE, HIGH);
        self.set(field::HOST_RIP, HIGH);
        self.set(field::HOST_IA32_EFER, 0xD01);
        self.set(field::HOST_IA32_PAT, 0x0007_0406_0007_0406);
        self.set(field::HOST_S_CET, CetControl::SH_STK_EN);
        self.set(field::HOST_SSP, HIGH + 8);
    }

    /// Host and guest become 32-bit; what a 32-bit host cannot have becomes 0.
    pub(super) fn make_32_bit(&mut self) {
        self.circumstances.host_ia32e_mode = false;
        self.remove(ExitControls::HOST_ADDRESS_SPACE_SIZE);
        self.remove(EntryControls::IA32E_MODE_GUEST);
        self.set(field::HOST_IA32_EFER, 0x801);
        self.set(field::HOST_GDTR_BASE, 0);
        self.set(field::HOST_RIP, 0);
        self.set(field::HOST_SSP, 0);
    }

    pub(super) fn set<V: FieldValue, A>(&mut self, field: Field<V, A>, value: V) {
        self.values.set(field, value);
    }

    /// Sets a control.
    pub(super) fn add<W: Word>(&mut self, bits: W) {
        let old = self.values.get(W::FIELD).map_or(0, W::into_field);
        self.values.set(W::FIELD, W::from_field(old | bits.into_field()));
    }

    /// Clears a control.
    pub(super) fn remove<W: Word>(&mut self, bits: W) {
        let old = self.values.get(W::FIELD).map_or(0, W::into_field);
        self.values.set(W::FIELD, W::from_field(old & !bits.into_field()));
    }

    /// Injects an event.
    pub(super) fn inject(&mut self, information: u32) {
        let information = InterruptionInformation(1 << 31 | information);
        self.set(field::VM_ENTRY_INTERRUPTION_INFORMATION, information);
    }

    /// The names of the broken rules of the controls and of the host state.
    pub(super) fn broken_rules(&self) -> Vec<&'static str> {
        let memory = EntryMemory { virtual_tpr: Some(0x20), ..EntryMemory::default() };
        let state = EntryState::new(&self.values, &self.capabilities, self.circumstances)
            .with_memory(memory);
        let broken = check(&state).filter(|v| is_ours(v.section.group)).map(|v| v.rule.name);
        broken.collect()
    }
}

const fn is_ours(group: Group) -> bool {
    matches!(group, Group::Controls | Group::HostState)
}

/// A control word, and the field that it stands in.
pub(super) trait Word: FieldValue {
    const FIELD: Field<Self>;
}

impl Word for PinBasedControls {
    const FIELD: Field<Self> = field::PIN_BASED_CONTROLS;
}
impl Word for PrimaryControls {
    const FIELD: Field<Self> = field::PRIMARY_CONTROLS;
}
impl Word for SecondaryControls {
    const FIELD: Field<Self> = field::SECONDARY_CONTROLS;
}
impl Word for TertiaryControls {
    const FIELD: Field<Self> = field::TERTIARY_CONTROLS;
}
impl Word for ExitControls {
    const FIELD: Field<Self> = field::VM_EXIT_CONTROLS;
}
impl Word for SecondaryExitControls {
    const FIELD: Field<Self> = field::SECONDARY_VM_EXIT_CONTROLS;
}
impl Word for EntryControls {
    const FIELD: Field<Self> = field::VM_ENTRY_CONTROLS;
}

/// Tiger Lake's, and every control that the manual knows besides; 39-bit physical
/// addresses.
fn capabilities() -> Capabilities {
    let allow = |must_be_one, may_be_one| AllowedSettings { must_be_one, may_be_one };
    Capabilities {
        basic: VmxBasic(0x00D8_1000_0000_0004),
        pin_based: allow(0x16, 0xFF),
        primary: allow(0x0400_6172, 0xFFFB_FFFE),
        secondary: allow(0, u32::MAX),
        tertiary: AllowedSettings::from_allowed_ones(0x21DF),
        exit: allow(0x0003_6DFB, 0xFFFF_FFFF),
        secondary_exit: AllowedSettings::from_allowed_ones(0xF),
        entry: allow(0x11FB, 0x01FF_FFFF),
        misc: VmxMisc(0x0004_01E0),
        cr0_fixed: FixedBits { must_be_one: 0x8000_0021, may_be_one: 0xFFFF_FFFF },
        cr4_fixed: FixedBits { must_be_one: 0x2000, may_be_one: 0x1_00F7_2FFF },
        vmcs_enum: 0x34,
        ept_vpid: EptVpidCapabilities::from_bits_retain(0x0001_0F01_0633_4141),
        vm_functions: VmFunctions::EPTP_SWITCHING,
        linear_address_width: LinearAddressWidth::Bits48,
        physical_address_width: 39,
        has_shadow_stacks: true,
        has_indirect_branch_tracking: true,
    }
}

/// Each break violates its rule and no other, and every rule of the group has one.
pub(super) fn assert_each_breaks_one_rule(group: Group, breaks: &[&[Break]]) {
    let breaks = || breaks.iter().copied().flatten();
    for (rule, break_it) in breaks() {
        let mut entry = Entry::valid();
        break_it(&mut entry);
        assert_eq!(entry.broken_rules(), [*rule]);
    }
    for section in SECTIONS.iter().filter(|section| section.group == group) {
        for rule in section.rules {
            let has_break = breaks().any(|(name, _)| *name == rule.name);
            assert!(has_break, "nothing breaks {}", rule.name);
        }
    }
}

#[test]
fn a_valid_entry_breaks_nothing() {
    assert_eq!(Entry::valid().broken_rules(), [""; 0]);
    let mut entry = Entry::valid();
    entry.make_32_bit();
    assert_eq!(entry.broken_rules(), [""; 0]);
}

/// A field that the CPU lacks reads as zero, and its rules hold.
#[test]
fn an_older_cpu_needs_no_newer_fields() {
    let mut entry = Entry::valid();
    entry.remove(PrimaryControls::ACTIVATE_TERTIARY_CONTROLS);
    entry.remove(ExitControls::ACTIVATE_SECONDARY_CONTROLS | ExitControls::LOAD_CET_STATE);
    entry.remove(ExitControls::LOAD_PKRS);
    for field in [field::HOST_IA32_PKRS.encoding(), field::HOST_S_CET.encoding()] {
        entry.values.remove(field);
    }
    entry.values.remove(field::TERTIARY_CONTROLS.encoding());
    entry.values.remove(field::SECONDARY_VM_EXIT_CONTROLS.encoding());
    assert_eq!(entry.broken_rules(), [""; 0]);
}
