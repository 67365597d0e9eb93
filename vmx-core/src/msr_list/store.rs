//! What may stand in an MSR-store list. Source: SDM, "Saving MSRs".

use core::fmt;

use super::load::{self, MsrContext};
use super::{MsrEntry, load::numbers};

/// Why processing an entry of an MSR-store list fails, in a VMX abort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotStorable {
    /// Bits 63:32 of the entry are not zero.
    ReservedBits,
    /// The MSR is one of 800h to 8FFh, the APIC's registers in x2APIC mode.
    X2Apic,
    /// The MSR can be read in system-management mode only: IA32_SMBASE.
    SystemManagementMode,
    /// The CPU may refuse the MSR for model-specific reasons: IA32_BIOS_UPDT_TRIG,
    /// IA32_BIOS_SIGN_ID.
    ModelSpecific,
    /// The MSR cannot be read, only written.
    WriteOnly,
    /// The MSR does not exist without a feature that the CPU lacks.
    NoSuchMsr,
}

impl fmt::Display for NotStorable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReservedBits => "bits 63:32 of the entry are not zero",
            Self::X2Apic => "the MSR is in the x2APIC range",
            Self::SystemManagementMode => "the MSR can be read in system-management mode only",
            Self::ModelSpecific => "CPUs may refuse this MSR for model-specific reasons",
            Self::WriteOnly => "the MSR cannot be read",
            Self::NoSuchMsr => "the CPU lacks the feature that brings the MSR",
        })
    }
}

impl core::error::Error for NotStorable {}

/// Judges an entry of an MSR-store list, as far as that is possible without the
/// CPU: RDMSR may raise #GP(0) for MSRs that this crate does not know.
///
/// # Errors
/// [`NotStorable`]: processing the entry fails.
///
/// ```
/// use vmx_core::msr_list::{MsrContext, MsrEntry, NotStorable, check_store_entry};
/// use vmx_core::MsrIndex;
/// use vmx_core::memory::LinearAddressWidth;
/// let context = MsrContext::minimal(LinearAddressWidth::Bits48);
/// let entry = MsrEntry::new(MsrIndex(0x808), 0);
/// assert_eq!(check_store_entry(&entry, &context), Err(NotStorable::X2Apic));
/// ```
pub const fn check_store_entry(entry: &MsrEntry, context: &MsrContext) -> Result<(), NotStorable> {
    if entry.reserved != 0 {
        return Err(NotStorable::ReservedBits);
    }
    match entry.msr.0 {
        _ if entry.msr.is_x2apic() => Err(NotStorable::X2Apic),
        numbers::SMBASE => Err(NotStorable::SystemManagementMode),
        numbers::BIOS_UPDATE_TRIGGER | numbers::BIOS_SIGNATURE => Err(NotStorable::ModelSpecific),
        numbers::PREDICTION_COMMAND | numbers::FLUSH_COMMAND => Err(NotStorable::WriteOnly),
        _ if !load::exists(entry.msr, context) => Err(NotStorable::NoSuchMsr),
        _ => Ok(()),
    }
}
