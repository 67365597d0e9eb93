//! Where a CPU begins that another one starts: from real mode to its stack.
//!
//! A start-up IPI names a page below 1 MiB and the CPU executes it from its beginning, in real
//! mode, with CS at the page. The page holds a copy of the code between `trampoline` and
//! `trampoline_end`, which reaches its own parts by their distance from `trampoline` and the
//! image by address. It goes to 64-bit mode in one step, on the image's paging structures,
//! which map the page to itself.
//!
//! All CPUs may start at once. Each draws a ticket, which is its number, and with it a stack;
//! those that come too late or are too many stop.

use core::arch::global_asm;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};

use super::reset::STACK_SIZE;
use crate::processors::number::{MOST, Number};
use crate::system::paging::{self, MappingError, PAGE_SIZE, Page};

/// Number of the page with the copy. Nothing else of the image lies below 1 MiB but the
/// parameter block in page 0 and, until Rust begins, the boot stub's stack below 7000h.
pub(super) const PAGE_NUMBER: u8 = 8;

/// Bytes from one stack to the next.
const STRIDE: usize = size_of::<GuardedStack>();

global_asm!(
    r#"
    .section .rodata.trampoline, "a"
    .balign 16
    .code16
    .global trampoline
    .global trampoline_end
trampoline:
    cli
    cld
    movw %cs, %ax
    movw %ax, %ds
    lgdtl trampoline_gdt_pointer - trampoline
    // The values with which the boot processor came here: CR4.PAE, CR3, EFER.LME, and CR0
    // with PE, MP, ET, NE, WP and PG, which also ends the caching-disabled state of INIT.
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
    ljmpl $0x08, $trampoline_64
    .balign 4
trampoline_gdt_pointer:
    .word 31
    .long start_gdt
trampoline_end:

    .section .text.trampoline, "ax"
    .code64
trampoline_64:
    movw $0x10, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl $1, %edi
    lock xaddl %edi, {tickets}(%rip)
    cmpl {limit}(%rip), %edi
    jae 1f
    // The stack of number 1 is the first: its end is one stride from the beginning.
    imulq ${stride}, %rdi, %rax
    leaq {stacks}(%rip), %rsp
    addq %rax, %rsp
    xorl %ebp, %ebp
    call {entry}
    ud2
1:  cli
    hlt
    jmp 1b
    .text
    "#,
    pml4 = sym paging::PML4,
    tickets = sym TICKETS,
    limit = sym LIMIT,
    stacks = sym STACKS,
    stride = const STRIDE,
    entry = sym super::application_processors::entered,
    options(att_syntax)
);

unsafe extern "C" {
    /// The code to copy; defined in the assembly above.
    static trampoline: u8;
    /// Behind its last byte.
    static trampoline_end: u8;
}

/// The number of the next CPU that starts: the boot processor has 0.
static TICKETS: AtomicU32 = AtomicU32::new(1);
/// CPUs with this number or a higher one stop.
static LIMIT: AtomicU32 = AtomicU32::new(0);

/// A stack with a page below it that is not mapped. The CPU that has drawn its number uses
/// it, and nobody else.
#[repr(C, align(4096))]
struct GuardedStack {
    guard: Page,
    stack: [AtomicU64; STACK_SIZE / 8],
}

static STACKS: [GuardedStack; MOST - 1] = [const {
    GuardedStack { guard: Page::new(), stack: [const { AtomicU64::new(0) }; STACK_SIZE / 8] }
}; MOST - 1];

/// Takes the page below the stack of this CPU, which is not the boot processor and was not
/// started, out of the mapping.
pub(super) fn guard_stack(number: Number) -> Result<(), MappingError> {
    let Some(stack) = number.index().checked_sub(1).and_then(|index| STACKS.get(index)) else {
        return Ok(());
    };
    // SAFETY: nothing uses the guard page: it is the field's only purpose.
    unsafe { paging::unmap(&raw const stack.guard) }
}

/// Lets CPUs with numbers below this one in.
pub(super) fn let_in(below: usize) {
    LIMIT.store(u32::try_from(below).unwrap_or(u32::MAX), SeqCst);
}

/// Lets nobody in any more.
pub(super) fn close() {
    LIMIT.store(0, SeqCst);
}

/// Copies the code to its page.
///
/// # Safety
///
/// 1. The page is memory that nobody uses.
pub(super) unsafe fn place() {
    let from = &raw const trampoline;
    let length = (&raw const trampoline_end).addr() - from.addr();
    let to = core::ptr::with_exposed_provenance_mut::<u8>(usize::from(PAGE_NUMBER) * PAGE_SIZE);
    // SAFETY: the code is `length` bytes, less than a page, at `trampoline`; the page is mapped
    // to its own address, and the caller gives it.
    unsafe { to.copy_from_nonoverlapping(from, length) };
}
