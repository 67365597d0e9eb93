//! What each VM exit is answered with.

use cet_policy::{Policy, PolicyCpu, ReadAnswer, VcpuCet, WriteAnswer, filter_cpuid};
use vmx_core::capability::VmxBasic;
use vmx_core::cpu::{Cpuid, VmcsAccess};
use vmx_core::event::{GENERAL_PROTECTION, InterruptionInformation};
use vmx_core::exit::{BasicExitReason, ExitReason};
use vmx_core::vmcs::field;
use vmx_core::{GuestRegisters, MsrBitmap, MsrIndex, VmxError};

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The guest goes on.
    Resume,
    /// The guest gives the CPU away.
    Yield,
    /// The guest has ended.
    Finished,
    /// The guest ran into an exception that it did not provoke.
    GuestException,
    /// There is no answer for this exit.
    Unexpected,
}

/// Answers one exit of the guest whose VMCS is `cpu`'s current one.
///
/// # Errors
/// [`VmxError`] of a VMREAD or VMWRITE that failed.
pub fn answer<P, C>(
    reason: ExitReason,
    cpu: &mut C,
    registers: &mut GuestRegisters,
    cet: &mut VcpuCet<P>,
    bitmap: &MsrBitmap<'_>,
    basic: VmxBasic,
) -> Result<Next, VmxError>
where
    P: Policy,
    C: PolicyCpu + VmcsAccess + Cpuid,
{
    match reason.basic() {
        BasicExitReason::VMCALL => {
            advance_rip(cpu)?;
            Ok(match registers.rax {
                0 => Next::Yield,
                1 => Next::Finished,
                _ => Next::GuestException,
            })
        }
        BasicExitReason::RDMSR => {
            let msr = MsrIndex(registers.rcx as u32);
            match cet.guest_reads_msr(cpu, msr)? {
                ReadAnswer::Value(value) => {
                    registers.set_edx_eax(value);
                    advance_rip(cpu)?;
                }
                // The hypervisor has no MSRs of its own to offer.
                ReadAnswer::GeneralProtection | ReadAnswer::NotOurs => inject_gp(cpu, basic)?,
            }
            Ok(Next::Resume)
        }
        BasicExitReason::WRMSR => {
            let msr = MsrIndex(registers.rcx as u32);
            match cet.guest_writes_msr(cpu, bitmap, msr, registers.edx_eax())? {
                WriteAnswer::Done => advance_rip(cpu)?,
                WriteAnswer::GeneralProtection | WriteAnswer::NotOurs => inject_gp(cpu, basic)?,
            }
            Ok(Next::Resume)
        }
        BasicExitReason::CPUID => {
            let (leaf, subleaf) = (registers.rax as u32, registers.rcx as u32);
            let shown = filter_cpuid(leaf, subleaf, cpu.cpuid(leaf, subleaf), cet.guest());
            registers.rax = shown.eax.into();
            registers.rbx = shown.ebx.into();
            registers.rcx = shown.ecx.into();
            registers.rdx = shown.edx.into();
            advance_rip(cpu)?;
            Ok(Next::Resume)
        }
        _ => Ok(Next::Unexpected),
    }
}

/// Moves RIP behind the instruction that exited.
fn advance_rip<V: VmcsAccess>(vmcs: &mut V) -> Result<(), VmxError> {
    let length = vmcs.read(field::VM_EXIT_INSTRUCTION_LENGTH)?;
    let rip = vmcs.read(field::GUEST_RIP)?;
    vmcs.write(field::GUEST_RIP, rip.wrapping_add(length.into()))
}

/// Lets the next entry deliver #GP(0).
fn inject_gp<V: VmcsAccess>(vmcs: &mut V, basic: VmxBasic) -> Result<(), VmxError> {
    let event = InterruptionInformation::hardware_exception(GENERAL_PROTECTION, basic);
    vmcs.write(field::VM_ENTRY_INTERRUPTION_INFORMATION, event)?;
    vmcs.write(field::VM_ENTRY_EXCEPTION_ERROR_CODE, 0)
}
