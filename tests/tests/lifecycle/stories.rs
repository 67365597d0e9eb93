//! Single promises, each in the steps of a kernel.

use vmx_core::cpu::VmcsAccess;
use vmx_core::exit::{BasicExitReason, ExitReason};
use vmx_core::vmcs::field::{GUEST_RIP, HOST_RSP};
use vmx_core::vmcs::{
    ClearMailbox, CriticalSection, EnterError, EntryFailure, InstructionError, LeaveError,
    LoadError, ReleaseError, Vmcs, VmxOperation,
};
use vmx_core::{Capabilities, GuestRegisters, VmxError};
use vmx_tests::vmx_cpu::{
    CAPABILITIES, GuestEvent, Instruction, OwnedPage, PhysicalMemory, VmxCpu,
};

type Operation<'m> = VmxOperation<OwnedPage<'m>>;
type Section<'a, 'm> = CriticalSection<'a, &'a mut VmxCpu<'m>, OwnedPage<'m>>;

fn vmcs(memory: &PhysicalMemory) -> Vmcs<OwnedPage<'_>> {
    Vmcs::new(memory.allocate().unwrap(), &CAPABILITIES)
}

fn section<'a, 'm>(operation: &'a mut Operation<'m>, cpu: &'a mut VmxCpu<'m>) -> Section<'a, 'm> {
    // SAFETY: no CPU is behind it; a test gives each operation to one model.
    unsafe { operation.section(cpu) }
}

/// A section on `cpu`, in VMX operation.
fn entered<'a, 'm>(
    memory: &'m PhysicalMemory,
    operation: &'a mut Operation<'m>,
    cpu: &'a mut VmxCpu<'m>,
) -> Section<'a, 'm> {
    let mut section = section(operation, cpu);
    section.enter(memory.allocate().unwrap(), &CAPABILITIES).unwrap();
    section
}

#[test]
fn a_vmcs_moves_with_its_data_after_vmclear_on_the_first_cpu() {
    let memory = PhysicalMemory::new(3);
    let [mut cpu_0, mut cpu_1] = [0, 1].map(|apic_id| VmxCpu::new(&memory, apic_id));
    let (mut operation_0, mut operation_1) = (VmxOperation::new(), VmxOperation::new());
    let mut first = entered(&memory, &mut operation_0, &mut cpu_0);
    let mut second = entered(&memory, &mut operation_1, &mut cpu_1);
    let mut vmcs = vmcs(&memory);

    first.load(&mut vmcs).unwrap().write(GUEST_RIP, 0x1234).unwrap();
    let here = first.operation().id().unwrap();
    assert_eq!(here.apic_id(), Some(0));
    assert_eq!(second.load(&mut vmcs).unwrap_err(), LoadError::ActiveElsewhere(here));
    assert_eq!(second.clear(&mut vmcs).unwrap_err(), LoadError::ActiveElsewhere(here));
    let mut vmcs = vmcs.into_owner().expect_err("the page of an active VMCS stays");
    first.clear(&mut vmcs).unwrap();
    assert_eq!(second.load(&mut vmcs).unwrap().read(GUEST_RIP), Ok(0x1234));
    assert_eq!(vmcs.active_on(), second.operation().id());
    second.clear(&mut vmcs).unwrap();
    assert!(vmcs.into_owner().is_ok());
}

