//! All five control words of a VMCS at once.

use core::fmt;

use crate::capability::Capabilities;
use crate::control::{
    AllowedSettings, ControlWord, EntryControls, ExitControls, PinBasedControls, PrimaryControls,
    Refused, SecondaryControls,
};
use crate::cpu::VmcsAccess;
use crate::error::VmxError;
use crate::field;

/// The control words of one VMCS, or a choice of bits in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ControlSet {
    /// Pin-based VM-execution controls.
    pub pin_based: PinBasedControls,
    /// Primary processor-based VM-execution controls.
    pub primary: PrimaryControls,
    /// Secondary processor-based VM-execution controls.
    pub secondary: SecondaryControls,
    /// VM-exit controls.
    pub exit: ExitControls,
    /// VM-entry controls.
    pub entry: EntryControls,
}

impl ControlSet {
    /// Negotiates every word with the CPU, as [`AllowedSettings::negotiate`] does one.
    ///
    /// # Errors
    /// [`RefusedControls`] with every required bit of every word that the CPU
    /// cannot set.
    ///
    /// ```no_run
    /// # use vmx_core::{Capabilities, ControlSet, control::*};
    /// # fn f(capabilities: &Capabilities) -> Result<(), vmx_core::control_set::RefusedControls> {
    /// let required = ControlSet {
    ///     primary: PrimaryControls::USE_MSR_BITMAPS,
    ///     exit: ExitControls::HOST_ADDRESS_SPACE_SIZE,
    ///     entry: EntryControls::IA32E_MODE_GUEST,
    ///     ..ControlSet::default()
    /// };
    /// let controls = ControlSet::negotiate(capabilities, &required, &ControlSet::default())?;
    /// # Ok(()) }
    /// ```
    pub fn negotiate(
        capabilities: &Capabilities,
        required: &Self,
        wanted: &Self,
    ) -> Result<Self, RefusedControls> {
        let mut refused = Self::default();
        let granted = Self {
            pin_based: word(
                capabilities.pin_based,
                required.pin_based,
                wanted.pin_based,
                &mut refused.pin_based,
            ),
            primary: word(
                capabilities.primary,
                required.primary,
                wanted.primary,
                &mut refused.primary,
            ),
            secondary: word(
                capabilities.secondary,
                required.secondary,
                wanted.secondary,
                &mut refused.secondary,
            ),
            exit: word(capabilities.exit, required.exit, wanted.exit, &mut refused.exit),
            entry: word(capabilities.entry, required.entry, wanted.entry, &mut refused.entry),
        };
        if refused == Self::default() { Ok(granted) } else { Err(RefusedControls(refused)) }
    }

    /// Writes the words into the current VMCS; the secondary one only where the
    /// primary one activates it.
    ///
    /// # Errors
    /// [`VmxError`] of the VMWRITE that failed.
    pub fn write<V: VmcsAccess>(&self, vmcs: &mut V) -> Result<(), VmxError> {
        vmcs.write(field::PIN_BASED_CONTROLS, self.pin_based)?;
        vmcs.write(field::PRIMARY_CONTROLS, self.primary)?;
        if self.primary.contains(PrimaryControls::ACTIVATE_SECONDARY_CONTROLS) {
            vmcs.write(field::SECONDARY_CONTROLS, self.secondary)?;
        }
        vmcs.write(field::VM_EXIT_CONTROLS, self.exit)?;
        vmcs.write(field::VM_ENTRY_CONTROLS, self.entry)
    }
}

/// Negotiates one word; what is refused goes to `refused`.
fn word<W: ControlWord>(allowed: AllowedSettings, required: W, wanted: W, refused: &mut W) -> W {
    match allowed.negotiate(required, wanted) {
        Ok(word) => word,
        Err(Refused(bits)) => {
            *refused = bits;
            W::empty()
        }
    }
}

/// Every required control that the CPU refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusedControls(pub ControlSet);

impl fmt::Display for RefusedControls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this CPU's VMX lacks")?;
        let mut separator = " ";
        let mut word = |words: &dyn fmt::Display, empty: bool| {
            if empty {
                return Ok(());
            }
            write!(f, "{separator}{words}")?;
            separator = "; ";
            Ok(())
        };
        let set = &self.0;
        word(&Refused(set.pin_based), set.pin_based.is_empty())?;
        word(&Refused(set.primary), set.primary.is_empty())?;
        word(&Refused(set.secondary), set.secondary.is_empty())?;
        word(&Refused(set.exit), set.exit.is_empty())?;
        word(&Refused(set.entry), set.entry.is_empty())
    }
}

impl core::error::Error for RefusedControls {}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::*;

    #[test]
    fn all_refused_words_are_named() {
        let refused = RefusedControls(ControlSet {
            secondary: SecondaryControls::ENABLE_XSAVES,
            exit: ExitControls::LOAD_CET_STATE,
            ..ControlSet::default()
        });
        assert_eq!(
            refused.to_string(),
            "this CPU's VMX lacks secondary processor-based controls: ENABLE_XSAVES; \
             VM-exit controls: LOAD_CET_STATE"
        );
    }
}
