//! The exact accesses of each policy, against a scripted CPU: what a user writes to
//! pin down the order of accesses. Anything not expected fails the test.
#![allow(clippy::unwrap_used)] // Helpers of tests, which the lint does not take for tests.

use cet_policy::{
    CpuCet, Eager, Exits, GuestCet, HostCet, HostMode, HostXss, LazyIntercept, LoadError,
    NotAttached, Policy, PolicyCpu, ReadAnswer, Refused, Reset, SCetError, SupervisorState,
    VcpuCet, Ways, WriteAnswer, XsaveBacked,
};
use mockall::Sequence;
use mockall::predicate::eq;
use vmx_core::cet::{CetControl, Ssp, SspRegister};
use vmx_core::control::EntryControls;
use vmx_core::intercept::MsrAccess;
use vmx_core::memory::LinearAddressWidth::{self, Bits57};
use vmx_core::memory::PhysicalPage;
use vmx_core::state::GuestState64;
use vmx_core::vmcs::FieldValues;
use vmx_core::vmcs::field::{GUEST_INTERRUPT_SSP_TABLE_ADDR, GUEST_S_CET, GUEST_SSP};
use vmx_core::{Capabilities, MsrBitmap, MsrIndex, Page};
use vmx_mock::mocks::MockCpu;
use vmx_tests::Setup;
use vmx_tests::contract::setup::cpu_cet;

const OFFERED: GuestCet =
    GuestCet { shadow_stacks: true, indirect_branch_tracking: true, xss: 1 << 12 };

fn host(mode: HostMode) -> HostCet {
    Setup::new(mode).host().unwrap()
}

/// A vCPU with its VMCS, of which this CPU gets to see nothing.
fn vcpu<P: Policy>(mode: HostMode, bitmap: &MsrBitmap<'_>) -> VcpuCet<P> {
    let mut cet = VcpuCet::new(&host(mode), OFFERED).unwrap();
    cet.attach(&mut FieldValues::new(), bitmap).unwrap();
    cet
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
    let bitmap = MsrBitmap::all_exit(PhysicalPage::unplaced(&page));
    let mut cet = vcpu::<Eager>(HostMode::DoesNot, &bitmap);

    expect_writes(&mut cpu, &mut order, [0; 3]);
    cet.load(&mut cpu).unwrap();
    expect_reads(&mut cpu, &mut order, 0x1000);
    cet.put(&mut cpu, &bitmap);
    expect_writes(&mut cpu, &mut order, [0x1000, 0x1008, 0x1010]);
    cet.load(&mut cpu).unwrap();
    cet.load(&mut cpu).unwrap();
}

#[test]
fn eager_saves_and_restores_a_host_that_uses_them() {
    let (mut cpu, mut order, page) = (MockCpu::new(), Sequence::new(), Page::new());
    let bitmap = MsrBitmap::all_exit(PhysicalPage::unplaced(&page));
    let mut cet = vcpu::<Eager>(HostMode::UsesShadowStacks, &bitmap);

    expect_reads(&mut cpu, &mut order, 0x9000);
    expect_writes(&mut cpu, &mut order, [0; 3]);
    cet.load(&mut cpu).unwrap();
    expect_reads(&mut cpu, &mut order, 0x1000);
    expect_writes(&mut cpu, &mut order, [0x9000, 0x9008, 0x9010]);
    cet.put(&mut cpu, &bitmap);
    cet.put(&mut cpu, &bitmap);
}

