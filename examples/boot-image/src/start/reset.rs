//! From the reset vector to Rust: 16 bits, 32 bits, 64 bits.
//!
//! At reset a processor fetches from FFFFFFF0h in real mode. The ROM's last
//! page, `.boot_stub`, goes to protected mode there, refuses a processor that
//! cannot run the image, copies the image from the ROM to 1 MiB, clears `.bss`
//! and jumps to the copy, which turns on paging and 64-bit mode.
//!
//! The stub runs near 4 GiB, out of reach of the linker's 32-bit relocations.
//! So it names its own parts as `label - stub_start + ROM_STUB`, which the
//! assembler folds to a constant, and only the image's symbols are relocated.
//!
//! Memory as the image finds it: the stub's 32-bit stack grows down from 7000h
//! and is not used afterwards, the parameter block is at 500h, the page at 8000h
//! is where other CPUs start, the image begins at 1 MiB. The 64-bit stack is the [`STACK_SIZE`] bytes of `.bss` from
//! `boot_stack_bottom` to `boot_stack_top`, with an unmapped page below it.

use core::arch::global_asm;

use crate::system::paging;

/// Bytes of the stack on which the image runs.
pub(crate) const STACK_SIZE: usize = 128 * 1024;

// The stub. Selectors: 08h 64-bit code, 10h data, 18h 32-bit code.
global_asm!(
    r#"
    .section .boot_stub, "ax"
    .set ROM_STUB, 0xFFFFF000

    .code32
stub_start:
stub_protected_mode:
    movw $0x10, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl $0x7000, %esp

    // CPUID exists if EFLAGS.ID can be changed.
    pushfl
    popl %eax
    movl %eax, %ecx
    xorl $0x200000, %eax
    pushl %eax
    popfl
    pushfl
    popl %eax
    xorl %ecx, %eax
    testl $0x200000, %eax
    movl $(stub_no_cpuid - stub_start + ROM_STUB), %esi
    jz stub_refuse

    // Long mode exists if CPUID 80000001h exists and its EDX[29] is set.
    movl $(stub_no_long_mode - stub_start + ROM_STUB), %esi
    movl $0x80000000, %eax
    cpuid
    cmpl $0x80000001, %eax
    jb stub_refuse
    movl $0x80000001, %eax
    cpuid
    testl $0x20000000, %edx
    jz stub_refuse

    // The image lies in the ROM directly below this page; its length is a
    // multiple of 16.
    movl $image_end, %ecx
    subl $image_start, %ecx
    movl $ROM_STUB, %esi
    subl %ecx, %esi
    movl $image_start, %edi
    shrl $2, %ecx
    rep movsl

    movl $image_end, %edi
    movl $image_bss_end, %ecx
    subl %edi, %ecx
    shrl $2, %ecx
    xorl %eax, %eax
    rep stosl

    movl $image_start32, %eax
    jmp *%eax

    // Prints the text at ESI on port E9h and ends Bochs with status 1.
stub_refuse:
    lodsb
    testb %al, %al
    jz 1f
    outb %al, $0xE9
    jmp stub_refuse
1:  movl $(stub_shutdown - stub_start + ROM_STUB), %esi
    movw $0x8900, %dx
2:  lodsb
    testb %al, %al
    jz 3f
    outb %al, %dx
    jmp 2b
3:  hlt
    jmp 3b

stub_no_cpuid:
    .asciz "\n@refused this CPU has no CPUID\n"
stub_no_long_mode:
    .asciz "\n@refused this CPU has no 64-bit mode\n"
stub_shutdown:
    .asciz "Shutdown"

    // All descriptors are marked accessed: the processor must not want to
    // write to the ROM.
    .balign 8
stub_gdt:
    .quad 0
    .quad 0x00AF9B000000FFFF
    .quad 0x00CF93000000FFFF
    .quad 0x00CF9B000000FFFF
stub_gdt_pointer:
    .word 31
    .long stub_gdt - stub_start + ROM_STUB

    .code16
stub_real_mode:
    cli
    cld
    // CS.base is FFFF0000h, so this page begins at offset F000h.
    movw $(stub_gdt_pointer - stub_start + 0xF000), %bx
    lgdtl %cs:(%bx)
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmpl $0x18, $(stub_protected_mode - stub_start + ROM_STUB)

    .org 0xFF0
    jmp stub_real_mode
    .org 0x1000
    .code64
    "#,
    options(att_syntax)
);

// The copy in RAM: paging, 64-bit mode, the stack, Rust.
global_asm!(
    r#"
    .section .text.start, "ax"
    .code32
    .global image_start32
image_start32:
    // The processor reads the GDT by linear address, and the stub's copy in
    // the ROM is not mapped once paging is on.
    lgdtl start_gdt_pointer

    movl ${pml4}, %edi
    movl ${pdpt}, %eax
    orl $3, %eax
    movl %eax, (%edi)
    movl ${pdpt}, %edi
    movl ${pd}, %eax
    orl $3, %eax
    movl %eax, (%edi)
    // 2-MiB pages, present and writable.
    movl ${pd}, %edi
    movl $0x83, %eax
    movl ${large_pages}, %ecx
1:  movl %eax, (%edi)
    addl $0x200000, %eax
    addl $8, %edi
    loop 1b

    // CR4.PAE, CR3, EFER.LME, then CR0 with PE, MP, ET, NE, WP and PG. NE is
    // one of the bits that VMX operation demands, WP one that CR4.CET demands.
    movl $0x20, %eax
    movl %eax, %cr4
    movl ${pml4}, %eax
    movl %eax, %cr3
    movl $0xC0000080, %ecx
    rdmsr
    orl $0x100, %eax
    wrmsr
    movl $0x80010033, %eax
    movl %eax, %cr0
    ljmpl $0x08, $image_start64

    .code64
image_start64:
    movw $0x10, %ax
    movw %ax, %ss
    leaq boot_stack_top(%rip), %rsp
    xorl %ebp, %ebp
    call {entry}
    ud2

    .section .rodata.start, "a"
    .balign 8
    .global start_gdt
start_gdt:
    .quad 0
    .quad 0x00AF9B000000FFFF
    .quad 0x00CF93000000FFFF
    .quad 0x00CF9B000000FFFF
start_gdt_pointer:
    .word 31
    .long start_gdt

    .section .bss.stack, "aw", @nobits
    .balign 4096
    .global boot_stack_guard
boot_stack_guard:
    .skip 4096
boot_stack_bottom:
    .skip {stack_size}
boot_stack_top:
    .text
    "#,
    pml4 = sym paging::PML4,
    pdpt = sym paging::PDPT,
    pd = sym paging::PD,
    large_pages = const paging::LARGE_PAGES,
    stack_size = const STACK_SIZE,
    entry = sym super::boot_processor,
    options(att_syntax)
);

unsafe extern "C" {
    /// The page below the stack; defined in the assembly above.
    static boot_stack_guard: paging::Page;
}

/// Takes the page below the boot stack out of the mapping.
pub(super) fn guard_stack() -> Result<(), paging::MappingError> {
    // SAFETY: nothing uses the guard page: it lies below the stack, between
    // objects of `.bss`, and has no other name.
    unsafe { paging::unmap(&raw const boot_stack_guard) }
}
