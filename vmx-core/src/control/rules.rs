//! What controls demand of each other.

use core::fmt;

use super::set::ControlSet;
use crate::control::allowed_settings::ControlWord;
use crate::control::entry::EntryControls;
use crate::control::execution::{
    PinBasedControls, PrimaryControls, SecondaryControls, TertiaryControls,
};
use crate::control::exit::{ExitControls, SecondaryExitControls};

use Control::{Entry, Exit, PinBased, Primary, Secondary, SecondaryExit, Tertiary};
use Rule::{Excludes, Needs};

/// A rule that VM entry checks among controls. A set that breaks one fails VM entry
/// with error 7, or 8 for the last of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The first control may be 1 only if the second one is.
    Needs(Control, Control),
    /// Not both may be 1.
    Excludes(Control, Control),
}

/// Bits of one control word; as a rule's member, one bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// A pin-based control.
    PinBased(PinBasedControls),
    /// A primary processor-based control.
    Primary(PrimaryControls),
    /// A secondary processor-based control.
    Secondary(SecondaryControls),
    /// A tertiary processor-based control.
    Tertiary(TertiaryControls),
    /// A VM-exit control.
    Exit(ExitControls),
    /// A secondary VM-exit control.
    SecondaryExit(SecondaryExitControls),
    /// A VM-entry control.
    Entry(EntryControls),
}

/// An activating control and the whole word that it activates.
const SECONDARY: Rule = Needs(
    Secondary(SecondaryControls::all()),
    Primary(PrimaryControls::ACTIVATE_SECONDARY_CONTROLS),
);
const TERTIARY: Rule =
    Needs(Tertiary(TertiaryControls::all()), Primary(PrimaryControls::ACTIVATE_TERTIARY_CONTROLS));
const SECONDARY_EXIT: Rule = Needs(
    SecondaryExit(SecondaryExitControls::all()),
    Exit(ExitControls::ACTIVATE_SECONDARY_CONTROLS),
);

/// Every rule that involves control words only. Rules among a control and another
/// field, such as an EPT pointer, are VM-entry checks of their own.
pub const RULES: &[Rule] = &[
    // The words themselves: what is not activated counts as 0, so this one is not
    // checked by VM entry but keeps a set honest.
    SECONDARY,
    TERTIARY,
    SECONDARY_EXIT,
    // SDM, "VM-Execution Control Fields" of "Checks on VMX Controls".
    Needs(PinBased(PinBasedControls::VIRTUAL_NMIS), PinBased(PinBasedControls::NMI_EXITING)),
    Needs(Primary(PrimaryControls::NMI_WINDOW_EXITING), PinBased(PinBasedControls::VIRTUAL_NMIS)),
    Needs(
        Secondary(SecondaryControls::VIRTUALIZE_X2APIC_MODE),
        Primary(PrimaryControls::USE_TPR_SHADOW),
    ),
    Needs(
        Secondary(SecondaryControls::APIC_REGISTER_VIRTUALIZATION),
        Primary(PrimaryControls::USE_TPR_SHADOW),
    ),
    Needs(
        Secondary(SecondaryControls::VIRTUAL_INTERRUPT_DELIVERY),
        Primary(PrimaryControls::USE_TPR_SHADOW),
    ),
    Needs(Tertiary(TertiaryControls::IPI_VIRTUALIZATION), Primary(PrimaryControls::USE_TPR_SHADOW)),
    Excludes(
        Secondary(SecondaryControls::VIRTUALIZE_X2APIC_MODE),
        Secondary(SecondaryControls::VIRTUALIZE_APIC_ACCESSES),
    ),
    Needs(
        Secondary(SecondaryControls::VIRTUAL_INTERRUPT_DELIVERY),
        PinBased(PinBasedControls::EXTERNAL_INTERRUPT_EXITING),
    ),
    Needs(
        PinBased(PinBasedControls::PROCESS_POSTED_INTERRUPTS),
        Secondary(SecondaryControls::VIRTUAL_INTERRUPT_DELIVERY),
    ),
    Needs(
        PinBased(PinBasedControls::PROCESS_POSTED_INTERRUPTS),
        Exit(ExitControls::ACKNOWLEDGE_INTERRUPT_ON_EXIT),
    ),
    Needs(Secondary(SecondaryControls::ENABLE_PML), Secondary(SecondaryControls::ENABLE_EPT)),
    Needs(
        Secondary(SecondaryControls::UNRESTRICTED_GUEST),
        Secondary(SecondaryControls::ENABLE_EPT),
    ),
    Needs(
        Secondary(SecondaryControls::MODE_BASED_EXECUTE_CONTROL),
        Secondary(SecondaryControls::ENABLE_EPT),
    ),
    Needs(
        Secondary(SecondaryControls::SUB_PAGE_WRITE_PERMISSIONS),
        Secondary(SecondaryControls::ENABLE_EPT),
    ),
    Needs(
        Secondary(SecondaryControls::PT_USES_GUEST_PHYSICAL),
        Secondary(SecondaryControls::ENABLE_EPT),
    ),
    Needs(
        Secondary(SecondaryControls::PT_USES_GUEST_PHYSICAL),
        Entry(EntryControls::LOAD_IA32_RTIT_CTL),
    ),
    Needs(
        Secondary(SecondaryControls::PT_USES_GUEST_PHYSICAL),
        Exit(ExitControls::CLEAR_IA32_RTIT_CTL),
    ),
    Needs(Tertiary(TertiaryControls::ENABLE_HLAT), Secondary(SecondaryControls::ENABLE_EPT)),
    Needs(
        Tertiary(TertiaryControls::EPT_PAGING_WRITE_CONTROL),
        Secondary(SecondaryControls::ENABLE_EPT),
    ),
    Needs(
        Tertiary(TertiaryControls::GUEST_PAGING_VERIFICATION),
        Secondary(SecondaryControls::ENABLE_EPT),
    ),
    Needs(
        Tertiary(TertiaryControls::APIC_TIMER_VIRTUALIZATION),
        Secondary(SecondaryControls::VIRTUAL_INTERRUPT_DELIVERY),
    ),
    Excludes(
        Tertiary(TertiaryControls::APIC_TIMER_VIRTUALIZATION),
        Primary(PrimaryControls::RDTSC_EXITING),
    ),
    // SDM, "VM-Exit Control Fields" of "Checks on VMX Controls".
    Needs(
        Exit(ExitControls::SAVE_VMX_PREEMPTION_TIMER_VALUE),
        PinBased(PinBasedControls::ACTIVATE_VMX_PREEMPTION_TIMER),
    ),
    // SDM, "VM-Entry Control Fields" of "Checks on VMX Controls".
    Excludes(
        Entry(EntryControls::ENTRY_TO_SMM),
        Entry(EntryControls::DEACTIVATE_DUAL_MONITOR_TREATMENT),
    ),
    // SDM, "Checks Related to Address-Space Size".
    Needs(Entry(EntryControls::IA32E_MODE_GUEST), Exit(ExitControls::HOST_ADDRESS_SPACE_SIZE)),
];

