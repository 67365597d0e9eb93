//! Where the second processor, Bochs, departs from the manual.
//!
//! Every comparison with it goes by this table: a difference has an identifier, and
//! one that is not here is an error. This module needs nothing but `core`, so that an
//! image without `std` can use it.
//!
//! "What Bochs does" was read in the sources of Bochs 3.0; the versions say where it
//! was seen. SDM titles are those of Intel's manual.

mod vm_entry;

/// One row: a difference that is known and explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Departure {
    /// The name that a comparison uses.
    pub id: &'static str,
    /// What the manual says.
    pub manual: &'static str,
    /// What Bochs does.
    pub bochs: &'static str,
    /// The versions that were looked at and do so.
    pub versions: &'static str,
    /// Why it is so.
    pub reason: &'static str,
    /// Where to see it: file and function in Bochs, title in the manual.
    pub source: &'static str,
    /// What has to know it.
    pub used_by: &'static str,
}

/// All rows, in tables by subject.
pub const DEPARTURES: [&[Departure]; 2] = [vm_entry::ROWS, OTHERS];

/// What is not about the checks of VM entry.
const OTHERS: &[Departure] = &[
    Departure {
        id: "canonical-by-cr4-la57",
        manual: "MSR values, VMCS fields and XRSTORS images are canonical by the widest linear \
                 address that the CPU supports",
        bochs: "goes by CR4.LA57: with LA57 in CPUID and CR4.LA57 = 0, an address such as 1 << 47 \
                faults though CPUID.80000008H reports 57 bits",
        versions: "3.0",
        reason: "one width per CPU, set when CR4 is written, serves all checks",
        source: "Bochs cpu/cpu.h, IsCanonical, and cpu/crregs.cc, SetCR4; SDM, Canonicality \
                 Checking",
        used_by: "guest checks of illegal values on models with LA57 (sapphire_rapids): use an \
                  address that is not canonical under either width; the boots with a value that \
                  this CPU refuses, which need the departure",
    },
    Departure {
        id: "cet-control-bits-of-absent-feature",
        manual: "IA32_S_CET and IA32_U_CET bits of shadow stacks, or of indirect-branch tracking, \
                 are reserved where CPUID does not report the feature",
        bochs: "refuses bits 9:6, and bits 11 and 10 together, and nothing else",
        versions: "3.0",
        reason: "both features are one CPU extension to it",
        source: "Bochs cpu/cet.cc, is_invalid_cet_control, and cpu/msr.cc, wrmsr; SDM, \
                 Control-flow Enforcement Technology, CET MSRs",
        used_by: "legality of IA32_S_CET in guests that are offered one of the two features",
    },
    Departure {
        id: "init-clears-xss",
        manual: "INIT leaves IA32_XSS as it is; RESET clears it",
        bochs: "clears IA32_XSS on both, though it keeps XCR0 on INIT",
        versions: "3.0",
        reason: "the assignment is outside the test for a hardware reset",
        source: "Bochs cpu/init.cc, reset; SDM, IA-32 and Intel 64 Processor States Following \
                 Power-up, Reset, or INIT",
        used_by: "reset of a vCPU compared with INIT of a CPU",
    },
    Departure {
        id: "xrstors-ignores-illegal-ssp",
        manual: "XRSTORS raises #GP(0) if the image of component 12 holds a value that WRMSR of \
                 the register would refuse",
        bochs: "leaves the register as it is and raises nothing; the other registers of the \
                component are loaded",
        versions: "3.0",
        reason: "the result of the internal WRMSR is not looked at",
        source: "Bochs cpu/xsave.cc, xrstor_cet_s_state; SDM, Operation of XRSTORS",
        used_by: "guests that load illegal values by XRSTORS",
    },
    Departure {
        id: "missing-vmclear-unnoticed",
        manual: "a VMCS that is active on one CPU must be cleared there before another one loads \
                 it; otherwise its data may be corrupt",
        bochs: "works: VMPTRLD reads the revision, and VMREAD and VMWRITE go to memory",
        versions: "3.0",
        reason: "there is no cache of a VMCS that would have to be written back",
        source: "Bochs cpu/vmx.cc, VMPTRLD; SDM, Software Use of Virtual-Machine Control \
                 Structures",
        used_by: "migration of a vCPU: passing there proves nothing about VMCLEAR",
    },
    Departure {
        id: "no-modified-optimisation",
        manual: "XSAVES may leave a component unwritten that was not modified since XRSTORS from \
                 the same address",
        bochs: "writes every requested component that is not in its initial state",
        versions: "3.0",
        reason: "a freedom, not a duty; it keeps no record of XRSTORS",
        source: "Bochs cpu/xsave.cc, XSAVEC; SDM, Operation of XSAVES",
        used_by: "the XSAVE-backed policy: passing there proves nothing about an area changed \
                  between XRSTORS and XSAVES",
    },
    Departure {
        id: "vmx-abort-hangs",
        manual: "a failed VM-exit MSR load is a VMX abort: the CPU enters the shutdown state",
        bochs: "writes the abort indicator and then runs no more, until it is killed",
        versions: "3.0",
        reason: "the shutdown state of the emulator is left only by a reset from outside",
        source: "Bochs cpu/vmx.cc, VMabort and VMexit; SDM, VMX Aborts",
        used_by: "the time limit of a boot: report this cause",
    },
    Departure {
        id: "cet-sss-absent",
        manual: "CPUID.(EAX=7,ECX=1):EDX[18] reports that supervisor shadow stacks are safe from \
                 prematurely busy tokens",
        bochs: "no model reports it, and none has FRED, HLAT or paging-write",
        versions: "3.0",
        reason: "the features are not implemented",
        source: "Bochs cpu/cpudb/intel/arrow_lake.cc and sapphire_rapids.cc, leaf 7; SDM, CPUID",
        used_by: "CPUID shown to guests: its filter is not exercised there",
    },
];

