//! What a machine cannot do is refused by name, each reason once (H14, H18, H19).
#![allow(clippy::unwrap_used)] // Helpers of tests, which the lint does not take for tests.

use cet_policy::{
    CpuCet, Eager, GuestCet, HostCet, HostMode, HostXss, IllegalValue, LazyIntercept, OfferError,
    Policy, Refused, RegisterError, SupervisorState, VcpuCet, XsaveBacked,
};
use vmx_core::cet::SspRegister;
use vmx_core::control::{AllowedSettings, ControlWord, EntryControls, ExitControls};
use vmx_core::memory::{LinearAddressWidth, PhysicalPage};
use vmx_core::{Capabilities, MsrBitmap, Page, VmxError};
use vmx_tests::Setup;
use vmx_tests::contract::machine::{Cpu, Fields, Hardware, XSS_CET_S};
use vmx_tests::contract::operation::{NOT_OFFERED, OFFERED};
use vmx_tests::contract::setup::{capabilities, cpu_cet};

const FULL: CpuCet = cpu_cet(LinearAddressWidth::Bits48);

fn host(cpu: CpuCet, capabilities: Capabilities, xss: u64) -> Result<HostCet, Refused> {
    HostCet::new(cpu, &capabilities, HostMode::DoesNot, HostXss::Fixed(xss))
}

fn passing_xss(cpu: CpuCet) -> HostCet {
    HostCet::new(cpu, &capabilities(), HostMode::DoesNot, HostXss::PassedThrough).unwrap()
}

fn without<W: ControlWord<Bits = u32>>(control: W) -> AllowedSettings {
    AllowedSettings::from_msr(u64::from(!control.bits()) << 32)
}

#[test]
fn a_machine_without_shadow_stacks_or_the_load_cet_pair_is_refused() {
    let all = capabilities();
    let no_shadow_stacks = CpuCet { shadow_stacks: false, ..FULL };
    assert_eq!(host(no_shadow_stacks, all, 0), Err(Refused::NoShadowStacks));
    let entry = without(EntryControls::LOAD_CET_STATE);
    assert_eq!(host(FULL, Capabilities { entry, ..all }, 0), Err(Refused::NoLoadCetStateOnEntry));
    let exit = without(ExitControls::LOAD_CET_STATE);
    assert_eq!(host(FULL, Capabilities { exit, ..all }, 0), Err(Refused::NoLoadCetStateOnExit));
    assert_eq!(host(FULL, all, 1 << 8), Err(Refused::UnsupportedXss { bits: 1 << 8 }));
    assert!(host(FULL, all, XSS_CET_S).is_ok());
}

#[test]
fn xsave_is_refused_by_what_it_lacks_and_the_others_are_not() {
    let all = capabilities();
    let no_component = CpuCet { supported_xss: 1 << 11, ..FULL };
    for (cpu, xss, reason) in [
        (CpuCet { xsaves: false, supported_xss: 0, ..FULL }, 0, Refused::NoXsaves),
        (CpuCet { os_xsave: false, ..FULL }, XSS_CET_S, Refused::NoOsXsave),
        (no_component, 0, Refused::NoCetSComponent),
        (CpuCet { cet_s_size: 16, ..FULL }, XSS_CET_S, Refused::NoCetSComponent),
        (CpuCet { task_switched: true, ..FULL }, XSS_CET_S, Refused::TaskSwitched),
        (FULL, 0, Refused::HostXssLacksCetS),
    ] {
        let host = host(cpu, all, xss).unwrap();
        assert_eq!(XsaveBacked::new(&host).err(), Some(reason));
        assert!(Eager::new(&host).is_ok() && LazyIntercept::new(&host).is_ok());
        let guest = GuestCet { xss: 0, ..OFFERED };
        assert_eq!(VcpuCet::<XsaveBacked>::new(&host, guest).err(), Some(reason));
    }
}

#[test]
fn a_host_that_passes_xss_through_offers_all_of_it_and_has_no_xsave() {
    let host = passing_xss(FULL);
    let reason = Refused::HostXssPassedThrough;
    assert_eq!(XsaveBacked::new(&host).err(), Some(reason));
    let hidden = Refused::XssPassedThrough { bits: 1 << 11 };
    assert_eq!(host.check_guest(&OFFERED), Err(hidden));
    let all = GuestCet { xss: FULL.supported_xss, ..OFFERED };
    assert_eq!(host.check_guest(&all), Ok(()));
    // XRSTORS of component 12 cannot be kept from the guest then.
    let no_shadow_stacks = GuestCet { shadow_stacks: false, ..all };
    assert_eq!(host.check_guest(&no_shadow_stacks), Err(Refused::CetSWithoutShadowStacks));
    // Nor can it be noticed.
    assert!(VcpuCet::<LazyIntercept>::new(&host, all).unwrap().policy().is_active());
    let no_component = passing_xss(CpuCet { supported_xss: 0, ..FULL });
    let guest = GuestCet { xss: 0, ..OFFERED };
    assert!(!VcpuCet::<LazyIntercept>::new(&no_component, guest).unwrap().policy().is_active());
}

