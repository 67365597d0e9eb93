//! Each method passes its arguments and result on and counts as itself alone.

use mockall::predicate::eq;
use vmx_core::capability::VmxBasic;
use vmx_core::vmcs::{InstructionError, LeaveError, LoadError, field};
use vmx_core::{Frame, GuestRegisters, Page, Vmcs, VmxOperation};

use super::*;
use crate::mocks::MockCpu;

const FAILURE: VmxError = VmxError::FailValid(InstructionError(28));

/// Runs `act` on a counting CPU that expects what `script` says.
fn run<R>(
    script: impl FnOnce(&mut MockCpu),
    act: impl FnOnce(&mut Counting<MockCpu>) -> R,
) -> (R, Counts) {
    let mut cpu = Counting::new(MockCpu::new());
    script(cpu.inner_mut());
    let result = act(&mut cpu);
    (result, cpu.counts())
}

#[test]
fn cpuid() {
    let answer = CpuidResult { eax: 1, ebx: 2, ecx: 3, edx: 4 };
    let found = run(
        |cpu| {
            cpu.expect_cpuid().with(eq(7), eq(1)).once().return_const(answer);
        },
        |cpu| cpu.cpuid(7, 1),
    );
    assert_eq!(found, (answer, Counts { cpuid: 1, ..Counts::default() }));
}

#[test]
fn named_msrs_count_by_msr() {
    let cases = [
        (NamedMsr::Xss, Counts { rdmsr_xss: 1, ..Counts::default() }),
        (NamedMsr::SCet, Counts { rdmsr_s_cet: 1, ..Counts::default() }),
        (NamedMsr::Efer, Counts { rdmsr_other: 1, ..Counts::default() }),
    ];
    for (msr, counts) in cases {
        let found = run(
            |cpu| {
                cpu.expect_read_named().with(eq(msr)).once().return_const(9u64);
            },
            |cpu| cpu.read_named(msr),
        );
        assert_eq!(found, (9, counts), "{msr:?}");
    }
}

/// Each MSR of the counters, with what RDMSR and WRMSR of it count.
fn msr_cases() -> [(MsrIndex, Counts, Counts); 6] {
    let ssp = |read, write| Counts { rdmsr_ssp: read, wrmsr_ssp: write, ..Counts::default() };
    [
        (MsrIndex::IA32_PL0_SSP, ssp([1, 0, 0], [0; 3]), ssp([0; 3], [1, 0, 0])),
        (MsrIndex::IA32_PL1_SSP, ssp([0, 1, 0], [0; 3]), ssp([0; 3], [0, 1, 0])),
        (MsrIndex::IA32_PL2_SSP, ssp([0, 0, 1], [0; 3]), ssp([0; 3], [0, 0, 1])),
        (
            MsrIndex::IA32_XSS,
            Counts { rdmsr_xss: 1, ..Counts::default() },
            Counts { wrmsr_xss: 1, ..Counts::default() },
        ),
        (
            MsrIndex::IA32_S_CET,
            Counts { rdmsr_s_cet: 1, ..Counts::default() },
            Counts { wrmsr_s_cet: 1, ..Counts::default() },
        ),
        (
            MsrIndex::IA32_PL3_SSP,
            Counts { rdmsr_other: 1, ..Counts::default() },
            Counts { wrmsr_other: 1, ..Counts::default() },
        ),
    ]
}

#[test]
fn msrs_by_number_count_by_msr() {
    for (msr, reading, writing) in msr_cases() {
        let read = run(
            |cpu| {
                cpu.expect_read_msr().with(eq(msr)).once().return_const(9u64);
            },
            // SAFETY: no CPU is behind it.
            |cpu| unsafe { cpu.read_msr(msr) },
        );
        assert_eq!(read, (9, reading), "{msr}");
        let written = run(
            |cpu| {
                cpu.expect_write_msr().with(eq(msr), eq(5)).once().return_const(());
            },
            // SAFETY: no CPU is behind it.
            |cpu| unsafe { cpu.write_msr(msr, 5) },
        );
        assert_eq!(written.1, writing, "{msr}");
    }
}

#[test]
fn ssp_registers_count_each_for_itself() {
    for (register, (msr, reading, writing)) in SspRegister::ALL.into_iter().zip(msr_cases()) {
        assert_eq!(register.msr(), msr);
        let value = Ssp::from_register(0x1000);
        let read = run(
            |cpu| {
                cpu.expect_read_ssp().with(eq(register)).once().return_const(value);
            },
            |cpu| cpu.read_ssp(register),
        );
        assert_eq!(read, (value, reading));
        let written = run(
            |cpu| {
                let expected = cpu.expect_write_ssp().with(eq(register), eq(value));
                expected.once().return_const(());
            },
            |cpu| cpu.write_ssp(register, value),
        );
        assert_eq!(written.1, writing);
    }
}

