//! The guests: a few instructions of the image itself, in a loop around VMCALL.
//!
//! A guest has the host's page tables and a stack of its own, and touches nothing but
//! that and its registers.

use core::arch::naked_asm;

/// Adds 1 to each general register but RSP, doubles each half of each XMM register and
/// inverts MXCSR.DAZ, then calls the host.
#[unsafe(naked)]
pub(super) extern "sysv64" fn changes_registers() {
    naked_asm!(
        "2:",
        ".irp n, rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15",
        r"inc \n",
        ".endr",
        ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        r"paddq xmm\n, xmm\n",
        ".endr",
        "stmxcsr [rsp - 8]",
        "xor dword ptr [rsp - 8], 0x40",
        "ldmxcsr [rsp - 8]",
        "vmcall",
        "jmp 2b",
    )
}

/// Inverts IA32_SPEC_CTRL.SSBD, then calls the host with the new value in RAX and the
/// one that it found in RBX.
#[unsafe(naked)]
pub(super) extern "sysv64" fn changes_spec_ctrl() {
    naked_asm!(
        "2:",
        "mov ecx, 0x48",
        "rdmsr",
        "mov ebx, eax",
        "xor eax, 4",
        "wrmsr",
        "vmcall",
        "jmp 2b",
    )
}
