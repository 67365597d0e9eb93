//! What each policy costs, counted on a CPU that behaves: what a user writes to
//! keep an eye on the number of accesses.
#![allow(clippy::unwrap_used)] // Helpers of tests, which the lint does not take for tests.

use cet_policy::{Eager, HostMode, LazyIntercept, Policy, Reset, VcpuCet, XsaveBacked};
use vmx_core::cet::SspRegister;
use vmx_core::memory::PhysicalPage;
use vmx_core::{MsrBitmap, MsrIndex, Page};
use vmx_mock::{Counting, Counts};
use vmx_tests::Setup;
use vmx_tests::contract::broken::{FlawedXsave, HostByXsaves};
use vmx_tests::contract::machine::{Cpu, Fields, Hardware, XSS_CET_S};
use vmx_tests::contract::operation::OFFERED;

const HOST: [u64; 3] = [0xA000, 0xB000, 0xC000];

fn cpu() -> Counting<Cpu> {
    let mut cpu = Cpu::new(Hardware::FREE, HOST, XSS_CET_S);
    cpu.vmcs = Some(Fields::default());
    Counting::new(cpu)
}

fn vcpu<P: Policy>(mode: HostMode, bitmap: &MsrBitmap<'_>) -> VcpuCet<P> {
    let mut cet = VcpuCet::new(&Setup::new(mode).host().unwrap(), OFFERED).unwrap();
    cet.attach(&mut cpu(), bitmap).unwrap();
    cet
}

/// The cost of ten loads and puts, each repeated, of a guest that uses a register.
fn ten_switches<P: Policy>(mode: HostMode) -> Counts {
    let page = Page::new();
    let bitmap = MsrBitmap::all_exit(PhysicalPage::unplaced(&page));
    let (mut cpu, mut cet) = (cpu(), vcpu::<P>(mode, &bitmap));
    cet.host_write(&mut cpu, &bitmap, SspRegister::Pl0, 0x1000).unwrap();
    let before = cpu.counts();
    for _ in 0..10 {
        cet.load(&mut cpu).unwrap();
        cet.load(&mut cpu).unwrap();
        assert_eq!(cpu.inner_mut().ssp, [0x1000, 0, 0]);
        cet.put(&mut cpu, &bitmap);
        cet.put(&mut cpu, &bitmap);
        assert!(mode == HostMode::DoesNot || cpu.inner_mut().ssp == HOST);
    }
    cpu.counts().since(&before)
}

#[test]
fn eager_costs_six_accesses_a_switch_and_twelve_for_both() {
    let counts = ten_switches::<Eager>(HostMode::DoesNot);
    assert_eq!((counts.rdmsr_ssp, counts.wrmsr_ssp), ([10; 3], [10; 3]));
    let counts = ten_switches::<Eager>(HostMode::UsesShadowStacks);
    assert_eq!((counts.rdmsr_ssp, counts.wrmsr_ssp), ([20; 3], [20; 3]));
    assert_eq!((counts.xsaves, counts.xrstors), (0, 0));
}

#[test]
fn an_active_lazy_guest_costs_what_eager_does() {
    for mode in [HostMode::DoesNot, HostMode::UsesShadowStacks] {
        assert_eq!(ten_switches::<LazyIntercept>(mode), ten_switches::<Eager>(mode));
    }
}

#[test]
fn xsave_costs_one_instruction_each_way() {
    let counts = ten_switches::<XsaveBacked>(HostMode::DoesNot);
    assert_eq!((counts.xsaves, counts.xrstors, counts.msr_reads()), (10, 10, 0));
    let counts = ten_switches::<XsaveBacked>(HostMode::UsesShadowStacks);
    assert_eq!((counts.xsaves, counts.xrstors, counts.rdmsr_ssp), (10, 20, [10; 3]));
    assert_eq!(counts.msr_writes(), 0);
}

#[test]
fn lazy_intercepts_again_and_then_costs_nothing() {
    let page = Page::new();
    let bitmap = MsrBitmap::all_exit(PhysicalPage::unplaced(&page));
    let (mut cpu, mut cet) = (cpu(), vcpu::<LazyIntercept>(HostMode::UsesShadowStacks, &bitmap));
    cet.load(&mut cpu).unwrap();
    cet.guest_writes_msr(&mut cpu, &bitmap, MsrIndex::IA32_PL0_SSP, 0x1000).unwrap();
    cet.reset(&mut cpu, &bitmap, Reset::Init).unwrap();
    assert!(!cet.policy().is_active());
    assert_eq!(cpu.inner_mut().ssp, HOST);
    let before = cpu.counts();
    for _ in 0..100 {
        cet.put(&mut cpu, &bitmap);
        cet.load(&mut cpu).unwrap();
    }
    assert_eq!(cpu.counts().since(&before), Counts::default());
}

#[test]
fn lazy_notices_a_guest_that_went_idle() {
    let page = Page::new();
    let bitmap = MsrBitmap::all_exit(PhysicalPage::unplaced(&page));
    let (mut cpu, mut cet) = (cpu(), vcpu::<LazyIntercept>(HostMode::DoesNot, &bitmap));
    cet.load(&mut cpu).unwrap();
    for value in [0x1000, 0] {
        cet.guest_writes_msr(&mut cpu, &bitmap, MsrIndex::IA32_PL0_SSP, value).unwrap();
    }
    for put in 1..=LazyIntercept::IDLE_PUTS {
        assert!(cet.policy().is_active(), "still active before put {put}");
        cet.put(&mut cpu, &bitmap);
        if put < LazyIntercept::IDLE_PUTS {
            cet.load(&mut cpu).unwrap();
        }
    }
    assert!(!cet.policy().is_active());
}

/// The host's registers after a vCPU was made, three times, where another one was.
fn host_after_reuse<P: Policy>() -> [u64; 3] {
    let page = Page::new();
    let bitmap = MsrBitmap::all_exit(PhysicalPage::unplaced(&page));
    let mut cpu = cpu();
    let mut place = Box::new(vcpu::<P>(HostMode::UsesShadowStacks, &bitmap));
    for _ in 0..3 {
        place.load(&mut cpu).unwrap();
        place.put(&mut cpu, &bitmap);
        *place = vcpu::<P>(HostMode::UsesShadowStacks, &bitmap);
    }
    cpu.inner_mut().ssp
}

/// What the CPU remembers of the old one's areas must not count for the new one's
/// (H33).
#[test]
fn a_vcpu_in_the_place_of_another_keeps_the_hosts_values() {
    assert_eq!(host_after_reuse::<XsaveBacked>(), HOST);
    assert_ne!(host_after_reuse::<FlawedXsave<HostByXsaves>>(), HOST);
}
