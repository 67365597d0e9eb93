//! The world switch on this CPU; chosen by the parameter `demo`.
//!
//! | `demo` | what is shown |
//! |---|---|
//! | `switch-stacks` | entries from two stacks in turn each come back to their own |
//! | `switch-host-fields` | a write of HOST_RIP, HOST_RSP or HOST_SSP moves no exit |
//! | `switch-registers` | nothing of the guest is in a register afterwards |
//! | `switch-options` | every option works, alone and with the others |
//! | `switch-options-shadow-stack` | the same in a host on a shadow stack |

mod guests;
mod options;
mod registers;
mod stacks;
mod trampolines;

use core::ffi::c_void;

use vmx_bare_metal::{BareMetal, RegisterFile, SwitchOptions};
use vmx_core::control::{
    ControlSet, EntryControls, ExitControls, PinBasedControls, PrimaryControls,
};
use vmx_core::cpu::{ControlRegisters, Cr4, VmcsAccess};
use vmx_core::exit::BasicExitReason;
use vmx_core::memory::PhysicalPage;
use vmx_core::state::{GuestCetState, GuestState64, HostState};
use vmx_core::vmcs::field;
use vmx_core::{Capabilities, CurrentVmcs, GuestRegisters, MsrBitmap, Page, Vmcs, VmxOperation};

use crate::output::console::say;
use crate::output::exit::{ExitKind, passed};
use crate::system::shadow_stack::{self, ShadowStackPage, run_on_shadow_stack};
use crate::trials::entry_trial::{address_of, frame};

static VMXON_REGION: Page = Page::new();
static VMCS_REGION: Page = Page::new();
static MSR_BITMAP: Page = Page::new();
static GUEST_STACK: Page = Page::new();
static HOST_SHADOW_STACK: ShadowStackPage = ShadowStackPage::new();

/// TSC ticks after which a guest that does not exit is stopped.
const TIME_SLICE: u64 = 1 << 20;

const REQUIRED: ControlSet = ControlSet {
    pin_based: PinBasedControls::ACTIVATE_VMX_PREEMPTION_TIMER,
    primary: PrimaryControls::USE_MSR_BITMAPS,
    exit: ExitControls::HOST_ADDRESS_SPACE_SIZE,
    entry: EntryControls::IA32E_MODE_GUEST,
    ..ControlSet::EMPTY
};

const WANTED: ControlSet = ControlSet {
    exit: ExitControls::LOAD_IA32_EFER
        .union(ExitControls::LOAD_IA32_PAT)
        .union(ExitControls::LOAD_CET_STATE),
    entry: EntryControls::LOAD_IA32_EFER
        .union(EntryControls::LOAD_IA32_PAT)
        .union(EntryControls::LOAD_CET_STATE),
    ..ControlSet::EMPTY
};

/// What was found, or what is wrong.
type Found = Result<(), &'static str>;

/// Runs the demonstration of this name, without its `switch-`.
pub(crate) fn run(name: &str) -> ExitKind {
    let found = match name {
        "stacks" => stacks::two_in_turn(),
        "host-fields" => stacks::fields_written(),
        "registers" => registers::hold_nothing_of_the_guest(),
        "options" => options::all(),
        "options-shadow-stack" => on_shadow_stack(options::all),
        _ => Err("no such demonstration of the world switch"),
    };
    match found {
        Ok(()) => passed(1),
        Err(reason) => {
            say(format_args!("error {reason}"));
            ExitKind::Failed
        }
    }
}

/// Runs the function on a shadow stack.
fn on_shadow_stack(function: fn() -> Found) -> Found {
    extern "C" fn call(argument: *mut c_void) {
        // SAFETY: the caller passes a pointer to such a pair that nobody else uses.
        let (function, result) = unsafe { &mut *argument.cast::<(fn() -> Found, Found)>() };
        *result = function();
    }
    let mut call_of = (function, Err("it did not run"));
    // SAFETY: (1) IA32_S_CET is 0, and everything is ring 0. (2) Nothing else uses the
    // page. (3) The pair lives until the function returns, and every VM exit restores
    // the host's CET state. (4) It nests a few dozen calls.
    let run = unsafe { run_on_shadow_stack(&HOST_SHADOW_STACK, call, (&raw mut call_of).cast()) };
    run.map_err(|_| "the shadow stack does not work")?;
    call_of.1
}

