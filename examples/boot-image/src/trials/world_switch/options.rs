//! Every option of the world switch, alone and with the others.

use vmx_bare_metal::{
    CpuidInstruction, Mxcsr, Plain, RegisterFile, SpecCtrl, SwitchOptions, VectorRegisters,
    WithSpecCtrl, WithVectors,
};
use vmx_core::GuestRegisters;
use vmx_core::cpu::Cpuid;

use super::trampolines::{mxcsr, overwrite_vectors};
use super::{Found, distinct, enter, enter_and_compare, guests, with_guest};
use crate::output::console::say;

/// Entries of each guest under each choice of options.
const ROUNDS: u32 = 20;
/// IA32_SPEC_CTRL.
const SPEC_CTRL: u32 = 0x48;
/// The host's value of it here: IBRS.
const HOST_SPEC_CTRL: u64 = 1;

struct Fill;
impl SwitchOptions for Fill {
    type Registers = GuestRegisters;
    const FILL_RETURN_STACK_BUFFER: bool = true;
}

struct Verw;
impl SwitchOptions for Verw {
    type Registers = GuestRegisters;
    const VERW: bool = true;
}

struct Vectors;
impl SwitchOptions for Vectors {
    type Registers = WithVectors;
}

struct Msr;
impl SwitchOptions for Msr {
    type Registers = WithSpecCtrl<GuestRegisters>;
}

struct AllButMsr;
impl SwitchOptions for AllButMsr {
    type Registers = WithVectors;
    const KEEP_XMM6_TO_XMM15: bool = true;
    const FILL_RETURN_STACK_BUFFER: bool = true;
    const VERW: bool = true;
}

struct All;
impl SwitchOptions for All {
    type Registers = WithSpecCtrl<WithVectors>;
    const FILL_RETURN_STACK_BUFFER: bool = true;
    const VERW: bool = true;
    const LEGACY_IBRS: bool = true;
}

/// What a type of registers moves beside the general ones.
trait Parts: RegisterFile + Default {
    fn vectors(&mut self) -> Option<&mut VectorRegisters> {
        None
    }
    fn spec_ctrl(&mut self) -> Option<&mut SpecCtrl> {
        None
    }
}

impl Parts for GuestRegisters {}

impl Parts for WithVectors {
    fn vectors(&mut self) -> Option<&mut VectorRegisters> {
        Some(&mut self.vectors)
    }
}

impl Parts for WithSpecCtrl<GuestRegisters> {
    fn spec_ctrl(&mut self) -> Option<&mut SpecCtrl> {
        Some(&mut self.spec_ctrl)
    }
}

impl Parts for WithSpecCtrl<WithVectors> {
    fn vectors(&mut self) -> Option<&mut VectorRegisters> {
        Some(&mut self.registers.vectors)
    }
    fn spec_ctrl(&mut self) -> Option<&mut SpecCtrl> {
        Some(&mut self.spec_ctrl)
    }
}

/// All choices.
pub(super) fn all() -> Found {
    rounds::<Plain>("plain")?;
    rounds::<Fill>("return-stack buffer")?;
    rounds::<Verw>("VERW")?;
    rounds::<Vectors>("vectors")?;
    rounds::<AllButMsr>("all but IA32_SPEC_CTRL")?;
    // CPUID.7.0:EDX[26].
    if CpuidInstruction.cpuid(7, 0).edx & 1 << 26 == 0 {
        return Err("this CPU has no IA32_SPEC_CTRL");
    }
    // SAFETY: the MSR exists and has IBRS, which changes what is predicted only.
    unsafe { x86::msr::wrmsr(SPEC_CTRL, HOST_SPEC_CTRL) };
    rounds::<Msr>("IA32_SPEC_CTRL")?;
    spec_ctrl_rounds::<Msr>()?;
    rounds::<All>("all")?;
    spec_ctrl_rounds::<All>()?;
    // SAFETY: as above.
    unsafe { x86::msr::wrmsr(SPEC_CTRL, 0) };
    Ok(())
}

/// The guest that changes registers, in a host that uses vector registers itself.
fn rounds<O: SwitchOptions>(what: &str) -> Found
where
    O::Registers: Parts,
{
    with_guest::<O>(guests::changes_registers, |current| {
        let mut registers = O::Registers::default();
        *registers.general_mut() = distinct();
        if let Some(spec_ctrl) = registers.spec_ctrl() {
            *spec_ctrl = SpecCtrl { guest: 0, host: HOST_SPEC_CTRL };
        }
        let host_mxcsr = mxcsr();
        for round in 0..ROUNDS {
            let mut expected = None;
            if let Some(vectors) = registers.vectors() {
                if round == 0 {
                    let value = |index| (index as u128 + 3) << 64 | (index as u128 + 5);
                    vectors.xmm = core::array::from_fn(value);
                    vectors.mxcsr = Mxcsr::new(0x1F80 | 1 << 15).ok_or("a value of MXCSR")?;
                }
                let flipped = Mxcsr::new(vectors.mxcsr.bits() ^ 1 << 6);
                expected = Some(VectorRegisters {
                    xmm: vectors.xmm.map(doubled),
                    mxcsr: flipped.ok_or("a value of MXCSR")?,
                });
            }
            overwrite_vectors();
            enter_and_compare(current, &mut registers)?;
            let left = overwrite_vectors();
            if let Some(expected) = expected {
                if registers.vectors().is_none_or(|vectors| *vectors != expected) {
                    return Err("a vector register was not moved");
                }
                // Ones were there before; a bit of them all is a bit of one.
                if left != if O::KEEP_XMM6_TO_XMM15 { u128::MAX } else { 0 } {
                    return Err("vector registers of the host are not its own, or zero");
                }
                if mxcsr() != host_mxcsr {
                    return Err("MXCSR is not the host's");
                }
            }
        }
        say(format_args!("note {what}: {ROUNDS} round trips"));
        Ok(())
    })
}

/// Both halves, as PADDQ adds them.
fn doubled(value: u128) -> u128 {
    let half = |bits: u64| u128::from(bits.wrapping_mul(2));
    half((value >> 64) as u64) << 64 | half(value as u64)
}

/// The guest that changes IA32_SPEC_CTRL.
fn spec_ctrl_rounds<O: SwitchOptions>() -> Found
where
    O::Registers: Parts,
{
    with_guest::<O>(guests::changes_spec_ctrl, |current| {
        let mut registers = O::Registers::default();
        let mut value = 0;
        let start = SpecCtrl { guest: value, host: HOST_SPEC_CTRL };
        *registers.spec_ctrl().ok_or("no IA32_SPEC_CTRL")? = start;
        for _ in 0..ROUNDS {
            enter(current, &mut registers)?;
            if registers.general().rbx != value {
                return Err("the guest found another IA32_SPEC_CTRL");
            }
            value = registers.general().rax;
            if registers.spec_ctrl().is_none_or(|held| held.guest != value) {
                return Err("the guest's IA32_SPEC_CTRL was not stored");
            }
            // SAFETY: the register exists, and reading it affects nothing.
            if unsafe { x86::msr::rdmsr(SPEC_CTRL) } != HOST_SPEC_CTRL {
                return Err("IA32_SPEC_CTRL is not the host's");
            }
        }
        // It was inverted an even number of times.
        if value == 0 { Ok(()) } else { Err("the guest wrote something else") }
    })
}
