//! Values that a CPU refuses, for what CPUID says or against it, never fault in the
//! host (H34, H35).
#![allow(clippy::unwrap_used)] // Helpers of tests, which the lint does not take for tests.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cet_policy::{
    Eager, HostMode, IllegalValue, LazyIntercept, LoadError, Policy, RegisterError,
    SupervisorState, VcpuCet, WriteAnswer, XsaveBacked,
};
use vmx_core::cet::{CetControl, SspRegister};
use vmx_core::cpu::VmcsAccess;
use vmx_core::memory::PhysicalPage;
use vmx_core::vmcs::field::GUEST_INTERRUPT_SSP_TABLE_ADDR;
use vmx_core::{MsrBitmap, MsrIndex, Page};
use vmx_mock::Counting;
use vmx_tests::Setup;
use vmx_tests::contract::machine::{Cpu, Fields, Hardware, HostFault, XSS_CET_S};
use vmx_tests::contract::operation::OFFERED;

/// Canonical for 57 bits, not for 48.
const WIDE: u64 = 1 << 55;
const HOST: [u64; 3] = [0xA000, 0xB000, 0xC000];

fn cpu(hardware: Hardware) -> Cpu {
    let mut cpu = Cpu::new(hardware, HOST, XSS_CET_S);
    cpu.vmcs = Some(Fields::UNWRITTEN);
    cpu
}

fn vcpu<P: Policy>(cpu: &mut Cpu, hardware: Hardware, bitmap: &MsrBitmap<'_>) -> VcpuCet<P> {
    let setup = Setup { hardware, ..Setup::new(HostMode::UsesShadowStacks) };
    let mut cet = VcpuCet::new(&setup.host().unwrap(), OFFERED).unwrap();
    cet.attach(cpu, bitmap).unwrap();
    cet
}

/// Every door of the host's and the guest's, parked and loaded: the answer is the same,
/// and the registers and the guest's values stay.
fn every_door<P: Policy>(hardware: Hardware, cause: IllegalValue) {
    let page = Page::new();
    let bitmap = MsrBitmap::all_exit(PhysicalPage::unplaced(&page));
    let mut cpu = cpu(hardware);
    let mut cet = vcpu::<P>(&mut cpu, hardware, &bitmap);
    for loaded in [false, true] {
        if loaded {
            cet.load(&mut cpu).unwrap();
        }
        let before = cpu.ssp;
        for register in SspRegister::ALL {
            let refused = RegisterError { register, value: WIDE, cause };
            assert_eq!(cet.host_write(&mut cpu, &bitmap, register, WIDE), Err(refused));
            let mut ssp = [0; 3];
            ssp[register.index()] = WIDE;
            let state = SupervisorState { ssp };
            assert_eq!(cet.restore(&mut cpu, &bitmap, &state), Err(refused));
        }
        let msrs = [
            MsrIndex::IA32_PL0_SSP,
            MsrIndex::IA32_PL1_SSP,
            MsrIndex::IA32_PL2_SSP,
            MsrIndex::IA32_S_CET,
            MsrIndex::IA32_INTERRUPT_SSP_TABLE_ADDR,
        ];
        for msr in msrs {
            let answer = cet.guest_writes_msr(&mut cpu, &bitmap, msr, WIDE);
            assert_eq!(answer, Ok(WriteAnswer::GeneralProtection), "{msr}");
        }
        let base = CetControl::from_bits_retain(WIDE);
        cet.host_write_s_cet(&mut cpu, &bitmap, base).unwrap_err();
        assert_eq!(cpu.read(GUEST_INTERRUPT_SSP_TABLE_ADDR), Ok(0));
        assert_eq!(cpu.vmcs.unwrap().guest_s_cet(), 0);
        assert_eq!(cpu.ssp, before);
        assert_eq!(cet.state(&mut cpu), SupervisorState::default());
    }
    cet.put(&mut cpu, &bitmap);
    assert_eq!(cpu.ssp, HOST);
}

