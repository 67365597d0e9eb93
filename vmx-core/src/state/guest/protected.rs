//! A guest in 32-bit protected mode.

use super::{GuestArea, Segment};
use crate::capability::capabilities::Capabilities;
use crate::control::entry::EntryControls;
use crate::cpu::register_bits::{Cr0, Cr4};
use crate::cpu::vmcs_access::VmcsAccess;
use crate::vmcs::access_rights::AccessRights;
use crate::vmcs::error::VmxError;

/// A guest in 32-bit protected mode, ring 0, with flat segments and interrupts
/// off. The VM-entry control "IA-32e mode guest" must be 0.
///
/// Without the control "unrestricted guest" VMX fixes CR0.PG to 1, so `cr3` must
/// point to a page directory. With CR4.PAE wanted and EPT in use, the four
/// [`GUEST_PDPTE_0`](crate::vmcs::field::GUEST_PDPTE_0) and so on are for the caller to
/// write. Selectors are those of [`GuestState64`](super::GuestState64).
///
/// ```
/// use vmx_core::Capabilities;
/// use vmx_core::state::GuestState32;
/// # use vmx_core::capability::FixedBits;
/// # let cr0_fixed = FixedBits { must_be_one: 0x8000_0021, may_be_one: 0xFFFF_FFFF };
/// # let cpu = Capabilities { cr0_fixed, ..Capabilities::NOTHING };
/// let unpaged = GuestState32 { is_unrestricted: true, ..GuestState32::default() };
/// assert_eq!(unpaged.full_cr0(&cpu).bits(), 0x21);
/// assert_eq!(GuestState32::default().full_cr0(&cpu).bits(), 0x8000_0021);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GuestState32 {
    /// Where the guest starts.
    pub eip: u32,
    /// Its stack pointer.
    pub esp: u32,
    /// Guest-physical address of its page directory, if it pages.
    pub cr3: u32,
    /// CR0 bits wanted beyond PE and those that VMX fixes; PG for an unrestricted
    /// guest that pages.
    pub cr0: Cr0,
    /// CR4 bits wanted beyond those that VMX fixes.
    pub cr4: Cr4,
    /// Base and limit of the GDT, the limit in bytes minus one.
    pub gdt: (u32, u32),
    /// Base and limit of the IDT.
    pub idt: (u32, u32),
    /// Base and limit of the 32-bit TSS; the limit is at least 67h.
    pub tss: (u32, u32),
    /// Whether the control "unrestricted guest" is 1.
    pub is_unrestricted: bool,
}

impl GuestState32 {
    /// CR0 as the guest starts with it.
    pub const fn full_cr0(&self, capabilities: &Capabilities) -> Cr0 {
        let mut fixed = capabilities.cr0_fixed;
        if self.is_unrestricted {
            fixed.must_be_one &= !Cr0::PG.bits();
        }
        Cr0::from_bits_retain(fixed.apply(self.cr0.union(Cr0::PE).bits()))
    }

    /// CR4 as the guest starts with it, VMXE included.
    pub const fn full_cr4(&self, capabilities: &Capabilities) -> Cr4 {
        Cr4::from_bits_retain(capabilities.cr4_fixed.apply(self.cr4.bits()))
    }

    /// Writes the whole guest-state area of the current VMCS, as
    /// [`GuestState64::write`](super::GuestState64::write) does.
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
            cr3: self.cr3.into(),
            cr4: self.full_cr4(capabilities),
            efer: 0,
            rip: self.eip.into(),
            rsp: self.esp.into(),
            code: flat(8, AccessRights::CODE_32),
            data: flat(16, AccessRights::DATA),
            task: Segment {
                selector: 24,
                base: self.tss.0.into(),
                limit: self.tss.1,
                rights: AccessRights::BUSY_TSS,
            },
            gdt: (self.gdt.0.into(), self.gdt.1),
            idt: (self.idt.0.into(), self.idt.1),
        };
        area.write(vmcs, controls)
    }
}
