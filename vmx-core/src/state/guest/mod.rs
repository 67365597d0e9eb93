//! Guest-state defaults: the whole guest-state area from the few values that a
//! loader decides, for a guest that starts in 64-bit mode ([`GuestState64`]), in
//! 32-bit protected mode ([`GuestState32`]) or in real mode ([`GuestStateReal`]).
//!
//! All start in ring 0 with interrupts off, nothing blocked, no event pending and no
//! breakpoint set. The fields of CET are apart, in [`GuestCetState`]: they belong to
//! whoever switches the guest's shadow stacks.
//!
//! ```
//! use vmx_core::control::EntryControls;
//! use vmx_core::vmcs::FieldValues;
//! use vmx_core::state::GuestStateReal;
//! use vmx_core::Capabilities;
//! use vmx_core::vmcs::{AccessRights, field};
//! // Values in memory stand for the current VMCS.
//! let mut vmcs = FieldValues::new();
//! let boot_sector = GuestStateReal::at(0, 0x7C00);
//! boot_sector.write(&mut vmcs, &Capabilities::NOTHING, EntryControls::empty()).unwrap();
//! assert_eq!(vmcs.get(field::GUEST_RIP), Some(0x7C00));
//! assert_eq!(vmcs.get(field::GUEST_CS_ACCESS_RIGHTS), Some(AccessRights::REAL_MODE_CODE));
//! ```

use crate::control::entry::EntryControls;
use crate::cpu::register_bits::{Cr0, Cr4, Rflags};
use crate::cpu::vmcs_access::VmcsAccess;
use crate::event::non_register_state::{
    ActivityState, InterruptibilityState, PendingDebugExceptions,
};
use crate::msr::value::{EFER_LMA, EFER_LME};
use crate::vmcs::access_rights::AccessRights;
use crate::vmcs::error::VmxError;
use crate::vmcs::field;
use crate::vmcs::field::Field;

pub use cet::GuestCetState;
pub use long::GuestState64;
pub use protected::GuestState32;
pub use real::GuestStateReal;

mod cet;
mod long;
mod protected;
mod real;

/// IA32_EFER.LME and LMA.
const EFER_LME_LMA: u64 = EFER_LME | EFER_LMA;
/// IA32_PAT after reset.
const PAT_AFTER_RESET: u64 = 0x0007_0406_0007_0406;
/// DR7 after reset: bit 10 is always 1.
const DR7_AFTER_RESET: u64 = 1 << 10;

/// A segment register with its hidden part.
#[derive(Clone, Copy, Debug)]
struct Segment {
    selector: u16,
    base: u64,
    limit: u32,
    rights: AccessRights,
}

impl Segment {
    const UNUSABLE: Self = Self { selector: 0, base: 0, limit: 0, rights: AccessRights::UNUSABLE };
}

/// The fields of a segment register.
struct SegmentFields {
    selector: Field<u16>,
    base: Field<u64>,
    limit: Field<u32>,
    rights: Field<AccessRights>,
}

impl SegmentFields {
    fn write<V: VmcsAccess>(&self, vmcs: &mut V, segment: Segment) -> Result<(), VmxError> {
        vmcs.write(self.selector, segment.selector)?;
        vmcs.write(self.base, segment.base)?;
        vmcs.write(self.limit, segment.limit)?;
        vmcs.write(self.rights, segment.rights)
    }
}

const CS: SegmentFields = SegmentFields {
    selector: field::GUEST_CS_SELECTOR,
    base: field::GUEST_CS_BASE,
    limit: field::GUEST_CS_LIMIT,
    rights: field::GUEST_CS_ACCESS_RIGHTS,
};

/// SS, DS, ES, FS and GS.
const DATA: [SegmentFields; 5] = [
    SegmentFields {
        selector: field::GUEST_SS_SELECTOR,
        base: field::GUEST_SS_BASE,
        limit: field::GUEST_SS_LIMIT,
        rights: field::GUEST_SS_ACCESS_RIGHTS,
    },
    SegmentFields {
        selector: field::GUEST_DS_SELECTOR,
        base: field::GUEST_DS_BASE,
        limit: field::GUEST_DS_LIMIT,
        rights: field::GUEST_DS_ACCESS_RIGHTS,
    },
    SegmentFields {
        selector: field::GUEST_ES_SELECTOR,
        base: field::GUEST_ES_BASE,
        limit: field::GUEST_ES_LIMIT,
        rights: field::GUEST_ES_ACCESS_RIGHTS,
    },
    SegmentFields {
        selector: field::GUEST_FS_SELECTOR,
        base: field::GUEST_FS_BASE,
        limit: field::GUEST_FS_LIMIT,
        rights: field::GUEST_FS_ACCESS_RIGHTS,
    },
    SegmentFields {
        selector: field::GUEST_GS_SELECTOR,
        base: field::GUEST_GS_BASE,
        limit: field::GUEST_GS_LIMIT,
        rights: field::GUEST_GS_ACCESS_RIGHTS,
    },
];

const LDTR: SegmentFields = SegmentFields {
    selector: field::GUEST_LDTR_SELECTOR,
    base: field::GUEST_LDTR_BASE,
    limit: field::GUEST_LDTR_LIMIT,
    rights: field::GUEST_LDTR_ACCESS_RIGHTS,
};