#[test]
fn an_inactive_lazy_guest_causes_no_access_at_all() {
    // No expectation: every access would panic.
    let (mut cpu, page) = (MockCpu::new(), Page::new());
    let bitmap = MsrBitmap::all_exit(PhysicalPage::unplaced(&page));
    let mut cet = vcpu::<LazyIntercept>(HostMode::UsesShadowStacks, &bitmap);
    for _ in 0..1000 {
        cet.load(&mut cpu).unwrap();
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
    let bitmap = MsrBitmap::all_exit(PhysicalPage::unplaced(&page));
    let mut cet = vcpu::<LazyIntercept>(HostMode::DoesNot, &bitmap);
    cet.load(&mut cpu).unwrap();
    expect_writes(&mut cpu, &mut order, [0, 0x1000, 0]);
    cet.guest_writes_msr(&mut cpu, &bitmap, MsrIndex::IA32_PL1_SSP, 0x1000).unwrap();
    assert!(cet.policy().is_active());
}

#[test]
fn xsave_is_one_xrstors_and_one_xsaves() {
    let (mut cpu, mut order, page) = (MockCpu::new(), Sequence::new(), Page::new());
    let bitmap = MsrBitmap::all_exit(PhysicalPage::unplaced(&page));
    let mut cet = vcpu::<XsaveBacked>(HostMode::DoesNot, &bitmap);

    cpu.expect_xrstors_cet_s().once().in_sequence(&mut order).return_const(());
    cet.load(&mut cpu).unwrap();
    cpu.expect_xsaves_cet_s()
        .once()
        .in_sequence(&mut order)
        .returning(|area| area.save(|area| area.store([8, 16, 24].map(ssp))));
    cet.put(&mut cpu, &bitmap);
    assert_eq!(cet.state(&mut cpu).ssp, [8, 16, 24]);
    cpu.expect_xrstors_cet_s()
        .withf(|area| area.values() == [8, 16, 24].map(ssp))
        .once()
        .in_sequence(&mut order)
        .return_const(());
    cet.load(&mut cpu).unwrap();
}

/// IA32_XSS[12] is 0 at put: nothing is lost, and no XRSTORS faults.
#[test]
fn an_xsaves_that_saves_nothing_is_made_up_for() {
    let (mut cpu, mut order, page) = (MockCpu::new(), Sequence::new(), Page::new());
    let bitmap = MsrBitmap::all_exit(PhysicalPage::unplaced(&page));
    let mut cet = vcpu::<XsaveBacked>(HostMode::UsesShadowStacks, &bitmap);

    expect_reads(&mut cpu, &mut order, 0x9000);
    cpu.expect_xrstors_cet_s().once().in_sequence(&mut order).return_const(());
    cet.load(&mut cpu).unwrap();
    cpu.expect_xsaves_cet_s().once().in_sequence(&mut order).return_const(false);
    expect_reads(&mut cpu, &mut order, 0x1000);
    expect_writes(&mut cpu, &mut order, [0x9000, 0x9008, 0x9010]);
    cet.put(&mut cpu, &bitmap);
    assert_eq!(cet.state(&mut cpu).ssp, [0x1000, 0x1008, 0x1010]);
}

#[test]
fn withdrawing_shadow_stacks_turns_them_off_in_the_vmcs() {
    let (mut cpu, page) = (MockCpu::new(), Page::new());
    let bitmap = MsrBitmap::all_exit(PhysicalPage::unplaced(&page));
    let mut cet = vcpu::<LazyIntercept>(HostMode::DoesNot, &bitmap);
    let field = GUEST_S_CET.encoding();
    cpu.expect_vmread().with(eq(field)).once().return_const(Ok(0b111));
    cpu.expect_vmwrite().with(eq(field), eq(0b100)).once().return_const(Ok(()));
    let tracking_only = GuestCet { shadow_stacks: false, xss: 0, ..OFFERED };
    cet.set_guest(&mut cpu, &bitmap, tracking_only).unwrap();
}

/// Every call of a vCPU on a machine that offers nothing, under one policy.
fn offers_nothing<P: Policy>() {
    // No expectation: every access would panic. And a bitmap that lets all pass.
    let (mut cpu, page) = (MockCpu::new(), Page::new());
    let bitmap = MsrBitmap::from_page(PhysicalPage::unplaced(&page));
    let detected = CpuCet { xsaves: false, supported_xss: 0, ..cpu_cet(Bits57) };
    let host = HostCet::offering_nothing(detected, HostXss::Fixed(0)).unwrap();
    let nothing = GuestCet::default();
    let mut cet = VcpuCet::<P>::new(&host, nothing).unwrap();
    cet.attach(&mut cpu, &bitmap).unwrap();
    cet.load(&mut cpu).unwrap();
    for msr in (0x6A0..=0x6A8).map(MsrIndex).chain([MsrIndex::IA32_XSS]) {
        if msr == MsrIndex(0x6A1) || msr == MsrIndex(0x6A3) {
            continue;
        }
        for access in [MsrAccess::Read, MsrAccess::Write] {
            let exits = bitmap.exits(msr, access);
            assert!(exits || (msr, access) == (MsrIndex::IA32_XSS, MsrAccess::Read), "{msr}");
        }
        let refused = Ok(ReadAnswer::GeneralProtection);
        assert_eq!(cet.guest_reads_msr(&mut cpu, msr), refused, "{msr}");
        for value in [0, 0x1000, 1 << 55] {
            let answer = cet.guest_writes_msr(&mut cpu, &bitmap, msr, value);
            assert_eq!(answer, Ok(WriteAnswer::GeneralProtection), "{msr}");
        }
    }
    for register in SspRegister::ALL {
        assert_eq!(cet.host_read(&mut cpu, register), Ssp::ZERO);
        cet.host_write(&mut cpu, &bitmap, register, 0).unwrap();
        cet.host_write(&mut cpu, &bitmap, register, 1 << 55).unwrap_err();
    }
    cet.host_write_s_cet(&mut cpu, &bitmap, CetControl::empty()).unwrap();
    cet.host_write_s_cet(&mut cpu, &bitmap, CetControl::SH_STK_EN).unwrap_err();
    cet.restore(&mut cpu, &bitmap, &SupervisorState::default()).unwrap();
    for kind in [Reset::Init, Reset::PowerUp] {
        cet.reset(&mut cpu, &bitmap, kind).unwrap();
    }
    cet.set_guest(&mut cpu, &bitmap, nothing).unwrap();
    cet.put(&mut cpu, &bitmap);
    assert_eq!(cet.state(&mut cpu), SupervisorState::default());
}

#[test]
fn a_machine_that_offers_nothing_touches_nothing() {
    offers_nothing::<Eager>();
    offers_nothing::<LazyIntercept>();
    offers_nothing::<XsaveBacked>();
}

#[test]
fn attach_comes_first() {
    // No expectation: what is refused touches nothing.
    let (mut cpu, page) = (MockCpu::new(), Page::new());
    let bitmap = MsrBitmap::all_exit(PhysicalPage::unplaced(&page));
    let mut cet = VcpuCet::<Eager>::new(&host(HostMode::DoesNot), OFFERED).unwrap();
    assert_eq!(cet.load(&mut cpu), Err(LoadError::NotAttached(NotAttached)));
    let written = cet.host_write_s_cet(&mut cpu, &bitmap, CetControl::SH_STK_EN);
    assert_eq!(written, Err(SCetError::NotAttached(NotAttached)));
    // Before it, the field of the VMCS holds nobody's value.
    cet.set_guest(&mut cpu, &bitmap, GuestCet { xss: 0, ..OFFERED }).unwrap();
}

#[test]
fn the_guest_state_leaves_what_the_policy_knows() {
    let page = Page::new();
    let bitmap = MsrBitmap::all_exit(PhysicalPage::unplaced(&page));
    let mut vmcs = FieldValues::new();
    let mut cet = VcpuCet::<LazyIntercept>::new(&host(HostMode::DoesNot), OFFERED).unwrap();
    cet.attach(&mut vmcs, &bitmap).unwrap();
    vmcs.set(GUEST_S_CET, CetControl::SH_STK_EN);
    let controls = EntryControls::LOAD_CET_STATE;
    GuestState64::default().write(&mut vmcs, &Capabilities::NOTHING, controls).unwrap();
    assert_eq!(vmcs.get(GUEST_S_CET), Some(CetControl::SH_STK_EN));
    // And between the two, every field is written once.
    for field in [GUEST_SSP, GUEST_INTERRUPT_SSP_TABLE_ADDR] {
        assert_eq!(vmcs.get(field), Some(0));
    }
}

/// A put that parks nothing looks at no VMCS: the current one may be another vCPU's.
#[test]
fn a_second_put_does_not_look_at_another_vmcs() {
    let (mut cpu, page) = (MockCpu::new(), Page::new());
    let bitmap = MsrBitmap::all_exit(PhysicalPage::unplaced(&page));
    let mut cet = vcpu::<WantsToRearm>(HostMode::DoesNot, &bitmap);
    cet.load(&mut cpu).unwrap();
    let field = GUEST_S_CET.encoding();
    cpu.expect_vmread().with(eq(field)).once().return_const(Ok(1));
    cet.put(&mut cpu, &bitmap);
    cet.put(&mut cpu, &bitmap);
}

/// A policy that always asks to intercept again.
#[derive(Debug)]
struct WantsToRearm;

impl Policy for WantsToRearm {
    const NAME: &'static str = "wants to re-arm";
    fn new(_: &HostCet) -> Result<Self, Refused> {
        Ok(Self)
    }
    fn exits(&self) -> Exits {
        Exits::NONE
    }
    fn load<C: PolicyCpu>(&mut self, _: &mut C) {}
    fn put<C: PolicyCpu>(&mut self, _: &mut C) {}
    fn is_resident(&self) -> bool {
        false
    }
    fn read<C: PolicyCpu>(&mut self, _: &mut C, _: SspRegister) -> Ssp {
        Ssp::ZERO
    }
    fn write<C: PolicyCpu>(&mut self, _: &mut C, _: SspRegister, _: Ssp) {}
    fn reach(&mut self, _: Ways) {}
    fn reset<C: PolicyCpu>(&mut self, _: &mut C) {}
    fn wants_to_rearm(&self) -> bool {
        true
    }
}
