//! One slice: a vCPU comes to a CPU, its guest runs until it gives the CPU away, and the
//! vCPU leaves.

use cet_policy::Policy;
use vmx_core::CriticalSection;
use vmx_mock::Counting;

use crate::Backend;
use crate::error::{RunError, unexpected_exit};
use crate::exits::{self, Next};
use crate::guest_dump::GuestDump;
use crate::machine::{Machine, XssRegister};
use crate::page_pool::PoolFrame;
use crate::scenario::Observer;
use crate::vcpu::Vcpu;

/// Loads the vCPU, runs its guest until it gives the CPU away, and puts it.
///
/// # Errors
/// [`RunError`] of an exit without an answer. The vCPU is still loaded then, and may
/// go on from where it was by another call.
///
/// # Safety
///
/// 1. As for [`run`](crate::processor::run), which is where the vCPU's VMCS was filled.
pub unsafe fn run_slice<P: Policy, C: Backend>(
    machine: &Machine,
    vcpu: &mut Vcpu<P>,
    section: &mut CriticalSection<'_, &mut Counting<C>, PoolFrame>,
    xss: &mut XssRegister,
    observer: &mut dyn Observer,
) -> Result<(), RunError> {
    let Vcpu { role, vmcs, registers, cet, bitmap, report, finished, .. } = vcpu;
    let mut current = section.load(vmcs)?;
    cet.load(&mut current)?;
    loop {
        xss.load(&mut current, cet.xss());
        // SAFETY: (1, 2) The section's contract. (3) `current` keeps the account. (4)
        // `fill_vmcs` took the host state from this CPU, and it stays so (2 of the contract
        // of `run`); there are no MSR lists. (5) "Load CET state" is a required exit
        // control. (6) The guest's EPT maps its own pages only, its tables and the bitmap
        // are pages of the pool, which is static, and no other structure is in use. (7) EPT
        // takes nothing away without INVEPT. (8) I/O exits without bitmaps, by a required
        // control, and the bitmap passes the shadow-stack pointers only. (9) Of what the
        // switch does not move, XCR0 cannot be changed without an exit, MOV DR exits by a
        // required control, IA32_XSS and the shadow-stack pointers are moved here, and
        // neither the program nor the host uses x87 or SSE. (10) General registers hold
        // anything.
        let stop = match unsafe { current.enter(registers) } {
            Err(failure) => {
                observer.entry_failed(&current.explain(failure, &machine.capabilities));
                RunError::Entry(*role, failure)
            }
            Ok(reason) => {
                report.exits.add(reason.basic());
                let basic = machine.capabilities.basic;
                match exits::answer(reason, &mut current, registers, cet, bitmap, basic)? {
                    Next::Resume => continue,
                    Next::Yield => break,
                    Next::Finished => {
                        *finished = true;
                        break;
                    }
                    Next::GuestException => RunError::GuestException {
                        role: *role,
                        vector: registers.rbx,
                        top: registers.rcx,
                        next: registers.rdx,
                    },
                    Next::Unexpected => unexpected_exit(&mut current, *role, reason),
                }
            }
        };
        observer.guest_stopped(&GuestDump::capture(&mut current, registers));
        return Err(stop);
    }
    // A policy's XSAVES and XRSTORS work under the host's IA32_XSS.
    xss.load_host(&mut current);
    cet.put(&mut current, bitmap);
    Ok(())
}
