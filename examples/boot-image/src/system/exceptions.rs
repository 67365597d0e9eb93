//! What happens on an exception: all CPUs stop, one line says why, then the end.
//!
//! The image provokes no exception in its own code, except those of instructions that are
//! tried: WRMSR of `vmx-bare-metal`, and those of `probe.rs`. They are mended by other values
//! in registers, and tried again from where they are. Each other exception is a defect, and
//! the line names the place.
//!
//! Interrupts come by the same way: a CPU that draws another one's attention, which only
//! needs to have been woken, and the NMI by which one that failed stops the others.

use core::arch::global_asm;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use vmx_bare_metal::{FixUpRegisters, general_protection_fix_up};

use crate::output::fatal::{fatal, stop_if_another_failed};
use crate::processors::number::{MOST, PerProcessor};
use crate::registers::local_apic::{self, ATTENTION, SPURIOUS};
use crate::system::probe::{self, Operands};

/// Vector of the non-maskable interrupt.
pub(crate) const NMI: usize = 2;
const NMI_VECTOR: u64 = NMI as u64;
/// Vector of the double fault.
pub(crate) const DOUBLE_FAULT: usize = 8;
/// Vector of the general-protection exception.
const GENERAL_PROTECTION: u64 = 13;

/// Names by vector, as the manual's table of exceptions spells them.
const NAMES: [&str; 32] = [
    "#DE divide error",
    "#DB debug exception",
    "NMI",
    "#BP breakpoint",
    "#OF overflow",
    "#BR BOUND range exceeded",
    "#UD invalid opcode",
    "#NM device not available",
    "#DF double fault",
    "coprocessor segment overrun",
    "#TS invalid TSS",
    "#NP segment not present",
    "#SS stack-segment fault",
    "#GP general protection",
    "#PF page fault",
    "vector 15 (reserved)",
    "#MF x87 floating-point error",
    "#AC alignment check",
    "#MC machine check",
    "#XM SIMD floating-point exception",
    "#VE virtualization exception",
    "#CP control protection exception",
    "vector 22 (reserved)",
    "vector 23 (reserved)",
    "vector 24 (reserved)",
    "vector 25 (reserved)",
    "vector 26 (reserved)",
    "vector 27 (reserved)",
    "vector 28 (reserved)",
    "vector 29 (reserved)",
    "vector 30 (reserved)",
    "vector 31 (reserved)",
];

/// Number of stubs: the exceptions, and interrupts up to the last that the image has.
pub(crate) const VECTORS: usize = SPURIOUS as usize + 1;
/// Bytes from one stub to the next.
const STUB_SIZE: usize = 16;

// One stub a vector, each `STUB_SIZE` bytes long: makes the frame uniform by
// pushing a zero where the processor pushes no error code (those that do:
// 8, 10 to 14, 17, 21), then the vector. ENDBR64 first, so that the entries
// stay legal if someone turns on indirect-branch tracking.
global_asm!(
    r#"
    .section .text.exceptions, "ax"
    .balign 16
    .global exception_stubs
exception_stubs:
    .set vector, 0
    .rept {vectors}
    .balign 16
    endbr64
    .if ((1 << vector) & 0x00227D00) == 0
    push 0
    .endif
    push vector
    jmp exception_common
    .set vector, vector + 1
    .endr

// Saves what the handler, compiled without SSE, may change, and aligns the stack.
exception_common:
    push rbp
    mov rbp, rsp
    push rax
    push rcx
    push rdx
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11
    mov rdi, rsp
    and rsp, -16
    cld
    call {handle}
    lea rsp, [rbp - 9 * 8]
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rax
    pop rbp
    add rsp, 16
    iretq
    .text
    "#,
    vectors = const VECTORS,
    handle = sym handle,
);

