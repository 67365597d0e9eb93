//! Single instructions that may fault, and tell whether they did.
//!
//! Each is executed with one operand first and, where that faults, with another one that is
//! legal: the handler of exceptions puts it in the place of the first and notes that in
//! RCX. The instruction is tried again from where it is, so the address to which the handler
//! returns stays: another one would not pass an IRET with shadow stacks on.

use core::arch::global_asm;

/// Vector of the general-protection exception.
const GENERAL_PROTECTION: u64 = 13;
/// Vector of the page fault.
const PAGE_FAULT: u64 = 14;

// First operand in RDI, second in RSI.
global_asm!(
    r#"
    .section .text.probe, "ax"
    .global probe_xrstors
    .global probe_xrstors_instruction
    .global probe_store
    .global probe_store_instruction
probe_xrstors:
    mov eax, edx
    shr rdx, 32
    xor ecx, ecx
probe_xrstors_instruction:
    xrstors64 [rdi]
    mov eax, ecx
    ret
probe_store:
    xor ecx, ecx
probe_store_instruction:
    mov [rdi], rdx
    mov eax, ecx
    ret
    .text
    "#
);

unsafe extern "sysv64" {
    fn probe_xrstors(area: *const RawArea, legal: *const RawArea, components: u64) -> u32;
    fn probe_store(address: *mut u64, legal: *mut u64, value: u64) -> u32;
    static probe_xrstors_instruction: u8;
    static probe_store_instruction: u8;
}

/// An XSAVE area whose contents nobody checked.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct RawArea(pub(crate) [u64; 80]);

/// The registers by which an instruction of this file is mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Operands {
    pub(super) rcx: u64,
    pub(super) rsi: u64,
    pub(super) rdi: u64,
}

/// The registers with which to try again after an exception with this vector at this
/// address; `None` if that is not an instruction of this file, or its second operand faulted
/// too.
pub(super) fn fix_up(vector: u64, rip: u64, operands: Operands) -> Option<Operands> {
    let probes = [
        (GENERAL_PROTECTION, &raw const probe_xrstors_instruction),
        (PAGE_FAULT, &raw const probe_store_instruction),
    ];
    let known = probes
        .into_iter()
        .any(|(of, instruction)| (of, instruction.addr() as u64) == (vector, rip));
    // Not for ever, should the second operand fault too.
    (known && operands.rcx == 0).then_some(Operands { rcx: 1, rdi: operands.rsi, ..operands })
}

/// XRSTORS from `area`; whether it raised #GP, and `legal` was restored instead.
///
/// # Safety
///
/// 1. The registers of the components may get what either area holds.
/// 2. `legal` raises no exception.
pub(crate) unsafe fn xrstors_faults(area: &RawArea, legal: &RawArea, components: u64) -> bool {
    // SAFETY: the areas have the size and alignment that x87, SSE and CET state need; the
    // rest is the caller's contract; the fault is mended.
    unsafe { probe_xrstors(area, legal, components) != 0 }
}

/// A store of 8 bytes; whether it raised #PF, and nothing was stored.
///
/// # Safety
///
/// 1. The memory may get the value, if the page is mapped and writable.
pub(crate) unsafe fn store_faults(address: *mut u64, value: u64) -> bool {
    let mut legal = 0;
    // SAFETY: the caller's contract; `legal` is a local; the fault is mended.
    unsafe { probe_store(address, &raw mut legal, value) != 0 }
}