#[test]
fn trials_count_apart() {
    let value = Ssp::from_register(0x1000);
    for answer in [true, false] {
        let found = run(
            |cpu| {
                let expected = cpu.expect_accepts_ssp().with(eq(SspRegister::Pl1), eq(value));
                expected.once().return_const(answer);
            },
            |cpu| cpu.accepts_ssp(SspRegister::Pl1, value),
        );
        assert_eq!(found, (answer, Counts { ssp_trials: 1, ..Counts::default() }));
    }
}

#[test]
fn an_xsaves_that_saves_nothing_counts_too() {
    let (saved, counts) = run(
        |cpu| {
            cpu.expect_xsaves_cet_s().once().return_const(false);
        },
        |cpu| cpu.xsaves_cet_s(&mut CetSupervisorArea::new()),
    );
    assert_eq!((saved, counts), (false, Counts { xsaves: 1, ..Counts::default() }));
}

#[test]
fn extended_state() {
    let values = [8, 16, 24].map(Ssp::from_register);
    let (area, counts) = run(
        |cpu| {
            let expected = cpu.expect_xsaves_cet_s().once();
            expected.returning(move |area| area.save(|area| area.store(values)));
        },
        |cpu| {
            let mut area = CetSupervisorArea::new();
            assert!(cpu.xsaves_cet_s(&mut area));
            area
        },
    );
    assert_eq!((area.values(), counts), (values, Counts { xsaves: 1, ..Counts::default() }));
    let restored = run(
        |cpu| {
            let expected = cpu.expect_xrstors_cet_s().withf(move |area| area.values() == values);
            expected.once().return_const(());
        },
        |cpu| cpu.xrstors_cet_s(&area),
    );
    assert_eq!(restored.1, Counts { xrstors: 1, ..Counts::default() });
}

#[test]
fn control_registers() {
    let read = run(
        |cpu| {
            cpu.expect_read_cr0().once().return_const(Cr0::from_bits_retain(10));
            cpu.expect_read_cr2().once().return_const(12u64);
            cpu.expect_read_cr3().once().return_const(13u64);
            cpu.expect_read_cr4().once().return_const(Cr4::from_bits_retain(14));
        },
        |cpu| [cpu.read_cr0().bits(), cpu.read_cr2(), cpu.read_cr3(), cpu.read_cr4().bits()],
    );
    assert_eq!(read, ([10, 12, 13, 14], Counts { control_register_reads: 4, ..Counts::default() }));
    let cr0 = run(
        |cpu| {
            cpu.expect_write_cr0().with(eq(Cr0::PG)).once().return_const(());
        },
        // SAFETY: no CPU is behind it.
        |cpu| unsafe { cpu.write_cr0(Cr0::PG) },
    );
    assert_eq!(cr0.1, Counts { control_register_writes: 1, ..Counts::default() });
    let cr4 = run(
        |cpu| {
            cpu.expect_write_cr4().with(eq(Cr4::PAE)).once().return_const(());
        },
        // SAFETY: no CPU is behind it.
        |cpu| unsafe { cpu.write_cr4(Cr4::PAE) },
    );
    assert_eq!(cr4.1, Counts { control_register_writes: 1, ..Counts::default() });
}

#[test]
fn segments() {
    let state = SegmentState { cs: 8, tr_base: 0x1234, ..SegmentState::default() };
    let found = run(
        |cpu| {
            cpu.expect_segments().once().return_const(state);
        },
        |cpu| cpu.segments(),
    );
    assert_eq!(found, (state, Counts { segments: 1, ..Counts::default() }));
}

#[test]
fn vmcs_fields() {
    let encoding = field::GUEST_RIP.encoding();
    let read = run(
        |cpu| {
            cpu.expect_vmread().with(eq(encoding)).once().return_const(Ok(3));
        },
        |cpu| cpu.read(field::GUEST_RIP),
    );
    assert_eq!(
        read,
        (Ok(3), Counts { vmread: 1, ..Counts::default() }),
        "a typed read is one VMREAD"
    );
    let written = run(
        |cpu| {
            let expected = cpu.expect_vmwrite().with(eq(encoding), eq(4));
            expected.once().return_const(Err(FAILURE));
        },
        |cpu| cpu.write(field::GUEST_RIP, 4),
    );
    assert_eq!(written, (Err(FAILURE), Counts { vmwrite: 1, ..Counts::default() }));
}

