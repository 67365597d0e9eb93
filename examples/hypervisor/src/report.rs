//! What a run counted.

use vmx_core::exit::BasicExitReason;
use vmx_mock::Counts;

use crate::guest_memory::GuestMemory;
use crate::guest_program::{self, Role};

/// VM exits by basic reason.
#[derive(Clone, Copy, Debug)]
pub struct ExitCounts {
    by_reason: [u64; Self::REASONS],
}

impl ExitCounts {
    /// One more than the highest reason that is counted by itself; the last entry
    /// counts all above.
    const REASONS: usize = 81;

    /// Counts one.
    pub fn add(&mut self, reason: BasicExitReason) {
        let index = usize::from(reason.0).min(Self::REASONS - 1);
        if let Some(count) = self.by_reason.get_mut(index) {
            *count += 1;
        }
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.by_reason.iter().sum()
    }

    /// The reasons that occurred, with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (BasicExitReason, u64)> {
        let all = (0..).map(BasicExitReason).zip(self.by_reason);
        all.filter(|(_, count)| *count != 0)
    }

    fn merge(&mut self, other: &Self) {
        for (sum, count) in self.by_reason.iter_mut().zip(other.by_reason) {
            *sum += count;
        }
    }
}

impl Default for ExitCounts {
    fn default() -> Self {
        Self { by_reason: [0; Self::REASONS] }
    }
}

/// Instructions that the hypervisor and the policy executed on the registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moves {
    /// RDMSR of IA32_PL0_SSP to IA32_PL2_SSP.
    pub rdmsr: u64,
    /// WRMSR of the same.
    pub wrmsr: u64,
    /// WRMSR of IA32_XSS.
    pub wrmsr_xss: u64,
    /// XSAVES of component 12.
    pub xsaves: u64,
    /// XRSTORS of component 12.
    pub xrstors: u64,
}

impl Moves {
    /// Adds what was counted.
    pub fn add(&mut self, counts: &Counts) {
        self.merge(&Self {
            rdmsr: counts.ssp_reads(),
            wrmsr: counts.ssp_writes(),
            wrmsr_xss: counts.wrmsr_xss,
            xsaves: counts.xsaves,
            xrstors: counts.xrstors,
        });
    }

    fn merge(&mut self, other: &Self) {
        self.rdmsr += other.rdmsr;
        self.wrmsr += other.wrmsr;
        self.wrmsr_xss += other.wrmsr_xss;
        self.xsaves += other.xsaves;
        self.xrstors += other.xrstors;
    }
}

/// What one CPU did in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuReport {
    /// VM entries.
    pub entries: u64,
    /// VMCLEARs.
    pub clears: u64,
    /// Those of them that another CPU asked for.
    pub remote_clears: u64,
    /// vCPUs that it took over from another CPU.
    pub moves: u64,
    /// RDMSR that only look at the host's canaries when they are placed.
    pub canary_reads: u64,
    /// WRMSR that place the host's canaries.
    pub canary_writes: u64,
}

impl CpuReport {
    /// Adds what the CPU did in another scenario.
    pub fn merge(&mut self, other: &Self) {
        self.entries += other.entries;
        self.clears += other.clears;
        self.remote_clears += other.remote_clears;
        self.moves += other.moves;
        self.canary_reads += other.canary_reads;
        self.canary_writes += other.canary_writes;
    }
}

/// A check that failed in a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The check's number, see [`guest_program::check_meaning`].
    pub check: u64,
    /// What was found.
    pub found: u64,
    /// What was expected.
    pub expected: u64,
}

/// What one guest, and the host on its behalf, did and checked.
#[derive(Clone, Copy, Debug)]
pub struct GuestReport {
    /// The guest.
    pub role: Role,
    /// Checks that passed.
    pub passed: u64,
    /// Checks that failed.
    pub failed: u64,
    /// Checks that there should have been.
    pub planned: u64,
    /// Puts: how often the vCPU left the CPU.
    pub switches: u64,
    /// VM exits.
    pub exits: ExitCounts,
    /// What the hypervisor and the policy executed for the guest.
    pub moves: Moves,
    /// RDMSR that only look at the host's canaries.
    pub canary_reads: u64,
    /// WRMSR that only place the host's canaries.
    pub canary_writes: u64,
    /// The first failed check of the guest.
    pub first_failure: Option<Failure>,
}

impl GuestReport {
    /// Nothing done yet.
    pub fn new(role: Role) -> Self {
        Self {
            role,
            passed: 0,
            failed: 0,
            planned: 0,
            switches: 0,
            exits: ExitCounts::default(),
            moves: Moves::default(),
            canary_reads: 0,
            canary_writes: 0,
            first_failure: None,
        }
    }

    /// Counts a check of the host's.
    pub fn check(&mut self, passed: bool) {
        self.planned += 1;
        if passed {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
    }

    /// Adds the checks that the guest counted itself.
    pub fn add_guest_checks(&mut self, memory: &GuestMemory, rounds: u64) {
        self.planned += self.role.checks(rounds);
        self.passed += memory.data(guest_program::PASSED);
        self.failed += memory.data(guest_program::FAILED);
        let check = memory.data(guest_program::FIRST_FAILED);
        if check != 0 && self.first_failure.is_none() {
            let found = memory.data(guest_program::FOUND);
            let expected = memory.data(guest_program::EXPECTED);
            self.first_failure = Some(Failure { check, found, expected });
        }
    }

    /// Checks that should have been made and were not.
    pub const fn skipped(&self) -> u64 {
        self.planned.saturating_sub(self.passed + self.failed)
    }

    /// Adds what the same guest did in another scenario, or another guest.
    pub fn merge(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.planned += other.planned;
        self.switches += other.switches;
        self.exits.merge(&other.exits);
        self.moves.merge(&other.moves);
        self.canary_reads += other.canary_reads;
        self.canary_writes += other.canary_writes;
        self.first_failure = self.first_failure.or(other.first_failure);
    }
}
