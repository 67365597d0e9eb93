//! What goes wrong on one of several CPUs, and how it is told.

use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, Ordering::Acquire, Ordering::Release};

use crate::output::console::say;
use crate::output::exit::{ExitKind, passed};
use crate::processors::call::{CallError, call, call_while, send};
use crate::processors::lock::relax;
use crate::processors::number::{self, Number};
use crate::registers::halt::sleep;
use crate::registers::local_apic::Message;
use crate::start::{StartError, start};
use crate::system::paging::{self, LARGE_PAGE_SIZE, MAPPED, MappingError, Page};
use crate::system::shadow_stack::{ShadowStackPage, run_on_shadow_stack};

/// Whether the CPU that is busy while another one fails has come to where it is.
static BUSY: AtomicBool = AtomicBool::new(false);
static SHADOW_STACK: ShadowStackPage = ShadowStackPage::new();

/// Does this on another CPU while this one is busy.
pub(super) fn on_another(work: fn() -> ExitKind) -> ExitKind {
    with_other(|other| call_while(other, || when_busy(work), busy).0)
}

/// The same, with this CPU busy on a shadow stack.
pub(super) fn on_another_with_this_on_shadow_stack(work: fn() -> ExitKind) -> ExitKind {
    with_other(|other| call_while(other, || when_busy(work), busy_on_shadow_stack).0)
}

/// Does this here while another CPU is busy.
pub(super) fn on_this(work: fn() -> ExitKind) -> ExitKind {
    with_other(|other| Ok(call_while(other, busy, || when_busy(work)).1))
}

fn when_busy(work: fn() -> ExitKind) -> ExitKind {
    while !BUSY.load(Acquire) {
        relax();
    }
    work()
}

/// Waits for ever, and takes no call meanwhile.
fn busy() -> ExitKind {
    BUSY.store(true, Release);
    loop {
        relax();
    }
}

fn busy_on_shadow_stack() -> ExitKind {
    extern "C" fn function(_: *mut c_void) {
        busy();
    }
    // SAFETY: nothing has turned shadow stacks on (1), the page has no other user (2), and the
    // function takes any pointer and does not return (3, 4).
    let result = unsafe { run_on_shadow_stack(&SHADOW_STACK, function, core::ptr::null_mut()) };
    if let Err(error) = result {
        say(format_args!("error {error}"));
    }
    ExitKind::Failed
}

fn with_other(work: impl FnOnce(Number) -> Result<ExitKind, CallError>) -> ExitKind {
    let Some(other) = number::others().iter().next() else {
        say(format_args!("error this demonstration needs a second CPU: add `--cpus 2`"));
        return ExitKind::Failed;
    };
    work(other).unwrap_or_else(|error| {
        say(format_args!("error {error}"));
        ExitKind::Failed
    })
}

/// A CPU that does something else and does not answer: neither a call nor the taking away of
/// a page may be taken for done.
pub(super) fn deaf() -> ExitKind {
    with_other(|other| {
        let heard = AtomicBool::new(false);
        let deaf = || {
            while !heard.load(Acquire) {
                // The emulator has less to do than for a loop.
                sleep();
            }
        };
        let (result, answers) = call_while(other, deaf, || {
            let page = core::ptr::with_exposed_provenance::<Page>(MAPPED - LARGE_PAGE_SIZE);
            // SAFETY: nothing uses the memory, far above the image.
            let unmapped = unsafe { paging::unmap(page) };
            let called = call(other, || ());
            heard.store(true, Release);
            send(Message::Attention, other);
            (called, unmapped)
        });
        result?;
        // It hears again.
        call(other, || ())?;
        let expected = (Err(CallError::NotTaken(other)), Err(MappingError::StillInUse(other)));
        if answers == expected {
            return Ok(passed(2));
        }
        say(format_args!("error a CPU that does not answer: {answers:?}"));
        Ok(ExitKind::Failed)
    })
}

/// Starts a second CPU where there is none.
pub(super) fn absent() -> ExitKind {
    match start(2) {
        Ok(()) => say(format_args!("error two CPUs answered, where one is expected")),
        Err(error @ StartError::NotAnswered { .. }) => say(format_args!("error {error}")),
        Err(error) => say(format_args!("error otherwise: {error}")),
    }
    ExitKind::Failed
}
