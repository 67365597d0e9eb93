//! IA32_PL0_SSP to IA32_PL2_SSP, one by one and as XSAVE component 12.

use core::arch::asm;

use vmx_core::cet::CET_S;
use vmx_core::cet::{CetSupervisorArea, Ssp, SspRegister};
use vmx_core::cpu::{CetSupervisorXstate, SupervisorSsp};
use x86::msr::{rdmsr, wrmsr};

use crate::fix_up::try_wrmsr;
use crate::{BareMetal, SwitchOptions};

/// The requested-feature bitmap in EDX:EAX: component 12 alone.
const REQUESTED: (u32, u32) = ((CET_S >> 32) as u32, CET_S as u32);

impl<O: SwitchOptions> SupervisorSsp for BareMetal<O> {
    #[inline]
    fn read_ssp(&mut self, register: SspRegister) -> Ssp {
        // SAFETY: ring 0 by the contract of `BareMetal::new`; reading one of the
        // three affects nothing, a #GP(0) reaches the host's handler.
        Ssp::from_register(unsafe { rdmsr(register.msr().0) })
    }

    #[inline]
    fn write_ssp(&mut self, register: SspRegister, value: Ssp) {
        // SAFETY: ring 0. By the contract of `BareMetal::new` the host does not
        // use the register while a foreign value is in it; a #GP(0) for a value
        // too wide for this CPU reaches the host's handler.
        unsafe { wrmsr(register.msr().0, value.get()) }
    }

    /// Needs the host's #GP handler to call
    /// [`general_protection_fix_up`](crate::general_protection_fix_up); where it does
    /// not, the #GP(0) of a value that the CPU refuses reaches that handler.
    fn accepts_ssp(&mut self, register: SspRegister, value: Ssp) -> bool {
        let msr = register.msr();
        // SAFETY: as in `read_ssp`.
        let old = unsafe { rdmsr(msr.0) };
        // SAFETY: ring 0, and `old` is what the register holds. No foreign value in it
        // is used, as in `write_ssp`.
        let accepts = unsafe { try_wrmsr(msr, value.get(), old) }.is_ok();
        if accepts {
            // SAFETY: the register held the value a moment ago.
            unsafe { wrmsr(msr.0, old) };
        }
        accepts
    }
}

impl<O: SwitchOptions> CetSupervisorXstate for BareMetal<O> {
    #[inline]
    fn xsaves_cet_s(&mut self, area: &mut CetSupervisorArea) -> bool {
        // SAFETY: ring 0. The area is exclusive, aligned to 64 bytes, and as long
        // as its compacted header says; XSAVES of component 12 writes XSTATE_BV,
        // XCOMP_BV and the component, all within it. No `nomem`: it does write.
        area.save(|area| unsafe {
            asm!(
                "xsaves64 [{area}]",
                area = in(reg) core::ptr::from_mut(area),
                in("eax") REQUESTED.1,
                in("edx") REQUESTED.0,
                options(nostack, preserves_flags),
            );
        })
    }

    #[inline]
    fn xrstors_cet_s(&mut self, area: &CetSupervisorArea) {
        // SAFETY: ring 0. The type keeps the header valid; a #GP(0) for a value that
        // this CPU does not take reaches the host's handler. XRSTORS of component 12
        // reads the area and writes the three registers only, which the host does not
        // use meanwhile (`BareMetal::new`).
        unsafe {
            asm!(
                "xrstors64 [{area}]",
                area = in(reg) core::ptr::from_ref(area),
                in("eax") REQUESTED.1,
                in("edx") REQUESTED.0,
                options(readonly, nostack, preserves_flags),
            );
        }
    }
}
