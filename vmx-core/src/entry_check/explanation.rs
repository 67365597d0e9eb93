//! Why an entry failed, told to a person.

use core::fmt;

use super::check;
use super::outcome::{Outcome, Outcomes};
use super::state::{Circumstances, EntryState};
use crate::capability::capabilities::Capabilities;
use crate::cpu::vmcs_access::VmcsAccess;
use crate::vmcs::field_values::FieldValues;

/// A failed entry with all that is needed to explain it. Its `Display` is the CPU's
/// answer and, below it, a sentence for every rule that is broken.
#[derive(Clone, Debug)]
pub struct Explanation {
    fields: FieldValues,
    capabilities: Capabilities,
    circumstances: Circumstances,
    outcome: Outcome,
}

impl Explanation {
    /// Reads the current VMCS, each field once, right after the entry that failed with
    /// `outcome`: a failed entry leaves the fields as they were.
    ///
    /// ```no_run
    /// use vmx_core::Capabilities;
    /// use vmx_core::cpu::VmcsAccess;
    /// use vmx_core::entry_check::{Circumstances, Explanation, Outcome};
    /// fn explain(vmcs: &mut impl VmcsAccess, capabilities: &Capabilities, failed: vmx_core::VmxError) -> String {
    ///     let outcome = Outcome::Failed(failed);
    ///     Explanation::read(vmcs, capabilities, Circumstances::LAUNCH, outcome).to_string()
    /// }
    /// ```
    pub fn read<V: VmcsAccess>(
        vmcs: &mut V,
        capabilities: &Capabilities,
        circumstances: Circumstances,
        outcome: Outcome,
    ) -> Self {
        let fields = FieldValues::read(vmcs);
        Self { fields, capabilities: *capabilities, circumstances, outcome }
    }

    /// The fields as they were read.
    pub const fn fields(&self) -> &FieldValues {
        &self.fields
    }

    /// Whether the rules account for the CPU's answer.
    pub fn accounts_for_outcome(&self) -> bool {
        Outcomes::of(&self.state()).allow(self.outcome)
    }

    fn state(&self) -> EntryState<'_> {
        EntryState::new(&self.fields, &self.capabilities, self.circumstances)
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VM entry: {}", self.outcome)?;
        let state = self.state();
        let mut any = false;
        for violation in check(&state) {
            any = true;
            write!(f, "\n- {violation}")?;
        }
        if !any && self.outcome != Outcome::Entered {
            f.write_str(
                "\n- no rule of the manual is broken by the fields alone; look at what they point \
                 to, such as the MSR-load area",
            )?;
        } else if !self.accounts_for_outcome() {
            f.write_str("\n- the rules above do not account for this answer of the CPU")?;
        }
        Ok(())
    }
}
