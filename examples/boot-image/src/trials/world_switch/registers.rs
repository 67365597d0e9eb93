//! What the host finds in its registers after an exit.

use core::ffi::c_void;

use vmx_bare_metal::{BareMetal, Plain};
use vmx_core::cpu::{EntryInstruction, HostPointers, WorldSwitch};
use vmx_core::{GuestRegisters, VmxError};

use super::trampolines::{Left, PRESERVED, call_and_look};
use super::{Found, changed, distinct, enter_and_compare, guests, with_guest};
use crate::output::console::say;

/// Bits that are the same in all values of the guest.
const TOP: u64 = 0xFFFF_0000_0000_0000;
/// By [`Left`].
const NAMES: [&str; 16] = [
    "RAX", "RCX", "RDX", "RBX", "RBP", "RSI", "RDI", "R8", "R9", "R10", "R11", "R12", "R13", "R14",
    "R15", "RFLAGS",
];
/// Those that a called function preserves.
const PRESERVED_NAMES: [&str; 6] = ["RBX", "RBP", "R12", "R13", "R14", "R15"];

/// The world switch itself, with as little as possible around it.
struct Entry<'a> {
    cpu: &'a mut BareMetal,
    instruction: EntryInstruction,
    host: &'a mut HostPointers,
    registers: &'a mut GuestRegisters,
    result: Result<(), VmxError>,
}

extern "sysv64" fn enter(argument: *mut c_void) {
    // SAFETY: the caller passes a pointer to an `Entry` that nobody else uses.
    let entry = unsafe { &mut *argument.cast::<Entry<'_>>() };
    // SAFETY: as for `super::enter`.
    entry.result = unsafe { entry.cpu.enter(entry.instruction, entry.host, entry.registers) };
}

/// Enters, and looks at every register right behind the function that did.
pub(super) fn hold_nothing_of_the_guest() -> Found {
    with_guest::<Plain>(guests::changes_registers, |current| {
        let mut registers = distinct();
        enter_and_compare(current, &mut registers)?;
        let expected = changed(&registers);
        let mut left: Left = [0; 16];
        let switch = |cpu: &mut BareMetal, instruction, host: &mut HostPointers| {
            let registers = &mut registers;
            let mut entry = Entry { cpu, instruction, host, registers, result: Ok(()) };
            // SAFETY: the function takes a pointer to an `Entry`; `left` is a local.
            unsafe { call_and_look(enter, (&raw mut entry).cast(), &raw mut left) };
            entry.result
        };
        // SAFETY: as for `super::enter`; the switch is the backend's.
        unsafe { current.enter_with(switch) }.map_err(|_| "VM entry failed")?;
        if registers != expected {
            return Err("the guest did not change its registers");
        }
        let mut bad = false;
        for (name, value) in NAMES.into_iter().zip(left) {
            let is_wrong = match name {
                // IF, DF, IOPL, AC and all the rest but the arithmetic flags.
                "RFLAGS" => value & !0x8D5 != 2,
                _ if PRESERVED_NAMES.contains(&name) => value != PRESERVED,
                // The guest's values all have these bits.
                _ => value & TOP == expected.rax & TOP,
            };
            if is_wrong {
                say(format_args!("error {name} is {value:#x} in the host"));
            }
            bad |= is_wrong;
        }
        if bad { Err("registers of the host tell of the guest") } else { Ok(()) }
    })
}
