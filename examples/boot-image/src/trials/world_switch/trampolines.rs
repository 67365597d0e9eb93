//! Calling a function on another stack, and looking at what it leaves in registers.

use core::arch::naked_asm;
use core::ffi::c_void;

/// A function that a trampoline calls.
pub(super) type Function = extern "sysv64" fn(*mut c_void);

/// Calls `function` with `argument` on the stack that ends at `top`.
///
/// # Safety
///
/// 1. Below `top`, which is a multiple of 16, is a stack that nobody else uses.
/// 2. The function may be called with the argument.
#[unsafe(naked)]
pub(super) unsafe extern "sysv64" fn on_stack(function: Function, argument: *mut c_void, top: u64) {
    naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        "mov rsp, rdx",
        "mov rax, rdi",
        "mov rdi, rsi",
        "call rax",
        "mov rsp, rbp",
        "pop rbp",
        "ret",
    )
}

/// What a function left: RAX, RCX, RDX, RBX, RBP, RSI, RDI, R8 to R15, RFLAGS.
pub(super) type Left = [u64; 16];

/// What RBX, RBP and R12 to R15 hold when the function is called.
pub(super) const PRESERVED: u64 = 0x5AFE_5AFE_5AFE_5AFE;

/// Calls `function` with `argument`, and stores what is in the registers right after
/// its RET.
///
/// # Safety
///
/// 1. The function may be called with the argument, and `left` may be written.
#[unsafe(naked)]
pub(super) unsafe extern "sysv64" fn call_and_look(
    function: Function,
    argument: *mut c_void,
    left: *mut Left,
) {
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "push rdx",
        "mov rax, rdi",
        "mov rdi, rsi",
        "movabs rbx, {preserved}",
        ".irp n, rbp, r12, r13, r14, r15",
        r"mov \n, rbx",
        ".endr",
        "call rax",
        // MOV, PUSH and POP change no flag.
        "push rax",
        "mov rax, [rsp + 8]",
        "pop qword ptr [rax]",
        "mov [rax + 8], rcx",
        "mov [rax + 16], rdx",
        "mov [rax + 24], rbx",
        "mov [rax + 32], rbp",
        "mov [rax + 40], rsi",
        "mov [rax + 48], rdi",
        "mov [rax + 56], r8",
        "mov [rax + 64], r9",
        "mov [rax + 72], r10",
        "mov [rax + 80], r11",
        "mov [rax + 88], r12",
        "mov [rax + 96], r13",
        "mov [rax + 104], r14",
        "mov [rax + 112], r15",
        "pushfq",
        "pop qword ptr [rax + 120]",
        "pop rdx",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
        preserved = const PRESERVED,
    )
}

/// Puts ones into XMM0 to XMM15, as code compiled with SSE might, and returns what was
/// in them, joined by OR.
pub(super) fn overwrite_vectors() -> u128 {
    let mut found = [0u64; 2];
    // SAFETY: the image uses no vector register: it is compiled without SSE, and
    // CR4.OSFXSR is set at the start. The local takes 16 bytes.
    unsafe {
        core::arch::asm!(
            ".irp n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
            r"orps xmm0, xmm\n",
            ".endr",
            "movups [{found}], xmm0",
            ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
            r"pcmpeqd xmm\n, xmm\n",
            ".endr",
            found = in(reg) &raw mut found,
            options(nostack),
        );
    }
    u128::from(found[1]) << 64 | u128::from(found[0])
}

/// MXCSR.
pub(super) fn mxcsr() -> u32 {
    let mut value = 0u32;
    // SAFETY: CR4.OSFXSR is set at the start; the local takes four bytes.
    unsafe {
        core::arch::asm!("stmxcsr [{}]", in(reg) &raw mut value, options(nostack, preserves_flags));
    }
    value
}
