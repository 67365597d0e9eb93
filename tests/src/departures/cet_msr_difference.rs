//! Differences between the rules of the CET MSRs and a CPU, looked up in the table.

use vmx_core::MsrIndex;
use vmx_core::memory::LinearAddressWidth;

use super::departure::Departure;
use super::table::find;

/// How a value got to the MSR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// WRMSR.
    Wrmsr,
    /// XRSTORS of component 12.
    Xrstors,
}

/// A value that the manual and a CPU judge differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CetMsrDifference {
    /// How the value got there.
    pub instruction: Instruction,
    /// The MSR.
    pub msr: MsrIndex,
    /// The value.
    pub value: u64,
    /// Whether the manual has the instruction raise #GP(0).
    pub manual_faults: bool,
    /// Whether the CPU raised it.
    pub cpu_faults: bool,
}

impl CetMsrDifference {
    /// The departure of Bochs that explains it, if one does.
    pub fn explain(&self) -> Option<&'static Departure> {
        use LinearAddressWidth::{Bits48, Bits57};
        let is_control = matches!(self.msr, MsrIndex::IA32_U_CET | MsrIndex::IA32_S_CET);
        let address = if is_control { self.value & !0xFFF } else { self.value };
        let between = Bits57.is_canonical(address) && !Bits48.is_canonical(address);
        let id = match (self.instruction, self.manual_faults, self.cpu_faults) {
            (Instruction::Wrmsr, false, true) if between => "canonical-by-cr4-la57",
            (Instruction::Xrstors, true, false) => "xrstors-ignores-illegal-ssp",
            _ => return None,
        };
        find(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_table_says_is_explained() {
        let difference = CetMsrDifference {
            instruction: Instruction::Wrmsr,
            msr: MsrIndex::IA32_PL0_SSP,
            value: 1 << 47,
            manual_faults: false,
            cpu_faults: true,
        };
        let id = |difference: CetMsrDifference| difference.explain().map(|row| row.id);
        assert_eq!(id(difference), Some("canonical-by-cr4-la57"));
        assert_eq!(id(CetMsrDifference { value: 1 << 60, ..difference }), None);
        assert_eq!(id(CetMsrDifference { value: 8, ..difference }), None);
        let accepted =
            CetMsrDifference { manual_faults: true, cpu_faults: false, value: 1, ..difference };
        assert_eq!(id(accepted), None);
        let restored = CetMsrDifference { instruction: Instruction::Xrstors, ..accepted };
        assert_eq!(id(restored), Some("xrstors-ignores-illegal-ssp"));
    }
}
