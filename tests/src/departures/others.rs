//! Departures that are not in the checks of VM entry.

use super::departure::Departure;

/// The rows.
pub(super) const ROWS: &[Departure] = &[
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
