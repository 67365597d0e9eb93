//! The checks that come before any field is looked at, tried on this CPU.

use core::arch::asm;

use vmx_bare_metal::BareMetal;
use vmx_core::cpu::{EntryInstruction, HostPointers, VmcsAccess, WorldSwitch};
use vmx_core::entry_check::{Circumstances, EntryState, Outcome, Outcomes};
use vmx_core::vmcs::FieldValues;
use vmx_core::vmcs::{InstructionError, field};
use vmx_core::{Capabilities, CurrentVmcs, GuestRegisters, VmxError};

/// The wrong answers among those of this CPU, with the rule that each belongs to.
pub(crate) type Wrong = (&'static str, Outcome);

/// VMLAUNCH before any VMCS is current; `Some` if the answer is wrong.
pub(crate) fn without_vmcs(capabilities: &Capabilities) -> Option<Wrong> {
    let circumstances = Circumstances { has_current_vmcs: false, ..Circumstances::LAUNCH };
    let outcome = Outcome::Failed(launch_that_fails(false));
    judge("current-vmcs", &FieldValues::new(), capabilities, circumstances, outcome)
}

/// The other three, for a current VMCS that is valid and clear: a wrong host selector
/// keeps the entry from succeeding where the CPU does not check what it should.
pub(crate) fn with_vmcs(
    vmcs: &mut CurrentVmcs<'_, BareMetal>,
    valid: &FieldValues,
    capabilities: &Capabilities,
    launched: bool,
) -> [Option<Wrong>; 2] {
    let mut fields = valid.clone();
    fields.set(field::HOST_TR_SELECTOR, 0);
    let tr = valid.get(field::HOST_TR_SELECTOR).unwrap_or(0);
    let _ = vmcs.write(field::HOST_TR_SELECTOR, 0);

    let here = Circumstances { is_launched: launched, ..Circumstances::LAUNCH };
    let blocked = Circumstances { blocking_by_mov_ss: true, ..here };
    let after_mov_ss = Outcome::Failed(launch_that_fails(true));
    let (wrong, rule) = if launched {
        (EntryInstruction::Launch, "launch-needs-clear-vmcs")
    } else {
        (EntryInstruction::Resume, "resume-needs-launched-vmcs")
    };
    let mut registers = GuestRegisters::default();
    let switch = |cpu: &mut BareMetal, _, host: &mut HostPointers| {
        // SAFETY: the entry fails, for its launch state or for the host's TR.
        unsafe { cpu.enter(wrong, host, &mut registers) }
    };
    // SAFETY: the switch is the backend's, told another instruction.
    let entered = unsafe { vmcs.enter_with(switch) };
    let answer = entered.map_or_else(Outcome::from, |_| Outcome::Entered);
    let _ = vmcs.write(field::HOST_TR_SELECTOR, tr);
    let wrongly = Circumstances { instruction: wrong, ..here };
    [
        judge("not-blocked-by-mov-ss", &fields, capabilities, blocked, after_mov_ss),
        judge(rule, &fields, capabilities, wrongly, answer),
    ]
}

fn judge(
    rule: &'static str,
    fields: &FieldValues,
    capabilities: &Capabilities,
    circumstances: Circumstances,
    outcome: Outcome,
) -> Option<Wrong> {
    let state = EntryState::new(fields, capabilities, circumstances);
    (!Outcomes::of(&state).allow(outcome)).then_some((rule, outcome))
}

/// VMLAUNCH, or VMRESUME of a launched VMCS, that cannot succeed, without the world
/// switch, which would write the host's RSP and RIP anew.
pub(crate) fn enter_that_fails(launched: bool) -> VmxError {
    let (invalid, valid): (u8, u8);
    // SAFETY: the caller's VMCS breaks a rule, so the instruction changes nothing but
    // flags and the VM-instruction error. A CPU that does not check the rule ends in
    // an exception of the host, which is reported.
    unsafe {
        asm!(
            "test {launched:e}, {launched:e}",
            "jz 2f",
            "vmresume",
            "jmp 3f",
            "2:",
            "vmlaunch",
            "3:",
            "setc {invalid}",
            "setz {valid}",
            launched = in(reg) u32::from(launched),
            invalid = out(reg_byte) invalid,
            valid = out(reg_byte) valid,
            options(nostack),
        );
    }
    error(invalid, valid)
}

/// VMLAUNCH that cannot succeed, right behind MOV SS if asked: the world switch has
/// other instructions in between.
fn launch_that_fails(after_mov_ss: bool) -> VmxError {
    let (invalid, valid): (u8, u8);
    // SAFETY: SS gets the selector that it has. VMLAUNCH fails: there is no current
    // VMCS, or its host TR is null; so it changes nothing but flags and the
    // VM-instruction error.
    unsafe {
        asm!(
            "test {after:e}, {after:e}",
            "jz 2f",
            "mov {scratch:e}, ss",
            "mov ss, {scratch:e}",
            "vmlaunch",
            "jmp 3f",
            "2:",
            "vmlaunch",
            "3:",
            "setc {invalid}",
            "setz {valid}",
            after = in(reg) u32::from(after_mov_ss),
            scratch = out(reg) _,
            invalid = out(reg_byte) invalid,
            valid = out(reg_byte) valid,
            options(nostack),
        );
    }
    error(invalid, valid)
}

/// How the instruction failed, by CF and ZF.
fn error(invalid: u8, valid: u8) -> VmxError {
    if invalid != 0 || valid == 0 {
        return VmxError::FailInvalid;
    }
    // SAFETY: ring 0, and only to read a field.
    let number = unsafe { BareMetal::new() }.read(field::VM_INSTRUCTION_ERROR);
    VmxError::FailValid(number.unwrap_or(InstructionError(0)))
}
