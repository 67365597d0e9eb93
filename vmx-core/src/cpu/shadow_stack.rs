//! IA32_PL0_SSP to IA32_PL2_SSP, one by one and as XSAVE component 12.

use crate::cet::ssp::{Ssp, SspRegister};
use crate::cet::xsave_area::CetSupervisorArea;

/// The three supervisor shadow-stack-pointer registers.
///
/// The CPU uses their values only on a change to ring 0, 1 or 2 and in SETSSBSY.
/// Whoever makes a CPU promises that the host does neither, with shadow stacks
/// on, while foreign values are in the registers.
pub trait SupervisorSsp {
    /// RDMSR of one of the three. Raises #GP(0) in the host where the CPU has no
    /// shadow stacks.
    fn read_ssp(&mut self, register: SspRegister) -> Ssp;

    /// WRMSR of one of the three. Raises #GP(0) in the host where the CPU has no
    /// shadow stacks or does not take `value`: see what [`Ssp`] does not promise.
    fn write_ssp(&mut self, register: SspRegister, value: Ssp);

    /// Whether WRMSR of one of the three takes `value` as the CPU is set up now. It is
    /// tried: the CPU alone knows by which width it judges. No #GP(0) reaches the host,
    /// and the register holds afterwards what it held before.
    ///
    /// Ask for values that [need more than 48 bits](Ssp::needs_more_than_48_bits); a CPU
    /// takes every other `Ssp`. Raises #GP(0) in the host where the CPU has no shadow
    /// stacks, and where the host lacks what the backend needs to see the fault.
    fn accepts_ssp(&mut self, register: SspRegister, value: Ssp) -> bool;
}

/// XSAVES and XRSTORS limited to component 12, CET_S: the three registers of
/// [`SupervisorSsp`], with the same promise about their use.
///
/// Both raise #UD in the host where CR4.OSXSAVE is 0 or the CPU lacks XSAVES, and
/// #NM where CR0.TS is 1.
pub trait CetSupervisorXstate {
    /// XSAVES of component 12; whether it was saved.
    ///
    /// Where IA32_XSS\[12\] is 0 it was not: the answer is `false`, and the area holds
    /// what it held before. (The instruction rewrites the area's header even then; the
    /// backend puts it back by [`CetSupervisorArea::save`].)
    #[must_use = "where IA32_XSS[12] is 0 nothing was saved"]
    fn xsaves_cet_s(&mut self, area: &mut CetSupervisorArea) -> bool;

    /// XRSTORS of component 12. Raises #GP(0) in the host where IA32_XSS\[12\] is 0,
    /// and where the CPU does not take one of the values: see what [`Ssp`] does not
    /// promise.
    fn xrstors_cet_s(&mut self, area: &CetSupervisorArea);
}
