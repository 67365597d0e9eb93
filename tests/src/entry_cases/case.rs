//! A row of the tables: a rule, a state that breaks only it, and one at the edge that
//! does not.

use vmx_core::Capabilities;
use vmx_core::control::{
    ControlSet, EntryControls, ExitControls, PinBasedControls, PrimaryControls, SecondaryControls,
    SecondaryExitControls, TertiaryControls,
};
use vmx_core::entry_check::ExampleGuest;
use vmx_core::vmcs::field::{Encoding, Field};

use super::editor::{Editor, Word};

/// A rule and two states around it.
///
/// Both start from the valid state with the guest [`base`](Self::base), and are changed
/// in the same way until the rule is all that they differ in.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The rule's name, see `vmx_core::entry_check`.
    pub rule: &'static str,
    /// What tells two cases of one rule apart, in a few words.
    pub what: &'static str,
    /// The guest of the valid state.
    pub base: ExampleGuest,
    /// Why no model of the second processor can show it, if none can.
    pub not_shown: Option<NotShown>,
    /// Controls that both states set.
    controls: ControlSet,
    /// Whether a CPU that has them can be in the states.
    possible: fn(&Capabilities) -> bool,
    /// What both states change first, and then.
    first: fn(&mut Editor<'_>),
    then: Edit,
    breaks: Edit,
    edge: Edit,
}

/// A case in which a field is all that the states differ in: the value that breaks the
/// rule, and the nearest that does not.
pub(super) const fn values<V>(rule: &'static str, field: Field<V>, breaks: u64, edge: u64) -> Case {
    edits(rule, set(field, breaks), set(field, edge))
}

/// A case whose states differ by these changes. One that has nothing to change is the
/// valid state.
pub(super) const fn edits(rule: &'static str, breaks: Edit, edge: Edit) -> Case {
    Case {
        rule,
        what: "",
        base: ExampleGuest::Guest64,
        not_shown: None,
        controls: ControlSet::EMPTY,
        possible: |_| true,
        first: |_| {},
        then: NOTHING,
        breaks,
        edge,
    }
}

impl Case {
    /// Told apart from others of its rule.
    pub(super) const fn of(self, what: &'static str) -> Self {
        Self { what, ..self }
    }

    /// From another guest than the 64-bit one.
    pub(super) const fn on(self, base: ExampleGuest) -> Self {
        Self { base, ..self }
    }

    /// For some CPUs only.
    pub(super) const fn where_possible(self, possible: fn(&Capabilities) -> bool) -> Self {
        Self { possible, ..self }
    }

