//! The exact accesses of each policy, against a scripted CPU: what a user writes to
//! pin down the order of accesses. Anything not expected fails the test.
#![allow(clippy::unwrap_used)] // Helpers of tests, which the lint does not take for tests.

use cet_policy::{
    Eager, GuestCet, HostCet, HostMode, LazyIntercept, Policy, ReadAnswer, VcpuCet, XsaveBacked,
};
use mockall::Sequence;
use mockall::predicate::eq;
use vmx_core::cet::{Ssp, SspRegister};
use vmx_core::memory::LinearAddressWidth;
use vmx_core::vmcs::field::GUEST_S_CET;
use vmx_core::{MsrBitmap, MsrIndex, Page};
use vmx_mock::mocks::MockCpu;
use vmx_tests::Setup;

const OFFERED: GuestCet =
    GuestCet { shadow_stacks: true, indirect_branch_tracking: true, xss: 1 << 12 };

fn host(mode: HostMode) -> HostCet {
    Setup::new(mode).host().unwrap()
}

fn vcpu<P: Policy>(mode: HostMode) -> VcpuCet<P> {
    VcpuCet::new(&host(mode), OFFERED).unwrap()
}

fn ssp(value: u64) -> Ssp {
    Ssp::new(value, LinearAddressWidth::Bits48).unwrap()
}

/// RDMSR of all three, in this order, giving `first`, `first` + 8, `first` + 16.
fn expect_reads(cpu: &mut MockCpu, order: &mut Sequence, first: u64) {
    for (offset, register) in (0..).step_by(8).zip(SspRegister::ALL) {
        cpu.expect_read_ssp()
            .with(eq(register))
            .once()
            .in_sequence(order)
            .return_const(ssp(first + offset));
    }
}

fn expect_writes(cpu: &mut MockCpu, order: &mut Sequence, values: [u64; 3]) {
    for (value, register) in values.into_iter().zip(SspRegister::ALL) {
        cpu.expect_write_ssp()
            .with(eq(register), eq(ssp(value)))
            .once()
            .in_sequence(order)
            .return_const(());
    }
}

#[test]
fn eager_moves_three_registers_in_each_direction() {
    let (mut cpu, mut order, page) = (MockCpu::new(), Sequence::new(), Page::new());
    let bitmap = MsrBitmap::all_exit(&page);
    let mut cet = vcpu::<Eager>(HostMode::DoesNot);
    cet.attach(&bitmap);

    expect_writes(&mut cpu, &mut order, [0; 3]);
    cet.load(&mut cpu);
    expect_reads(&mut cpu, &mut order, 0x1000);
    cet.put(&mut cpu, &bitmap);
    expect_writes(&mut cpu, &mut order, [0x1000, 0x1008, 0x1010]);
    cet.load(&mut cpu);
    cet.load(&mut cpu);
}

#[test]
fn eager_saves_and_restores_a_host_that_uses_them() {
    let (mut cpu, mut order, page) = (MockCpu::new(), Sequence::new(), Page::new());
    let bitmap = MsrBitmap::all_exit(&page);
    let mut cet = vcpu::<Eager>(HostMode::UsesShadowStacks);

    expect_reads(&mut cpu, &mut order, 0x9000);
    expect_writes(&mut cpu, &mut order, [0; 3]);
    cet.load(&mut cpu);
    expect_reads(&mut cpu, &mut order, 0x1000);
    expect_writes(&mut cpu, &mut order, [0x9000, 0x9008, 0x9010]);
    cet.put(&mut cpu, &bitmap);
    cet.put(&mut cpu, &bitmap);
}

#[test]
fn an_inactive_lazy_guest_causes_no_access_at_all() {
    // No expectation: every access would panic.
    let (mut cpu, page) = (MockCpu::new(), Page::new());
    let bitmap = MsrBitmap::all_exit(&page);
    let mut cet = vcpu::<LazyIntercept>(HostMode::UsesShadowStacks);
    cet.attach(&bitmap);
    for _ in 0..1000 {
        cet.load(&mut cpu);
        for register in SspRegister::ALL {
            let answer = cet.guest_reads_msr(&mut cpu, register.msr());
            assert_eq!(answer, Ok(ReadAnswer::Value(0)));
        }
        cet.put(&mut cpu, &bitmap);
    }
    let zero = cet.guest_writes_msr(&mut cpu, &bitmap, MsrIndex::IA32_PL0_SSP, 0);
    assert_eq!(zero, Ok(cet_policy::WriteAnswer::Done));
    assert!(!cet.policy().is_active());
}

#[test]
fn the_first_write_activates_lazy_and_loads_all_three() {
    let (mut cpu, mut order, page) = (MockCpu::new(), Sequence::new(), Page::new());
    let bitmap = MsrBitmap::all_exit(&page);
    let mut cet = vcpu::<LazyIntercept>(HostMode::DoesNot);
    cet.attach(&bitmap);
    cet.load(&mut cpu);
    expect_writes(&mut cpu, &mut order, [0, 0x1000, 0]);
    cet.guest_writes_msr(&mut cpu, &bitmap, MsrIndex::IA32_PL1_SSP, 0x1000).unwrap();
    assert!(cet.policy().is_active());
}

#[test]
fn xsave_is_one_xrstors_and_one_xsaves() {
    let (mut cpu, mut order, page) = (MockCpu::new(), Sequence::new(), Page::new());
    let bitmap = MsrBitmap::all_exit(&page);
    let mut cet = vcpu::<XsaveBacked>(HostMode::DoesNot);

    cpu.expect_xrstors_cet_s().once().in_sequence(&mut order).return_const(());
    cet.load(&mut cpu);
    cpu.expect_xsaves_cet_s()
        .once()
        .in_sequence(&mut order)
        .returning(|area| area.store([8, 16, 24].map(ssp)));
    cet.put(&mut cpu, &bitmap);
    assert_eq!(cet.state(&mut cpu).ssp, [8, 16, 24]);
    cpu.expect_xrstors_cet_s()
        .withf(|area| area.values() == [8, 16, 24].map(ssp))
        .once()
        .in_sequence(&mut order)
        .return_const(());
    cet.load(&mut cpu);
}

#[test]
fn withdrawing_shadow_stacks_turns_them_off_in_the_vmcs() {
    let (mut cpu, page) = (MockCpu::new(), Page::new());
    let bitmap = MsrBitmap::all_exit(&page);
    let mut cet = vcpu::<LazyIntercept>(HostMode::DoesNot);
    let field = GUEST_S_CET.encoding();
    cpu.expect_vmread().with(eq(field)).once().return_const(Ok(0b111));
    cpu.expect_vmwrite().with(eq(field), eq(0b100)).once().return_const(Ok(()));
    let tracking_only = GuestCet { shadow_stacks: false, xss: 0, ..OFFERED };
    cet.set_guest(&mut cpu, &bitmap, tracking_only).unwrap();
}