/// The row of this identifier.
pub fn find(id: &str) -> Option<&'static Departure> {
    DEPARTURES.into_iter().flatten().find(|departure| departure.id == id)
}

/// Collects what differs between a run and what the manual lets expect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Comparisons that agreed.
    pub agreed: u32,
    /// Differences that the table explains.
    pub explained: u32,
    /// Differences that it does not: each is an error.
    pub unexplained: u32,
}

impl Comparison {
    /// The row that explains a difference; `None` is an error, counted as such.
    pub fn explain(&mut self, id: &str) -> Option<&'static Departure> {
        let row = find(id);
        match row {
            Some(_) => self.explained += 1,
            None => self.unexplained += 1,
        }
        row
    }

    /// Compares a value. A difference is looked up under `id`; the answer is whether
    /// all is well.
    pub fn compare<T: PartialEq>(&mut self, id: &str, expected: &T, found: &T) -> bool {
        if expected == found {
            self.agreed += 1;
            return true;
        }
        self.explain(id).is_some()
    }

    /// Whether every difference is explained.
    pub const fn passed(&self) -> bool {
        self.unexplained == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_complete_and_named_once() {
        for row in DEPARTURES.into_iter().flatten() {
            assert_eq!(find(row.id), Some(row), "{} is there twice", row.id);
            let texts = [row.manual, row.bochs, row.versions, row.reason, row.source, row.used_by];
            assert!(texts.iter().all(|text| !text.trim().is_empty()), "{row:?}");
            assert!(row.source.contains("Bochs cpu/") && row.source.contains("SDM, "), "{row:?}");
            assert!(
                row.id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            );
        }
    }

    #[test]
    fn an_unexplained_difference_is_an_error() {
        let mut comparison = Comparison::default();
        assert!(comparison.compare("anything", &1, &1));
        assert!(comparison.compare("init-clears-xss", &4096, &0));
        assert!(comparison.passed());
        assert!(!comparison.compare("never-heard-of", &1, &2));
        let expected = Comparison { agreed: 1, explained: 1, unexplained: 1 };
        assert_eq!(comparison, expected);
        assert!(!comparison.passed());
    }
}
