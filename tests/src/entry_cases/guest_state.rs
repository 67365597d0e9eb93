//! Guest GDTR, IDTR, RIP, RFLAGS and SSP.

use vmx_core::cet::CetControl;
use vmx_core::control::EntryControls;
use vmx_core::event::InterruptionInformation;
use vmx_core::vmcs::AccessRights;
use vmx_core::vmcs::field::*;

use crate::entry_case::{Base, Case, Editor, Exception, NotShown};

const RFLAGS_IF: u64 = 1 << 9;
/// Canonical under no width.
const NOT_CANONICAL: u64 = 1 << 62;
/// Canonical, whatever the width.
const HIGH_HALF: u64 = 0xFFFF_8000_0000_0000;

/// The cases.
pub const CASES: &[Case] = &[
    Case::new(
        "guest-gdtr-base-canonical",
        Base::Guest64,
        |e| e.set(GUEST_GDTR_BASE, NOT_CANONICAL),
        |e| e.set(GUEST_GDTR_BASE, HIGH_HALF),
    ),
    Case::new(
        "guest-idtr-base-canonical",
        Base::Guest64,
        |e| e.set(GUEST_IDTR_BASE, NOT_CANONICAL),
        |e| e.set(GUEST_IDTR_BASE, HIGH_HALF),
    ),
    Case::new(
        "guest-gdtr-limit",
        Base::Guest64,
        |e| e.set(GUEST_GDTR_LIMIT, 0x1_0000),
        |e| e.set(GUEST_GDTR_LIMIT, 0xFFFF),
    ),
    Case::new(
        "guest-idtr-limit",
        Base::Guest64,
        |e| e.set(GUEST_IDTR_LIMIT, 0x1_0000),
        |e| e.set(GUEST_IDTR_LIMIT, 0xFFFF),
    ),
    Case::new(
        "guest-rip-high-half",
        Base::Guest32,
        |e| e.set_bits(GUEST_RIP, 1 << 32),
        |e| e.set(GUEST_RIP, 0xFFFF_F000),
    ),
    Case::new(
        "guest-rflags-reserved-bits",
        Base::Guest64,
        |e| e.set_bits(GUEST_RFLAGS, 1 << 3),
        |e| e.set_bits(GUEST_RFLAGS, 1 << 21 | 1 << 18 | 1),
    ),
    Case::new(
        "guest-rflags-bit-1",
        Base::Guest64,
        |e| e.set(GUEST_RFLAGS, 0),
        |e| e.set(GUEST_RFLAGS, 2),
    ),
    Case::new("guest-virtual-8086-outside-ia32e", Base::Guest64, to_virtual_8086, |e| {
        e.set_bits(GUEST_RFLAGS, 3 << 12)
    }),
    Case::new(
        "guest-injected-interrupt-needs-if",
        Base::Guest64,
        |e| inject(e, 0x20),
        |e| {
            inject(e, 0x20);
            e.set_bits(GUEST_RFLAGS, RFLAGS_IF);
        },
    ),
    Case::new(
        "guest-ssp-aligned",
        Base::Guest64,
        |e| {
            load_cet(e);
            e.set(GUEST_SSP, 2);
        },
        |e| {
            load_cet(e);
            e.set(GUEST_SSP, 4);
        },
    )
    .where_possible(|cpu| cpu.entry.allows(EntryControls::LOAD_CET_STATE)),
    Case::new(
        "guest-ssp-width",
        Base::Guest64,
        |e| {
            load_cet(e);
            e.set(GUEST_SSP, NOT_CANONICAL);
        },
        |e| {
            load_cet(e);
            e.set(GUEST_SSP, HIGH_HALF);
        },
    )
    .where_possible(|cpu| cpu.entry.allows(EntryControls::LOAD_CET_STATE)),
];

/// What no case tries.
pub const EXCEPTIONS: &[Exception] = &[
    Exception { rule: "guest-rip-width", reason: NotShown::Departure("guest-rip-non-canonical") },
    Exception {
        rule: "guest-virtual-8086-needs-protection",
        reason: NotShown::Departure("guest-virtual-8086-in-real-mode"),
    },
    Exception { rule: "guest-fred-ring-0-is-64-bit", reason: NotShown::FeatureOnNoModel("FRED") },
    Exception { rule: "guest-fred-rings", reason: NotShown::FeatureOnNoModel("FRED") },
    Exception { rule: "guest-fred-ring-3-iopl", reason: NotShown::FeatureOnNoModel("FRED") },
];

/// Loads CET state, all of it off.
fn load_cet(e: &mut Editor<'_>) {
    e.turn_on(EntryControls::LOAD_CET_STATE);
    e.set(GUEST_S_CET, CetControl::empty());
    e.set(GUEST_SSP, 0);
    e.set(GUEST_INTERRUPT_SSP_TABLE_ADDR, 0);
}

/// Virtual-8086 mode, all segments from 0 to FFFFh.
fn to_virtual_8086(e: &mut Editor<'_>) {
    e.set_bits(GUEST_RFLAGS, 1 << 17);
    for (selector, base, limit, rights) in [
        (GUEST_CS_SELECTOR, GUEST_CS_BASE, GUEST_CS_LIMIT, GUEST_CS_ACCESS_RIGHTS),
        (GUEST_SS_SELECTOR, GUEST_SS_BASE, GUEST_SS_LIMIT, GUEST_SS_ACCESS_RIGHTS),
        (GUEST_DS_SELECTOR, GUEST_DS_BASE, GUEST_DS_LIMIT, GUEST_DS_ACCESS_RIGHTS),
        (GUEST_ES_SELECTOR, GUEST_ES_BASE, GUEST_ES_LIMIT, GUEST_ES_ACCESS_RIGHTS),
        (GUEST_FS_SELECTOR, GUEST_FS_BASE, GUEST_FS_LIMIT, GUEST_FS_ACCESS_RIGHTS),
        (GUEST_GS_SELECTOR, GUEST_GS_BASE, GUEST_GS_LIMIT, GUEST_GS_ACCESS_RIGHTS),
    ] {
        e.set(selector, 0);
        e.set(base, 0);
        e.set(limit, 0xFFFF);
        e.set(rights, AccessRights::VIRTUAL_8086);
    }
}

/// Injects the event of this type and vector.
fn inject(e: &mut Editor<'_>, event: u32) {
    e.set(VM_ENTRY_INTERRUPTION_INFORMATION, InterruptionInformation(1 << 31 | event));
}
