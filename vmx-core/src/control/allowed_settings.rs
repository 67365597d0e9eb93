//! The VMX control words, and which of their bits a CPU allows.
//!
//! A capability MSR says of each bit whether it may be 0 and whether it may be 1
//! ([`AllowedSettings`]). [`AllowedSettings::negotiate`] turns *required* and
//! *wanted* bits into a word that the CPU accepts, or names what it refuses.
//! [`ControlSet`](crate::control::ControlSet) does so for all words at once.
//! Source: SDM, appendix "VMX Capability Reporting Facility".
//!
//! ```
//! use vmx_core::control::{AllowedSettings, TertiaryControls};
//! // IA32_VMX_PROCBASED_CTLS3 of a CPU with IPI virtualisation and nothing else.
//! let allowed = AllowedSettings::from_allowed_ones(0x10);
//! let word = allowed.negotiate(TertiaryControls::IPI_VIRTUALIZATION, TertiaryControls::all());
//! assert_eq!(word, Ok(TertiaryControls::IPI_VIRTUALIZATION));
//! ```

use core::fmt;

use bitflags::{Bits, Flags};

use super::entry::EntryControls;
use super::execution::{
    PinBasedControls, PrimaryControls, SecondaryControls, TertiaryControls, VmFunctions,
};
use super::exit::{ExitControls, SecondaryExitControls};

/// A control word, with the manual's name for it.
pub trait ControlWord: Flags<Bits: fmt::LowerHex> + Copy {
    /// The manual's name, as it stands in an error.
    const NAME: &'static str;
}

impl ControlWord for PinBasedControls {
    const NAME: &'static str = "pin-based controls";
}
impl ControlWord for PrimaryControls {
    const NAME: &'static str = "primary processor-based controls";
}
impl ControlWord for SecondaryControls {
    const NAME: &'static str = "secondary processor-based controls";
}
impl ControlWord for TertiaryControls {
    const NAME: &'static str = "tertiary processor-based controls";
}
impl ControlWord for VmFunctions {
    const NAME: &'static str = "VM-function controls";
}
impl ControlWord for ExitControls {
    const NAME: &'static str = "VM-exit controls";
}
impl ControlWord for SecondaryExitControls {
    const NAME: &'static str = "secondary VM-exit controls";
}
impl ControlWord for EntryControls {
    const NAME: &'static str = "VM-entry controls";
}

/// What a CPU allows in a control word of `B` bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AllowedSettings<B = u32> {
    /// Bits that must be 1.
    pub must_be_one: B,
    /// Bits that may be 1.
    pub may_be_one: B,
}

impl AllowedSettings<u32> {
    /// Every bit is fixed to 0.
    pub const NOTHING: Self = Self { must_be_one: 0, may_be_one: 0 };

    /// Takes the capability MSR of a 32-bit word apart: the low half has the bits
    /// that must be 1, the high half those that may be 1.
    pub const fn from_msr(value: u64) -> Self {
        Self { must_be_one: value as u32, may_be_one: (value >> 32) as u32 }
    }

    /// The value of the capability MSR.
    pub const fn to_msr(self) -> u64 {
        ((self.may_be_one as u64) << 32) | self.must_be_one as u64
    }
}

impl AllowedSettings<u64> {
    /// Every bit is fixed to 0.
    pub const NOTHING: Self = Self::from_allowed_ones(0);

    /// Takes the capability MSR of a 64-bit word: the bits that may be 1. All may
    /// be 0.
    pub const fn from_allowed_ones(value: u64) -> Self {
        Self { must_be_one: 0, may_be_one: value }
    }
}

impl<B: Bits + fmt::LowerHex> AllowedSettings<B> {
    /// Whether every bit of `controls` may be 1.
    pub fn allows<W: ControlWord<Bits = B>>(self, controls: W) -> bool {
        controls.bits() & !self.may_be_one == B::EMPTY
    }

    /// Whether the CPU accepts `word`: every bit that it fixes has its value.
    pub fn accepts<W: ControlWord<Bits = B>>(self, word: W) -> bool {
        self.allows(word) && self.must_be_one & !word.bits() == B::EMPTY
    }

    /// A word with all `required` bits, those `wanted` bits that the CPU has, and
    /// the bits that it fixes to 1. Look at the result to see which of `wanted`
    /// it holds.
    ///
    /// # Errors
    /// [`Refused`] with every required bit that the CPU cannot set.
    pub fn negotiate<W: ControlWord<Bits = B>>(
        self,
        required: W,
        wanted: W,
    ) -> Result<W, Refused<W>> {
        let missing = required.bits() & !self.may_be_one;
        if missing != B::EMPTY {
            return Err(Refused(W::from_bits_retain(missing)));
        }
        let word = required.bits() | (wanted.bits() & self.may_be_one) | self.must_be_one;
        Ok(W::from_bits_retain(word))
    }
}

/// The required control bits that a CPU refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused<W>(pub W);

impl<W: ControlWord> fmt::Display for Refused<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", W::NAME)?;
        let mut names = self.0.iter_names();
        for (name, _) in names.by_ref() {
            write!(f, " {name}")?;
        }
        let unnamed = names.remaining().bits();
        if unnamed != W::Bits::EMPTY {
            write!(f, " and unnamed bits {unnamed:#010x}")?;
        }
        Ok(())
    }
}

impl<W: ControlWord + fmt::Debug> core::error::Error for Refused<W> {}

#[cfg(test)]
mod tests;
