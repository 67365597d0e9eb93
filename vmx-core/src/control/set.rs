//! All seven control words of a VMCS at once.

use super::entry::EntryControls;
use super::execution::{PinBasedControls, PrimaryControls, SecondaryControls, TertiaryControls};
use super::exit::{ExitControls, SecondaryExitControls};

/// The control words of one VMCS, or a choice of bits in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ControlSet {
    /// Pin-based VM-execution controls.
    pub pin_based: PinBasedControls,
    /// Primary processor-based VM-execution controls.
    pub primary: PrimaryControls,
    /// Secondary processor-based VM-execution controls.
    pub secondary: SecondaryControls,
    /// Tertiary processor-based VM-execution controls.
    pub tertiary: TertiaryControls,
    /// VM-exit controls.
    pub exit: ExitControls,
    /// Secondary VM-exit controls.
    pub secondary_exit: SecondaryExitControls,
    /// VM-entry controls.
    pub entry: EntryControls,
}

impl ControlSet {
    /// No control.
    pub const EMPTY: Self = Self {
        pin_based: PinBasedControls::empty(),
        primary: PrimaryControls::empty(),
        secondary: SecondaryControls::empty(),
        tertiary: TertiaryControls::empty(),
        exit: ExitControls::empty(),
        secondary_exit: SecondaryExitControls::empty(),
        entry: EntryControls::empty(),
    };

    /// The controls of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self {
            pin_based: self.pin_based.union(other.pin_based),
            primary: self.primary.union(other.primary),
            secondary: self.secondary.union(other.secondary),
            tertiary: self.tertiary.union(other.tertiary),
            exit: self.exit.union(other.exit),
            secondary_exit: self.secondary_exit.union(other.secondary_exit),
            entry: self.entry.union(other.entry),
        }
    }

    /// The same controls, and those that activate the words that are not empty.
    pub(super) const fn activated(mut self) -> Self {
        if !self.secondary.is_empty() {
            self.primary = self.primary.union(PrimaryControls::ACTIVATE_SECONDARY_CONTROLS);
        }
        if !self.tertiary.is_empty() {
            self.primary = self.primary.union(PrimaryControls::ACTIVATE_TERTIARY_CONTROLS);
        }
        if !self.secondary_exit.is_empty() {
            self.exit = self.exit.union(ExitControls::ACTIVATE_SECONDARY_CONTROLS);
        }
        self
    }
}
