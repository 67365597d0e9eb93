//! States around every VM-entry rule of `vmx_core::entry_check`: for each rule some that
//! break it alone, and some at the edge that break none.
//!
//! A row of the tables names the rule, a field, the value that breaks it and the nearest
//! one that does not; what else both states need stands behind it. It says *why* where
//! no model of the second processor can show it:
//!
//! ```text
//! values("guest-idtr-limit", GUEST_IDTR_LIMIT, 0x1_0000, 0xFFFF),
//! values("guest-uinv-high-byte", GUEST_UINV, 0x100, 0xFF).entry(EntryControls::LOAD_UINV),
//! edits("guest-pcide-needs-ia32e", add(GUEST_CR4, CR4_PCIDE), add(GUEST_CR4, CR4_PGE))
//!     .on(Guest32)
//!     .where_possible(|cpu| cpu.cr4_fixed.may_be_one & CR4_PCIDE != 0),
//! edits("guest-fred-needs-ia32e", add(GUEST_CR4, CR4_FRED), NOTHING).on(Guest32).not_shown(FRED),
//! ```
//!
//! The tables stand in the order of the manual. What a case does, it does to a valid
//! state that it is given: values in memory (`vmx_core::entry_check::valid_fields`), or
//! the VMCS of a CPU. Everything here works without `std`.

mod apic_controls;
mod case;
pub mod cpus;
mod editing;
mod editor;
mod entry_controls;
mod ept_controls;
mod execution_controls;
mod exit_controls;
mod guest_non_register_state;
mod guest_registers;
mod guest_rip;
mod guest_segments;
mod host;
mod msr_loading;

pub use case::{Case, NotShown};
pub use editing::SCRATCH;
pub use editor::{CaseMemory, Editor, Word};

/// Every case, by group of rules.
pub const CASES: &[&[Case]] = &[
    execution_controls::CASES,
    apic_controls::CASES,
    ept_controls::CASES,
    exit_controls::CASES,
    entry_controls::CASES,
    host::CASES,
    guest_registers::CASES,
    guest_segments::CASES,
    guest_rip::CASES,
    guest_non_register_state::CASES,
    msr_loading::CASES,
];

/// The cases that some model of the second processor can show.
pub fn shown() -> impl Iterator<Item = &'static Case> {
    CASES.iter().copied().flatten().filter(|case| case.not_shown.is_none())
}

/// Why no case of a rule can be shown; `None` where one can.
pub fn why_not_shown(rule: &str) -> Option<NotShown> {
    let mut cases = CASES.iter().copied().flatten().filter(|case| case.rule == rule);
    let why = cases.next()?.not_shown?;
    cases.all(|case| case.not_shown.is_some()).then_some(why)
}
