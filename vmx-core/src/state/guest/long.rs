//! A guest in 64-bit mode.

use super::{EFER_LME_LMA, GuestArea, Segment};
use crate::capability::capabilities::Capabilities;
use crate::control::entry::EntryControls;
use crate::cpu::register_bits::{Cr0, Cr4};
use crate::cpu::vmcs_access::VmcsAccess;
use crate::vmcs::access_rights::AccessRights;
use crate::vmcs::error::VmxError;

/// A guest in 64-bit mode, ring 0, with flat segments and interrupts off. The
/// VM-entry control "IA-32e mode guest" must be 1.
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
    pub cr0: Cr0,
    /// CR4 bits wanted beyond PAE and those that VMX fixes.
    pub cr4: Cr4,
    /// Base and limit of the GDT, the limit in bytes minus one.
    pub gdt: (u64, u32),
    /// Base and limit of the IDT.
    pub idt: (u64, u32),
    /// Base and limit of the 64-bit TSS; the limit is at least 67h.
    pub tss: (u64, u32),
}

impl GuestState64 {
    /// CR0 as the guest starts with it.
    pub const fn full_cr0(&self, capabilities: &Capabilities) -> Cr0 {
        let wanted = self.cr0.union(Cr0::PE).union(Cr0::PG);
        Cr0::from_bits_retain(capabilities.cr0_fixed.apply(wanted.bits()))
    }

    /// CR4 as the guest starts with it, VMXE included.
    pub const fn full_cr4(&self, capabilities: &Capabilities) -> Cr4 {
        let wanted = self.cr4.union(Cr4::PAE);
        Cr4::from_bits_retain(capabilities.cr4_fixed.apply(wanted.bits()))
    }

    /// Writes the whole guest-state area of the current VMCS but for the CET fields
    /// ([`GuestCetState`](super::GuestCetState)). EFER, PAT and other MSRs (off) are
    /// written where `controls`, the VM-entry controls in use, load them.
    ///
    /// # Errors
    /// [`VmxError`] of the VMWRITE that failed.
    pub fn write<V: VmcsAccess>(
        &self,
        vmcs: &mut V,
        capabilities: &Capabilities,
        controls: EntryControls,
    ) -> Result<(), VmxError> {
        let flat = |selector, rights| Segment { selector, base: 0, limit: u32::MAX, rights };
        let area = GuestArea {
            cr0: self.full_cr0(capabilities),
            cr3: self.cr3,
            cr4: self.full_cr4(capabilities),
            efer: EFER_LME_LMA,
            rip: self.rip,
            rsp: self.rsp,
            code: flat(8, AccessRights::CODE_64),
            data: flat(16, AccessRights::DATA),
            task: Segment {
                selector: 24,
                base: self.tss.0,
                limit: self.tss.1,
                rights: AccessRights::BUSY_TSS,
            },
            gdt: self.gdt,
            idt: self.idt,
        };
        area.write(vmcs, controls)
    }
}
