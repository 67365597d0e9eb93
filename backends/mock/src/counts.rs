//! How often each kind of access happened.

use vmx_core::MsrIndex;
use vmx_core::cet::SspRegister;

/// Numbers of accesses by kind and MSR, as calls of the trait's methods.
///
/// What a method executes besides its own instruction (the world switch writes
/// host fields, entering VMX operation reads capability MSRs) is not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// RDMSR of IA32_PL0_SSP, IA32_PL1_SSP and IA32_PL2_SSP, by whatever method.
    pub rdmsr_ssp: [u64; 3],
    /// WRMSR of the same three.
    pub wrmsr_ssp: [u64; 3],
    /// Values that were tried in one of the three (`accepts_ssp`). The RDMSR and WRMSR
    /// that a trial takes are not among those above.
    pub ssp_trials: u64,
    /// RDMSR of IA32_XSS.
    pub rdmsr_xss: u64,
    /// WRMSR of IA32_XSS.
    pub wrmsr_xss: u64,
    /// RDMSR of IA32_S_CET.
    pub rdmsr_s_cet: u64,
    /// WRMSR of IA32_S_CET.
    pub wrmsr_s_cet: u64,
    /// RDMSR of any other MSR.
    pub rdmsr_other: u64,
    /// WRMSR of any other MSR.
    pub wrmsr_other: u64,
    /// XSAVES of component 12.
    pub xsaves: u64,
    /// XRSTORS of component 12.
    pub xrstors: u64,
    /// CPUID.
    pub cpuid: u64,
    /// Reads of CR0, CR3 and CR4.
    pub control_register_reads: u64,
    /// Writes of CR0 and CR4.
    pub control_register_writes: u64,
    /// Reads of all the segment and descriptor-table registers.
    pub segments: u64,
    /// Attempts to enter VMX operation.
    pub vmxon: u64,
    /// Attempts to leave it.
    pub vmxoff: u64,
    /// VMCLEAR.
    pub vmclear: u64,
    /// VMPTRLD.
    pub vmptrld: u64,
    /// VMREAD.
    pub vmread: u64,
    /// VMWRITE.
    pub vmwrite: u64,
    /// INVEPT.
    pub invept: u64,
    /// INVVPID.
    pub invvpid: u64,
    /// VM entries by VMLAUNCH, failed ones included.
    pub vmlaunch: u64,
    /// VM entries by VMRESUME, failed ones included.
    pub vmresume: u64,
}

impl Counts {
    /// RDMSR of all three SSP registers together.
    pub const fn ssp_reads(&self) -> u64 {
        self.rdmsr_ssp[0] + self.rdmsr_ssp[1] + self.rdmsr_ssp[2]
    }

    /// WRMSR of all three SSP registers together.
    pub const fn ssp_writes(&self) -> u64 {
        self.wrmsr_ssp[0] + self.wrmsr_ssp[1] + self.wrmsr_ssp[2]
    }

    /// RDMSR of any MSR.
    pub const fn msr_reads(&self) -> u64 {
        self.ssp_reads() + self.rdmsr_xss + self.rdmsr_s_cet + self.rdmsr_other
    }

    /// WRMSR of any MSR.
    pub const fn msr_writes(&self) -> u64 {
        self.ssp_writes() + self.wrmsr_xss + self.wrmsr_s_cet + self.wrmsr_other
    }

    /// VM entries by either instruction.
    pub const fn entries(&self) -> u64 {
        self.vmlaunch + self.vmresume
    }