const TR: SegmentFields = SegmentFields {
    selector: field::GUEST_TR_SELECTOR,
    base: field::GUEST_TR_BASE,
    limit: field::GUEST_TR_LIMIT,
    rights: field::GUEST_TR_ACCESS_RIGHTS,
};

/// What the modes differ in.
#[derive(Clone, Copy, Debug)]
struct GuestArea {
    cr0: Cr0,
    cr3: u64,
    cr4: Cr4,
    efer: u64,
    rip: u64,
    rsp: u64,
    code: Segment,
    data: Segment,
    task: Segment,
    gdt: (u64, u32),
    idt: (u64, u32),
}

/// MSRs that VM entry loads with 0 where it loads them at all: features off.
const OFF: [(EntryControls, Field<u64>); 14] = [
    (EntryControls::LOAD_IA32_PERF_GLOBAL_CTRL, field::GUEST_IA32_PERF_GLOBAL_CTRL),
    (EntryControls::LOAD_IA32_BNDCFGS, field::GUEST_IA32_BNDCFGS),
    (EntryControls::LOAD_IA32_RTIT_CTL, field::GUEST_IA32_RTIT_CTL),
    (EntryControls::LOAD_IA32_LBR_CTL, field::GUEST_IA32_LBR_CTL),
    (EntryControls::LOAD_PKRS, field::GUEST_IA32_PKRS),
    (EntryControls::LOAD_IA32_SPEC_CTRL, field::GUEST_IA32_SPEC_CTRL),
    (EntryControls::LOAD_FRED_STATE, field::GUEST_IA32_FRED_CONFIG),
    (EntryControls::LOAD_FRED_STATE, field::GUEST_IA32_FRED_RSP1),
    (EntryControls::LOAD_FRED_STATE, field::GUEST_IA32_FRED_RSP2),
    (EntryControls::LOAD_FRED_STATE, field::GUEST_IA32_FRED_RSP3),
    (EntryControls::LOAD_FRED_STATE, field::GUEST_IA32_FRED_STKLVLS),
    (EntryControls::LOAD_FRED_STATE, field::GUEST_IA32_FRED_SSP1),
    (EntryControls::LOAD_FRED_STATE, field::GUEST_IA32_FRED_SSP2),
    (EntryControls::LOAD_FRED_STATE, field::GUEST_IA32_FRED_SSP3),
];

impl GuestArea {
    /// Writes every guest-state field that VM entry always loads, and those that
    /// `controls` load. Left are those of virtual-interrupt delivery, page-modification
    /// logging, the VMX-preemption timer and PAE paging under EPT, whose values are
    /// not a mode's, and those of CET.
    fn write<V: VmcsAccess>(&self, vmcs: &mut V, controls: EntryControls) -> Result<(), VmxError> {
        use field::*;

        vmcs.write(GUEST_CR0, self.cr0)?;
        vmcs.write(GUEST_CR3, self.cr3)?;
        vmcs.write(GUEST_CR4, self.cr4)?;
        vmcs.write(GUEST_DR7, DR7_AFTER_RESET)?;
        vmcs.write(GUEST_RIP, self.rip)?;
        vmcs.write(GUEST_RSP, self.rsp)?;
        vmcs.write(GUEST_RFLAGS, Rflags::ALWAYS_ONE)?;

        CS.write(vmcs, self.code)?;
        for fields in &DATA {
            fields.write(vmcs, self.data)?;
        }
        LDTR.write(vmcs, Segment::UNUSABLE)?;
        TR.write(vmcs, self.task)?;
        vmcs.write(GUEST_GDTR_BASE, self.gdt.0)?;
        vmcs.write(GUEST_GDTR_LIMIT, self.gdt.1)?;
        vmcs.write(GUEST_IDTR_BASE, self.idt.0)?;
        vmcs.write(GUEST_IDTR_LIMIT, self.idt.1)?;

        vmcs.write(VMCS_LINK_POINTER, u64::MAX)?;
        vmcs.write(GUEST_IA32_DEBUGCTL, 0)?;
        vmcs.write(GUEST_IA32_SYSENTER_CS, 0)?;
        vmcs.write(GUEST_IA32_SYSENTER_ESP, 0)?;
        vmcs.write(GUEST_IA32_SYSENTER_EIP, 0)?;
        vmcs.write(GUEST_INTERRUPTIBILITY_STATE, InterruptibilityState::empty())?;
        vmcs.write(GUEST_ACTIVITY_STATE, ActivityState::ACTIVE)?;
        vmcs.write(GUEST_PENDING_DEBUG_EXCEPTIONS, PendingDebugExceptions::empty())?;
        vmcs.write(GUEST_SMBASE, 0)?;

        if controls.contains(EntryControls::LOAD_IA32_EFER) {
            vmcs.write(GUEST_IA32_EFER, self.efer)?;
        }
        if controls.contains(EntryControls::LOAD_IA32_PAT) {
            vmcs.write(GUEST_IA32_PAT, PAT_AFTER_RESET)?;
        }
        if controls.contains(EntryControls::LOAD_UINV) {
            vmcs.write(GUEST_UINV, 0)?;
        }
        for (control, field) in OFF {
            if controls.contains(control) {
                vmcs.write(field, 0)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
