//! Whether capability values contradict each other.

use core::fmt;

use super::Capabilities;
use crate::control::allowed_settings::{AllowedSettings, ControlWord};
use crate::control::entry::EntryControls;
use crate::control::execution::{
    PinBasedControls, PrimaryControls, SecondaryControls, TertiaryControls, VmFunctions,
};
use crate::control::exit::{ExitControls, SecondaryExitControls};

/// Why no CPU can have these capabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Contradiction {
    /// Bits must be 1 that may not be 1.
    Fixed {
        /// The control word or control register.
        word: &'static str,
        /// The bits.
        bits: u64,
    },
    /// A word has bits that may be 1, but the control that activates it may not.
    NotActivated {
        /// The word.
        word: &'static str,
        /// The control.
        control: &'static str,
    },
    /// VMXON and VMCS regions have no byte, or more than 4096.
    RegionSize(u32),
    /// Physical addresses narrower than 32 bits or wider than 52.
    PhysicalAddressWidth(u32),
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Fixed { word, bits } => {
                write!(f, "{word}: bits {bits:#x} must be 1 and must be 0")
            }
            Self::NotActivated { word, control } => {
                write!(f, "{word}: bits may be 1, but {control} may not")
            }
            Self::RegionSize(size) => write!(f, "IA32_VMX_BASIC: regions of {size} bytes"),
            Self::PhysicalAddressWidth(width) => write!(f, "physical addresses of {width} bits"),
        }
    }
}

impl core::error::Error for Contradiction {}

impl Capabilities {
    /// Looks for values that contradict each other. Unknown bits do not.
    ///
    /// # Errors
    /// The first [`Contradiction`].
    pub fn check(&self) -> Result<(), Contradiction> {
        fn fixed<W: ControlWord>(settings: AllowedSettings) -> (&'static str, u64) {
            (W::NAME, (settings.must_be_one & !settings.may_be_one).into())
        }
        for (word, bits) in [
            fixed::<PinBasedControls>(self.pin_based),
            fixed::<PrimaryControls>(self.primary),
            fixed::<SecondaryControls>(self.secondary),
            fixed::<ExitControls>(self.exit),
            fixed::<EntryControls>(self.entry),
            (TertiaryControls::NAME, self.tertiary.must_be_one & !self.tertiary.may_be_one),
            (
                SecondaryExitControls::NAME,
                self.secondary_exit.must_be_one & !self.secondary_exit.may_be_one,
            ),
            ("CR0", self.cr0_fixed.must_be_one & !self.cr0_fixed.may_be_one),
            ("CR4", self.cr4_fixed.must_be_one & !self.cr4_fixed.may_be_one),
        ] {
            if bits != 0 {
                return Err(Contradiction::Fixed { word, bits });
            }
        }
        let primary = |control| self.primary.allows(control);
        let secondary = |control| self.secondary.allows(control);
        for (word, bits, is_activated, control) in [
            (
                SecondaryControls::NAME,
                self.secondary.may_be_one.into(),
                primary(PrimaryControls::ACTIVATE_SECONDARY_CONTROLS),
                "\"activate secondary controls\"",
            ),
            (
                TertiaryControls::NAME,
                self.tertiary.may_be_one,
                primary(PrimaryControls::ACTIVATE_TERTIARY_CONTROLS),
                "\"activate tertiary controls\"",
            ),
            (
                SecondaryExitControls::NAME,
                self.secondary_exit.may_be_one,
                self.exit.allows(ExitControls::ACTIVATE_SECONDARY_CONTROLS),
                "\"activate secondary controls\"",
            ),
            (
                "IA32_VMX_EPT_VPID_CAP",
                self.ept_vpid.bits(),
                secondary(SecondaryControls::ENABLE_EPT)
                    || secondary(SecondaryControls::ENABLE_VPID),
                "\"enable EPT\" or \"enable VPID\"",
            ),
            (
                VmFunctions::NAME,
                self.vm_functions.bits(),
                secondary(SecondaryControls::ENABLE_VM_FUNCTIONS),
                "\"enable VM functions\"",
            ),
        ] {
            if bits != 0 && !is_activated {
                return Err(Contradiction::NotActivated { word, control });
            }
        }
        match (self.basic.region_size(), self.physical_address_width) {
            (size @ (0 | 4097..), _) => Err(Contradiction::RegionSize(size)),
            (_, width @ (..32 | 53..)) => Err(Contradiction::PhysicalAddressWidth(width)),
            _ => Ok(()),
        }
    }
}
