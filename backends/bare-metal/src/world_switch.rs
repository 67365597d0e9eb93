//! The world switch: VMLAUNCH or VMRESUME, and the way back after VM exit.
//!
//! The crate's documentation lists what it does not move and what VM exit leaves
//! changed in the host.

use core::arch::naked_asm;

use memoffset::offset_of;
use vmx_core::cpu::{EntryInstruction, HostPointers, WorldSwitch};
use vmx_core::vmcs::field;
use vmx_core::{GuestRegisters, VmxError};

use crate::BareMetal;
use crate::instructions::failure;

// The assembly moves 64-bit words at these offsets, and nothing else.
static_assertions::const_assert_eq!(size_of::<GuestRegisters>(), 16 * 8);
static_assertions::const_assert_eq!(offset_of!(GuestRegisters, rax), 0);
static_assertions::const_assert_eq!(offset_of!(GuestRegisters, cr2), 15 * 8);

/// The guest ran, or VM entry failed in the way that exits.
const EXITED: u32 = 0;
/// VMfailInvalid.
const FAIL_INVALID: u32 = 1;
/// VMfailValid.
const FAIL_VALID: u32 = 2;

impl WorldSwitch for BareMetal {
    type Registers = GuestRegisters;

    /// See the crate's documentation for what it does not move. It works in a host
    /// with and without shadow stacks. RFLAGS is 2 after an exit, and otherwise
    /// what it was but for the arithmetic flags.
    unsafe fn enter(
        &mut self,
        instruction: EntryInstruction,
        host: &mut HostPointers,
        registers: &mut GuestRegisters,
    ) -> Result<(), VmxError> {
        *host = HostPointers::UNKNOWN;
        let launch = u32::from(instruction == EntryInstruction::Launch);
        // SAFETY: the caller keeps the contract of `WorldSwitch::enter`; ring 0 by
        // that of `BareMetal::new`; the registers are an exclusive reference.
        match unsafe { switch(registers, launch) } {
            EXITED => Ok(()),
            FAIL_INVALID => Err(VmxError::FailInvalid),
            // SAFETY: VMfailValid: VMX root operation with a current VMCS.
            _ => Err(unsafe { failure() }),
        }
    }
}

/// Enters the guest and returns after VM exit: `EXITED`, `FAIL_INVALID` or
/// `FAIL_VALID`.
///
/// HOST_RSP points at the saved pointer to `registers`, HOST_RIP at label 5, and
/// HOST_SSP is the shadow-stack pointer of this very function, so that the stack,
/// the shadow stack and the final RET fit together: there is no CALL in between.
///
/// # Safety
///
/// 1. The contract of [`WorldSwitch::enter`].
/// 2. `registers` is valid for reads and writes until the function returns.
#[unsafe(naked)]
unsafe extern "sysv64" fn switch(registers: *mut GuestRegisters, launch: u32) -> u32 {
    naked_asm!(
        // What the calling convention wants back.
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "push rdi",
        // Where VM exit continues. If one of these fails, so would VM entry.
        "mov eax, {host_rsp}",
        "vmwrite rax, rsp",
        "jna 4f",
        "lea rcx, [rip + 5f]",
        "mov eax, {host_rip}",
        "vmwrite rax, rcx",
        "jna 4f",
        // RDSSPQ does nothing without CET or with shadow stacks off: then zero
        // stays, and HOST_SSP (which may not exist) is left alone.
        "xor ecx, ecx",
        "rdsspq rcx",
        "test rcx, rcx",
        "jz 2f",
        "mov eax, {host_ssp}",
        "vmwrite rax, rcx",
        "jna 4f",
        "2:",
        // Writing CR2 serialises, so only if it differs.
        "mov rax, [rdi + {cr2}]",
        "mov rcx, cr2",
        "cmp rax, rcx",
        "je 3f",
        "mov cr2, rax",
        "3:",
        // ZF for the choice of the instruction; MOV leaves it alone.
        "test esi, esi",
        "mov rax, [rdi + {rax}]",
        "mov rcx, [rdi + {rcx}]",
        "mov rdx, [rdi + {rdx}]",
        "mov rbx, [rdi + {rbx}]",
        "mov rbp, [rdi + {rbp}]",
        "mov rsi, [rdi + {rsi}]",
        "mov r8, [rdi + {r8}]",
        "mov r9, [rdi + {r9}]",
        "mov r10, [rdi + {r10}]",
        "mov r11, [rdi + {r11}]",
        "mov r12, [rdi + {r12}]",
        "mov r13, [rdi + {r13}]",
        "mov r14, [rdi + {r14}]",
        "mov r15, [rdi + {r15}]",
        "mov rdi, [rdi + {rdi}]",
        "jz 7f",
        "vmlaunch",
        "jmp 4f",
        "7:",
        "vmresume",
        // The instruction failed; CF tells how. RSP is what HOST_RSP is.
        "4:",
        "mov eax, {fail_valid}",
        "mov ecx, {fail_invalid}",
        "cmovc eax, ecx",
        "jmp 6f",
        // VM exit. Only RSP is the host's: one word of stack frees RDI.
        "5:",
        "push rdi",
        "mov rdi, [rsp + 8]",
        "mov [rdi + {rax}], rax",
        "mov [rdi + {rcx}], rcx",
        "mov [rdi + {rdx}], rdx",
        "mov [rdi + {rbx}], rbx",
        "mov [rdi + {rbp}], rbp",
        "mov [rdi + {rsi}], rsi",
        "pop qword ptr [rdi + {rdi}]",
        "mov [rdi + {r8}], r8",
        "mov [rdi + {r9}], r9",
        "mov [rdi + {r10}], r10",
        "mov [rdi + {r11}], r11",
        "mov [rdi + {r12}], r12",
        "mov [rdi + {r13}], r13",
        "mov [rdi + {r14}], r14",
        "mov [rdi + {r15}], r15",
        "mov rax, cr2",
        "mov [rdi + {cr2}], rax",
        "mov eax, {exited}",
        // No value of the guest stays in a register that host code might use
        // speculatively; those popped below are the host's again.
        "6:",
        "xor ecx, ecx",
        "xor edx, edx",
        "xor esi, esi",
        "xor edi, edi",
        "xor r8d, r8d",
        "xor r9d, r9d",
        "xor r10d, r10d",
        "xor r11d, r11d",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
        host_rsp = const field::HOST_RSP.encoding().0,
        host_rip = const field::HOST_RIP.encoding().0,
        host_ssp = const field::HOST_SSP.encoding().0,
        exited = const EXITED,
        fail_invalid = const FAIL_INVALID,
        fail_valid = const FAIL_VALID,
        rax = const offset_of!(GuestRegisters, rax),
        rcx = const offset_of!(GuestRegisters, rcx),
        rdx = const offset_of!(GuestRegisters, rdx),
        rbx = const offset_of!(GuestRegisters, rbx),
        rbp = const offset_of!(GuestRegisters, rbp),
        rsi = const offset_of!(GuestRegisters, rsi),
        rdi = const offset_of!(GuestRegisters, rdi),
        r8 = const offset_of!(GuestRegisters, r8),
        r9 = const offset_of!(GuestRegisters, r9),
        r10 = const offset_of!(GuestRegisters, r10),
        r11 = const offset_of!(GuestRegisters, r11),
        r12 = const offset_of!(GuestRegisters, r12),
        r13 = const offset_of!(GuestRegisters, r13),
        r14 = const offset_of!(GuestRegisters, r14),
        r15 = const offset_of!(GuestRegisters, r15),
        cr2 = const offset_of!(GuestRegisters, cr2),
    )
}