#[test]
fn invalidation() {
    let scope = InveptScope::SingleContext { ept_pointer: 0x5000 };
    let found = run(
        |cpu| {
            cpu.expect_invept().with(eq(scope)).once().return_const(Err(FAILURE));
        },
        |cpu| cpu.invept(scope),
    );
    assert_eq!(found, (Err(FAILURE), Counts { invept: 1, ..Counts::default() }));
    let scope = InvvpidScope::IndividualAddress { vpid: 3, linear_address: 0x7000 };
    let found = run(
        |cpu| {
            cpu.expect_invvpid().with(eq(scope)).once().return_const(Err(FAILURE));
        },
        |cpu| cpu.invvpid(scope),
    );
    assert_eq!(found, (Err(FAILURE), Counts { invvpid: 1, ..Counts::default() }));
}

#[test]
fn entries_count_by_instruction() {
    let cases = [
        (EntryInstruction::Launch, Counts { vmlaunch: 1, ..Counts::default() }),
        (EntryInstruction::Resume, Counts { vmresume: 1, ..Counts::default() }),
    ];
    for (instruction, counts) in cases {
        for result in [Ok(()), Err(FAILURE)] {
            let mut registers = GuestRegisters { rax: 1, ..GuestRegisters::default() };
            let found = run(
                |cpu| {
                    let expected = cpu.expect_enter().once();
                    expected.returning(move |actual, _, registers| {
                        assert_eq!(actual, instruction);
                        registers.rax += 1;
                        result
                    });
                },
                // SAFETY: no CPU is behind it.
                |cpu| unsafe {
                    cpu.enter(instruction, &mut HostPointers::default(), &mut registers)
                },
            );
            assert_eq!((found, registers.rax), ((result, counts), 2));
        }
    }
}

const CAPABILITIES: Capabilities = Capabilities { basic: VmxBasic(4), ..Capabilities::NOTHING };

static PAGES: [Page; 4] = [const { Page::new() }; 4];

fn frame(page: usize) -> Frame<&'static Page> {
    // SAFETY: no CPU is behind it that would use the address, and each test takes other
    // pages.
    unsafe { Frame::new(&PAGES[page], PhysicalAddress(0x1000 + 0x1000 * page as u64)) }
}

#[test]
fn regions_are_passed_on() {
    let mut cpu = Counting::new(MockCpu::new());
    let mock = cpu.inner_mut();
    let at = |address| move |region: &VmcsPointer| region.address().0 == address;
    mock.expect_enter_vmx_operation()
        .withf(|region, _| (region.address().0, region.revision()) == (0x1000, 4))
        .once()
        .return_const(Ok(()));
    mock.expect_vmclear().withf(at(0x2000)).once().return_const(Ok(()));
    mock.expect_vmptrld().withf(at(0x2000)).once().return_const(Err(FAILURE));
    mock.expect_leave_vmx_operation().once().return_const(Err(FAILURE));

    let mut operation = VmxOperation::new();
    // SAFETY: no CPU is behind it.
    let mut section = unsafe { operation.section(&mut cpu) };
    section.enter(frame(0), &CAPABILITIES).unwrap();
    let mut vmcs = Vmcs::new(frame(1), &CAPABILITIES);
    assert_eq!(section.load(&mut vmcs).unwrap_err(), LoadError::Vmx(FAILURE));
    assert_eq!(section.leave().unwrap_err(), LeaveError::Vmxoff(FAILURE));

    let counts = Counts { vmxon: 1, vmclear: 1, vmptrld: 1, vmxoff: 1, ..Counts::default() };
    assert_eq!(cpu.counts(), counts, "counted though they failed");
    drop(cpu.into_inner()); // checks that all expectations were met
}

#[test]
fn the_lifecycle_runs_on_a_counting_cpu() {
    let mut cpu = Counting::new(MockCpu::new());
    cpu.inner_mut().expect_enter_vmx_operation().once().return_const(Ok(()));
    cpu.inner_mut().expect_vmclear().times(2).return_const(Ok(()));
    cpu.inner_mut().expect_vmptrld().once().return_const(Ok(()));
    cpu.inner_mut().expect_leave_vmx_operation().once().return_const(Ok(()));

    let mut operation = VmxOperation::new();
    // SAFETY: no CPU is behind it.
    let mut section = unsafe { operation.section(&mut cpu) };
    section.enter(frame(2), &CAPABILITIES).unwrap();
    let mut vmcs = Vmcs::new(frame(3), &CAPABILITIES);
    section.load(&mut vmcs).unwrap();
    section.load(&mut vmcs).unwrap();
    section.clear(&mut vmcs).unwrap();
    section.leave().unwrap();

    let counts = Counts { vmxon: 1, vmclear: 2, vmptrld: 1, vmxoff: 1, ..Counts::default() };
    assert_eq!(cpu.counts(), counts, "the second load finds the VMCS current");
    drop(cpu.into_inner()); // checks that all expectations were met
}
