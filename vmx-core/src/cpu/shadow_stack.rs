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
    /// shadow stacks or narrower linear addresses than `value` was checked for.
    fn write_ssp(&mut self, register: SspRegister, value: Ssp);
}

/// XSAVES and XRSTORS limited to component 12, CET_S: the three registers of
/// [`SupervisorSsp`], with the same promise about their use.
///
/// Both raise #UD in the host where CR4.OSXSAVE is 0 or the CPU lacks XSAVES,
/// #NM where CR0.TS is 1, and XRSTORS raises #GP(0) where IA32_XSS\[12\] is 0.
pub trait CetSupervisorXstate {
    /// XSAVES of component 12. Where IA32_XSS\[12\] is 0 it saves nothing.
    fn xsaves_cet_s(&mut self, area: &mut CetSupervisorArea);

    /// XRSTORS of component 12.
    fn xrstors_cet_s(&mut self, area: &CetSupervisorArea);
}