#[test]
fn before_a_reboot_all_are_cleared_where_they_are_active() {
    let memory = PhysicalMemory::new(6);
    let [mut cpu_0, mut cpu_1] = [0, 1].map(|apic_id| VmxCpu::new(&memory, apic_id));
    let (mut operation_0, mut operation_1) = (VmxOperation::new(), VmxOperation::new());
    let mut first = entered(&memory, &mut operation_0, &mut cpu_0);
    let mut second = entered(&memory, &mut operation_1, &mut cpu_1);
    let mut vmcss = [(); 4].map(|()| vmcs(&memory));
    first.load(&mut vmcss[0]).unwrap();
    first.load(&mut vmcss[1]).unwrap();
    second.load(&mut vmcss[2]).unwrap();
    second.load(&mut vmcss[3]).unwrap();
    let request = vmcss[1].request_clear().unwrap();

    assert_eq!(first.leave().unwrap_err(), LeaveError::StillActive { vmcs: 2 });
    assert_eq!(first.clear_all(&mut vmcss), Ok(1), "the other one was asked for");
    let receipt = first.serve(request).unwrap();
    vmcss[1].accept_clear(receipt).unwrap();
    assert_eq!(second.clear_all(&mut vmcss), Ok(2));
    assert_eq!(second.clear_all(&mut vmcss), Ok(0));
    drop((first.leave().unwrap(), second.leave().unwrap(), vmcss));
    assert_eq!(memory.free(), 6);
}

#[test]
fn one_that_is_not_cleared_does_not_keep_the_others() {
    let memory = PhysicalMemory::new(4);
    let mut cpu = VmxCpu::new(&memory, 0);
    let mut operation = VmxOperation::new();
    let mut vmcss = [(); 3].map(|()| vmcs(&memory));
    let mut here = entered(&memory, &mut operation, &mut cpu);
    for vmcs in &mut vmcss {
        here.load(vmcs).unwrap();
    }
    cpu.fail_next(Instruction::Vmclear);
    let mut here = section(&mut operation, &mut cpu);
    let failed = LoadError::Vmx(VmxError::FailValid(InstructionError(0)));
    assert_eq!(here.clear_all(&mut vmcss), Err(failed));
    assert_eq!(vmcss.each_ref().map(|vmcs| vmcs.active_on().is_some()), [true, false, false]);
    assert_eq!(here.operation().active(), 1);
    assert_eq!(here.clear_all(&mut vmcss), Ok(1));
    here.leave().unwrap();
}

#[test]
fn the_launch_state_chooses_the_instruction() {
    let memory = PhysicalMemory::new(2);
    let mut cpu = VmxCpu::new(&memory, 0);
    let reason = ExitReason(BasicExitReason::ENTRY_FAILURE_GUEST_STATE.0 as u32 | 1 << 31);
    let no_controls = InstructionError::ENTRY_INVALID_CONTROLS;
    cpu.next_guest_event(GuestEvent::Refused(no_controls));
    cpu.next_guest_event(GuestEvent::Exit { reason, qualification: 2 });
    let mut operation = VmxOperation::new();
    let mut here = entered(&memory, &mut operation, &mut cpu);
    let mut vmcs = vmcs(&memory);
    let mut registers = GuestRegisters::default();

    // The wrong instruction would fail with error 4 or 5. A failed entry, of either kind,
    // leaves the VMCS clear; an exit launches it.
    let mut current = here.load(&mut vmcs).unwrap();
    // SAFETY: there is no guest. The same below.
    let failed = unsafe { current.enter(&mut registers) }.unwrap_err();
    assert_eq!(failed, EntryFailure::Instruction(VmxError::FailValid(no_controls)));
    // SAFETY: as above.
    let failed = unsafe { current.enter(&mut registers) }.unwrap_err();
    assert_eq!(failed, EntryFailure::GuestState { reason, qualification: 2 });
    for launched in [false, true] {
        assert_eq!(current.is_launched(), launched);
        // SAFETY: as above.
        let reason = unsafe { current.enter(&mut registers) }.unwrap();
        assert_eq!(reason.basic(), BasicExitReason::VMCALL);
    }
    assert!(vmcs.is_launched());
    here.clear(&mut vmcs).unwrap();
    assert!(!vmcs.is_launched());
    // SAFETY: as above.
    unsafe { here.load(&mut vmcs).unwrap().enter(&mut registers) }.unwrap();
}

