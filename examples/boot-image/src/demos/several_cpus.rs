//! What several CPUs do together, each part of it checked.

use core::arch::asm;
use core::ffi::c_void;
use core::fmt;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::AcqRel, Ordering::Relaxed};
use core::sync::atomic::{Ordering::Acquire, Ordering::Release};
use core::time::Duration;

use x86::dtables::{DescriptorTablePointer, sgdt};

use crate::output::console::say;
use crate::output::exit::{ExitKind, passed};
use crate::output::fatal::fatal;
use crate::processors::barrier::Barrier;
use crate::processors::call::{CallError, call, on_all, send};
use crate::processors::lock::relax;
use crate::processors::number::{self, MOST, Number, PerProcessor};
use crate::registers::halt::take_interrupts;
use crate::registers::local_apic::Message;
use crate::registers::time::Deadline;
use crate::registers::{control_registers, extended_state};
use crate::system::exceptions::attention_taken;
use crate::system::paging::{self, LARGE_PAGE_SIZE, MAPPED, MappingError, PAGE_SIZE, Page};
use crate::system::probe::store_faults;
use crate::system::shadow_stack::{self, ShadowStackError, ShadowStackPage, run_on_shadow_stack};

/// How long one CPU waits for the others in the middle of a check.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often each CPU calls another, and is called back.
const CALLS: u64 = 1000;
/// How often each CPU counts.
const COUNTS: u64 = 10_000;
/// Times that the CPUs take turns.
const TURNS: usize = 1000;
/// Lines that each CPU prints while the others do.
const LINES: u64 = 100;

