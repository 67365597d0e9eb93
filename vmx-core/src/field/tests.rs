use super::*;

#[test]
fn names_and_encodings_are_unique() {
    for (index, row) in FIELDS.iter().enumerate() {
        for other in &FIELDS[index + 1..] {
            assert_ne!(row.encoding.0, other.encoding.0);
            assert_ne!(row.name, other.name);
        }
    }
}

#[test]
fn groups_follow_the_encodings() {
    for row in FIELDS {
        let expected = match row.name {
            name if name.starts_with("GUEST_PHYSICAL") || name.starts_with("GUEST_LINEAR") => {
                Group::ExitInformation
            }
            name if name.starts_with("GUEST_") => Group::GuestState,
            name if name.starts_with("HOST_") => Group::HostState,
            "VMCS_LINK_POINTER" | "VMX_PREEMPTION_TIMER_VALUE" => Group::GuestState,
            _ => continue,
        };
        assert_eq!(row.encoding.group(), expected, "{}", row.name);
    }
}

/// The `x86` crate has a table of its own, made by other hands.
#[test]
fn encodings_agree_with_the_x86_crate() {
    use x86::vmx::vmcs::{control, guest, host, ro};
    let pairs = [
        (VPID.encoding(), control::VPID),
        (MSR_BITMAP.encoding(), control::MSR_BITMAPS_ADDR_FULL),
        (VM_EXIT_MSR_STORE_ADDRESS.encoding(), control::VMEXIT_MSR_STORE_ADDR_FULL),
        (VM_ENTRY_MSR_LOAD_ADDRESS.encoding(), control::VMENTRY_MSR_LOAD_ADDR_FULL),
        (EPT_POINTER.encoding(), control::EPTP_FULL),
        (XSS_EXITING_BITMAP.encoding(), control::XSS_EXITING_BITMAP_FULL),
        (PIN_BASED_CONTROLS.encoding(), control::PINBASED_EXEC_CONTROLS),
        (PRIMARY_CONTROLS.encoding(), control::PRIMARY_PROCBASED_EXEC_CONTROLS),
        (SECONDARY_CONTROLS.encoding(), control::SECONDARY_PROCBASED_EXEC_CONTROLS),
        (EXCEPTION_BITMAP.encoding(), control::EXCEPTION_BITMAP),
        (VM_EXIT_CONTROLS.encoding(), control::VMEXIT_CONTROLS),
        (VM_ENTRY_CONTROLS.encoding(), control::VMENTRY_CONTROLS),
        (VM_ENTRY_INTERRUPTION_INFORMATION.encoding(), control::VMENTRY_INTERRUPTION_INFO_FIELD),
        (VM_ENTRY_EXCEPTION_ERROR_CODE.encoding(), control::VMENTRY_EXCEPTION_ERR_CODE),
        (VM_INSTRUCTION_ERROR.encoding(), ro::VM_INSTRUCTION_ERROR),
        (EXIT_REASON.encoding(), ro::EXIT_REASON),
        (EXIT_QUALIFICATION.encoding(), ro::EXIT_QUALIFICATION),
        (VM_EXIT_INSTRUCTION_LENGTH.encoding(), ro::VMEXIT_INSTRUCTION_LEN),
        (GUEST_LINEAR_ADDRESS.encoding(), ro::GUEST_LINEAR_ADDR),
        (GUEST_CS_SELECTOR.encoding(), guest::CS_SELECTOR),
        (GUEST_TR_ACCESS_RIGHTS.encoding(), guest::TR_ACCESS_RIGHTS),
        (GUEST_IA32_EFER.encoding(), guest::IA32_EFER_FULL),
        (GUEST_INTERRUPTIBILITY_STATE.encoding(), guest::INTERRUPTIBILITY_STATE),
        (VMX_PREEMPTION_TIMER_VALUE.encoding(), guest::VMX_PREEMPTION_TIMER_VALUE),
        (GUEST_CR4.encoding(), guest::CR4),
        (GUEST_RIP.encoding(), guest::RIP),
        (GUEST_RFLAGS.encoding(), guest::RFLAGS),
        (HOST_TR_SELECTOR.encoding(), host::TR_SELECTOR),
        (HOST_IA32_EFER.encoding(), host::IA32_EFER_FULL),
        (HOST_CR3.encoding(), host::CR3),
        (HOST_GDTR_BASE.encoding(), host::GDTR_BASE),
        (HOST_RSP.encoding(), host::RSP),
        (HOST_RIP.encoding(), host::RIP),
    ];
    for (ours, theirs) in pairs {
        assert_eq!(ours.0, theirs);
    }
}