/// [`VmxCpu`] panics where an exit would land elsewhere.
#[test]
fn the_host_pointers_are_written_again_where_they_must() {
    let memory = PhysicalMemory::new(3);
    let [mut cpu_0, mut cpu_1] = [0, 1].map(|apic_id| VmxCpu::new(&memory, apic_id));
    let (mut operation_0, mut operation_1) = (VmxOperation::new(), VmxOperation::new());
    let mut vmcs = vmcs(&memory);
    let mut registers = GuestRegisters::default();
    let mut run = |section: &mut Section<'_, '_>, vmcs: &mut Vmcs<_>| {
        // SAFETY: there is no guest.
        unsafe { section.load(vmcs).unwrap().enter(&mut registers) }.unwrap();
    };
    let mut first = entered(&memory, &mut operation_0, &mut cpu_0);
    run(&mut first, &mut vmcs);
    // Somebody writes the field.
    first.load(&mut vmcs).unwrap().write(HOST_RSP, 0x1000).unwrap();
    run(&mut first, &mut vmcs);
    // Another CPU has another stack.
    first.clear(&mut vmcs).unwrap();
    let mut second = entered(&memory, &mut operation_1, &mut cpu_1);
    run(&mut second, &mut vmcs);
    // The data is lost.
    cpu_1.reset();
    // SAFETY: it was reset.
    let mut ended = unsafe { operation_1.lost() }.unwrap();
    ended.release(&mut vmcs).unwrap();
    let mut second = section(&mut operation_1, &mut cpu_1);
    second.enter(ended.take_page().unwrap(), &CAPABILITIES).unwrap();
    run(&mut second, &mut vmcs);
}

#[test]
fn a_request_is_not_served_by_the_next_operation_with_the_same_region() {
    let memory = PhysicalMemory::new(2);
    let mut cpu = VmxCpu::new(&memory, 0);
    let mut operation = VmxOperation::new();
    let mut here = entered(&memory, &mut operation, &mut cpu);
    let mut vmcs = vmcs(&memory);
    here.load(&mut vmcs).unwrap();
    let request = vmcs.request_clear().unwrap();
    let mut ended = here.leave_by_force().unwrap();
    assert_eq!(ended.release(&mut vmcs), Err(ReleaseError::ClearRequested));
    assert!(ended.take_page().is_none(), "a VMCS is outstanding");

    vmcs.cancel_clear(request).unwrap();
    ended.release(&mut vmcs).unwrap();
    here.enter(ended.take_page().unwrap(), &CAPABILITIES).unwrap();
    here.load(&mut vmcs).unwrap();
    // The old operation is over, though the new one looks like it.
    assert_eq!(ended.release(&mut vmcs), Err(ReleaseError::OtherOperation));
    assert!(ended.take_page().is_none());
    here.clear(&mut vmcs).unwrap();
    here.leave().unwrap();
}

#[test]
fn a_receipt_outlives_the_operation_and_nothing_else() {
    let memory = PhysicalMemory::new(3);
    let mut cpu = VmxCpu::new(&memory, 0);
    let mut operation = VmxOperation::new();
    let mut here = entered(&memory, &mut operation, &mut cpu);
    let [mut vmcs, mut other] = [(); 2].map(|()| vmcs(&memory));
    here.load(&mut vmcs).unwrap();
    here.load(&mut other).unwrap();
    let receipt = here.serve(vmcs.request_clear().unwrap()).unwrap();
    cpu.reset();
    // SAFETY: it was reset.
    let mut ended = unsafe { operation.lost() }.unwrap();
    assert_eq!(ended.outstanding(), 1);
    // It is not among the outstanding ones, whatever it says.
    assert_eq!(ended.release(&mut vmcs), Err(ReleaseError::ClearRequested));
    assert_eq!(ended.outstanding(), 1);
    let receipt = other.accept_clear(receipt).expect_err("it is another one's");
    vmcs.accept_clear(receipt).unwrap();
    assert_eq!(ended.release(&mut vmcs), Err(ReleaseError::OtherOperation));
    ended.release(&mut other).unwrap();
    drop((ended.take_page().unwrap(), vmcs, other));
    assert_eq!(memory.free(), 3);
}