/// Why a check did not pass.
enum Failure {
    Call(CallError),
    Mapping(MappingError),
    ShadowStack(ShadowStackError),
    /// What is not as it should be, what it is, and what it should be.
    Found(&'static str, u64, u64),
    /// What two CPUs have in common, and its value.
    Shared(&'static str, u64),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(error) => error.fmt(f),
            Self::Mapping(error) => error.fmt(f),
            Self::ShadowStack(error) => error.fmt(f),
            Self::Found(what, found, expected) => {
                write!(f, "{what}: {found:#x} instead of {expected:#x}")
            }
            Self::Shared(what, value) => write!(f, "{what}: two CPUs have {value:#x}"),
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<MappingError> for Failure {
    fn from(error: MappingError) -> Self {
        Self::Mapping(error)
    }
}

type Check = fn() -> Result<(), Failure>;

const CHECKS: [(&str, Check); 8] = [
    ("every CPU has the control registers of the first", same_registers),
    ("each has segments and a task state of its own", own_tables),
    ("all execute at once: they count together and take turns", at_once),
    ("each calls the next 1,000 times and is called back, all at once", calls),
    ("each runs on a shadow stack of its own, all at once", shadow_stacks),
    ("a page is taken away from all, sleeping or waiting", shootdown),
    ("an interrupt waits until it is taken", interrupts),
    ("no line of one CPU is broken by another's", lines),
];

/// Makes all checks.
pub(super) fn run() -> ExitKind {
    if number::others().len() == 0 {
        say(format_args!("error this demonstration needs a second CPU: add `--cpus 2`"));
        return ExitKind::Failed;
    }
    for (what, check) in CHECKS {
        if let Err(failure) = check() {
            say(format_args!("error {what}: {failure}"));
            return ExitKind::Failed;
        }
        say(format_args!("note {what}"));
    }
    passed(CHECKS.len() as u64)
}

fn expect(what: &'static str, found: u64, expected: u64) -> Result<(), Failure> {
    if found == expected { Ok(()) } else { Err(Failure::Found(what, found, expected)) }
}

/// Does this on all CPUs; what each found, or the first failure of any.
fn collect<R: Send>(
    work: impl Fn(Number) -> Result<R, Failure> + Sync,
) -> Result<[Option<R>; MOST], Failure> {
    let mut found = [const { None }; MOST];
    for (found, result) in found.iter_mut().zip(on_all(work)) {
        if let Some(result) = result {
            *found = Some(result??);
        }
    }
    Ok(found)
}

/// Does this on all CPUs; the first failure of any.
fn all(work: impl Fn(Number) -> Result<(), Failure> + Sync) -> Result<(), Failure> {
    collect(work).map(|_| ())
}

/// No two CPUs have the same of this.
fn each_its_own(what: &'static str, values: [Option<u64>; MOST]) -> Result<(), Failure> {
    for (index, value) in values.iter().enumerate() {
        let Some(shared) = *value else { continue };
        if values[..index].contains(value) {
            return Err(Failure::Shared(what, shared));
        }
    }
    Ok(())
}

/// Meets all other CPUs there. Ends the run if one does not come.
fn meet(barrier: &Barrier) {
    wait_until("the other CPUs come to the barrier", |turn| barrier.meet(turn));
}

/// Has `wait` call its argument until it is content; ends the run if that takes too long.
fn wait_until(what: &str, wait: impl FnOnce(&mut dyn FnMut() -> bool) -> bool) {
    let deadline = Deadline::after(PATIENCE);
    let came = wait(&mut || {
        relax();
        !deadline.is_over()
    });
    if !came {
        fatal(format_args!("waited {} s until {what}", PATIENCE.as_secs()));
    }
}

fn same_registers() -> Result<(), Failure> {
    let names = ["CR0", "CR4", "IA32_EFER", "XCR0"];
    let registers = || {
        [
            control_registers::cr0(),
            control_registers::cr4().bits(),
            // SAFETY: every 64-bit CPU has the MSR; reading has no effect.
            unsafe { x86::msr::rdmsr(x86::msr::IA32_EFER) },
            extended_state::xcr0(),
        ]
    };
    let first = registers();
    all(|_| {
        for ((name, found), expected) in names.into_iter().zip(registers()).zip(first) {
            expect(name, found, expected)?;
        }
        Ok(())
    })
}

fn own_tables() -> Result<(), Failure> {
    let gdts = collect(|_| {
        let mut gdtr = DescriptorTablePointer::<u64>::default();
        // SAFETY: ring 0; the instruction writes the ten bytes of the packed structure.
        unsafe { sgdt(&mut gdtr) };
        Ok(gdtr.base as u64)
    })?;
    each_its_own("the base of GDTR", gdts)
}

fn at_once() -> Result<(), Failure> {
    let size = number::online().len();
    let barrier = Barrier::new(size);
    let (count, turn) = (AtomicU64::new(0), AtomicUsize::new(0));
    all(|own| {
        meet(&barrier);
        for _ in 0..COUNTS {
            count.fetch_add(1, Relaxed);
        }
        // A CPU that waited for another one's end would wait for ever here.
        for round in 0..TURNS {
            let mine = round * size + own.index();
            wait_until("the CPU before this one takes its turn", |wait| {
                while turn.load(Acquire) != mine {
                    if !wait() {
                        return false;
                    }
                }
                true
            });
            turn.store(mine + 1, Release);
        }
        Ok(())
    })?;
    expect("the shared count", count.into_inner(), COUNTS * size as u64)?;
    expect("turns taken", turn.into_inner() as u64, (TURNS * size) as u64)
}

fn calls() -> Result<(), Failure> {
    let size = number::online().len();
    let barrier = Barrier::new(size);
    let back = AtomicU64::new(0);
    all(|own| {
        let Some(next) = Number::new((own.index() + 1) % size) else { return Ok(()) };
        meet(&barrier);
        for round in 0..CALLS {
            // This CPU's stack, written by the next one.
            let mut seen = None;
            let answer = call(next, || {
                seen = Some((number::this(), round));
                call(own, || {
                    back.fetch_add(1, AcqRel);
                    number::this()
                })
            })??;
            expect("the CPU that was called back", answer.index() as u64, own.index() as u64)?;
            let (who, found) = seen.unwrap_or((own, u64::MAX));
            expect("the CPU that was called", who.index() as u64, next.index() as u64)?;
            expect("what it wrote", found, round)?;
        }
        Ok(())
    })?;
    expect("calls back", back.into_inner(), CALLS * size as u64)
}

/// IA32_S_CET.
const S_CET: u32 = 0x6A2;
/// IA32_INTERRUPT_SSP_TABLE_ADDR.
const INTERRUPT_SSP_TABLE_ADDR: u32 = 0x6A8;

/// The stacks of `shadow_stacks`.
static SHADOW_STACKS: PerProcessor<ShadowStackPage> =
    PerProcessor::new([const { ShadowStackPage::new() }; MOST]);

/// What `on_shadow_stack` needs and finds.
struct OnShadowStack<'a> {
    barrier: &'a Barrier,
    s_cet: u64,
    ssp: u64,
}

fn shadow_stacks() -> Result<(), Failure> {
    if !shadow_stack::supported() {
        say(format_args!("note this CPU has no shadow stacks: nothing to check"));
        return Ok(());
    }
    let barrier = Barrier::new(number::online().len());
    let tables = collect(|own| {
        let page = SHADOW_STACKS.of(own);
        let mut found = OnShadowStack { barrier: &barrier, s_cet: 0, ssp: 0 };
        // SAFETY: nothing has turned shadow stacks on (1), the page is this CPU's (2), the
        // function takes a pointer to a live `OnShadowStack` and leaves the registers (3),
        // and it nests a few calls (4).
        unsafe { run_on_shadow_stack(page, on_shadow_stack, (&raw mut found).cast()) }
            .map_err(Failure::ShadowStack)?;
        expect("IA32_S_CET on the shadow stack", found.s_cet, 1)?;
        let start = page.end() - PAGE_SIZE as u64;
        expect("the page of SSP", found.ssp & !(PAGE_SIZE as u64 - 1), start)?;
        // SAFETY: the register exists with shadow stacks.
        Ok(unsafe { x86::msr::rdmsr(INTERRUPT_SSP_TABLE_ADDR) })
    })?;
    each_its_own("IA32_INTERRUPT_SSP_TABLE_ADDR", tables)
}

extern "C" fn on_shadow_stack(found: *mut c_void) {
    // SAFETY: the caller passes a pointer to an `OnShadowStack` that nobody else uses.
    let found = unsafe { &mut *found.cast::<OnShadowStack<'_>>() };
    meet(found.barrier);
    // SAFETY: the register exists: this runs on a shadow stack.
    found.s_cet = unsafe { x86::msr::rdmsr(S_CET) };
    // SAFETY: RDSSPQ only reads SSP.
    unsafe { asm!("rdsspq {}", out(reg) found.ssp, options(nomem, nostack, preserves_flags)) };
    // Nobody leaves before all were there.
    meet(found.barrier);
}

fn shootdown() -> Result<(), Failure> {
    // Memory that nothing uses, in a 2-MiB page that is still whole.
    let first = MAPPED - LARGE_PAGE_SIZE;
    let store = |page: usize| {
        let address = core::ptr::with_exposed_provenance_mut(first + page * PAGE_SIZE);
        // SAFETY: the image ends far below this memory, and nothing else uses it.
        u64::from(unsafe { store_faults(address, 1) })
    };
    let unmap = |page: usize| {
        let page = core::ptr::with_exposed_provenance::<Page>(first + page * PAGE_SIZE);
        // SAFETY: nothing uses the memory but `store`, which bears the fault.
        unsafe { paging::unmap(page) }
    };
    // Each CPU caches the translation of the whole, and then sleeps.
    all(|_| expect("faults before", store(0), 0))?;
    unmap(0)?;
    all(|_| {
        expect("faults of the page that was taken from sleeping CPUs", store(0), 1)?;
        expect("faults of its neighbour", store(1), 0)
    })?;
    // And here all but one wait.
    let barrier = Barrier::new(number::online().len());
    all(|own| {
        expect("faults before", store(1), 0)?;
        meet(&barrier);
        let unmapped = if own == Number::BOOT { unmap(1) } else { Ok(()) };
        meet(&barrier);
        unmapped?;
        expect("faults of the page that was taken from waiting CPUs", store(1), 1)?;
        expect("faults of its neighbour", store(2), 0)
    })
}

fn interrupts() -> Result<(), Failure> {
    let own = number::this();
    for other in number::others().iter() {
        for _ in 0..3 {
            let before = attention_taken();
            call(other, || send(Message::Attention, own))?;
            expect("interrupts taken with RFLAGS.IF = 0", attention_taken() - before, 0)?;
            take_interrupts();
            expect("interrupts taken", attention_taken() - before, 1)?;
        }
    }
    Ok(())
}

/// Of a kind whose every word is read: whoever reads the output notices a broken line.
fn lines() -> Result<(), Failure> {
    let barrier = Barrier::new(number::online().len());
    all(|own| {
        meet(&barrier);
        for done in 1..=LINES {
            let number = own.index();
            say(format_args!("progress policy=none scenario={number} done={done} of={LINES}"));
        }
        Ok(())
    })
}
