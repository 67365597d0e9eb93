//! A guest in real mode.

use super::{GuestArea, Segment};
use crate::capability::capabilities::Capabilities;
use crate::control::entry::EntryControls;
use crate::cpu::register_bits::{Cr0, Cr4};
use crate::cpu::vmcs_access::VmcsAccess;
use crate::vmcs::access_rights::AccessRights;
use crate::vmcs::error::VmxError;

/// A guest in real mode with interrupts off. The control "unrestricted guest" must
/// be 1, and with it "enable EPT"; the VM-entry control "IA-32e mode guest" must
/// be 0.
///
/// The interrupt vectors are at 0, every limit is FFFFh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestStateReal {
    /// CS.
    pub code_selector: u16,
    /// The base of CS: the selector shifted left by 4, but after reset.
    pub code_base: u32,
    /// Where the guest starts in that segment.
    pub ip: u16,
    /// SS, DS, ES, FS and GS; their base is the selector shifted left by 4.
    pub data_selector: u16,
    /// The stack pointer.
    pub sp: u16,
    /// CR0 bits wanted beyond those that VMX fixes; PE and PG are 0.
    pub cr0: Cr0,
    /// CR4 bits wanted beyond those that VMX fixes.
    pub cr4: Cr4,
}

impl GuestStateReal {
    /// A processor after RESET or INIT: it starts at FFFFFFF0h with caches off
    /// (CR0.CD and NW).
    pub const AFTER_RESET: Self = Self {
        code_selector: 0xF000,
        code_base: 0xFFFF_0000,
        ip: 0xFFF0,
        data_selector: 0,
        sp: 0,
        cr0: Cr0::CD.union(Cr0::NW).union(Cr0::ET),
        cr4: Cr4::empty(),
    };

    /// Starts at `selector`:`ip` with the other segments at 0 and the stack below
    /// 10000h. A boot sector starts at 0:7C00h, a processor that got a start-up IPI
    /// with vector v at (v << 8):0.
    pub const fn at(selector: u16, ip: u16) -> Self {
        let code_base = (selector as u32) << 4;
        let (cr0, cr4) = (Cr0::empty(), Cr4::empty());
        Self { code_selector: selector, code_base, ip, data_selector: 0, sp: 0, cr0, cr4 }
    }

    /// CR0 as the guest starts with it.
    pub const fn full_cr0(&self, capabilities: &Capabilities) -> Cr0 {
        let fixed = Cr0::from_bits_retain(capabilities.cr0_fixed.apply(self.cr0.bits()));
        fixed.difference(Cr0::PE.union(Cr0::PG))
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
        const LIMIT: u32 = 0xFFFF;
        let area = GuestArea {
            cr0: self.full_cr0(capabilities),
            cr3: 0,
            cr4: self.full_cr4(capabilities),
            efer: 0,
            rip: self.ip.into(),
            rsp: self.sp.into(),
            code: Segment {
                selector: self.code_selector,
                base: self.code_base.into(),
                limit: LIMIT,
                rights: AccessRights::REAL_MODE_CODE,
            },
            data: Segment {
                selector: self.data_selector,
                base: u64::from(self.data_selector) << 4,
                limit: LIMIT,
                rights: AccessRights::REAL_MODE_DATA,
            },
            task: Segment { selector: 0, base: 0, limit: LIMIT, rights: AccessRights::BUSY_TSS },
            gdt: (0, LIMIT),
            idt: (0, LIMIT),
        };
        area.write(vmcs, controls)
    }
}
