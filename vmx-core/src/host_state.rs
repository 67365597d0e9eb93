//! The host-state area, filled from the running CPU.

use crate::capability::Capabilities;
use crate::control::ExitControls;
use crate::cpu::{ControlRegisters, Cpuid, Msr, SegmentState, Segments, VmcsAccess};
use crate::error::VmxError;
use crate::field;
use crate::msr::NamedMsr;
use crate::ssp::CetControl;

/// What VM exit restores, apart from RSP, RIP and SSP, which the world switch
/// writes at every entry. Selectors and bases as the CPU has them, in a 64-bit host.
///
/// Read it again when the host changes any of it: another CR3, another task's FS
/// and GS base, CET switched on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // Each field is the register of its name.
pub struct HostState {
    pub cr0: u64,
    pub cr3: u64,
    pub cr4: u64,
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
}

/// The host's CET state outside SSP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostCetState {
    /// IA32_S_CET.
    pub s_cet: CetControl,
    /// IA32_INTERRUPT_SSP_TABLE_ADDR; 0 without shadow stacks.
    pub interrupt_ssp_table_address: u64,
}

impl HostState {
    /// Reads the running CPU. CET state is read where the exit controls can load
    /// it, which is where its fields exist.
    pub fn from_cpu<C>(cpu: &mut C, capabilities: &Capabilities) -> Self
    where
        C: Cpuid + Msr + ControlRegisters + Segments,
    {
        let features = cpu.cpuid(7, 0);
        let (shadow_stacks, tracking) = (features.ecx & 1 << 7 != 0, features.edx & 1 << 20 != 0);
        let has_fields = capabilities.exit.allows(ExitControls::LOAD_CET_STATE);
        let cet = ((shadow_stacks || tracking) && has_fields).then(|| HostCetState {
            s_cet: CetControl::from_bits_retain(cpu.read_named(NamedMsr::SCet)),
            interrupt_ssp_table_address: if shadow_stacks {
                cpu.read_named(NamedMsr::InterruptSspTableAddr)
            } else {
                0
            },
        });
        Self {
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
    /// where `controls`, the VM-exit controls in use, load them. RPL and TI of the
    /// selectors are cleared, as VM entry demands.
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
        if let Some(cet) = self.cet {
            vmcs.write(field::HOST_S_CET, cet.s_cet)?;
            vmcs.write(field::HOST_SSP, 0)?;
            vmcs.write(field::HOST_INTERRUPT_SSP_TABLE_ADDR, cet.interrupt_ssp_table_address)?;
        }
        Ok(())
    }
}
