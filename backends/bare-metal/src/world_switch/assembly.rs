//! The switch itself, in assembly.
//!
//! | label | what begins there |
//! |---|---|
//! | 2, 3, 4 | HOST_RSP, HOST_RIP, HOST_SSP hold what they must |
//! | 5, 6 | CR2, IA32_SPEC_CTRL are the guest's |
//! | 7 | VMRESUME |
//! | 8 | the instruction failed; flags tell how |
//! | 9 | VM exit |
//! | 23, 24 | parts of the defences after an exit |
//! | 25 | the common end: EAX is the result |
//! | 26, 27, 28 | HOST_RSP, HOST_RIP, HOST_SSP are written |
//!
//! A line of `.cfi_` follows every instruction that moves RSP or saves or restores a
//! register of the caller, so that a debugger finds its way from any instruction: the
//! compiler adds none to a naked function. (In an image for Windows or UEFI they make
//! an `.eh_frame`, which debuggers read, and no unwind data of Windows.)

use core::arch::naked_asm;

use memoffset::offset_of;
use vmx_core::GuestRegisters;
use vmx_core::cpu::HostPointers;
use vmx_core::vmcs::field;

use super::options::SwitchOptions;
use super::registers::{Sealed, SpecCtrl, VectorRegisters};

/// The guest ran, or VM entry failed in the way that exits.
pub(super) const EXITED: u32 = 0;
/// VMfailInvalid.
pub(super) const FAIL_INVALID: u32 = 1;
/// VMfailValid.
pub(super) const FAIL_VALID: u32 = 2;

/// The MSR's number.
const IA32_SPEC_CTRL: u32 = 0x48;
/// Entries that are filled: as many as the largest return-stack buffers have.
const RETURN_STACK_BUFFER: usize = 32;

/// Where the vector registers are, if they are moved.
const fn vectors<O: SwitchOptions>(offset_in: usize) -> usize {
    match <O::Registers as Sealed>::VECTORS {
        Some(offset) => offset + offset_in,
        None => 0,
    }
}

/// Where the values of IA32_SPEC_CTRL are, if they are moved.
const fn spec_ctrl<O: SwitchOptions>(offset_in: usize) -> usize {
    match <O::Registers as Sealed>::SPEC_CTRL {
        Some(offset) => offset + offset_in,
        None => 0,
    }
}

/// Whether XMM6 to XMM15 are the caller's.
const fn keeps_xmm<O: SwitchOptions>() -> bool {
    O::KEEP_XMM6_TO_XMM15 && <O::Registers as Sealed>::VECTORS.is_some()
}

/// Bytes between HOST_RSP and the registers that are popped: the pointer to the guest's
/// registers, the word with a selector and MXCSR, XMM6 to XMM15.
const fn frame<O: SwitchOptions>() -> usize {
    let has_word = O::VERW || <O::Registers as Sealed>::VECTORS.is_some();
    8 + if has_word { 8 } else { 0 } + if keeps_xmm::<O>() { 160 } else { 0 }
}

