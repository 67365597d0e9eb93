//! Instructions of the world switch, each option beside its bound.

use anyhow::{Context, Result};
use serde::Serialize;

use crate::measure::Excess;
use crate::report::table;

/// How many instructions a round trip may have, on a shadow stack too: those of the plain
/// switch, and what the documentation of each option says that it costs.
const BOUNDS: &[(&str, u32)] = &[
    ("plain", 80),
    ("plain, the first time", 97),
    ("return-stack buffer filled", 120),
    ("VERW", 83),
    ("IA32_SPEC_CTRL", 91),
    ("IA32_SPEC_CTRL, legacy IBRS", 91),
    ("vectors", 133),
    ("vectors, XMM6 to XMM15 kept", 154),
    ("all of them", 206),
];
/// Below the table. The last number is of the switch before it kept in mind what the VMCS
/// holds; it also left popped registers as the guest had them until they were popped.
const NOTE: &str = "
From the call to the RET, the guest not counted; CR2 and IA32_SPEC_CTRL stay as
they are. The first time, HOST_RSP and HOST_RIP are written, and each takes an
exit where the host is a guest itself. A switch that always wrote them had 76.
";

/// A choice of options with its numbers. Also a line of JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    world_switch: &'static str,
    instructions: usize,
    on_shadow_stack: usize,
    bound: u32,
    within_bound: bool,
    vmwrites: usize,
    rdmsrs: usize,
    wrmsrs: usize,
}

/// Counts: the machine code in this program is executed on a model of a CPU.
///
/// # Errors
/// The switch cannot be followed, or a choice of options has no bound.
#[cfg(target_arch = "x86_64")]
pub(crate) fn measure() -> Result<Vec<Measured>> {
    use vmx_tests::world_switch::{first_round_trip, round_trips};
    let mut counted = round_trips()?;
    counted.insert(1.min(counted.len()), first_round_trip()?);
    let with_bounds = counted.iter().map(|round_trip| {
        let bound = BOUNDS.iter().find(|(what, _)| *what == round_trip.what);
        let (_, bound) = bound.with_context(|| format!("no bound for `{}`", round_trip.what))?;
        let most = round_trip.instructions.max(round_trip.on_shadow_stack);
        Ok(Measured {
            world_switch: round_trip.what,
            instructions: round_trip.instructions,
            on_shadow_stack: round_trip.on_shadow_stack,
            bound: *bound,
            within_bound: most as u64 <= u64::from(*bound),
            vmwrites: round_trip.vmwrites,
            rdmsrs: round_trip.rdmsrs,
            wrmsrs: round_trip.wrmsrs,
        })
    });
    with_bounds.collect()
}

/// There is no world switch for this machine.
///
/// # Errors
/// Always.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn measure() -> Result<Vec<Measured>> {
    anyhow::bail!("the world switch is machine code of x86-64: run this on such a machine")
}

impl Measured {
    /// Whether there are too many.
    pub(crate) fn excess(&self) -> Option<Excess> {
        let most = self.instructions.max(self.on_shadow_stack);
        let what = format!("world switch, {}", self.world_switch);
        Excess::of(&what, "instructions", most as f64, self.bound)
    }
}

/// The table.
pub(crate) fn text(measured: &[Measured]) -> String {
    let mut table = table::new([
        "instructions of a\nworld switch",
        "ours",
        "on a sha-\ndow stack",
        "bound",
        "of them\nVMWRITE",
        "\nRDMSR",
        "\nWRMSR",
    ]);
    for row in measured {
        table.add_row([
            row.world_switch.to_owned(),
            row.instructions.to_string(),
            row.on_shadow_stack.to_string(),
            row.bound.to_string(),
            row.vmwrites.to_string(),
            row.rdmsrs.to_string(),
            row.wrmsrs.to_string(),
        ]);
    }
    table::align(&mut table, 1);
    table::lines(&table) + NOTE
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::{BOUNDS, measure, text};

    #[test]
    fn every_bound_is_of_a_choice_that_exists_and_holds() {
        let measured = measure().expect("counted");
        assert_eq!(measured.len(), BOUNDS.len());
        for row in &measured {
            assert_eq!(row.excess(), None);
            assert!(row.within_bound);
        }
    }

    #[test]
    fn one_instruction_more_is_too_many() {
        let mut row = measure().expect("counted").remove(0);
        row.on_shadow_stack += 1;
        let excess = row.excess().expect("too many").to_string();
        assert_eq!(excess, "world switch, plain: 81 instructions, and 80 are allowed");
    }

    #[test]
    fn the_table_fits_into_80_columns() {
        let text = text(&measure().expect("counted"));
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
}
