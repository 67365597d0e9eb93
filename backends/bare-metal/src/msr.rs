//! RDMSR and WRMSR.

use vmx_core::MsrIndex;
use vmx_core::cpu::Msr;
use vmx_core::msr::NamedMsr;
use x86::msr::{rdmsr, wrmsr};

use crate::{BareMetal, SwitchOptions};

impl<O: SwitchOptions> Msr for BareMetal<O> {
    #[inline]
    fn read_named(&mut self, msr: NamedMsr) -> u64 {
        // SAFETY: ring 0 by the contract of `BareMetal::new`. Reading an MSR of the
        // closed set affects nothing; a #GP(0) reaches the host's handler.
        unsafe { rdmsr(msr.index().0) }
    }

    #[inline]
    unsafe fn read_msr(&mut self, msr: MsrIndex) -> u64 {
        // SAFETY: ring 0; the caller answers for the MSR.
        unsafe { rdmsr(msr.0) }
    }

    #[inline]
    unsafe fn write_msr(&mut self, msr: MsrIndex, value: u64) {
        // SAFETY: ring 0; the caller answers for the MSR and the value.
        unsafe { wrmsr(msr.0, value) }
    }
}
