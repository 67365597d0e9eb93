//! The life of a VMCS on two CPUs: what is refused by name, and which instruction each
//! step executes.

#![allow(clippy::unwrap_used)] // Helpers of tests, which the lint does not take for tests.

use vmx_core::cpu::EntryInstruction;
use vmx_core::vmcs::field::EXIT_REASON;
use vmx_core::vmcs::{
    CriticalSection, EntryFailure, InstructionError, LeaveError, LoadError, Vmcs, VmxOperation,
};
use vmx_core::{Capabilities, Frame, GuestRegisters, Page, PhysicalAddress, VmxError};
use vmx_mock::mocks::MockCpu;

type Owner = Frame<Box<Page>>;

/// A page of its own; the mock never touches it.
fn page() -> Owner {
    let page = Box::new(Page::new());
    let address = PhysicalAddress((&raw const *page).addr() as u64);
    // SAFETY: a box, and no CPU that would use the address.
    unsafe { Frame::new(page, address) }
}

fn vmcs() -> Vmcs<Owner> {
    Vmcs::new(page(), &Capabilities::NOTHING)
}

/// A CPU that enters and leaves VMX operation, and clears and loads so many times.
fn cpu(clears: usize, loads: usize) -> MockCpu {
    let mut cpu = MockCpu::new();
    cpu.expect_enter_vmx_operation().return_const(Ok(()));
    cpu.expect_leave_vmx_operation().return_const(Ok(()));
    cpu.expect_vmclear().times(clears).return_const(Ok(()));
    cpu.expect_vmptrld().times(loads).return_const(Ok(()));
    cpu
}

/// A critical section on `cpu`, in VMX operation.
fn entered<'a>(
    operation: &'a mut VmxOperation<Owner>,
    cpu: &'a mut MockCpu,
) -> CriticalSection<'a, &'a mut MockCpu, Owner> {
    // SAFETY: no CPU is behind it. So below.
    let mut section = unsafe { operation.section(cpu) };
    section.enter(page(), &Capabilities::NOTHING).unwrap();
    section
}

#[test]
fn a_vmcs_moves_to_another_cpu_only_after_vmclear_on_the_first() {
    let (mut cpu_0, mut cpu_1) = (cpu(2, 1), cpu(1, 1));
    let (mut operation_0, mut operation_1) = (VmxOperation::new(), VmxOperation::new());
    let mut first = entered(&mut operation_0, &mut cpu_0);
    let mut second = entered(&mut operation_1, &mut cpu_1);
    let mut vmcs = vmcs();

    first.load(&mut vmcs).unwrap();
    let here = first.operation().id().unwrap();
    assert_eq!(second.load(&mut vmcs).unwrap_err(), LoadError::ActiveElsewhere(here));
    assert_eq!(second.clear(&mut vmcs).unwrap_err(), LoadError::ActiveElsewhere(here));
    let mut vmcs = vmcs.into_owner().expect_err("the page of an active VMCS stays");
    first.clear(&mut vmcs).unwrap();
    second.load(&mut vmcs).unwrap();
    assert_eq!(vmcs.active_on(), second.operation().id());
    second.clear(&mut vmcs).unwrap();
    assert!(vmcs.into_owner().is_ok());
}

#[test]
fn before_a_reboot_all_are_cleared_where_they_are_active() {
    // Each VMCS is cleared once because it is new, and once at the end.
    let (mut cpu_0, mut cpu_1) = (cpu(4, 2), cpu(2, 1));
    let (mut operation_0, mut operation_1) = (VmxOperation::new(), VmxOperation::new());
    let mut first = entered(&mut operation_0, &mut cpu_0);
    let mut second = entered(&mut operation_1, &mut cpu_1);
    let mut vmcss = [vmcs(), vmcs(), vmcs()];
    first.load(&mut vmcss[0]).unwrap();
    first.load(&mut vmcss[1]).unwrap();
    second.load(&mut vmcss[2]).unwrap();

    assert_eq!(first.leave().unwrap_err(), LeaveError::StillActive { vmcs: 2 });
    assert_eq!(first.clear_all(&mut vmcss), Ok(2));
    assert_eq!(second.clear_all(&mut vmcss), Ok(1));
    assert_eq!(second.clear_all(&mut vmcss), Ok(0));
    first.leave().unwrap();
    second.leave().unwrap();
}

#[test]
fn the_launch_state_chooses_the_instruction() {
    const GUEST_STATE_FAILURE: u64 = 0x8000_0021;
    const VMCALL: u64 = 18;
    let mut cpu = cpu(2, 2);
    let mut order = mockall::Sequence::new();
    // A failed entry, of either kind, leaves the VMCS clear; an exit launches it.
    let steps = [
        (EntryInstruction::Launch, Err(VmxError::FailValid(InstructionError(7))), 0),
        (EntryInstruction::Launch, Ok(()), GUEST_STATE_FAILURE),
        (EntryInstruction::Launch, Ok(()), VMCALL),
        (EntryInstruction::Resume, Ok(()), VMCALL),
        (EntryInstruction::Launch, Ok(()), VMCALL),
    ];
    for (expected, result, reason) in steps {
        cpu.expect_enter()
            .once()
            .withf(move |instruction, _, _| *instruction == expected)
            .in_sequence(&mut order)
            .return_const(result);
        if result.is_ok() {
            cpu.expect_vmread()
                .once()
                .withf(|encoding| *encoding == EXIT_REASON.encoding())
                .in_sequence(&mut order)
                .return_const(Ok(reason));
        }
        if reason == GUEST_STATE_FAILURE {
            cpu.expect_vmread().once().in_sequence(&mut order).return_const(Ok(2));
        }
    }
    let mut operation = VmxOperation::new();
    let mut section = entered(&mut operation, &mut cpu);
    let mut vmcs = vmcs();
    let mut registers = GuestRegisters::default();

    let mut current = section.load(&mut vmcs).unwrap();
    // SAFETY: no guest runs: the CPU is a mock. The same below.
    let failed = unsafe { current.enter(&mut registers) }.unwrap_err();
    assert_eq!(failed, EntryFailure::Instruction(VmxError::FailValid(InstructionError(7))));
    // SAFETY: as above.
    let failed = unsafe { current.enter(&mut registers) }.unwrap_err();
    assert!(matches!(failed, EntryFailure::GuestState { qualification: 2, .. }), "{failed}");
    for _ in 0..2 {
        // SAFETY: as above.
        assert_eq!(unsafe { current.enter(&mut registers) }.unwrap().basic().0, 18);
    }
    assert!(vmcs.is_launched());
    section.clear(&mut vmcs).unwrap();
    assert!(!vmcs.is_launched());
    let mut current = section.load(&mut vmcs).unwrap();
    // SAFETY: as above.
    unsafe { current.enter(&mut registers) }.unwrap();
}
