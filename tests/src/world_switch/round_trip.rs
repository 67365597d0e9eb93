//! What a round trip costs.

use iced_x86::{Instruction, Mnemonic};

use super::call::place;
use super::code::Code;
use super::stuck::Stuck;
use super::variant::{Variant, variants};

/// What a round trip costs, where CR2 and IA32_SPEC_CTRL do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundTrip {
    /// The options, in words.
    pub what: &'static str,
    /// Instructions executed from the first one of the switch to its RET, this one
    /// included, in a host without a shadow stack; the guest's are not counted.
    pub instructions: usize,
    /// The same on a shadow stack.
    pub on_shadow_stack: usize,
    /// How many of `instructions` are VMWRITE.
    pub vmwrites: usize,
    /// How many are RDMSR.
    pub rdmsrs: usize,
    /// How many are WRMSR.
    pub wrmsrs: usize,
}

/// Counts the round trip of each variant where HOST_RSP, HOST_RIP and HOST_SSP hold what
/// they must.
///
/// # Errors
/// [`Stuck`] where a switch cannot be followed.
pub fn round_trips() -> Result<Vec<RoundTrip>, Stuck> {
    let code = Code::of_this_program()?;
    variants().iter().map(|variant| round_trip(&code, variant, true)).collect()
}

/// Counts the plain round trip where none of the three is known: the first one of a VMCS.
///
/// # Errors
/// [`Stuck`] where the switch cannot be followed.
pub fn first_round_trip() -> Result<RoundTrip, Stuck> {
    let [plain, ..] = variants();
    let first = Variant { what: "plain, the first time", ..plain };
    round_trip(&Code::of_this_program()?, &first, false)
}

fn round_trip(code: &Code, variant: &Variant, known: bool) -> Result<RoundTrip, Stuck> {
    let trace = |shadow_stack| -> Result<Vec<Instruction>, Stuck> {
        let mut cpu = variant.called(code, true, shadow_stack);
        if known {
            cpu.run(code)?;
            cpu.call_again(code, variant, false);
        }
        // The guest has changed nothing of what costs more.
        let cr2 = cpu.read(place::REGISTERS + 8 * 15, 8).map_err(|e| Stuck::new("CR2", &e))?;
        (cpu.registers.cr2, cpu.guest.cr2) = (cr2, cr2);
        if let Some(offset) = variant.spec_ctrl {
            let host = cpu.registers.spec_ctrl;
            cpu.put(place::REGISTERS + offset, &host.to_le_bytes());
            cpu.guest.spec_ctrl = host;
        }
        cpu.run(code)?;
        Ok(cpu.trace)
    };
    let executed = trace(false)?;
    let count = |mnemonic| executed.iter().filter(|i| i.mnemonic() == mnemonic).count();
    Ok(RoundTrip {
        what: variant.what,
        instructions: executed.len(),
        on_shadow_stack: trace(true)?.len(),
        vmwrites: count(Mnemonic::Vmwrite),
        rdmsrs: count(Mnemonic::Rdmsr),
        wrmsrs: count(Mnemonic::Wrmsr),
    })
}