    /// Both states are changed so, before anything else but the controls.
    pub(super) const fn after(self, first: fn(&mut Editor<'_>)) -> Self {
        Self { first, ..self }
    }

    /// Both states have this, too.
    pub(super) const fn with(self, then: Edit) -> Self {
        Self { then, ..self }
    }

    /// No model of the second processor can show it.
    pub(super) const fn not_shown(self, why: NotShown) -> Self {
        Self { not_shown: Some(why), ..self }
    }

    /// Both states set pin-based controls; the CPU must have them. So for the others.
    pub(super) const fn pin(mut self, controls: PinBasedControls) -> Self {
        self.controls.pin_based = self.controls.pin_based.union(controls);
        self
    }

    pub(super) const fn primary(mut self, controls: PrimaryControls) -> Self {
        self.controls.primary = self.controls.primary.union(controls);
        self
    }

    pub(super) const fn secondary(mut self, controls: SecondaryControls) -> Self {
        self.controls.secondary = self.controls.secondary.union(controls);
        self
    }

    pub(super) const fn tertiary(mut self, controls: TertiaryControls) -> Self {
        self.controls.tertiary = self.controls.tertiary.union(controls);
        self
    }

    pub(super) const fn exit(mut self, controls: ExitControls) -> Self {
        self.controls.exit = self.controls.exit.union(controls);
        self
    }

    pub(super) const fn secondary_exit(mut self, controls: SecondaryExitControls) -> Self {
        self.controls.secondary_exit = self.controls.secondary_exit.union(controls);
        self
    }

    pub(super) const fn entry(mut self, controls: EntryControls) -> Self {
        self.controls.entry = self.controls.entry.union(controls);
        self
    }

    /// Whether a CPU can be in the states at all: it has the fields and controls.
    pub fn is_possible(&self, cpu: &Capabilities) -> bool {
        cpu.pin_based.allows(self.controls.pin_based)
            && cpu.primary.allows(self.controls.primary)
            && cpu.secondary.allows(self.controls.secondary)
            && cpu.tertiary.allows(self.controls.tertiary)
            && cpu.exit.allows(self.controls.exit)
            && cpu.secondary_exit.allows(self.controls.secondary_exit)
            && cpu.entry.allows(self.controls.entry)
            && (self.possible)(cpu)
    }

    /// Changes the valid state with the guest [`base`](Self::base) so that it breaks the
    /// rule, and no other.
    pub fn break_rule(&self, e: &mut Editor<'_>) {
        self.prepare(e);
        self.breaks.make(e);
    }

    /// Changes it so that it comes as close as can be without breaking any.
    pub fn stop_at_edge(&self, e: &mut Editor<'_>) {
        self.prepare(e);
        self.edge.make(e);
    }

    fn prepare(&self, e: &mut Editor<'_>) {
        turn_on(e, self.controls.pin_based);
        turn_on(e, self.controls.primary);
        turn_on(e, self.controls.secondary);
        turn_on(e, self.controls.tertiary);
        turn_on(e, self.controls.exit);
        turn_on(e, self.controls.secondary_exit);
        turn_on(e, self.controls.entry);
        (self.first)(e);
        self.then.make(e);
    }
}

/// Sets controls, if there are any: setting none would still activate the word.
fn turn_on<W: Word>(e: &mut Editor<'_>, controls: W) {
    if controls.into_field() != 0 {
        e.turn_on(controls);
    }
}

/// One change of a state.
#[derive(Clone, Copy, Debug)]
pub(super) enum Edit {
    /// A field becomes this.
    Set(Encoding, u64),
    /// These bits of a field become 1.
    Add(Encoding, u64),
    /// These bits of a field become 0.
    Clear(Encoding, u64),
    /// A field becomes the first address beyond the CPU's physical-address width.
    Beyond(Encoding),
    /// What takes more than one of those.
    By(fn(&mut Editor<'_>)),
}

/// The change that is none.
pub(super) const NOTHING: Edit = Edit::By(|_| {});

/// The field becomes `value`.
pub(super) const fn set<V>(field: Field<V>, value: u64) -> Edit {
    Edit::Set(field.encoding(), value)
}

/// Bits of the field become 1.
pub(super) const fn add<V>(field: Field<V>, bits: u64) -> Edit {
    Edit::Add(field.encoding(), bits)
}

/// Bits of the field become 0.
pub(super) const fn clear<V>(field: Field<V>, bits: u64) -> Edit {
    Edit::Clear(field.encoding(), bits)
}

/// The field becomes the first address beyond the CPU's physical-address width.
pub(super) const fn beyond<V>(field: Field<V>) -> Edit {
    Edit::Beyond(field.encoding())
}

/// Whatever `edit` does.
pub(super) const fn by(edit: fn(&mut Editor<'_>)) -> Edit {
    Edit::By(edit)
}

impl Edit {
    fn make(self, e: &mut Editor<'_>) {
        match self {
            Self::Set(field, value) => e.values.set_raw(field, value),
            Self::Add(field, bits) => e.values.set_raw(field, e.raw(field) | bits),
            Self::Clear(field, bits) => e.values.set_raw(field, e.raw(field) & !bits),
            Self::Beyond(field) => e.values.set_raw(field, e.just_beyond()),
            Self::By(edit) => edit(e),
        }
    }
}

/// Why no model of the second processor can show a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotShown {
    /// No model has the feature.
    FeatureOnNoModel(&'static str),
    /// It needs a logical processor in SMM, or the dual-monitor treatment.
    NeedsSmm,
    /// It needs a host outside IA-32e mode.
    Needs32BitHost,
    /// The emulator does not check it: the departure's identifier.
    Departure(&'static str),
}