impl Rule {
    /// Whether the set breaks the rule.
    pub const fn is_broken_by(self, set: &ControlSet) -> bool {
        match self {
            Needs(control, other) => control.is_in(set) && !other.is_in(set),
            Excludes(first, second) => first.is_in(set) && second.is_in(set),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Needs(control, other) => write!(f, "{control} needs {other}"),
            Excludes(first, second) => write!(f, "{first} excludes {second}"),
        }
    }
}

impl Control {
    /// Whether the set has the control, or one of these.
    pub const fn is_in(self, set: &ControlSet) -> bool {
        match self {
            PinBased(bits) => set.pin_based.intersects(bits),
            Primary(bits) => set.primary.intersects(bits),
            Secondary(bits) => set.secondary.intersects(bits),
            Tertiary(bits) => set.tertiary.intersects(bits),
            Exit(bits) => set.exit.intersects(bits),
            SecondaryExit(bits) => set.secondary_exit.intersects(bits),
            Entry(bits) => set.entry.intersects(bits),
        }
    }

    /// Takes the control out of a set.
    pub fn remove_from(self, set: &mut ControlSet) {
        match self {
            PinBased(bits) => set.pin_based.remove(bits),
            Primary(bits) => set.primary.remove(bits),
            Secondary(bits) => set.secondary.remove(bits),
            Tertiary(bits) => set.tertiary.remove(bits),
            Exit(bits) => set.exit.remove(bits),
            SecondaryExit(bits) => set.secondary_exit.remove(bits),
            Entry(bits) => set.entry.remove(bits),
        }
    }

    /// Puts the control into a set.
    pub fn insert_into(self, set: &mut ControlSet) {
        match self {
            PinBased(bits) => set.pin_based.insert(bits),
            Primary(bits) => set.primary.insert(bits),
            Secondary(bits) => set.secondary.insert(bits),
            Tertiary(bits) => set.tertiary.insert(bits),
            Exit(bits) => set.exit.insert(bits),
            SecondaryExit(bits) => set.secondary_exit.insert(bits),
            Entry(bits) => set.entry.insert(bits),
        }
    }
}

impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn name<W: ControlWord>(f: &mut fmt::Formatter<'_>, bits: W) -> fmt::Result {
            match bits.iter_names().next() {
                Some((name, bit)) if bit.bits() == bits.bits() => f.write_str(name)?,
                _ => f.write_str("any")?,
            }
            write!(f, " of the {}", W::NAME)
        }
        match *self {
            PinBased(bits) => name(f, bits),
            Primary(bits) => name(f, bits),
            Secondary(bits) => name(f, bits),
            Tertiary(bits) => name(f, bits),
            Exit(bits) => name(f, bits),
            SecondaryExit(bits) => name(f, bits),
            Entry(bits) => name(f, bits),
        }
    }
}
