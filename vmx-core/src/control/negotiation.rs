//! All seven control words settled with the CPU at once.
//!
//! ```
//! use vmx_core::control::{PrimaryControls, SecondaryControls};
//! use vmx_core::Capabilities;
//! use vmx_core::control::ControlSet;
//! # const DUMP: &str = "480 0018100000000000\n481 0\n482 fff9fffe00000000\n483 0\n484 0\n485 0
//! # 486 0\n487 0\n488 0\n489 0\n48a 0\n48b 000000a000000000\n48c 0\nCPUID 7: 0 0 0 0\nCPUID 80000008: 0 0 0 0";
//! # let cpu = Capabilities::from_dump(DUMP).unwrap();
//! let required = ControlSet {
//!     primary: PrimaryControls::USE_MSR_BITMAPS,
//!     secondary: SecondaryControls::ENABLE_VPID,
//!     ..ControlSet::EMPTY
//! };
//! // This CPU has no EPT, so it grants no unrestricted guest.
//! let wanted =
//!     ControlSet { secondary: SecondaryControls::UNRESTRICTED_GUEST, ..ControlSet::EMPTY };
//! let granted = ControlSet::negotiate(&cpu, &required, &wanted).unwrap();
//! assert_eq!(granted.secondary, SecondaryControls::ENABLE_VPID);
//! assert!(granted.primary.contains(PrimaryControls::ACTIVATE_SECONDARY_CONTROLS));
//! // Who cannot do without it is told why.
//! let error = ControlSet::negotiate(&cpu, &wanted, &ControlSet::EMPTY).unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "UNRESTRICTED_GUEST of the secondary processor-based controls needs ENABLE_EPT of the \
//!      secondary processor-based controls"
//! );
//! ```

use core::fmt;

use super::allowed_settings::{AllowedSettings, ControlWord, Refused};
use super::execution::PrimaryControls;
use super::exit::ExitControls;
use super::rules::{RULES, Rule};
use super::set::ControlSet;
use crate::capability::capabilities::Capabilities;
use crate::cpu::vmcs_access::VmcsAccess;
use crate::vmcs::error::VmxError;
use crate::vmcs::field;

impl ControlSet {
    /// Settles every word with the CPU: all `required` controls, those `wanted`
    /// ones that the CPU has and whose own needs ([`RULES`]) are met, and the bits
    /// that the CPU fixes to 1. What a control needs is not added for it, except
    /// that a word which is not empty is activated. Of two wanted controls that
    /// exclude each other the first in the rule stays. Look at the result to see
    /// what of `wanted` it holds.
    ///
    /// # Errors
    /// [`ControlError::Refused`] with every required bit of every word that the
    /// CPU cannot set; else [`ControlError::Rule`] with a rule that the required
    /// controls break.
    pub fn negotiate(
        capabilities: &Capabilities,
        required: &Self,
        wanted: &Self,
    ) -> Result<Self, ControlError> {
        let cpu = capabilities;
        let required = required.activated();
        let firm = required.settle(cpu, &Self::EMPTY).map_err(ControlError::Refused)?;
        let mut granted = required.settle(cpu, wanted).map_err(ControlError::Refused)?;
        // What the CPU grants of a word makes its activation wanted.
        granted = required.settle(cpu, &granted.activated()).map_err(ControlError::Refused)?;
        // Dropping one control can take from another what it needs, so look again
        // until no rule is broken. Each turn drops a control or ends.
        while let Some(rule) = granted.first_broken_rule() {
            let dropped = match rule {
                Rule::Needs(control, _) => [control, control],
                Rule::Excludes(first, second) => [second, first],
            };
            match dropped.into_iter().find(|control| !control.is_in(&firm)) {
                Some(control) => control.remove_from(&mut granted),
                None => return Err(ControlError::Rule(rule)),
            }
        }
        Ok(granted)
    }

