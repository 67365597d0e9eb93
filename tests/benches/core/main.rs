//! What `cargo xtask bench core` runs under callgrind and disassembles.
//!
//! `core NAME N` runs a measurement N times. Two runs with different N tell the
//! instructions of one iteration, the loop around it included: start-up is in both.
//!
//! What goes into a measured function comes from outside, so that the compiler can
//! fold no more than in a hypervisor: an address as an argument of a function that is
//! not inlined, a number that changes from VM exit to VM exit from an atomic, which
//! costs the one load that reading it from the guest's registers costs.

mod allocations;
mod bitmap;
mod exits;
#[cfg(target_arch = "x86_64")]
mod instructions;
mod peer_bitmap;

use std::hint::black_box;
use std::process::ExitCode;

use vmx_core::Capabilities;
use vmx_core::control::{
    ControlSet, EntryControls, ExitControls, PrimaryControls, SecondaryControls,
};
use vmx_core::entry_check::{Circumstances, EntryState, ExampleGuest, check, valid_fields};
use vmx_tests::entry_cases::cpus::TIGER_LAKE;

/// Does something N times; the error says that it was not done as it should be.
type Measured = fn(u64) -> Result<(), String>;

const MEASUREMENTS: &[(&str, Measured)] = &[
    ("bitmap-constant", bitmap::constant),
    ("bitmap-group", bitmap::group),
    ("bitmap-runtime", bitmap::runtime),
    ("peer-bitmap-constant", peer_bitmap::constant),
    ("peer-bitmap-runtime", peer_bitmap::runtime),
    ("exit-handler", exits::handler),
    ("exit-decoder", exits::decoder),
    ("entry-check", entry_check),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Without a measurement there is nothing to do: `cargo bench` passes `--bench`.
    let [name, count] = arguments.as_slice() else {
        eprintln!("this program is run by: cargo xtask bench core");
        return ExitCode::SUCCESS;
    };
    match run(name, count) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(name: &str, count: &str) -> Result<(), String> {
    let count = count.parse().map_err(|error| format!("{count}: {error}"))?;
    let (_, measured) = MEASUREMENTS
        .iter()
        .find(|(known, _)| *known == name)
        .ok_or("there is no such measurement")?;
    measured(count)
}

/// Every VM-entry rule over a valid state in memory: a 64-bit guest with EPT, VPID,
/// unrestricted-guest mode, an MSR bitmap and CET state, of a 64-bit host. The control
/// words are read from it anew each time, as after a hypervisor has taken a snapshot.
fn entry_check(count: u64) -> Result<(), String> {
    let cpu = Capabilities::from_dump(TIGER_LAKE).map_err(|error| error.to_string())?;
    let controls = ControlSet {
        primary: PrimaryControls::USE_MSR_BITMAPS,
        secondary: SecondaryControls::ENABLE_EPT
            | SecondaryControls::ENABLE_VPID
            | SecondaryControls::UNRESTRICTED_GUEST
            | SecondaryControls::ENABLE_XSAVES,
        exit: ExitControls::LOAD_IA32_EFER
            | ExitControls::LOAD_IA32_PAT
            | ExitControls::LOAD_CET_STATE,
        entry: EntryControls::LOAD_IA32_EFER
            | EntryControls::LOAD_IA32_PAT
            | EntryControls::LOAD_CET_STATE,
        ..ControlSet::EMPTY
    };
    let values =
        valid_fields(ExampleGuest::Guest64, &cpu, &controls).map_err(|error| error.to_string())?;
    let before = allocations::count();
    let mut violations = 0;
    for _ in 0..count {
        let state = EntryState::new(black_box(&values), &cpu, Circumstances::LAUNCH);
        violations += check(&state).count();
    }
    let allocated = allocations::count() - before;
    if allocated != 0 {
        return Err(format!("{allocated} heap allocations in {count} checks"));
    }
    if violations != 0 {
        let state = EntryState::new(&values, &cpu, Circumstances::LAUNCH);
        let all: Vec<String> = check(&state).map(|violation| violation.to_string()).collect();
        return Err(format!("the state is not valid:\n{}", all.join("\n")));
    }
    Ok(())
}
