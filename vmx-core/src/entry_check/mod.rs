//! Why VM entry fails: every check of the manual's chapter "VM Entries" as a rule.
//!
//! VMLAUNCH and VMRESUME check the controls and the host state (VM-instruction
//! errors 7 and 8), then the guest state (exit reason 33), then load MSRs (exit
//! reason 34), and say little more. [`check`] evaluates every rule over the fields
//! of a VMCS and yields each one that is broken; [`Outcomes`] is what the
//! architecture then allows the CPU to answer, and [`Explanation`] tells a failed entry
//! to a person.
//!
//! Not here: how an entry fails ([`EntryFailure`](crate::vmcs::EntryFailure)), and what
//! fills the fields ([`state`](crate::state), [`control`](crate::control)).
//!
//! A [`Rule`] is one row of a table: a name, what it demands in words, the fields
//! that it reads, and a function. Each table is a [`Section`] of the manual, and they
//! stand in its order:
//!
//! | group | what it judges | the CPU answers |
//! |---|---|---|
//! | [`Group::Basic`] | current VMCS, launch state, blocking by MOV SS | VMfailInvalid, errors 4, 5, 26 |
//! | [`Group::Controls`] | control fields | error 7 |
//! | [`Group::HostState`] | host-state area | error 8 |
//! | [`Group::GuestState`] | guest-state area | exit reason 33 |
//! | [`Group::MsrLoad`] | VM-entry MSR-load area | exit reason 34 |
//!
//! ```
//! use vmx_core::entry_check::{Circumstances, EntryState, check};
//! use vmx_core::Capabilities;
//! use vmx_core::vmcs::{field, FieldValues};
//!
//! let mut fields = FieldValues::new();
//! fields.set(field::CR3_TARGET_COUNT, 5);
//! let state = EntryState::new(&fields, &Capabilities::NOTHING, Circumstances::LAUNCH);
//! let broken = check(&state).find(|violation| violation.rule.name == "cr3-target-count").unwrap();
//! assert!(broken.to_string().ends_with("but CR3_TARGET_COUNT is 0x5"));
//! ```

mod address;
mod address_space_size;
mod apic_controls;
mod basic;
mod entry_controls;
mod ept_controls;
mod execution_controls;
mod exit_controls;
mod explanation;
mod guest_access_rights;
mod guest_control_registers;
mod guest_descriptor_tables;
mod guest_msrs;
mod guest_non_register_state;
mod guest_pdptes;
mod guest_pending_debug;
mod guest_rip;
mod guest_segments;
mod guest_system_segments;
mod guest_virtual_8086;
mod host_registers;
mod host_segments;
mod msr_loading;
mod outcome;
mod rule;
mod state;
mod valid_fields;

pub use explanation::Explanation;
pub use outcome::{Outcome, Outcomes};
pub use rule::{Group, Rule, Section, Violation};
pub use state::{Circumstances, EntryMemory, EntryState};
pub use valid_fields::{ExampleGuest, valid_fields};

/// All rules, section by section in the manual's order.
pub static SECTIONS: &[Section] = &[
    basic::BASIC,
    execution_controls::EXECUTION_CONTROLS,
    apic_controls::APIC_CONTROLS,
    ept_controls::EPT_CONTROLS,
    exit_controls::EXIT_CONTROLS,
    entry_controls::ENTRY_CONTROLS,
    host_registers::HOST_REGISTERS,
    host_segments::HOST_SEGMENTS,
    address_space_size::ADDRESS_SPACE_SIZE,
    guest_control_registers::CONTROL_REGISTERS,
    guest_msrs::DEBUG_REGISTERS_AND_MSRS,
    guest_msrs::FRED_MSRS,
    guest_segments::SELECTORS_AND_BASES,
    guest_virtual_8086::VIRTUAL_8086,
    guest_access_rights::ACCESS_RIGHTS,
    guest_system_segments::SYSTEM_SEGMENTS,
    guest_descriptor_tables::DESCRIPTOR_TABLES,
    guest_rip::RIP_RFLAGS_AND_SSP,
    guest_non_register_state::ACTIVITY_STATE,
    guest_non_register_state::INTERRUPTIBILITY_STATE,
    guest_pending_debug::PENDING_DEBUG_EXCEPTIONS,
    guest_pending_debug::LINK_POINTER,
    guest_pdptes::PDPTES,
    msr_loading::MSR_LOADING,
];

/// Every broken rule, in the manual's order.
pub fn check<'s>(state: &'s EntryState<'s>) -> impl Iterator<Item = Violation<'s>> {
    let with_broken = SECTIONS.iter().filter(|section| !(section.all_hold)(state));
    with_broken.flat_map(move |section| {
        let broken = section.rules.iter().filter(|rule| !(rule.holds)(state));
        broken.map(move |rule| Violation { section, rule, state })
    })
}

#[cfg(test)]
mod tests;