/// Brings the CPU into VMX operation with a guest that starts at `start`, for `work`.
fn with_guest<O: SwitchOptions>(
    start: extern "sysv64" fn(),
    work: impl FnOnce(&mut CurrentVmcs<'_, BareMetal<O>>) -> Found,
) -> Found {
    // SAFETY: ring 0 of the running CPU, whose exceptions have handlers. No guest touches
    // IA32_PL0_SSP to IA32_PL3_SSP or IA32_U_CET, and only this code uses VMX.
    let mut cpu = unsafe { BareMetal::<O>::with_options() };
    let capabilities = Capabilities::read(&mut cpu).map_err(|_| "this CPU has no VMX")?;
    if shadow_stack::supported() {
        shadow_stack::enable_cet().map_err(|_| "CR4.CET was not set")?;
    }
    let controls = ControlSet::negotiate(&capabilities, &REQUIRED, &WANTED)
        .map_err(|_| "this CPU lacks controls that are needed")?;
    // SAFETY: only this function uses the page, and its last use has ended.
    let region = unsafe { frame(&VMXON_REGION) };
    let mut operation = VmxOperation::new();
    // SAFETY: (1, 2, 4, 5) The running CPU, on which interrupts stay off and nothing else uses
    // VMX. (3) There is no other CPU to swap in.
    let mut section = unsafe { operation.section(cpu) };
    section.enter(region, &capabilities).map_err(|_| "this CPU did not enter VMX operation")?;
    let host = HostState::from_cpu(&mut section, &capabilities, &controls);
    // SAFETY: as for the other page.
    let mut vmcs = Vmcs::new(unsafe { frame(&VMCS_REGION) }, &capabilities);
    let mut current = section.load(&mut vmcs).map_err(|_| "the VMCS was not loaded")?;
    let guest = GuestState64 {
        rip: start as usize as u64,
        rsp: address_of(&GUEST_STACK).0 + 4096,
        cr3: host.cr3,
        cr4: Cr4::OSFXSR | Cr4::OSXMMEXCPT,
        tss: (0, 0x67),
        ..GuestState64::default()
    };
    let bitmap = PhysicalPage::new(&MSR_BITMAP, address_of(&MSR_BITMAP));
    let bitmap = MsrBitmap::none_exits(bitmap);
    let timer = TIME_SLICE >> capabilities.preemption_timer_shift();
    controls
        .write(&mut current)
        .and_then(|()| host.write(&mut current, controls.exit))
        .and_then(|()| guest.write(&mut current, &capabilities, controls.entry))
        .and_then(|()| GuestCetState::OFF.write(&mut current, controls.entry))
        .and_then(|()| current.write(field::VMX_PREEMPTION_TIMER_VALUE, timer as u32))
        .and_then(|()| current.write(field::MSR_BITMAP, bitmap.address()))
        .and_then(|()| current.write(field::EXCEPTION_BITMAP, u32::MAX))
        .and_then(|()| current.write(field::VM_EXIT_MSR_STORE_COUNT, 0))
        .and_then(|()| current.write(field::VM_EXIT_MSR_LOAD_COUNT, 0))
        .and_then(|()| current.write(field::VM_ENTRY_MSR_LOAD_COUNT, 0))
        .map_err(|_| "a field was not written")?;
    let found = work(&mut current);
    section.clear(&mut vmcs).map_err(|_| "the VMCS was not cleared")?;
    section.leave().map_err(|_| "VMX operation was not left")?;
    found
}

/// Enters the guest, which calls the host, and puts it behind its VMCALL.
#[inline(never)]
fn enter<O: SwitchOptions>(
    current: &mut CurrentVmcs<'_, BareMetal<O>>,
    registers: &mut O::Registers,
) -> Found {
    // SAFETY: (1, 2) Interrupts are off on the running CPU. (3) `CurrentVmcs` keeps it.
    // (4, 5) The host state is the running CPU's, CET included. (6 to 8) The guest is
    // one of `guests`, which touch their stack and registers only; the exception
    // bitmap and the timer stop any other. (9) The image uses no vector register, and
    // the guests change nothing else. (10) IA32_SPEC_CTRL holds bits that CPUID shows.
    let reason = unsafe { current.enter(registers) }.map_err(|_| "VM entry failed")?;
    if reason.basic() != BasicExitReason::VMCALL {
        say(format_args!("note exit reason {reason:?}"));
        return Err("the guest did not call");
    }
    let next = |current: &mut CurrentVmcs<'_, BareMetal<O>>| {
        let length = current.read(field::VM_EXIT_INSTRUCTION_LENGTH)?;
        let rip = current.read(field::GUEST_RIP)?;
        current.write(field::GUEST_RIP, rip + u64::from(length))
    };
    next(current).map_err(|_: vmx_core::VmxError| "the guest's RIP was not moved")
}

/// Distinct values.
const fn pattern(index: u64) -> u64 {
    0xABCD_0123_7654_0000 | index << 8 | index << 36
}

/// General registers that all differ, and CR2.
fn distinct() -> GuestRegisters {
    GuestRegisters {
        rax: pattern(1),
        rcx: pattern(2),
        rdx: pattern(3),
        rbx: pattern(4),
        rbp: pattern(5),
        rsi: pattern(6),
        rdi: pattern(7),
        r8: pattern(8),
        r9: pattern(9),
        r10: pattern(10),
        r11: pattern(11),
        r12: pattern(12),
        r13: pattern(13),
        r14: pattern(14),
        r15: pattern(15),
        cr2: pattern(16),
    }
}

/// What the guest that [changes them](guests::changes_registers) makes of them.
fn changed(registers: &GuestRegisters) -> GuestRegisters {
    let next = |value: u64| value.wrapping_add(1);
    GuestRegisters {
        rax: next(registers.rax),
        rcx: next(registers.rcx),
        rdx: next(registers.rdx),
        rbx: next(registers.rbx),
        rbp: next(registers.rbp),
        rsi: next(registers.rsi),
        rdi: next(registers.rdi),
        r8: next(registers.r8),
        r9: next(registers.r9),
        r10: next(registers.r10),
        r11: next(registers.r11),
        r12: next(registers.r12),
        r13: next(registers.r13),
        r14: next(registers.r14),
        r15: next(registers.r15),
        cr2: registers.cr2,
    }
}

/// Enters the guest that changes registers, and compares.
fn enter_and_compare<O: SwitchOptions>(
    current: &mut CurrentVmcs<'_, BareMetal<O>>,
    registers: &mut O::Registers,
) -> Found {
    let expected = changed(registers.general());
    enter(current, registers)?;
    if current.read_cr2() != expected.cr2 {
        return Err("CR2 was not loaded");
    }
    if *registers.general() == expected { Ok(()) } else { Err("a general register was not moved") }
}