    /// What has been counted since `earlier`, an older copy of the same counter;
    /// zero where that one is ahead.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let ssp = |now: [u64; 3], then: [u64; 3]| {
            [0, 1, 2].map(|index: usize| now[index].saturating_sub(then[index]))
        };
        Self {
            rdmsr_ssp: ssp(self.rdmsr_ssp, earlier.rdmsr_ssp),
            wrmsr_ssp: ssp(self.wrmsr_ssp, earlier.wrmsr_ssp),
            ssp_trials: self.ssp_trials.saturating_sub(earlier.ssp_trials),
            rdmsr_xss: self.rdmsr_xss.saturating_sub(earlier.rdmsr_xss),
            wrmsr_xss: self.wrmsr_xss.saturating_sub(earlier.wrmsr_xss),
            rdmsr_s_cet: self.rdmsr_s_cet.saturating_sub(earlier.rdmsr_s_cet),
            wrmsr_s_cet: self.wrmsr_s_cet.saturating_sub(earlier.wrmsr_s_cet),
            rdmsr_other: self.rdmsr_other.saturating_sub(earlier.rdmsr_other),
            wrmsr_other: self.wrmsr_other.saturating_sub(earlier.wrmsr_other),
            xsaves: self.xsaves.saturating_sub(earlier.xsaves),
            xrstors: self.xrstors.saturating_sub(earlier.xrstors),
            cpuid: self.cpuid.saturating_sub(earlier.cpuid),
            control_register_reads: self
                .control_register_reads
                .saturating_sub(earlier.control_register_reads),
            control_register_writes: self
                .control_register_writes
                .saturating_sub(earlier.control_register_writes),
            segments: self.segments.saturating_sub(earlier.segments),
            vmxon: self.vmxon.saturating_sub(earlier.vmxon),
            vmxoff: self.vmxoff.saturating_sub(earlier.vmxoff),
            vmclear: self.vmclear.saturating_sub(earlier.vmclear),
            vmptrld: self.vmptrld.saturating_sub(earlier.vmptrld),
            vmread: self.vmread.saturating_sub(earlier.vmread),
            vmwrite: self.vmwrite.saturating_sub(earlier.vmwrite),
            invept: self.invept.saturating_sub(earlier.invept),
            invvpid: self.invvpid.saturating_sub(earlier.invvpid),
            vmlaunch: self.vmlaunch.saturating_sub(earlier.vmlaunch),
            vmresume: self.vmresume.saturating_sub(earlier.vmresume),
        }
    }

    /// The counter of RDMSR of `msr`.
    #[inline]
    pub(crate) const fn rdmsr(&mut self, msr: MsrIndex) -> &mut u64 {
        match (SspRegister::from_msr(msr), msr) {
            (Some(register), _) => &mut self.rdmsr_ssp[register.index()],
            (None, MsrIndex::IA32_XSS) => &mut self.rdmsr_xss,
            (None, MsrIndex::IA32_S_CET) => &mut self.rdmsr_s_cet,
            (None, _) => &mut self.rdmsr_other,
        }
    }

    /// The counter of WRMSR of `msr`.
    #[inline]
    pub(crate) const fn wrmsr(&mut self, msr: MsrIndex) -> &mut u64 {
        match (SspRegister::from_msr(msr), msr) {
            (Some(register), _) => &mut self.wrmsr_ssp[register.index()],
            (None, MsrIndex::IA32_XSS) => &mut self.wrmsr_xss,
            (None, MsrIndex::IA32_S_CET) => &mut self.wrmsr_s_cet,
            (None, _) => &mut self.wrmsr_other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every counter another number: `base`, `base + step`, and so on.
    fn numbered(base: u64, step: u64) -> Counts {
        Counts {
            rdmsr_ssp: [base, base + step, base + 2 * step],
            wrmsr_ssp: [base + 3 * step, base + 4 * step, base + 5 * step],
            rdmsr_xss: base + 6 * step,
            wrmsr_xss: base + 7 * step,
            rdmsr_s_cet: base + 8 * step,
            wrmsr_s_cet: base + 9 * step,
            rdmsr_other: base + 10 * step,
            wrmsr_other: base + 11 * step,
            xsaves: base + 12 * step,
            xrstors: base + 13 * step,
            cpuid: base + 14 * step,
            control_register_reads: base + 15 * step,
            control_register_writes: base + 16 * step,
            segments: base + 17 * step,
            vmxon: base + 18 * step,
            vmxoff: base + 19 * step,
            vmclear: base + 20 * step,
            vmptrld: base + 21 * step,
            vmread: base + 22 * step,
            vmwrite: base + 23 * step,
            invept: base + 24 * step,
            invvpid: base + 25 * step,
            vmlaunch: base + 26 * step,
            vmresume: base + 27 * step,
            ssp_trials: base + 28 * step,
        }
    }

    #[test]
    fn since_subtracts_each_counter_from_itself() {
        let now = numbered(1000, 2);
        assert_eq!(now.since(&Counts::default()), now);
        assert_eq!(now.since(&numbered(0, 1)), numbered(1000, 1));
        assert_eq!(numbered(0, 1).since(&now), Counts::default(), "a copy that is ahead");
    }

    #[test]
    fn sums_take_in_all_their_counters() {
        let counts = numbered(0, 1);
        assert_eq!(counts.ssp_reads(), 1 + 2);
        assert_eq!(counts.ssp_writes(), 3 + 4 + 5);
        assert_eq!(counts.msr_reads(), 3 + 6 + 8 + 10);
        assert_eq!(counts.msr_writes(), 12 + 7 + 9 + 11);
        assert_eq!(counts.entries(), 26 + 27);
    }
}