/// The requester withdraws, since nobody serves a mailbox on a CPU that was reset.
#[test]
fn a_request_comes_back_from_a_cpu_that_is_gone() {
    let memory = PhysicalMemory::new(2);
    let mut cpu = VmxCpu::new(&memory, 0);
    let mailbox = ClearMailbox::new();
    let mut operation = VmxOperation::new();
    let mut here = entered(&memory, &mut operation, &mut cpu);
    let mut vmcs = vmcs(&memory);
    here.load(&mut vmcs).unwrap();
    let posted = mailbox.post(vmcs.request_clear().unwrap()).unwrap();
    cpu.reset();
    // SAFETY: it was reset.
    let mut ended = unsafe { operation.lost() }.unwrap();
    vmcs.cancel_clear(posted.withdraw().unwrap_err()).unwrap();
    ended.release(&mut vmcs).unwrap();
    ended.take_page().unwrap();
    let mut here = section(&mut operation, &mut cpu);
    assert!(!here.serve_mailbox(&mailbox));
}

#[test]
fn an_error_in_the_middle_of_making_one_leaves_nothing_behind() {
    let memory = PhysicalMemory::new(2);
    let mut cpu = VmxCpu::new(&memory, 0);
    let mut operation = VmxOperation::new();
    let mut here = entered(&memory, &mut operation, &mut cpu);
    let shadow_only = vmx_core::vmcs::field::Encoding(0x2026);
    let built = here.build(memory.allocate().unwrap(), &CAPABILITIES, |current| {
        current.write(GUEST_RIP, 0x1000)?;
        current.vmwrite(shadow_only, 0)?;
        Ok::<_, vmx_core::Error>(())
    });
    let unsupported = VmxError::FailValid(InstructionError::UNSUPPORTED_COMPONENT);
    assert_eq!(built.unwrap_err(), vmx_core::Error::Vmx(unsupported));
    assert_eq!(memory.free(), 1);
    drop(here.leave().unwrap());
    assert_eq!(memory.free(), 2);
}

#[test]
fn what_the_cpu_does_not_take_is_told_and_comes_back() {
    let memory = PhysicalMemory::new(3);
    let mut cpu = VmxCpu::new(&memory, 0);
    let mut operation = VmxOperation::new();
    let other = Capabilities { basic: vmx_core::capability::VmxBasic(7), ..CAPABILITIES };
    let mut here = section(&mut operation, &mut cpu);
    let refused = here.enter(memory.allocate().unwrap(), &other).unwrap_err();
    assert_eq!(refused.error, EnterError::OtherCapabilities { differs: "IA32_VMX_BASIC" });
    here.enter(refused.page, &CAPABILITIES).unwrap();

    let mut of_another_cpu = Vmcs::new(memory.allocate().unwrap(), &other);
    let mut shadow = Vmcs::new_shadow(memory.allocate().unwrap(), &CAPABILITIES);
    for vmcs in [&mut of_another_cpu, &mut shadow] {
        // Error 11, but there is no current VMCS to hold the number.
        assert_eq!(here.load(vmcs).unwrap_err(), LoadError::Vmx(VmxError::FailInvalid));
        assert_eq!(vmcs.active_on(), None);
    }
    drop((of_another_cpu, shadow, here.leave().unwrap()));
    assert_eq!(memory.free(), 3);
}

/// The value that a kernel keeps for a CPU is dropped in VMX operation, and a VMCS while it
/// is active: both pages stay the CPU's.
#[test]
fn dropped_in_use_is_leaked() {
    let memory = PhysicalMemory::new(3);
    let mut cpu = VmxCpu::new(&memory, 0);
    let mut operation = VmxOperation::new();
    let mut here = entered(&memory, &mut operation, &mut cpu);
    let mut vmcs = vmcs(&memory);
    here.load(&mut vmcs).unwrap();
    drop(vmcs);
    assert_eq!(here.operation().active(), 1);
    operation = VmxOperation::new();
    assert_eq!(memory.free(), 1);
    let mut here = section(&mut operation, &mut cpu);
    let refused = here.enter(memory.allocate().unwrap(), &CAPABILITIES).unwrap_err();
    let twice = VmxError::FailValid(InstructionError(15));
    assert_eq!(refused.error, EnterError::InUse(twice));
}
