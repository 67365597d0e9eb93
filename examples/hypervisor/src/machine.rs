//! The CPU, asked what it can do.

use cet_policy::{CpuCet, HostCet, HostMode, HostXss};
use vmx_core::control::ControlSet;
use vmx_core::cpu::{Cpuid, InvalidateTranslations, Msr, VmxInstructions};
use vmx_core::ept::EptRules;
use vmx_core::{Capabilities, CriticalSection, MsrIndex};

use crate::Backend;
use crate::controls;
use crate::error::RunError;
use crate::page_pool::PoolFrame;

/// What is known of the CPU before it enters VMX operation.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// VMX capabilities.
    pub capabilities: Capabilities,
    /// CET features.
    pub cet: CpuCet,
    /// The controls that the CPU accepted.
    pub controls: ControlSet,
    /// How it reads the entries of EPT.
    pub ept: EptRules,
}

impl Machine {
    /// Asks the CPU.
    ///
    /// # Errors
    /// [`RunError`] names what it lacks.
    pub fn detect<C: Backend>(cpu: &mut C) -> Result<Self, RunError> {
        let capabilities = Capabilities::read(cpu)?;
        let cet = CpuCet::detect(cpu);
        // Refuses a CPU without CET by name, before anything else is negotiated.
        HostCet::new(cet, &capabilities, HostMode::DoesNot, HostXss::Fixed(0))?;
        let controls = controls::negotiate(&capabilities)?;
        let ept = EptRules::of(&capabilities, &controls);
        Ok(Self { capabilities, cet, controls, ept })
    }

    /// Enters VMX operation, with a page for the VMXON region.
    ///
    /// # Errors
    /// [`RunError`] names the precondition that failed.
    pub fn enter<C: VmxInstructions + InvalidateTranslations>(
        &self,
        section: &mut CriticalSection<'_, C, PoolFrame>,
        vmxon: PoolFrame,
    ) -> Result<(), RunError> {
        section
            .enter(vmxon, &self.capabilities)
            .map_err(|refused| RunError::Enter(refused.error))?;
        // Whoever used VMX before may have left mappings cached.
        if let Some(scope) = self.ept.capabilities.invept_of_all() {
            section.invept(scope)?;
        }
        Ok(())
    }
}

/// IA32_XSS of one CPU: the hypervisor owns it, and knows what it holds.
#[derive(Clone, Copy, Debug)]
pub struct XssRegister {
    host: u64,
    /// What the register holds; `None` where the CPU has none.
    now: Option<u64>,
}

impl XssRegister {
    /// Fixes the host's value and loads it.
    pub fn new<C: Cpuid + Msr>(cpu: &mut C, cet: &CpuCet, host: u64) -> Self {
        let mut register = Self { host, now: cet.xsaves.then_some(0) };
        if cet.xsaves {
            register.now = Some(!host);
            register.load_host(cpu);
        }
        register
    }

    /// Loads the host's value, if it is not there.
    pub fn load_host<C: Msr>(&mut self, cpu: &mut C) {
        self.load(cpu, self.host);
    }

    /// Loads a value that the CPU supports, if it is not there.
    pub fn load<C: Msr>(&mut self, cpu: &mut C, value: u64) {
        if self.now.is_some_and(|now| now != value) {
            // SAFETY: the register exists (`now` is `Some`); the value is the host's
            // or one that `VcpuCet` took from the guest, both checked against the
            // bits that the CPU supports. It only decides which components XSAVES
            // and XRSTORS move, and nothing here keeps state in one.
            unsafe { cpu.write_msr(MsrIndex::IA32_XSS, value) };
            self.now = Some(value);
        }
    }
}
