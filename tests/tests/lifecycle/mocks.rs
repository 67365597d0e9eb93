//! Tests with a mock in the place of the CPU: what is executed, in which order. Who tests a
//! handler of exits writes such tests; for what the lifecycle comes to, the model is
//! better.

use vmx_core::vmcs::{InstructionError, LoadError, Vmcs, VmxOperation};
use vmx_core::{Capabilities, Frame, Page, PhysicalAddress, VmxError};
use vmx_mock::mocks::MockCpu;

/// A page of its own; the mock never touches it.
fn page() -> Frame<Box<Page>> {
    let page = Box::new(Page::new());
    let address = PhysicalAddress((&raw const *page).addr() as u64);
    // SAFETY: a box, and no CPU that would use the address.
    unsafe { Frame::new(page, address) }
}

/// A CPU that enters and leaves VMX operation.
fn cpu() -> MockCpu {
    let mut cpu = MockCpu::new();
    cpu.expect_enter_vmx_operation().return_const(Ok(()));
    cpu.expect_leave_vmx_operation().return_const(Ok(()));
    cpu
}

#[test]
fn vmclear_comes_once_before_the_first_vmptrld_and_vmptrld_only_when_it_must() {
    let [mut first, mut second] = [(); 2].map(|()| Vmcs::new(page(), &Capabilities::NOTHING));
    let addresses = [first.address(), second.address()];
    let mut cpu = cpu();
    let mut order = mockall::Sequence::new();
    // first, first again, second, first; and both are cleared.
    for (number, is_vmclear) in
        [(0, true), (0, false), (1, true), (1, false), (0, false), (0, true), (1, true)]
    {
        let address: PhysicalAddress = addresses[number];
        let it =
            |address| move |pointer: &vmx_core::vmcs::VmcsPointer| pointer.address() == address;
        if is_vmclear {
            let expected = cpu.expect_vmclear().once().withf(it(address));
            expected.in_sequence(&mut order).return_const(Ok(()));
        } else {
            let expected = cpu.expect_vmptrld().once().withf(it(address));
            expected.in_sequence(&mut order).return_const(Ok(()));
        }
    }
    let mut operation = VmxOperation::new();
    // SAFETY: no CPU is behind it. So below.
    let mut section = unsafe { operation.section(cpu) };
    section.enter(page(), &Capabilities::NOTHING).unwrap();
    section.load(&mut first).unwrap();
    section.load(&mut first).unwrap();
    section.load(&mut second).unwrap();
    section.load(&mut first).unwrap();
    section.clear(&mut first).unwrap();
    section.clear(&mut second).unwrap();
    section.leave().unwrap();
}

#[test]
fn a_vmptrld_that_fails_leaves_the_vmcs_active_nowhere() {
    let failure = VmxError::FailValid(InstructionError(11));
    let mut cpu = cpu();
    cpu.expect_vmclear().once().return_const(Ok(()));
    cpu.expect_vmptrld().once().return_const(Err(failure));
    let mut vmcs = Vmcs::new(page(), &Capabilities::NOTHING);
    let mut operation = VmxOperation::new();
    // SAFETY: as above.
    let mut section = unsafe { operation.section(cpu) };
    section.enter(page(), &Capabilities::NOTHING).unwrap();
    assert_eq!(section.load(&mut vmcs).unwrap_err(), LoadError::Vmx(failure));
    assert!(vmcs.into_owner().is_ok());
    section.leave().unwrap();
}
