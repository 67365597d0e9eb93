//! What makes a field exist.

use crate::capability::capabilities::Capabilities;
use crate::control::entry::EntryControls;
use crate::control::execution::{
    PinBasedControls, PrimaryControls, SecondaryControls, TertiaryControls, VmFunctions,
};
use crate::control::exit::{ExitControls, SecondaryExitControls};

/// What makes a field exist: most fields do on a CPU that allows a control to be 1.
/// VMREAD and VMWRITE of a field that does not exist fail with error 12.
/// Source: SDM, appendix "Field Encoding in VMCS", footnotes.
///
/// ```
/// use vmx_core::Capabilities;
/// use vmx_core::control::{AllowedSettings, PrimaryControls};
/// use vmx_core::vmcs::field;
/// let cpu = Capabilities {
///     primary: AllowedSettings {
///         must_be_one: 0,
///         may_be_one: PrimaryControls::USE_MSR_BITMAPS.bits(),
///     },
///     ..Capabilities::NOTHING
/// };
/// assert!(field::MSR_BITMAP.encoding().exists(&cpu));
/// assert!(!field::EPT_POINTER.encoding().exists(&cpu));
/// assert!(field::GUEST_RIP.encoding().exists(&cpu));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existence {
    /// The field exists wherever VMX does.
    Always,
    /// A pin-based control may be 1.
    PinBased(PinBasedControls),
    /// A primary processor-based control may be 1.
    Primary(PrimaryControls),
    /// A secondary processor-based control may be 1.
    Secondary(SecondaryControls),
    /// A tertiary processor-based control may be 1.
    Tertiary(TertiaryControls),
    /// A VM function may be enabled.
    Function(VmFunctions),
    /// A VM-exit control may be 1.
    Exit(ExitControls),
    /// A secondary VM-exit control may be 1.
    SecondaryExit(SecondaryExitControls),
    /// A VM-entry control may be 1.
    Entry(EntryControls),
    /// A VM-entry or a VM-exit control may be 1.
    EntryOrExit(EntryControls, ExitControls),
    /// A VM-entry or a secondary VM-exit control may be 1.
    EntryOrSecondaryExit(EntryControls, SecondaryExitControls),
    /// The CPU has more CR3-target values than this number.
    Cr3Target(u32),
}

/// The guest's FRED state. The manual gives the event data to "processors that
/// support FRED transitions", which have these controls.
pub(super) const FRED: Existence = Existence::EntryOrSecondaryExit(
    EntryControls::LOAD_FRED_STATE,
    SecondaryExitControls::SAVE_FRED_STATE,
);

impl Existence {
    /// Whether a CPU with these capabilities has the field.
    pub fn holds(self, cpu: &Capabilities) -> bool {
        match self {
            Self::Always => true,
            Self::PinBased(control) => cpu.pin_based.allows(control),
            Self::Primary(control) => cpu.primary.allows(control),
            Self::Secondary(control) => cpu.secondary.allows(control),
            Self::Tertiary(control) => cpu.tertiary.allows(control),
            Self::Function(function) => cpu.vm_functions.contains(function),
            Self::Exit(control) => cpu.exit.allows(control),
            Self::SecondaryExit(control) => cpu.secondary_exit.allows(control),
            Self::Entry(control) => cpu.entry.allows(control),
            Self::EntryOrExit(entry, exit) => cpu.entry.allows(entry) || cpu.exit.allows(exit),
            Self::EntryOrSecondaryExit(entry, exit) => {
                cpu.entry.allows(entry) || cpu.secondary_exit.allows(exit)
            }
            Self::Cr3Target(number) => cpu.misc.cr3_target_count() > number,
        }
    }
}