/// What the stubs leave on the stack, lowest address first.
#[repr(C)]
#[derive(Debug)]
struct Frame {
    r11: u64,
    r10: u64,
    r9: u64,
    r8: u64,
    rdi: u64,
    rsi: u64,
    rdx: u64,
    rcx: u64,
    rax: u64,
    rbp: u64,
    vector: u64,
    error: u64,
    rip: u64,
    cs: u64,
    rflags: u64,
    rsp: u64,
    ss: u64,
}

unsafe extern "C" {
    /// The first stub; defined in the assembly above.
    static exception_stubs: [u8; VECTORS * STUB_SIZE];
}

/// The address for this vector's gate.
pub(crate) fn stub_address(vector: usize) -> u64 {
    let first = (&raw const exception_stubs).addr();
    (first + vector * STUB_SIZE) as u64
}

/// Whether a #GP of `vmx-bare-metal` is mended.
static MENDS: AtomicBool = AtomicBool::new(true);

/// From here on none is, as in a host that does not know how.
pub(crate) fn mend_nothing() {
    MENDS.store(false, Relaxed);
}

/// How often each CPU's attention was drawn by an interrupt.
static TAKEN: PerProcessor<AtomicU64> = PerProcessor::new([const { AtomicU64::new(0) }; MOST]);

/// How often this CPU has taken the interrupt [`ATTENTION`].
pub(crate) fn attention_taken() -> u64 {
    TAKEN.own().load(Relaxed)
}

/// Comes back to the interrupted code, or to the instruction with other registers, or not
/// at all.
extern "C" fn handle(frame: &mut Frame) {
    const ATTENTION_VECTOR: u64 = ATTENTION as u64;
    const SPURIOUS_VECTOR: u64 = SPURIOUS as u64;
    match frame.vector {
        ATTENTION_VECTOR => {
            TAKEN.own().fetch_add(1, Relaxed);
            local_apic::end_of_interrupt();
        }
        // The local APIC has nothing in service for it.
        SPURIOUS_VECTOR => {}
        vector => {
            if vector == NMI_VECTOR {
                stop_if_another_failed();
            }
            if !mend(frame) {
                report(frame);
            }
        }
    }
}

/// Gives an instruction that was only tried other registers; whether it is one.
fn mend(frame: &mut Frame) -> bool {
    let Frame { rax, rcx, rdx, rsi, rdi, .. } = *frame;
    if frame.vector == GENERAL_PROTECTION && MENDS.load(Relaxed) {
        let mut registers = FixUpRegisters { rax, rdx, rsi, rdi };
        if general_protection_fix_up(frame.rip, &mut registers) {
            let FixUpRegisters { rax, rdx, rsi, rdi } = registers;
            (frame.rax, frame.rdx, frame.rsi, frame.rdi) = (rax, rdx, rsi, rdi);
            return true;
        }
    }
    let mended = probe::fix_up(frame.vector, frame.rip, Operands { rcx, rsi, rdi });
    if let Some(Operands { rcx, rsi, rdi }) = mended {
        (frame.rcx, frame.rsi, frame.rdi) = (rcx, rsi, rdi);
    }
    mended.is_some()
}

/// Prints the exception and ends the run as failed.
fn report(frame: &Frame) -> ! {
    let name = usize::try_from(frame.vector)
        .ok()
        .and_then(|vector| NAMES.get(vector))
        .copied()
        .unwrap_or("unknown vector");
    // SAFETY: reading CR2 in ring 0 has no effect.
    let cr2 = unsafe { x86::controlregs::cr2() };
    fatal(format_args!(
        "{name} error={:#x} rip={:#x} rsp={:#x} cr2={cr2:#x} rflags={:#x} cs={:#x} ss={:#x}",
        frame.error, frame.rip, frame.rsp, frame.rflags, frame.cs, frame.ss
    ))
}

/// A panic of the image is a defect too and ends in the same way.
#[panic_handler]
fn panicked(info: &core::panic::PanicInfo<'_>) -> ! {
    match info.location() {
        Some(place) => {
            fatal(format_args!("panic at {}:{}: {}", place.file(), place.line(), info.message()))
        }
        None => fatal(format_args!("panic: {}", info.message())),
    }
}