    /// Every word by itself, as [`AllowedSettings::negotiate`] does one.
    fn settle(&self, cpu: &Capabilities, wanted: &Self) -> Result<Self, RefusedControls> {
        let mut refused = Self::EMPTY;
        let out = &mut refused;
        let granted = Self {
            pin_based: word(cpu.pin_based, self.pin_based, wanted.pin_based, &mut out.pin_based),
            primary: word(cpu.primary, self.primary, wanted.primary, &mut out.primary),
            secondary: word(cpu.secondary, self.secondary, wanted.secondary, &mut out.secondary),
            tertiary: word(cpu.tertiary, self.tertiary, wanted.tertiary, &mut out.tertiary),
            exit: word(cpu.exit, self.exit, wanted.exit, &mut out.exit),
            secondary_exit: word(
                cpu.secondary_exit,
                self.secondary_exit,
                wanted.secondary_exit,
                &mut out.secondary_exit,
            ),
            entry: word(cpu.entry, self.entry, wanted.entry, &mut out.entry),
        };
        if refused == Self::EMPTY { Ok(granted) } else { Err(RefusedControls(refused)) }
    }

    /// The rules among controls that this set breaks, in the order of [`RULES`].
    pub fn broken_rules(&self) -> impl Iterator<Item = Rule> {
        RULES.iter().copied().filter(|rule| rule.is_broken_by(self))
    }

    fn first_broken_rule(&self) -> Option<Rule> {
        self.broken_rules().next()
    }

    /// Writes the words into the current VMCS: the secondary and tertiary ones, and
    /// the secondary VM-exit controls, only where they are activated.
    ///
    /// # Errors
    /// [`VmxError`] of the VMWRITE that failed.
    pub fn write<V: VmcsAccess>(&self, vmcs: &mut V) -> Result<(), VmxError> {
        vmcs.write(field::PIN_BASED_CONTROLS, self.pin_based)?;
        vmcs.write(field::PRIMARY_CONTROLS, self.primary)?;
        if self.primary.contains(PrimaryControls::ACTIVATE_SECONDARY_CONTROLS) {
            vmcs.write(field::SECONDARY_CONTROLS, self.secondary)?;
        }
        if self.primary.contains(PrimaryControls::ACTIVATE_TERTIARY_CONTROLS) {
            vmcs.write(field::TERTIARY_CONTROLS, self.tertiary)?;
        }
        vmcs.write(field::VM_EXIT_CONTROLS, self.exit)?;
        if self.exit.contains(ExitControls::ACTIVATE_SECONDARY_CONTROLS) {
            vmcs.write(field::SECONDARY_VM_EXIT_CONTROLS, self.secondary_exit)?;
        }
        vmcs.write(field::VM_ENTRY_CONTROLS, self.entry)
    }
}

/// Negotiates one word; what is refused goes to `refused`.
fn word<W>(allowed: AllowedSettings<W::Bits>, required: W, wanted: W, refused: &mut W) -> W
where
    W: ControlWord,
{
    match allowed.negotiate(required, wanted) {
        Ok(word) => word,
        Err(Refused(bits)) => {
            *refused = bits;
            W::empty()
        }
    }
}

/// Why the required controls cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlError {
    /// The CPU cannot set them.
    Refused(RefusedControls),
    /// They break a rule among controls.
    Rule(Rule),
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refused) => fmt::Display::fmt(refused, f),
            Self::Rule(rule) => fmt::Display::fmt(rule, f),
        }
    }
}

impl core::error::Error for ControlError {
    /// That of what was refused, whose text this one's is.
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Refused(refused) => refused.source(),
            Self::Rule(_) => None,
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
        word(&Refused(set.tertiary), set.tertiary.is_empty())?;
        word(&Refused(set.exit), set.exit.is_empty())?;
        word(&Refused(set.secondary_exit), set.secondary_exit.is_empty())?;
        word(&Refused(set.entry), set.entry.is_empty())
    }
}

impl core::error::Error for RefusedControls {}

#[cfg(test)]
mod tests;