#[test]
fn a_machine_that_offers_nothing_offers_nothing() {
    let host = HostCet::offering_nothing(FULL, HostXss::Fixed(0)).unwrap();
    assert!(!host.offers_shadow_stacks());
    for guest in [
        GuestCet { shadow_stacks: true, ..NOT_OFFERED },
        GuestCet { indirect_branch_tracking: true, ..NOT_OFFERED },
    ] {
        assert_eq!(host.check_guest(&guest), Err(Refused::OffersNothing));
    }
    assert!(VcpuCet::<XsaveBacked>::new(&host, NOT_OFFERED).is_ok());
    let unsupported = HostCet::offering_nothing(FULL, HostXss::Fixed(1 << 8));
    assert_eq!(unsupported, Err(Refused::UnsupportedXss { bits: 1 << 8 }));
}

#[test]
fn a_guest_is_offered_only_what_the_cpu_has() {
    let all = capabilities();
    let no_tracking = host(CpuCet { indirect_branch_tracking: false, ..FULL }, all, 0).unwrap();
    assert_eq!(no_tracking.check_guest(&OFFERED), Err(Refused::NoIndirectBranchTracking));

    // H14: IA32_XSS[12] offered by a CPU that does not have it.
    let no_component = host(CpuCet { supported_xss: 1 << 11, ..FULL }, all, 0).unwrap();
    let reason = Refused::UnsupportedXss { bits: XSS_CET_S };
    assert_eq!(no_component.check_guest(&OFFERED), Err(reason));
    assert_eq!(VcpuCet::<LazyIntercept>::new(&no_component, OFFERED).err(), Some(reason));

    let full = host(FULL, all, 0).unwrap();
    let only_xss = GuestCet { xss: XSS_CET_S, ..NOT_OFFERED };
    assert_eq!(full.check_guest(&only_xss), Err(Refused::CetSWithoutShadowStacks));
    assert_eq!(full.check_guest(&OFFERED), Ok(()));
}

#[test]
fn changes_from_the_host_are_refused_whole() {
    let host = Setup::new(HostMode::DoesNot).host().unwrap();
    let mut cpu = Cpu::new(Hardware::FREE, [0; 3], XSS_CET_S);
    let page = Page::new();
    let bitmap = MsrBitmap::all_exit(PhysicalPage::unplaced(&page));
    let mut cet = VcpuCet::<Eager>::new(&host, OFFERED).unwrap();

    // Without a current VMCS nothing changes.
    assert_eq!(cet.attach(&mut cpu, &bitmap), Err(VmxError::FailInvalid));
    cpu.vmcs = Some(Fields::default());
    cet.attach(&mut cpu, &bitmap).unwrap();
    cpu.vmcs = None;
    let no_vmcs = Err(OfferError::Vmcs(VmxError::FailInvalid));
    assert_eq!(cet.set_guest(&mut cpu, &bitmap, NOT_OFFERED), no_vmcs);
    assert_eq!(cet.guest(), &OFFERED);
    cpu.vmcs = Some(Fields::default());
    let too_much = GuestCet { xss: 1, ..OFFERED };
    let refused = OfferError::Refused(Refused::UnsupportedXss { bits: 1 });
    assert_eq!(cet.set_guest(&mut cpu, &bitmap, too_much), Err(refused));

    let illegal = SupervisorState { ssp: [8, 1 << 47, 8] };
    let error = cet.restore(&mut cpu, &bitmap, &illegal).unwrap_err();
    assert_eq!((error.register, error.cause), (SspRegister::Pl1, IllegalValue::NotCanonical));
    assert_eq!(cet.state(&mut cpu), SupervisorState::default());

    cet.set_guest(&mut cpu, &bitmap, NOT_OFFERED).unwrap();
    let refused =
        RegisterError { register: SspRegister::Pl0, value: 8, cause: IllegalValue::NoSuchMsr };
    assert_eq!(cet.host_write(&mut cpu, &bitmap, SspRegister::Pl0, 8), Err(refused));
}
