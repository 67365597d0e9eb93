//! Exceptions of the image itself, and shadow stacks without a guest.

use core::ffi::c_void;
use core::hint::black_box;

use crate::output::console::say;
use crate::output::exit::{ExitKind, passed};
use crate::system::paging::MAPPED;
use crate::system::shadow_stack::{PL0_SSP_WRITES, ShadowStackPage, run_on_shadow_stack};

/// IA32_S_CET.
const S_CET: u32 = 0x6A2;

static SHADOW_STACK: ShadowStackPage = ShadowStackPage::new();

/// Reads the first byte behind the mapped memory.
pub(super) fn page_fault() -> ExitKind {
    let beyond = core::ptr::with_exposed_provenance::<u8>(MAPPED);
    // SAFETY: the page is not mapped; the read faults, and the handler does
    // not return.
    let value = unsafe { beyond.read_volatile() };
    say(format_args!("error read {value} where nothing is mapped"));
    ExitKind::Failed
}

/// Recurses until the stack's guard page is hit.
pub(super) fn stack_overflow() -> ExitKind {
    say(format_args!("note depth {}", overflow(0)));
    ExitKind::Failed
}

/// Recurses until the shadow stack's page is left.
pub(super) fn shadow_stack_overflow() -> ExitKind {
    run_twice(overflow_on_shadow_stack)
}

/// Runs a function on a shadow stack that leaves it as it is.
pub(super) fn shadow_stack() -> ExitKind {
    run_twice(tell_s_cet)
}

/// Looks for a byte where there is none.
pub(super) fn panic() -> ExitKind {
    let bytes = black_box([0u8; 4]);
    say(format_args!("error found {}", bytes[black_box(4)]));
    ExitKind::Failed
}

/// The deeper call's result, if it ever came back.
#[allow(unconditional_recursion)] // That is the purpose.
fn overflow(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    overflow(black_box(depth + 1)) + frame[0]
}

/// Runs a function on the shadow stack twice: the token must be free again
/// after the first time.
fn run_twice(function: extern "C" fn(*mut c_void)) -> ExitKind {
    for _ in 0..2 {
        let mut s_cet = 0u64;
        // SAFETY: nothing has turned shadow stacks on (1), the page has no
        // other user (2), and the functions below take a pointer to a `u64`
        // that outlives the call and change none of the registers (3, 4).
        let result =
            unsafe { run_on_shadow_stack(&SHADOW_STACK, function, (&raw mut s_cet).cast()) };
        if let Err(error) = result {
            say(format_args!("error {error}"));
            return ExitKind::Failed;
        }
        // SAFETY: the register exists: shadow stacks were just in use.
        let after = unsafe { x86::msr::rdmsr(S_CET) };
        say(format_args!(
            "note S_CET was {s_cet:#x} and is {after:#x}; WRMSR of PL0_SSP: {PL0_SSP_WRITES}"
        ));
        if s_cet != 1 || after != 0 {
            return ExitKind::Failed;
        }
    }
    passed(1)
}

extern "C" fn tell_s_cet(s_cet: *mut c_void) {
    // SAFETY: the register exists: this runs on a shadow stack.
    let value = unsafe { x86::msr::rdmsr(S_CET) };
    // SAFETY: the caller passes a pointer to a live `u64`.
    unsafe { s_cet.cast::<u64>().write(value) };
}

extern "C" fn overflow_on_shadow_stack(_: *mut c_void) {
    say(format_args!("note depth {}", overflow(0)));
}
