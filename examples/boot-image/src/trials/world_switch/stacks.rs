//! Where a VM exit lands: on the stack of the entry, whatever the VMCS held before.

use core::ffi::c_void;
use core::hint::black_box;

use vmx_bare_metal::{BareMetal, Plain};
use vmx_core::cpu::VmcsAccess;
use vmx_core::vmcs::field::{self, Field};
use vmx_core::{CurrentVmcs, GuestRegisters};

use super::trampolines::{Function, on_stack};
use super::{Found, distinct, enter_and_compare, guests, with_guest};
use crate::output::console::say;
use crate::output::exit::{self, ExitKind};
use crate::system::shadow_stack;

/// A stack apart from the one that the image runs on.
#[repr(C, align(4096))]
struct Stack([core::sync::atomic::AtomicU64; 2048]);

static OTHER: Stack = Stack([const { core::sync::atomic::AtomicU64::new(0) }; 2048]);

const TURNS: u64 = 50;

/// One entry, from whatever stack it is called on.
struct Turn<'a, 'b> {
    current: &'a mut CurrentVmcs<'b, BareMetal>,
    registers: &'a mut GuestRegisters,
    number: u64,
    found: Found,
}

extern "sysv64" fn turn(argument: *mut c_void) {
    // SAFETY: the caller passes a pointer to a `Turn` that nobody else uses.
    let turn = unsafe { &mut *argument.cast::<Turn<'_, '_>>() };
    let marks = black_box([turn.number; 8]);
    turn.found = enter_and_compare(turn.current, turn.registers).and_then(|()| {
        if black_box(marks) != [turn.number; 8] {
            return Err("the exit did not come back to its stack");
        }
        let here = (&raw const marks).addr() as u64;
        let held = turn.current.read(field::HOST_RSP).map_err(|_| "HOST_RSP was not read")?;
        if held < here && here - held < 0x1000 { Ok(()) } else { Err("HOST_RSP is elsewhere") }
    });
}

/// Entries from two stacks in turn.
pub(super) fn two_in_turn() -> Found {
    with_guest::<Plain>(guests::changes_registers, |current| {
        let mut registers = distinct();
        let top = (&raw const OTHER).addr() + size_of::<Stack>();
        for number in 0..TURNS {
            let mut on = |stack: Option<usize>| {
                let mut this =
                    Turn { current, registers: &mut registers, number, found: Err("no turn") };
                let argument = (&raw mut this).cast();
                match stack {
                    // SAFETY: the stack is static, and used here only; the function
                    // takes a pointer to a `Turn`.
                    Some(top) => unsafe { on_stack(turn as Function, argument, top as u64) },
                    None => turn(argument),
                }
                this.found
            };
            on(None)?;
            on(Some(top))?;
            // A thread goes on from another depth of its stack, too.
            on(Some(top - 4096))?;
        }
        say(format_args!("note {} entries from two stacks in turn", 3 * TURNS));
        Ok(())
    })
}

/// Where no exit may land.
extern "C" fn wrong_place() -> ! {
    say(format_args!("error the exit landed where a VMWRITE said"));
    exit::end(ExitKind::Failed)
}

/// Writes of the host-state fields that the world switch writes, between entries.
pub(super) fn fields_written() -> Found {
    let other = (&raw const OTHER).addr() as u64 + 0x1000;
    let rip = (field::HOST_RIP, wrong_place as extern "C" fn() -> ! as usize as u64);
    let rsp = (field::HOST_RSP, other);
    let ssp = (field::HOST_SSP, other);
    with_guest::<Plain>(guests::changes_registers, |current| {
        let mut registers = distinct();
        let mut after = |writes: &[(Field<u64>, u64)]| {
            enter_and_compare(current, &mut registers)?;
            for (field, value) in writes {
                current.write(*field, *value).map_err(|_| "a host-state field was not written")?;
            }
            enter_and_compare(current, &mut registers)
        };
        for _ in 0..TURNS {
            after(&[])?;
            after(&[rip])?;
            after(&[rsp])?;
            after(&[rip, rsp])?;
            if shadow_stack::supported() {
                after(&[ssp])?;
            }
        }
        Ok(())
    })
}
