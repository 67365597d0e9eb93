//! The host-state area, filled from the running CPU.
//!
//! ```
//! use vmx_core::control::ExitControls;
//! use vmx_core::vmcs::FieldValues;
//! use vmx_core::state::HostState;
//! use vmx_core::vmcs::field;
//! let host = HostState { cr3: 0x1000, efer: 0x500, pkrs: Some(0), ..HostState::default() };
//! // Values in memory stand for the current VMCS.
//! let mut vmcs = FieldValues::new();
//! host.write(&mut vmcs, ExitControls::LOAD_IA32_EFER | ExitControls::LOAD_PKRS).unwrap();
//! assert_eq!(vmcs.get(field::HOST_CR3), Some(0x1000));
//! assert_eq!(vmcs.get(field::HOST_IA32_EFER), Some(0x500));
//! assert_eq!(vmcs.get(field::HOST_IA32_PKRS), Some(0));
//! assert_eq!(vmcs.get(field::HOST_IA32_PAT), None);
//! ```

use crate::capability::capabilities::Capabilities;
use crate::cet::control::CetControl;
use crate::control::exit::{ExitControls, SecondaryExitControls};
use crate::control::set::ControlSet;
use crate::cpu::control_registers::ControlRegisters;
use crate::cpu::msr::Msr;
use crate::cpu::register_bits::{Cr0, Cr4};
use crate::cpu::segments::{SegmentState, Segments};
use crate::cpu::vmcs_access::VmcsAccess;
use crate::msr::named::NamedMsr;
use crate::vmcs::error::VmxError;
use crate::vmcs::field;

/// What VM exit restores, apart from RSP, RIP and SSP, which the world switch
/// writes at every entry. Selectors and bases as the CPU has them, in a 64-bit host.
///
/// Read it again when the host changes any of it: another CR3, another task's FS
/// and GS base, CET switched on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // Each field is the register of its name.
pub struct HostState {
    pub cr0: Cr0,
    pub cr3: u64,
    pub cr4: Cr4,
    pub segments: SegmentState,
    pub fs_base: u64,
    pub gs_base: u64,
    pub sysenter_cs: u32,
    pub sysenter_esp: u64,
    pub sysenter_eip: u64,
    pub efer: u64,
    pub pat: u64,
    /// `None` where the CPU has no CET, and then the fields do not exist either.
    pub cet: Option<HostCetState>,
    /// IA32_PERF_GLOBAL_CTRL; `None` where VM exit does not load it, as the next.
    pub perf_global_ctrl: Option<u64>,
    /// IA32_PKRS.
    pub pkrs: Option<u64>,
    /// IA32_SPEC_CTRL.
    pub spec_ctrl: Option<u64>,
    /// The FRED state.
    pub fred: Option<HostFredState>,
}

/// The host's CET state outside SSP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostCetState {
    /// IA32_S_CET.
    pub s_cet: CetControl,
    /// IA32_INTERRUPT_SSP_TABLE_ADDR; 0 without shadow stacks.
    pub interrupt_ssp_table_address: u64,
}

/// The host's FRED state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // Each field is the MSR of its name.
pub struct HostFredState {
    pub config: u64,
    pub stack_levels: u64,
    /// IA32_FRED_RSP1 to IA32_FRED_RSP3.
    pub rsp: [u64; 3],
    /// IA32_FRED_SSP1 to IA32_FRED_SSP3.
    pub ssp: [u64; 3],
}

impl HostFredState {
    fn from_cpu<C: Msr>(cpu: &mut C) -> Self {
        use NamedMsr::{FredRsp1, FredRsp2, FredRsp3, FredSsp1, FredSsp2, FredSsp3};
        Self {
            config: cpu.read_named(NamedMsr::FredConfig),
            stack_levels: cpu.read_named(NamedMsr::FredStklvls),
            rsp: [FredRsp1, FredRsp2, FredRsp3].map(|msr| cpu.read_named(msr)),
            ssp: [FredSsp1, FredSsp2, FredSsp3].map(|msr| cpu.read_named(msr)),
        }
    }

    fn write<V: VmcsAccess>(&self, vmcs: &mut V) -> Result<(), VmxError> {
        let [rsp1, rsp2, rsp3] = self.rsp;
        let [ssp1, ssp2, ssp3] = self.ssp;
        vmcs.write(field::HOST_IA32_FRED_CONFIG, self.config)?;
        vmcs.write(field::HOST_IA32_FRED_STKLVLS, self.stack_levels)?;
        vmcs.write(field::HOST_IA32_FRED_RSP1, rsp1)?;
        vmcs.write(field::HOST_IA32_FRED_RSP2, rsp2)?;
        vmcs.write(field::HOST_IA32_FRED_RSP3, rsp3)?;
        vmcs.write(field::HOST_IA32_FRED_SSP1, ssp1)?;
        vmcs.write(field::HOST_IA32_FRED_SSP2, ssp2)?;
        vmcs.write(field::HOST_IA32_FRED_SSP3, ssp3)
    }
}

