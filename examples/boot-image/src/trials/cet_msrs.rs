//! The rules of `cet-policy` compared with what this CPU does.
//!
//! For each CET MSR and a list of values at the edges of the rules, the CPU either
//! takes the value or raises #GP(0); [`check_msr_value`] says which it should be.
//! Differences are printed, not judged: the emulator departs from the manual in
//! known ways, and whoever reads the output has the list.

use cet_policy::{CpuCet, GuestCet, check_msr_value};
use hypervisor::error::RunError;
use hypervisor::machine::Machine;
use vmx_bare_metal::BareMetal;
use vmx_core::MsrIndex;
use vmx_core::cet::CET_S;
use vmx_core::cpu::Msr;

use crate::output::console::say;
use crate::output::exit::ExitKind;
use crate::system::probe::{RawArea, xrstors_faults};

const MSRS: [MsrIndex; 7] = [
    MsrIndex::IA32_U_CET,
    MsrIndex::IA32_S_CET,
    MsrIndex::IA32_PL0_SSP,
    MsrIndex::IA32_PL1_SSP,
    MsrIndex::IA32_PL2_SSP,
    MsrIndex::IA32_PL3_SSP,
    MsrIndex::IA32_INTERRUPT_SSP_TABLE_ADDR,
];

/// Addresses on both sides of every border of canonicality.
const ADDRESSES: [u64; 14] = [
    0x0000_7FFF_FFFF_F000,
    0x0000_8000_0000_0000,
    0x00FF_FFFF_FFFF_F000,
    0x0100_0000_0000_0000,
    0x4000_0000_0000_0000,
    0x7FFF_FFFF_FFFF_F000,
    0x8000_0000_0000_0000,
    0xFEFF_FFFF_FFFF_F000,
    0xFF00_0000_0000_0000,
    0xFFFF_7FFF_FFFF_F000,
    0xFFFF_8000_0000_0000,
    0xFFFF_FFFF_FFFF_F000,
    0xFFFF_8000_0000_0008,
    0x0000_7FFF_FFFF_F004,
];

/// Zero, each bit alone, each pair of the low twelve bits, and [`ADDRESSES`].
fn values() -> impl Iterator<Item = u64> {
    let single = (0..64).map(|bit| 1 << bit);
    let pairs = (0..12).flat_map(|high| (0..high).map(move |low| 1 << high | 1 << low));
    [0].into_iter().chain(single).chain(pairs).chain(ADDRESSES)
}

/// Compares and prints every difference, then their number.
pub(crate) fn run() -> ExitKind {
    // SAFETY: ring 0 of the running CPU, whose exceptions have handlers; nothing uses
    // shadow stacks while this runs, since CR4.CET is still 0.
    let mut cpu = unsafe { BareMetal::new() };
    let features = match Machine::detect(&mut cpu) {
        Ok(machine) => machine.cet,
        Err(error) => {
            refuse(&error);
            return ExitKind::Failed;
        }
    };
    let mut counts = Counts::default();
    compare_wrmsr(&mut cpu, &features, &mut counts);
    compare_xrstors(&mut cpu, &features, &mut counts);
    say(format_args!("compared rules={} different={}", counts.compared, counts.different));
    say(format_args!("end passed={} failed=0", counts.compared));
    ExitKind::Passed
}

fn refuse(error: &RunError) {
    let kind = if error.is_refusal() { "refused" } else { "error" };
    say(format_args!("{kind} {error}"));
}

#[derive(Default)]
struct Counts {
    compared: u64,
    different: u64,
}

impl Counts {
    fn note(&mut self, instruction: &str, msr: MsrIndex, value: u64, should: bool, did: bool) {
        self.compared += 1;
        if should != did {
            self.different += 1;
            let fault = |faults| if faults { "gp" } else { "ok" };
            let (manual, cpu) = (fault(should), fault(did));
            say(format_args!(
                "difference instruction={instruction} msr={} value={value} manual={manual} cpu={cpu}",
                msr.0
            ));
        }
    }
}

fn compare_wrmsr(cpu: &mut BareMetal, features: &CpuCet, counts: &mut Counts) {
    let guest = all_features(features);
    for msr in MSRS {
        for value in values() {
            let legal = check_msr_value(msr, value, &guest, features.linear_address_width);
            // SAFETY: (1, 2) A CET MSR, which exists and takes what it holds. (3)
            // CR4.CET is 0, so no value of it has an effect.
            let faults = unsafe { cpu.try_write_msr(msr, value) }.is_err();
            counts.note("wrmsr", msr, value, legal != Some(Ok(())), faults);
        }
        // SAFETY: as above; 0 is what the register held at first.
        unsafe { cpu.write_msr(msr, 0) };
    }
}

/// The same values by XRSTORS of component 12, in the place of IA32_PL1_SSP.
fn compare_xrstors(cpu: &mut BareMetal, features: &CpuCet, counts: &mut Counts) {
    if features.supported_xss & CET_S == 0 {
        return;
    }
    let guest = all_features(features);
    let mut area = RawArea([0; 80]);
    area.0[64] = CET_S;
    area.0[65] = 1 << 63 | CET_S;
    let zeros = area;
    // SAFETY: IA32_XSS exists and has bit 12; it only allows component 12 below.
    unsafe { cpu.write_msr(MsrIndex::IA32_XSS, CET_S) };
    for value in values() {
        area.0[73] = value;
        let msr = MsrIndex::IA32_PL1_SSP;
        let legal = check_msr_value(msr, value, &guest, features.linear_address_width);
        // SAFETY: both areas are aligned and have a valid header, and zeros are legal; the
        // registers that they restore are not in use.
        let faults = unsafe { xrstors_faults(&area, &zeros, CET_S) };
        counts.note("xrstors", msr, value, legal != Some(Ok(())), faults);
    }
    // SAFETY: as above.
    unsafe { xrstors_faults(&zeros, &zeros, CET_S) };
    // SAFETY: its value after reset.
    unsafe { cpu.write_msr(MsrIndex::IA32_XSS, 0) };
}

/// A guest that is offered all that the CPU has obeys the CPU's own rules.
fn all_features(features: &CpuCet) -> GuestCet {
    GuestCet {
        shadow_stacks: features.shadow_stacks,
        indirect_branch_tracking: features.indirect_branch_tracking,
        xss: 0,
    }
}
