//! The VMX instructions, each in one `asm!` block together with its flags.
//!
//! A VMX instruction reports in RFLAGS: CF = 1 is VMfailInvalid, ZF = 1 is
//! VMfailValid, both 0 is success (SDM, "VMX Instruction Reference",
//! "Conventions"). `jna` and `setna` look at both at once. Which of the two it was
//! is asked on the cold path only ([`failure`]).
//!
//! Contract of every `unsafe fn` here:
//!
//! 1. Ring 0, in VMX root operation (but for [`vmxon`]); otherwise #UD or #GP(0)
//!    is raised and must be handled.

use core::arch::asm;

use vmx_core::cpu::{InveptScope, InvvpidScope, VmcsAccess};
use vmx_core::vmcs::InstructionError;
use vmx_core::vmcs::field;
use vmx_core::vmcs::field::Encoding;
use vmx_core::{PhysicalAddress, VmxError};

use crate::{BareMetal, SwitchOptions};

impl<O: SwitchOptions> VmcsAccess for BareMetal<O> {
    #[inline(always)] // Five instructions: shorter than a call.
    fn vmread(&self, encoding: Encoding) -> Result<u64, VmxError> {
        // SAFETY: ring 0 by the contract of `BareMetal::new`; #UD is handled.
        match unsafe { vmread(encoding) } {
            Some(value) => Ok(value),
            // SAFETY: VMREAD did not raise #UD, so this is VMX root operation.
            None => Err(unsafe { failure() }),
        }
    }

    #[inline(always)] // Three instructions.
    fn vmwrite(&mut self, encoding: Encoding, value: u64) -> Result<(), VmxError> {
        // SAFETY: ring 0 by the contract of `BareMetal::new`; #UD is handled.
        // Nothing written takes effect before VM entry.
        unsafe { vmwrite(encoding, value) }
    }
}

/// VMREAD; `None` if it fails in either way.
///
/// `nomem`: the data of a current VMCS is memory that no Rust code can reach.
///
/// # Safety
///
/// 1. The module's contract.
#[inline(always)]
unsafe fn vmread(encoding: Encoding) -> Option<u64> {
    let value: u64;
    let failed: u8;
    // SAFETY: the module's contract; VMREAD to a register changes nothing else.
    // After a failure `value` is whatever the register held, and not used.
    unsafe {
        asm!(
            "vmread {value}, {encoding}",
            "setna {failed}",
            encoding = in(reg) u64::from(encoding.0),
            value = lateout(reg) value,
            failed = lateout(reg_byte) failed,
            options(nomem, nostack),
        );
    }
    (failed == 0).then_some(value)
}

/// VMWRITE.
///
/// # Safety
///
/// 1. The module's contract.
#[inline(always)]
unsafe fn vmwrite(encoding: Encoding, value: u64) -> Result<(), VmxError> {
    // SAFETY: the module's contract; `nomem` as for VMREAD.
    unsafe {
        asm!(
            "vmwrite {encoding}, {value}",
            "jna {failed}",
            encoding = in(reg) u64::from(encoding.0),
            value = in(reg) value,
            // SAFETY: VMWRITE did not raise #UD, so this is VMX root operation.
            failed = label { return Err(unsafe { failure() }) },
            options(nomem, nostack),
        );
    }
    Ok(())
}

/// How the last VMX instruction failed, VMXON excepted.
///
/// Every failure is VMfailValid, with its number in the VM-instruction error field,
/// where there is a current VMCS, and VMfailInvalid where there is none. So reading
/// the field tells both: without a current VMCS that fails, too.
///
/// # Safety
///
/// 1. The module's contract.
#[cold]
#[inline(never)]
pub(crate) unsafe fn failure() -> VmxError {
    // SAFETY: the module's contract.
    match unsafe { vmread(field::VM_INSTRUCTION_ERROR.encoding()) } {
        Some(number) => VmxError::FailValid(InstructionError(number as u32)),
        None => VmxError::FailInvalid,
    }
}

/// VMXON.
///
/// # Safety
///
/// 1. Ring 0, CR4.VMXE = 1, and all that VMXON checks by #GP(0) holds, or it is
///    handled.
/// 2. `region` is the address of a page that belongs to the CPU until VMXOFF.
pub(crate) unsafe fn vmxon(region: PhysicalAddress) -> Result<(), VmxError> {
    // SAFETY: the caller keeps the contract; the operand is a local. Both flags are
    // told apart here, because VMREAD is no way to ask outside VMX operation.
    unsafe {
        asm!(
            "vmxon qword ptr [{operand}]",
            "jc {invalid}",
            "jz {valid}",
            operand = in(reg) &raw const region.0,
            invalid = label { return Err(VmxError::FailInvalid) },
            // SAFETY: VMfailValid exists only with a current VMCS.
            valid = label { return Err(unsafe { failure() }) },
            options(nostack),
        );
    }
    Ok(())
}