impl HostState {
    /// Reads the running CPU. CET state is read where the exit controls can load
    /// it, which is where its fields exist; the MSRs of rarer features only where
    /// `controls`, those in use, load them. Some emulated CPUs offer such a control
    /// without the MSR: reading it raises #GP(0) in the host.
    pub fn from_cpu<C>(cpu: &mut C, capabilities: &Capabilities, controls: &ControlSet) -> Self
    where
        C: Msr + ControlRegisters + Segments,
    {
        let has_fields = capabilities.exit.allows(ExitControls::LOAD_CET_STATE);
        let cet = (capabilities.has_cet() && has_fields).then(|| HostCetState {
            s_cet: CetControl::from_bits_retain(cpu.read_named(NamedMsr::SCet)),
            interrupt_ssp_table_address: if capabilities.has_shadow_stacks {
                cpu.read_named(NamedMsr::InterruptSspTableAddr)
            } else {
                0
            },
        });
        let mut read_if = |is_loaded: bool, msr| is_loaded.then(|| cpu.read_named(msr));
        let (exit, secondary) = (controls.exit, controls.secondary_exit);
        let has_fred = secondary.contains(SecondaryExitControls::LOAD_FRED_STATE);
        Self {
            perf_global_ctrl: read_if(
                exit.contains(ExitControls::LOAD_IA32_PERF_GLOBAL_CTRL),
                NamedMsr::PerfGlobalCtrl,
            ),
            pkrs: read_if(exit.contains(ExitControls::LOAD_PKRS), NamedMsr::Pkrs),
            spec_ctrl: read_if(
                secondary.contains(SecondaryExitControls::LOAD_IA32_SPEC_CTRL),
                NamedMsr::SpecCtrl,
            ),
            fred: has_fred.then(|| HostFredState::from_cpu(cpu)),
            cr0: cpu.read_cr0(),
            cr3: cpu.read_cr3(),
            cr4: cpu.read_cr4(),
            segments: cpu.segments(),
            fs_base: cpu.read_named(NamedMsr::FsBase),
            gs_base: cpu.read_named(NamedMsr::GsBase),
            sysenter_cs: cpu.read_named(NamedMsr::SysenterCs) as u32,
            sysenter_esp: cpu.read_named(NamedMsr::SysenterEsp),
            sysenter_eip: cpu.read_named(NamedMsr::SysenterEip),
            efer: cpu.read_named(NamedMsr::Efer),
            pat: cpu.read_named(NamedMsr::Pat),
            cet,
        }
    }

    /// Writes the host-state area of the current VMCS. EFER and PAT are written
    /// where `controls`, the VM-exit controls in use, load them; what is `None` is
    /// left out. RPL and TI of the selectors are cleared, as VM entry demands.
    ///
    /// # Errors
    /// [`VmxError`] of the VMWRITE that failed.
    pub fn write<V: VmcsAccess>(
        &self,
        vmcs: &mut V,
        controls: ExitControls,
    ) -> Result<(), VmxError> {
        const RPL_AND_TI: u16 = 0b111;
        let segments = &self.segments;
        vmcs.write(field::HOST_CR0, self.cr0)?;
        vmcs.write(field::HOST_CR3, self.cr3)?;
        vmcs.write(field::HOST_CR4, self.cr4)?;
        vmcs.write(field::HOST_ES_SELECTOR, segments.es & !RPL_AND_TI)?;
        vmcs.write(field::HOST_CS_SELECTOR, segments.cs & !RPL_AND_TI)?;
        vmcs.write(field::HOST_SS_SELECTOR, segments.ss & !RPL_AND_TI)?;
        vmcs.write(field::HOST_DS_SELECTOR, segments.ds & !RPL_AND_TI)?;
        vmcs.write(field::HOST_FS_SELECTOR, segments.fs & !RPL_AND_TI)?;
        vmcs.write(field::HOST_GS_SELECTOR, segments.gs & !RPL_AND_TI)?;
        vmcs.write(field::HOST_TR_SELECTOR, segments.tr & !RPL_AND_TI)?;
        vmcs.write(field::HOST_TR_BASE, segments.tr_base)?;
        vmcs.write(field::HOST_GDTR_BASE, segments.gdtr_base)?;
        vmcs.write(field::HOST_IDTR_BASE, segments.idtr_base)?;
        vmcs.write(field::HOST_FS_BASE, self.fs_base)?;
        vmcs.write(field::HOST_GS_BASE, self.gs_base)?;
        vmcs.write(field::HOST_IA32_SYSENTER_CS, self.sysenter_cs)?;
        vmcs.write(field::HOST_IA32_SYSENTER_ESP, self.sysenter_esp)?;
        vmcs.write(field::HOST_IA32_SYSENTER_EIP, self.sysenter_eip)?;
        if controls.contains(ExitControls::LOAD_IA32_EFER) {
            vmcs.write(field::HOST_IA32_EFER, self.efer)?;
        }
        if controls.contains(ExitControls::LOAD_IA32_PAT) {
            vmcs.write(field::HOST_IA32_PAT, self.pat)?;
        }
        for (field, value) in [
            (field::HOST_IA32_PERF_GLOBAL_CTRL, self.perf_global_ctrl),
            (field::HOST_IA32_PKRS, self.pkrs),
            (field::HOST_IA32_SPEC_CTRL, self.spec_ctrl),
        ] {
            if let Some(value) = value {
                vmcs.write(field, value)?;
            }
        }
        if let Some(fred) = self.fred {
            fred.write(vmcs)?;
        }
        if let Some(cet) = self.cet {
            vmcs.write(field::HOST_S_CET, cet.s_cet)?;
            vmcs.write(field::HOST_SSP, 0)?;
            vmcs.write(field::HOST_INTERRUPT_SSP_TABLE_ADDR, cet.interrupt_ssp_table_address)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
