//! Entering and leaving VMX operation on one CPU.
//!
//! Entering looks at everything first and decides ([`Observed::plan`], a function
//! of plain values), and only then changes anything.
//! Source: SDM, "Enabling and Entering VMX Operation", "Restrictions on VMX
//! Operation".

use vmx_core::capability::Capabilities;
use vmx_core::cpu::{
    ControlRegisters, Cpuid, Cr0, Cr4, InvalidateTranslations, InveptScope, InvvpidScope, Msr,
    VmxInstructions,
};
use vmx_core::msr::NamedMsr;
use vmx_core::vmcs::{EnterError, VmcsPointer, VmxonPointer};
use vmx_core::{MsrIndex, PhysicalAddress, VmxError};

use crate::cpuid::local_apic_id;
use crate::{BareMetal, CpuidInstruction, SwitchOptions, instructions};

/// CPUID.1:ECX, VMX.
const CPUID_VMX: u32 = 1 << 5;
/// IA32_FEATURE_CONTROL: locked until reset.
const LOCK: u64 = 1 << 0;
/// IA32_FEATURE_CONTROL: VMXON is allowed outside SMX operation.
const VMXON_OUTSIDE_SMX: u64 = 1 << 2;

// SAFETY: (1, 2) Each method executes the instruction that its name says and answers what
// the flags say (SDM, "VMX Instruction Reference"); after VMXOFF and VMCLEAR the CPU does
// not use the region. VMXON and VMPTRLD that fail leave everything as it was. (3) The
// other methods execute neither.
unsafe impl<O: SwitchOptions> VmxInstructions for BareMetal<O> {
    /// The preconditions are checked in the order of [`EnterError`]'s cases: CPUID,
    /// IA32_FEATURE_CONTROL, CR0, CR4, the capabilities. An unlocked
    /// IA32_FEATURE_CONTROL is locked with VMXON enabled just before VMXON, and
    /// stays so until reset even if VMXON fails. CR4.VMXE may be 1 already, as the fixed
    /// bits ask for it; it is 0 after VMX operation was left.
    fn enter_vmx_operation(
        &mut self,
        region: &VmxonPointer,
        capabilities: &Capabilities,
    ) -> Result<(), EnterError> {
        let observed = observe(self)?;
        let plan = observed.plan(capabilities)?;
        if let Some(value) = plan.feature_control {
            // SAFETY: the MSR exists with VMX and is not locked; the value adds the
            // lock and VMXON outside SMX, which change nothing for running code.
            unsafe { self.write_msr(MsrIndex::IA32_FEATURE_CONTROL, value) };
        }
        // SAFETY: the running value and VMXE, which a CPU with VMX accepts.
        unsafe { self.write_cr4(plan.cr4) };
        // SAFETY: ring 0; `plan` has checked what VMXON checks; the region's page was
        // given to VMX with its physical address.
        let result = unsafe { instructions::vmxon(region.address()) };
        result.map_err(|error| {
            // SAFETY: the value from before.
            unsafe { self.write_cr4(observed.cr4) };
            if observed.cr4.contains(Cr4::VMXE) {
                EnterError::InUse(error)
            } else {
                EnterError::Vmxon(error)
            }
        })
    }

    fn leave_vmx_operation(&mut self, _region: &VmxonPointer) -> Result<(), VmxError> {
        // SAFETY: ring 0. VMCSs that are still active lose data, which the trait
        // tells the caller; memory safety does not depend on it.
        unsafe { instructions::vmxoff()? };
        let cr4 = self.read_cr4() - Cr4::VMXE;
        // SAFETY: the running value without VMXE, which is free outside VMX operation.
        unsafe { self.write_cr4(cr4) };
        Ok(())
    }

    fn vmclear(&mut self, region: &VmcsPointer) -> Result<(), VmxError> {
        // SAFETY: ring 0; the region's page was given to VMX.
        unsafe { instructions::vmclear(region.address()) }
    }

    fn vmptrld(&mut self, region: &VmcsPointer) -> Result<(), VmxError> {
        // SAFETY: ring 0; the region's page was given to VMX.
        unsafe { instructions::vmptrld(region.address()) }
    }

    fn current_vmcs(&mut self) -> Option<PhysicalAddress> {
        // SAFETY: ring 0 by the contract of `BareMetal::new`; #UD is handled.
        unsafe { instructions::vmptrst() }
    }

    fn local_apic_id(&mut self) -> Option<u32> {
        Some(local_apic_id(&mut CpuidInstruction))
    }
}

impl<O: SwitchOptions> InvalidateTranslations for BareMetal<O> {
    fn invept(&mut self, scope: InveptScope) -> Result<(), VmxError> {
        // SAFETY: ring 0; dropping cached translations is always allowed.
        unsafe { instructions::invept(scope) }
    }

    fn invvpid(&mut self, scope: InvvpidScope) -> Result<(), VmxError> {
        // SAFETY: ring 0; dropping cached translations is always allowed.
        unsafe { instructions::invvpid(scope) }
    }
}

/// What entering VMX operation depends on, on a CPU that has VMX.
#[derive(Clone, Copy, Debug)]
struct Observed {
    feature_control: u64,
    cr0: Cr0,
    cr4: Cr4,
    capabilities: Capabilities,
}

/// What entering VMX operation changes before VMXON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    /// The value to lock IA32_FEATURE_CONTROL with, if it is not locked.
    feature_control: Option<u64>,
    /// CR4 with VMXE.
    cr4: Cr4,
}

/// Reads it all; no VMX MSR on a CPU without VMX, where that raises #GP(0).
fn observe<C: Cpuid + Msr + ControlRegisters>(cpu: &mut C) -> Result<Observed, EnterError> {
    if cpu.cpuid(1, 0).ecx & CPUID_VMX == 0 {
        return Err(EnterError::NoVmx);
    }
    Ok(Observed {
        feature_control: cpu.read_named(NamedMsr::FeatureControl),
        cr0: cpu.read_cr0(),
        cr4: cpu.read_cr4(),
        capabilities: Capabilities::read(cpu).map_err(|_| EnterError::NoVmx)?,
    })
}

impl Observed {
    /// Checks every precondition, for a hypervisor that goes by `capabilities`.
    fn plan(&self, capabilities: &Capabilities) -> Result<Plan, EnterError> {
        let feature_control = self.feature_control;
        let is_locked = feature_control & LOCK != 0;
        if is_locked && feature_control & VMXON_OUTSIDE_SMX == 0 {
            return Err(EnterError::LockedByFirmware { feature_control });
        }
        let Capabilities { cr0_fixed, cr4_fixed, .. } = self.capabilities;
        let cr0 = self.cr0.bits();
        let (missing, excess) = (cr0_fixed.missing(cr0), cr0_fixed.excess(cr0));
        if missing | excess != 0 {
            return Err(EnterError::Cr0 { missing, excess });
        }
        let cr4 = self.cr4 | Cr4::VMXE;
        let (missing, excess) = (cr4_fixed.missing(cr4.bits()), cr4_fixed.excess(cr4.bits()));
        if missing | excess != 0 {
            return Err(EnterError::Cr4 { missing, excess });
        }
        if let Some(differs) = self.capabilities.first_difference(capabilities) {
            return Err(EnterError::OtherCapabilities { differs });
        }
        let feature_control =
            if is_locked { None } else { Some(feature_control | LOCK | VMXON_OUTSIDE_SMX) };
        Ok(Plan { feature_control, cr4 })
    }
}

#[cfg(test)]
mod tests;