/// VMXOFF.
///
/// # Safety
///
/// 1. The module's contract.
/// 2. No VMCS is active on this CPU, or its data is not needed again.
pub(crate) unsafe fn vmxoff() -> Result<(), VmxError> {
    // SAFETY: the caller keeps the contract.
    unsafe {
        asm!(
            "vmxoff",
            "jna {failed}",
            // SAFETY: VMXOFF failed, so VMX operation goes on.
            failed = label { return Err(unsafe { failure() }) },
            options(nostack),
        );
    }
    Ok(())
}

/// VMCLEAR.
///
/// # Safety
///
/// 1. The module's contract.
/// 2. `region` is the address of a page given to the CPU as a VMCS region.
pub(crate) unsafe fn vmclear(region: PhysicalAddress) -> Result<(), VmxError> {
    // SAFETY: the caller keeps the contract; the operand is a local.
    unsafe {
        asm!(
            "vmclear qword ptr [{operand}]",
            "jna {failed}",
            operand = in(reg) &raw const region.0,
            // SAFETY: VMCLEAR did not raise #UD, so this is VMX root operation.
            failed = label { return Err(unsafe { failure() }) },
            options(nostack),
        );
    }
    Ok(())
}

/// VMPTRLD.
///
/// # Safety
///
/// 1. The module's contract.
/// 2. `region` is the address of a page given to the CPU as a VMCS region.
pub(crate) unsafe fn vmptrld(region: PhysicalAddress) -> Result<(), VmxError> {
    // SAFETY: the caller keeps the contract; the operand is a local.
    unsafe {
        asm!(
            "vmptrld qword ptr [{operand}]",
            "jna {failed}",
            operand = in(reg) &raw const region.0,
            // SAFETY: VMPTRLD did not raise #UD, so this is VMX root operation.
            failed = label { return Err(unsafe { failure() }) },
            options(nostack),
        );
    }
    Ok(())
}

/// VMPTRST: the address of the current VMCS, `None` if there is none. It cannot fail
/// otherwise, and sets no flag of interest.
///
/// # Safety
///
/// 1. The module's contract.
pub(crate) unsafe fn vmptrst() -> Option<PhysicalAddress> {
    let mut address = 0u64;
    // SAFETY: the caller keeps the contract; VMPTRST writes the eight bytes of the
    // local.
    unsafe {
        asm!(
            "vmptrst qword ptr [{operand}]",
            operand = in(reg) &raw mut address,
            options(nostack),
        );
    }
    current(address)
}

/// What VMPTRST stored: all ones where there is no current VMCS.
const fn current(stored: u64) -> Option<PhysicalAddress> {
    if stored == u64::MAX { None } else { Some(PhysicalAddress(stored)) }
}

/// INVEPT. Not `nomem`: entries written before must be in memory by then.
///
/// # Safety
///
/// 1. The module's contract; #UD also without EPT.
pub(crate) unsafe fn invept(scope: InveptScope) -> Result<(), VmxError> {
    let descriptor = scope.descriptor();
    // SAFETY: the caller keeps the contract; the descriptor is a local of 16 bytes.
    unsafe {
        asm!(
            "invept {kind}, xmmword ptr [{descriptor}]",
            "jna {failed}",
            kind = in(reg) scope.instruction_type(),
            descriptor = in(reg) &raw const descriptor,
            // SAFETY: INVEPT did not raise #UD, so this is VMX root operation.
            failed = label { return Err(unsafe { failure() }) },
            options(nostack),
        );
    }
    Ok(())
}

/// INVVPID. Not `nomem`, as INVEPT.
///
/// # Safety
///
/// 1. The module's contract; #UD also without VPID.
pub(crate) unsafe fn invvpid(scope: InvvpidScope) -> Result<(), VmxError> {
    let descriptor = scope.descriptor();
    // SAFETY: the caller keeps the contract; the descriptor is a local of 16 bytes.
    unsafe {
        asm!(
            "invvpid {kind}, xmmword ptr [{descriptor}]",
            "jna {failed}",
            kind = in(reg) scope.instruction_type(),
            descriptor = in(reg) &raw const descriptor,
            // SAFETY: INVVPID did not raise #UD, so this is VMX root operation.
            failed = label { return Err(unsafe { failure() }) },
            options(nostack),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ones_are_no_vmcs() {
        assert_eq!(current(0xFFFF_FFFF_FFFF_FFFF), None);
        assert_eq!(current(0x7000), Some(PhysicalAddress(0x7000)));
        assert_eq!(current(0), Some(PhysicalAddress(0)), "a page like any other");
    }
}
