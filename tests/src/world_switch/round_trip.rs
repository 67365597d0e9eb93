//! What a round trip costs.

use super::call::place;
use super::code::Code;
use super::stuck::Stuck;
use super::variant::{Variant, variants};

/// What a round trip costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundTrip {
    /// The options, in words.
    pub what: &'static str,
    /// Instructions executed from the first one of the switch to its RET, this one
    /// included, by VMRESUME; the guest's are not counted. HOST_RSP, HOST_RIP and
    /// HOST_SSP hold what they must, CR2 and IA32_SPEC_CTRL have not changed, and the
    /// host is on no shadow stack.
    pub instructions: usize,
    /// The same on a shadow stack.
    pub on_shadow_stack: usize,
}

/// Counts the round trip of each variant.
///
/// # Errors
/// [`Stuck`] where a switch cannot be followed.
pub fn round_trips() -> Result<Vec<RoundTrip>, Stuck> {
    let code = Code::of_this_program()?;
    let count = |variant: &Variant, shadow_stack| -> Result<usize, Stuck> {
        let mut cpu = variant.called(&code, true, shadow_stack);
        cpu.run(&code)?;
        cpu.call_again(&code, variant, false);
        // The guest has changed nothing of what costs more.
        let cr2 = cpu.read(place::REGISTERS + 8 * 15, 8).map_err(|e| Stuck::new("CR2", &e))?;
        (cpu.registers.cr2, cpu.guest.cr2) = (cr2, cr2);
        if let Some(offset) = variant.spec_ctrl {
            let host = cpu.registers.spec_ctrl;
            cpu.put(place::REGISTERS + offset, &host.to_le_bytes());
            cpu.guest.spec_ctrl = host;
        }
        cpu.run(&code)?;
        Ok(cpu.trace.len())
    };
    variants()
        .iter()
        .map(|variant| {
            Ok(RoundTrip {
                what: variant.what,
                instructions: count(variant, false)?,
                on_shadow_stack: count(variant, true)?,
            })
        })
        .collect()
}