#[test]
fn every_door_refuses_what_this_cpu_refuses() {
    for (hardware, cause) in [
        (Hardware::FREE, IllegalValue::NotCanonical),
        (Hardware::WIDE_BY_CPUID, IllegalValue::RefusedByCpu),
        (Hardware::WIDE_IN_THE_GUEST, IllegalValue::RefusedByCpu),
    ] {
        every_door::<Eager>(hardware, cause);
        every_door::<LazyIntercept>(hardware, cause);
        every_door::<XsaveBacked>(hardware, cause);
    }
}

/// The guest has set CR4.LA57 and the host has not: what the guest took without an exit
/// cannot be loaded again. The value is kept, and the error names it.
fn taken_by_the_guest_alone<P: Policy>(hardware: Hardware) -> (Result<(), LoadError>, Cpu) {
    let page = Page::new();
    let bitmap = MsrBitmap::all_exit(PhysicalPage::unplaced(&page));
    let mut cpu = cpu(hardware);
    let mut cet = vcpu::<P>(&mut cpu, hardware, &bitmap);
    // Activates a lazy policy.
    cet.guest_writes_xss(&mut cpu, &bitmap, XSS_CET_S);
    cet.load(&mut cpu).unwrap();
    cpu.guest_wrmsr(SspRegister::Pl1, WIDE).unwrap();
    cet.put(&mut cpu, &bitmap);
    assert_eq!(cet.state(&mut cpu).ssp, [0, WIDE, 0]);
    let loaded = cet.load(&mut cpu);
    assert!(loaded.is_ok() || cpu.ssp == HOST);
    cet.put(&mut cpu, &bitmap);
    assert_eq!(cet.state(&mut cpu).ssp, [0, WIDE, 0]);
    (loaded, cpu)
}

#[test]
fn a_parked_value_that_this_cpu_refuses_is_an_error_of_load() {
    fn check<P: Policy>() {
        let refused = RegisterError {
            register: SspRegister::Pl1,
            value: WIDE,
            cause: IllegalValue::RefusedByCpu,
        };
        let (loaded, cpu) = taken_by_the_guest_alone::<P>(Hardware::WIDE_IN_THE_GUEST);
        assert_eq!((loaded, cpu.ssp), (Err(LoadError::Register(refused)), HOST));
        let (loaded, cpu) = taken_by_the_guest_alone::<P>(Hardware::WIDE);
        assert_eq!((loaded, cpu.ssp), (Ok(()), HOST));
        // Without asking it is a fault of the host's.
        let trusting = Hardware { says_yes: true, ..Hardware::WIDE_IN_THE_GUEST };
        let fault = catch_unwind(AssertUnwindSafe(|| taken_by_the_guest_alone::<P>(trusting)));
        let fault = fault.err().and_then(|fault| fault.downcast_ref().copied());
        assert_eq!(fault, Some(HostFault::IllegalSsp));
    }
    check::<Eager>();
    check::<LazyIntercept>();
    check::<XsaveBacked>();
}

/// Ordinary values are not asked about: their cost is what it was.
#[test]
fn only_wide_values_are_tried() {
    let page = Page::new();
    let bitmap = MsrBitmap::all_exit(PhysicalPage::unplaced(&page));
    let mut inner = cpu(Hardware::WIDE);
    let mut cet = vcpu::<Eager>(&mut inner, Hardware::WIDE, &bitmap);
    let mut cpu = Counting::new(inner);
    for (value, trials) in [(0, 0), (0x7FFF_FFFF_FFF8, 0), (0xFFFF_8000_0000_0000, 0), (WIDE, 1)] {
        let before = cpu.counts();
        cet.host_write(&mut cpu, &bitmap, SspRegister::Pl2, value).unwrap();
        cet.load(&mut cpu).unwrap();
        cet.load(&mut cpu).unwrap();
        // The load asks again, on the CPU on which it loads.
        assert_eq!(cpu.counts().since(&before).ssp_trials, 2 * trials, "{value:#x}");
        cet.put(&mut cpu, &bitmap);
    }
}
