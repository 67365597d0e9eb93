//! The life of a VMCS on two CPUs: what is refused by name, and which instruction each
//! step executes.

#![allow(clippy::unwrap_used)] // Helpers of tests, which the lint does not take for tests.

use vmx_core::cpu::CpuId;
use vmx_core::cpu::EntryInstruction;
use vmx_core::vmcs::InstructionError;
use vmx_core::vmcs::field::EXIT_REASON;
use vmx_core::vmcs::{LeaveError, LoadError};
use vmx_core::{
    Capabilities, Frame, GuestRegisters, Page, PhysicalAddress, Vmcs, VmxError, VmxOperation,
};
use vmx_mock::mocks::MockCpu;

fn frame(page: &Page) -> Frame<'_> {
    let address = PhysicalAddress((page as *const Page).addr() as u64);
    // SAFETY: the mock never touches the page; each test makes one frame of each page.
    unsafe { Frame::new(page, address) }
}

fn operation<'m>(cpu: MockCpu, page: &'m Page, id: u32) -> VmxOperation<'m, MockCpu> {
    VmxOperation::enter(cpu, frame(page), &Capabilities::NOTHING, CpuId(id)).unwrap()
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

#[test]
fn a_vmcs_moves_to_another_cpu_only_after_vmclear_on_the_first() {
    let pages = [const { Page::new() }; 3];
    let mut first = operation(cpu(2, 1), &pages[0], 0);
    let mut second = operation(cpu(1, 1), &pages[1], 1);
    let mut vmcs = Vmcs::new(frame(&pages[2]), &Capabilities::NOTHING);

    first.load(&mut vmcs).unwrap();
    assert_eq!(second.load(&mut vmcs).unwrap_err(), LoadError::ActiveElsewhere(CpuId(0)));
    assert_eq!(second.clear(&mut vmcs).unwrap_err(), LoadError::ActiveElsewhere(CpuId(0)));
    let mut vmcs = vmcs.into_frame().expect_err("the frame of an active VMCS stays");
    first.clear(&mut vmcs).unwrap();
    second.load(&mut vmcs).unwrap();
    assert_eq!(vmcs.active_on(), Some(CpuId(1)));
    second.clear(&mut vmcs).unwrap();
    assert!(vmcs.into_frame().is_ok());
}

#[test]
fn before_a_reboot_all_are_cleared_where_they_are_active() {
    let pages = [const { Page::new() }; 5];
    // Each VMCS is cleared once because it is new, and once at the end.
    let mut first = operation(cpu(4, 2), &pages[0], 0);
    let mut second = operation(cpu(2, 1), &pages[1], 1);
    let mut vmcss =
        [2, 3, 4].map(|page: usize| Vmcs::new(frame(&pages[page]), &Capabilities::NOTHING));
    first.load(&mut vmcss[0]).unwrap();
    first.load(&mut vmcss[1]).unwrap();
    second.load(&mut vmcss[2]).unwrap();

    let refused = first.leave().unwrap_err();
    assert_eq!(refused.error, LeaveError::StillActive { vmcs: 2 });
    let mut first = refused.operation;
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
    let pages = [const { Page::new() }; 2];
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
            .withf(move |instruction, _| *instruction == expected)
            .in_sequence(&mut order)
            .return_const(result);
        if result.is_ok() {
            cpu.expect_vmread()
                .once()
                .withf(|encoding| *encoding == EXIT_REASON.encoding())
                .in_sequence(&mut order)
                .return_const(Ok(reason));
        }
    }
    let mut operation = operation(cpu, &pages[0], 0);
    let mut vmcs = Vmcs::new(frame(&pages[1]), &Capabilities::NOTHING);
    let mut registers = GuestRegisters::default();

    let mut current = operation.load(&mut vmcs).unwrap();
    // SAFETY: no guest runs: the CPU is a mock. The same below.
    unsafe { current.enter(&mut registers) }.unwrap_err();
    // SAFETY: as above.
    assert!(unsafe { current.enter(&mut registers) }.unwrap().is_entry_failure());
    for _ in 0..2 {
        // SAFETY: as above.
        assert_eq!(unsafe { current.enter(&mut registers) }.unwrap().basic().0, 18);
    }
    assert!(vmcs.is_launched());
    operation.clear(&mut vmcs).unwrap();
    assert!(!vmcs.is_launched());
    let mut current = operation.load(&mut vmcs).unwrap();
    // SAFETY: as above.
    unsafe { current.enter(&mut registers) }.unwrap();
}

#[test]
fn a_vmcs_that_was_not_loaded_is_not_active() {
    let pages = [const { Page::new() }; 2];
    let failed = VmxError::FailValid(InstructionError(11));
    let mut cpu = MockCpu::new();
    cpu.expect_enter_vmx_operation().return_const(Ok(()));
    cpu.expect_leave_vmx_operation().return_const(Ok(()));
    cpu.expect_vmclear().once().return_const(Ok(()));
    cpu.expect_vmptrld().once().return_const(Err(failed));
    let mut operation = operation(cpu, &pages[0], 0);
    let mut vmcs = Vmcs::new(frame(&pages[1]), &Capabilities::NOTHING);
    assert_eq!(operation.load(&mut vmcs).unwrap_err(), LoadError::Vmx(failed));
    assert_eq!(vmcs.active_on(), None);
    operation.leave().unwrap();
}
