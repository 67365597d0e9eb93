//! What the host finds in its registers after an exit.

use core::ffi::c_void;

use vmx_bare_metal::{BareMetal, Plain};
use vmx_core::cpu::{EntryInstruction, HostPointers, WorldSwitch};
use vmx_core::{CurrentVmcs, GuestRegisters};

use super::trampolines::{Left, PRESERVED, call_and_look};
use super::{Found, changed, distinct, enter_and_compare, guests, with_guest};
use crate::console::say;

/// By [`Left`].
const NAMES: [&str; 16] = [
    "RAX", "RCX", "RDX", "RBX", "RBP", "RSI", "RDI", "R8", "R9", "R10", "R11", "R12", "R13", "R14",
    "R15", "RFLAGS",
];
/// Those that a called function preserves.
const PRESERVED_NAMES: [&str; 6] = ["RBX", "RBP", "R12", "R13", "R14", "R15"];

/// The world switch itself, with as little as possible around it.
struct Entry<'a, 'b> {
    current: &'a mut CurrentVmcs<'b, BareMetal>,
    registers: &'a mut GuestRegisters,
    host: &'a mut HostPointers,
    entered: bool,
}

extern "sysv64" fn enter(argument: *mut c_void) {
    // SAFETY: the caller passes a pointer to an `Entry` that nobody else uses.
    let entry = unsafe { &mut *argument.cast::<Entry<'_, '_>>() };
    let cpu = entry.current.cpu();
    // SAFETY: as for `super::enter`; the VMCS was launched, and its record is a new one.
    let entered = unsafe { cpu.enter(EntryInstruction::Resume, entry.host, entry.registers) };
    entry.entered = entered.is_ok();
}

/// Enters, and looks at every register right behind the function that did.
pub(super) fn hold_nothing_of_the_guest() -> Found {
    with_guest::<Plain>(guests::changes_registers, |current| {
        let mut registers = distinct();
        enter_and_compare(current, &mut registers)?;
        let mut host = HostPointers::UNKNOWN;
        let guests = changed(&registers);
        let mut entry =
            Entry { current, registers: &mut registers, host: &mut host, entered: false };
        let mut left: Left = [0; 16];
        let argument = (&raw mut entry).cast();
        // SAFETY: the function takes a pointer to an `Entry`; `left` is a local.
        unsafe { call_and_look(enter, argument, &raw mut left) };
        if !entry.entered {
            return Err("VM entry failed");
        }
        if registers != guests {
            return Err("the guest did not change its registers");
        }
        let mut bad = false;
        for (name, value) in NAMES.into_iter().zip(left) {
            let is_wrong = match name {
                // IF, DF, IOPL, AC and all the rest but the arithmetic flags.
                "RFLAGS" => value & !0x8D5 != 2,
                _ if PRESERVED_NAMES.contains(&name) => value != PRESERVED,
                // The guest's values all have these bits.
                _ => value & 0xFFFF_0000_0000_0000 == guests.rax & 0xFFFF_0000_0000_0000,
            };
            if is_wrong {
                say(format_args!("error {name} is {value:#x} in the host"));
            }
            bad |= is_wrong;
        }
        if bad { Err("registers of the host tell of the guest") } else { Ok(()) }
    })
}