/// Enters the guest and returns after VM exit: [`EXITED`], [`FAIL_INVALID`] or
/// [`FAIL_VALID`].
///
/// HOST_RSP points at the saved pointer to `registers`, HOST_RIP at label 9, and
/// HOST_SSP is the shadow-stack pointer of this very function, so that the stack,
/// the shadow stack and the final RET fit together: no CALL is open in between.
///
/// # Safety
///
/// 1. The contract of [`WorldSwitch::enter`](vmx_core::cpu::WorldSwitch::enter).
/// 2. Both pointers are valid for reads and writes until the function returns.
#[unsafe(naked)]
pub(super) unsafe extern "sysv64" fn switch<O: SwitchOptions>(
    registers: *mut O::Registers,
    host: *mut HostPointers,
    launch: u32,
) -> u32 {
    naked_asm!(
        ".cfi_startproc",
        // What the calling convention wants back.
        "push rbp",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset rbp, 0",
        "push rbx",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset rbx, 0",
        "push r12",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset r12, 0",
        "push r13",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset r13, 0",
        "push r14",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset r14, 0",
        "push r15",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset r15, 0",
        ".if {keep_xmm}",
        "sub rsp, 160",
        ".cfi_adjust_cfa_offset 160",
        ".irp n, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        r"movups [rsp + 16 * (\n - 6)], xmm\n",
        ".endr",
        ".endif",
        // One word for a selector and the host's MXCSR, above the pointer.
        ".if {verw} | {vectors}",
        ".if {verw}",
        "mov eax, ss",
        ".endif",
        "push rax",
        ".cfi_adjust_cfa_offset 8",
        ".if {vectors}",
        "stmxcsr [rsp + 4]",
        ".endif",
        ".endif",
        "push rdi",
        ".cfi_adjust_cfa_offset 8",
        // Where VM exit continues. Each VMWRITE is an exit under another hypervisor,
        // and from the same place with the same stack they would change nothing.
        "cmp [rsi + {known_rsp}], rsp",
        "jne 26f",
        "2:",
        "lea rcx, [rip + 9f]",
        "cmp [rsi + {known_rip}], rcx",
        "jne 27f",
        "3:",
        // RDSSPQ does nothing without CET or with shadow stacks off: then zero stays.
        "xor ecx, ecx",
        "rdsspq rcx",
        "cmp [rsi + {known_ssp}], rcx",
        "jne 28f",
        "4:",
        // Writing CR2 serialises, so only if it differs.
        "mov rax, [rdi + {cr2}]",
        "mov rcx, cr2",
        "cmp rax, rcx",
        "je 5f",
        "mov cr2, rax",
        "5:",
        ".if {spec_ctrl}",
        "mov rax, [rdi + {guest_spec_ctrl}]",
        "cmp rax, [rdi + {host_spec_ctrl}]",
        "je 6f",
        "mov r8d, edx",
        "mov edx, [rdi + {guest_spec_ctrl} + 4]",
        "mov ecx, {ia32_spec_ctrl}",
        "wrmsr",
        "mov edx, r8d",
        "6:",
        ".endif",
        ".if {vectors}",
        "ldmxcsr [rdi + {mxcsr}]",
        ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        r"movaps xmm\n, [rdi + {xmm} + 16 * \n]",
        ".endr",
        ".endif",
        // CF = 1 for VMRESUME: MOV leaves it alone, and VERW too, which changes ZF.
        "cmp edx, 1",
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
        "jc 7f",
        // With an operand in memory: only that form is defined to clear buffers. It
        // stands before either instruction, so that not even a branch comes after it.
        ".if {verw}",
        "verw word ptr [rsp + 8]",
        ".endif",
        "vmlaunch",
        "jmp 8f",
        "7:",
        ".if {verw}",
        "verw word ptr [rsp + 8]",
        ".endif",
        "vmresume",
        // The instruction failed; CF tells how. RSP is what HOST_RSP is.
        "8:",
        "mov eax, {fail_valid}",
        "mov ecx, {fail_invalid}",
        "cmovc eax, ecx",
        ".if {spec_ctrl}",
        // Whether the guest's value was loaded does not matter here.
        "mov r8d, eax",
        "mov rdi, [rsp]",
        "mov eax, [rdi + {host_spec_ctrl}]",
        "mov edx, [rdi + {host_spec_ctrl} + 4]",
        "mov ecx, {ia32_spec_ctrl}",
        "wrmsr",
        "mov eax, r8d",
        ".endif",
        "jmp 25f",
        // VM exit. Only RSP is the host's: one word of stack frees RDI.
        "9:",
        "push rdi",
        ".cfi_adjust_cfa_offset 8",
        "mov rdi, [rsp + 8]",
        "mov [rdi + {rax}], rax",
        "mov [rdi + {rcx}], rcx",
        "mov [rdi + {rdx}], rdx",
        "mov [rdi + {rbx}], rbx",
        "mov [rdi + {rbp}], rbp",
        "mov [rdi + {rsi}], rsi",
        "pop qword ptr [rdi + {rdi}]",
        ".cfi_adjust_cfa_offset -8",
        "mov [rdi + {r8}], r8",
        "mov [rdi + {r9}], r9",
        "mov [rdi + {r10}], r10",
        "mov [rdi + {r11}], r11",
        "mov [rdi + {r12}], r12",
        "mov [rdi + {r13}], r13",
        "mov [rdi + {r14}], r14",
        "mov [rdi + {r15}], r15",
        ".if {spec_ctrl}",
        "mov ecx, {ia32_spec_ctrl}",
        "rdmsr",
        "mov [rdi + {guest_spec_ctrl}], eax",
        "mov [rdi + {guest_spec_ctrl} + 4], edx",
        ".if {legacy_ibrs} == 0",
        "mov rax, [rdi + {guest_spec_ctrl}]",
        "cmp rax, [rdi + {host_spec_ctrl}]",
        "je 23f",
        ".endif",
        "mov eax, [rdi + {host_spec_ctrl}]",
        "mov edx, [rdi + {host_spec_ctrl} + 4]",
        "wrmsr",
        "23:",
        ".endif",
        ".if {fill}",
        // Each CALL goes over an INT3, where a RET that it predicts would end.
        ".rept {return_stack_buffer}",
        "call 24f",
        ".cfi_adjust_cfa_offset 8",
        "int3",
        "24:",
        ".endr",
        "add rsp, 8 * {return_stack_buffer}",
        ".cfi_adjust_cfa_offset -8 * {return_stack_buffer}",
        // With shadow stacks on they pushed there, too. INCSSP raises #UD with them
        // off.
        "xor eax, eax",
        "rdsspq rax",
        "test rax, rax",
        "jz 24f",
        "mov eax, {return_stack_buffer}",
        "incsspq rax",
        "24:",
        ".endif",
        // No branch above may have been mispredicted from here on.
        ".if {spec_ctrl} | {fill}",
        "lfence",
        ".endif",
        ".if {vectors}",
        "stmxcsr [rdi + {mxcsr}]",
        ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        r"movaps [rdi + {xmm} + 16 * \n], xmm\n",
        ".endr",
        ".endif",
        "mov rax, cr2",
        "mov [rdi + {cr2}], rax",
        "mov eax, {exited}",
        // No value of the guest stays in a register that host code might use
        // speculatively, not even where the host's is popped in a moment.
        "25:",
        ".if {vectors}",
        ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        r"xorps xmm\n, xmm\n",
        ".endr",
        "ldmxcsr [rsp + 12]",
        ".endif",
        ".if {keep_xmm}",
        ".irp n, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        r"movups xmm\n, [rsp + 16 + 16 * (\n - 6)]",
        ".endr",
        ".endif",
        "xor ecx, ecx",
        "xor edx, edx",
        "xor ebx, ebx",
        "xor ebp, ebp",
        "xor esi, esi",
        "xor edi, edi",
        "xor r8d, r8d",
        "xor r9d, r9d",
        "xor r10d, r10d",
        "xor r11d, r11d",
        "xor r12d, r12d",
        "xor r13d, r13d",
        "xor r14d, r14d",
        "xor r15d, r15d",
        ".cfi_remember_state",
        "add rsp, {frame}",
        ".cfi_adjust_cfa_offset -{frame}",
        "pop r15",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore r15",
        "pop r14",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore r14",
        "pop r13",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore r13",
        "pop r12",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore r12",
        "pop rbx",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore rbx",
        "pop rbp",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore rbp",
        "ret",
        // Out of the way: a field does not hold yet what it must. If a VMWRITE fails,
        // so would VM entry; what it wrote is recorded only afterwards.
        ".cfi_restore_state",
        "26:",
        "mov eax, {host_rsp}",
        "vmwrite rax, rsp",
        "jna 8b",
        "mov [rsi + {known_rsp}], rsp",
        "jmp 2b",
        "27:",
        "mov eax, {host_rip}",
        "vmwrite rax, rcx",
        "jna 8b",
        "mov [rsi + {known_rip}], rcx",
        "jmp 3b",
        // Without a shadow stack HOST_SSP (which may not exist) is left alone.
        "28:",
        "test rcx, rcx",
        "jz 4b",
        "mov eax, {host_ssp}",
        "vmwrite rax, rcx",
        "jna 8b",
        "mov [rsi + {known_ssp}], rcx",
        "jmp 4b",
        ".cfi_endproc",
        verw = const O::VERW as u32,
        fill = const O::FILL_RETURN_STACK_BUFFER as u32,
        legacy_ibrs = const O::LEGACY_IBRS as u32,
        vectors = const <O::Registers as Sealed>::VECTORS.is_some() as u32,
        keep_xmm = const keeps_xmm::<O>() as u32,
        frame = const frame::<O>(),
        spec_ctrl = const <O::Registers as Sealed>::SPEC_CTRL.is_some() as u32,
        return_stack_buffer = const RETURN_STACK_BUFFER,
        ia32_spec_ctrl = const IA32_SPEC_CTRL,
        known_rsp = const offset_of!(HostPointers, rsp),
        known_rip = const offset_of!(HostPointers, rip),
        known_ssp = const offset_of!(HostPointers, ssp),
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
        xmm = const vectors::<O>(offset_of!(VectorRegisters, xmm)),
        mxcsr = const vectors::<O>(offset_of!(VectorRegisters, mxcsr)),
        guest_spec_ctrl = const spec_ctrl::<O>(offset_of!(SpecCtrl, guest)),
        host_spec_ctrl = const spec_ctrl::<O>(offset_of!(SpecCtrl, host)),
    )
}
