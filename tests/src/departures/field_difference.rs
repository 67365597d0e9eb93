//! Differences between the table of VMCS fields and a CPU, each with its reason.

use vmx_core::vmcs::field::Encoding;

/// A field that the table and a CPU judge differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldDifference {
    /// The encoding.
    pub encoding: Encoding,
    /// Whether the table has it exist on a CPU with these capabilities.
    pub expected: bool,
    /// Whether VMREAD of it succeeded.
    pub found: bool,
}

/// A difference that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownDifference {
    /// The encodings.
    pub encodings: &'static [u32],
    /// What the emulator does: the field is there or not.
    pub found: bool,
    /// Why.
    pub reason: &'static str,
}

/// All of them, for Bochs 3.0.
pub const KNOWN: &[KnownDifference] = &[KnownDifference {
    encodings: &[0x282E],
    found: true,
    reason: "GUEST_IA32_SPEC_CTRL exists, but the VM-entry control that loads it is not reported: \
             Bochs puts its bit into the capability of the secondary VM-exit controls instead \
             (cpu/vmcs.cc, init_vmentry_ctrls)",
}];

impl FieldDifference {
    /// The known difference that explains it.
    pub fn explain(&self) -> Option<&'static KnownDifference> {
        KNOWN.iter().find(|known| {
            known.found == self.found
                && self.expected != self.found
                && known.encodings.contains(&self.encoding.0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_differences_are_explained() {
        let difference =
            FieldDifference { encoding: Encoding(0x282E), expected: false, found: true };
        assert!(difference.explain().is_some());
        assert!(FieldDifference { expected: true, found: false, ..difference }.explain().is_none());
        let other = FieldDifference { encoding: Encoding(0x681E), ..difference };
        assert!(other.explain().is_none());
    }
}
