//! Why an entry failed, told to a person.

use core::fmt;

use super::outcome::Outcome;
use super::state::{Circumstances, EntryState};
#[cfg(feature = "explanations")]
use super::{check, outcome::Outcomes};
use crate::capability::capabilities::Capabilities;
use crate::cpu::vmcs_access::VmcsAccess;
use crate::vmcs::current::CurrentVmcs;
use crate::vmcs::entry_failure::EntryFailure;
use crate::vmcs::field_values::FieldValues;

/// A failed entry with all that is needed to explain it. Its `Display` is the CPU's
/// answer and, below it, a sentence for every rule that is broken; without the feature
/// `explanations`, the answer alone.
#[derive(Clone, Debug)]
pub struct Explanation {
    fields: FieldValues,
    capabilities: Capabilities,
    circumstances: Circumstances,
    outcome: Outcome,
}

impl<C: VmcsAccess> CurrentVmcs<'_, C> {
    /// What the next entry depends on besides the fields, in a 64-bit host.
    pub fn circumstances(&self) -> Circumstances {
        Circumstances::of(self.is_launched())
    }

    /// Why an entry failed: right after [`enter`](CurrentVmcs::enter) said so. Reads the
    /// whole VMCS.
    ///
    /// ```no_run
    /// use core::fmt::Write;
    /// use vmx_core::cpu::{VmcsAccess, VmxInstructions, WorldSwitch};
    /// use vmx_core::exit::ExitReason;
    /// use vmx_core::{Capabilities, CurrentVmcs};
    ///
    /// /// # Safety
    /// /// 1. As for `CurrentVmcs::enter`.
    /// unsafe fn run<C: VmcsAccess + VmxInstructions + WorldSwitch>(
    ///     current: &mut CurrentVmcs<'_, C>,
    ///     registers: &mut C::Registers,
    ///     capabilities: &Capabilities,
    ///     console: &mut impl Write,
    /// ) -> Option<ExitReason> {
    ///     // SAFETY: the caller's contract.
    ///     match unsafe { current.enter(registers) } {
    ///         Ok(reason) => Some(reason),
    ///         Err(failure) => {
    ///             let _ = writeln!(console, "{}", current.explain(failure, capabilities));
    ///             None
    ///         }
    ///     }
    /// }
    /// ```
    pub fn explain(&self, failure: EntryFailure, capabilities: &Capabilities) -> Explanation {
        Explanation::read(self, capabilities, self.circumstances(), failure.into())
    }
}

impl Explanation {
    /// Reads the current VMCS, each field once, right after the entry that failed with
    /// `outcome`: a failed entry leaves the fields as they were.
    ///
    /// ```no_run
    /// use vmx_core::Capabilities;
    /// use vmx_core::cpu::VmcsAccess;
    /// use vmx_core::entry_check::{Circumstances, Explanation, Outcome};
    /// fn explain(
    ///     vmcs: &impl VmcsAccess,
    ///     capabilities: &Capabilities,
    ///     failed: vmx_core::VmxError,
    /// ) -> Explanation {
    ///     let outcome = Outcome::Failed(failed);
    ///     Explanation::read(vmcs, capabilities, Circumstances::LAUNCH, outcome)
    /// }
    /// ```
    pub fn read<V: VmcsAccess>(
        vmcs: &V,
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

    /// Whether the rules account for the CPU's answer. Needs the feature `explanations`.
    #[cfg(feature = "explanations")]
    pub fn accounts_for_outcome(&self) -> bool {
        Outcomes::of(&self.state()).allow(self.outcome)
    }

    /// What the rules judge, for [`check`](super::check).
    pub fn state(&self) -> EntryState<'_> {
        EntryState::new(&self.fields, &self.capabilities, self.circumstances)
    }
}

impl fmt::Display for Explanation {
    #[cfg(feature = "explanations")]
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

    #[cfg(not(feature = "explanations"))]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "VM entry: {}\n- built without the feature `explanations` of vmx-core, which names \
             the broken rules",
            self.outcome
        )
    }
}
