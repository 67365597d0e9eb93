//! Guest-state defaults.

use crate::access_rights::AccessRights;
use crate::capability::Capabilities;
use crate::control::EntryControls;
use crate::cpu::VmcsAccess;
use crate::error::VmxError;
use crate::field;
use crate::ssp::CetControl;

/// A guest in 64-bit mode, ring 0, with flat segments and interrupts off.
///
/// The fields are what a loader decides; [`write`](Self::write) fills the whole
/// guest-state area from them. Addresses are guest-linear except `cr3`. The
/// segments' hidden parts are usable as they are; a GDT with selectors 8 (64-bit
/// code), 16 (data) and 24 (TSS, busy) matches them once the guest reloads one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GuestState64 {
    /// Where the guest starts.
    pub rip: u64,
    /// Its stack pointer.
    pub rsp: u64,
    /// Guest-physical address of its top-level page table.
    pub cr3: u64,
    /// CR0 bits wanted beyond PE, PG and those that VMX fixes.
    pub cr0: u64,
    /// CR4 bits wanted beyond PAE and those that VMX fixes.
    pub cr4: u64,
    /// Base and limit of the GDT, the limit in bytes minus one.
    pub gdt: (u64, u32),
    /// Base and limit of the IDT.
    pub idt: (u64, u32),
    /// Base and limit of the 64-bit TSS; the limit is at least 67h.
    pub tss: (u64, u32),
}

impl GuestState64 {
    /// CR0.PE, PG.
    const CR0: u64 = 1 << 31 | 1;
    /// CR4.PAE.
    const CR4: u64 = 1 << 5;
    /// IA32_EFER.LME, LMA.
    const EFER: u64 = 1 << 8 | 1 << 10;
    /// IA32_PAT after reset.
    const PAT: u64 = 0x0007_0406_0007_0406;

    /// CR0 as the guest starts with it.
    pub const fn full_cr0(&self, capabilities: &Capabilities) -> u64 {
        capabilities.cr0_fixed.apply(self.cr0 | Self::CR0)
    }

    /// CR4 as the guest starts with it, VMXE included.
    pub const fn full_cr4(&self, capabilities: &Capabilities) -> u64 {
        capabilities.cr4_fixed.apply(self.cr4 | Self::CR4)
    }

    /// Writes the whole guest-state area of the current VMCS. EFER, PAT and the
    /// CET state (all off) are written where `controls`, the VM-entry controls in
    /// use, load them.
    ///
    /// # Errors
    /// [`VmxError`] of the VMWRITE that failed.
    pub fn write<V: VmcsAccess>(
        &self,
        vmcs: &mut V,
        capabilities: &Capabilities,
        controls: EntryControls,
    ) -> Result<(), VmxError> {
        const CODE: AccessRights = AccessRights::CODE_64;
        const DATA: AccessRights = AccessRights::DATA;
        use field::*;

        vmcs.write(GUEST_CR0, self.full_cr0(capabilities))?;
        vmcs.write(GUEST_CR3, self.cr3)?;
        vmcs.write(GUEST_CR4, self.full_cr4(capabilities))?;
        vmcs.write(GUEST_DR7, 0x400)?;
        vmcs.write(GUEST_RIP, self.rip)?;
        vmcs.write(GUEST_RSP, self.rsp)?;
        vmcs.write(GUEST_RFLAGS, 2)?;

        for (selector, base, limit, rights, value, kind) in [
            (GUEST_CS_SELECTOR, GUEST_CS_BASE, GUEST_CS_LIMIT, GUEST_CS_ACCESS_RIGHTS, 8, CODE),
            (GUEST_SS_SELECTOR, GUEST_SS_BASE, GUEST_SS_LIMIT, GUEST_SS_ACCESS_RIGHTS, 16, DATA),
            (GUEST_DS_SELECTOR, GUEST_DS_BASE, GUEST_DS_LIMIT, GUEST_DS_ACCESS_RIGHTS, 16, DATA),
            (GUEST_ES_SELECTOR, GUEST_ES_BASE, GUEST_ES_LIMIT, GUEST_ES_ACCESS_RIGHTS, 16, DATA),
            (GUEST_FS_SELECTOR, GUEST_FS_BASE, GUEST_FS_LIMIT, GUEST_FS_ACCESS_RIGHTS, 16, DATA),
            (GUEST_GS_SELECTOR, GUEST_GS_BASE, GUEST_GS_LIMIT, GUEST_GS_ACCESS_RIGHTS, 16, DATA),
        ] {
            vmcs.write(selector, value)?;
            vmcs.write(base, 0)?;
            vmcs.write(limit, u32::MAX)?;
            vmcs.write(rights, kind)?;
        }
        vmcs.write(GUEST_LDTR_SELECTOR, 0)?;
        vmcs.write(GUEST_LDTR_BASE, 0)?;
        vmcs.write(GUEST_LDTR_LIMIT, 0)?;
        vmcs.write(GUEST_LDTR_ACCESS_RIGHTS, AccessRights::UNUSABLE)?;
        vmcs.write(GUEST_TR_SELECTOR, 24)?;
        vmcs.write(GUEST_TR_BASE, self.tss.0)?;
        vmcs.write(GUEST_TR_LIMIT, self.tss.1)?;
        vmcs.write(GUEST_TR_ACCESS_RIGHTS, AccessRights::BUSY_TSS)?;
        vmcs.write(GUEST_GDTR_BASE, self.gdt.0)?;
        vmcs.write(GUEST_GDTR_LIMIT, self.gdt.1)?;
        vmcs.write(GUEST_IDTR_BASE, self.idt.0)?;
        vmcs.write(GUEST_IDTR_LIMIT, self.idt.1)?;

        vmcs.write(VMCS_LINK_POINTER, u64::MAX)?;
        vmcs.write(GUEST_IA32_DEBUGCTL, 0)?;
        vmcs.write(GUEST_IA32_SYSENTER_CS, 0)?;
        vmcs.write(GUEST_IA32_SYSENTER_ESP, 0)?;
        vmcs.write(GUEST_IA32_SYSENTER_EIP, 0)?;
        vmcs.write(GUEST_INTERRUPTIBILITY_STATE, 0)?;
        vmcs.write(GUEST_ACTIVITY_STATE, 0)?;
        vmcs.write(GUEST_PENDING_DEBUG_EXCEPTIONS, 0)?;
        if controls.contains(EntryControls::LOAD_IA32_EFER) {
            vmcs.write(GUEST_IA32_EFER, Self::EFER)?;
        }
        if controls.contains(EntryControls::LOAD_IA32_PAT) {
            vmcs.write(GUEST_IA32_PAT, Self::PAT)?;
        }
        if controls.contains(EntryControls::LOAD_CET_STATE) {
            vmcs.write(GUEST_S_CET, CetControl::empty())?;
            vmcs.write(GUEST_SSP, 0)?;
            vmcs.write(GUEST_INTERRUPT_SSP_TABLE_ADDR, 0)?;
        }
        Ok(())
    }
}
