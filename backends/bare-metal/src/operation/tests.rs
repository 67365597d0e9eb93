//! One test for each refusal, and for their order.

use super::*;
use vmx_core::capability::{FixedBits, VmxBasic};
use vmx_core::cpu::CpuidResult;

const REVISION: u32 = 0x1234;
const CR0: Cr0 = Cr0::from_bits_retain(0x8005_0033);
const CR4: Cr4 = Cr4::from_bits_retain(0x0006_06A0);
const VMXE: Cr4 = Cr4::from_bits_retain(1 << 13);

const CAPABILITIES: Capabilities = Capabilities {
    basic: VmxBasic(REVISION as u64),
    cr0_fixed: FixedBits { must_be_one: 0x8000_0021, may_be_one: 0xFFFF_FFFF },
    cr4_fixed: FixedBits { must_be_one: VMXE.bits(), may_be_one: 0x00F7_2FFF },
    ..Capabilities::NOTHING
};

/// A CPU on which nothing is in the way, with the fixed bits of Tiger Lake.
const READY: Observed = Observed {
    feature_control: LOCK | VMXON_OUTSIDE_SMX,
    cr0: CR0,
    cr4: CR4,
    capabilities: CAPABILITIES,
};

#[test]
fn a_locked_and_enabled_cpu_only_gets_vmxe() {
    let plan = READY.plan(&CAPABILITIES);
    assert_eq!(plan, Ok(Plan { feature_control: None, cr4: CR4 | VMXE }));
    // CR4.CET (bit 23) of a host that uses it stays.
    let cet = Cr4::from_bits_retain(1 << 23);
    let plan = Observed { cr4: CR4 | cet, ..READY }.plan(&CAPABILITIES);
    assert_eq!(plan.map(|plan| plan.cr4), Ok(CR4 | cet | VMXE));
}

#[test]
fn an_open_feature_control_is_locked_with_its_other_bits_kept() {
    for (before, after) in [(0, 5), (4, 5), (0xFF02, 0xFF07)] {
        let plan =
            Observed { feature_control: before, cr4: Cr4::empty(), ..READY }.plan(&CAPABILITIES);
        assert_eq!(plan, Ok(Plan { feature_control: Some(after), cr4: VMXE }));
    }
}

#[test]
fn firmware_that_locked_vmx_off_is_named() {
    // Bit 1 allows VMXON inside SMX only.
    for feature_control in [LOCK, LOCK | 1 << 1] {
        let plan = Observed { feature_control, ..READY }.plan(&CAPABILITIES);
        assert_eq!(plan, Err(EnterError::LockedByFirmware { feature_control }));
    }
}

/// Fixed bits applied by the caller include it; VMXON tells whether somebody uses VMX.
#[test]
fn vmxe_may_be_set_already() {
    let plan = Observed { cr4: CR4 | VMXE, ..READY }.plan(&CAPABILITIES);
    assert_eq!(plan.map(|plan| plan.cr4), Ok(CR4 | VMXE));
}

#[test]
fn fixed_bits_of_cr0_are_named() {
    let cr0 = Cr0::from_bits_retain(CR0.bits() & !(1 << 5) | 1 << 40);
    let plan = Observed { cr0, ..READY }.plan(&CAPABILITIES);
    assert_eq!(plan, Err(EnterError::Cr0 { missing: 1 << 5, excess: 1 << 40 }));
}

#[test]
fn fixed_bits_of_cr4_are_named_without_vmxe() {
    let cr4_fixed = FixedBits { must_be_one: VMXE.bits() | 1 << 5, may_be_one: 0xFFFF };
    let capabilities = Capabilities { cr4_fixed, ..CAPABILITIES };
    let cr4 = Cr4::from_bits_retain(1 << 18);
    let plan = Observed { cr4, capabilities, ..READY }.plan(&CAPABILITIES);
    assert_eq!(plan, Err(EnterError::Cr4 { missing: 1 << 5, excess: 1 << 18 }));
}

#[test]
fn capabilities_of_another_cpu_are_named() {
    let other = Capabilities { basic: VmxBasic(7), ..CAPABILITIES };
    let refused = Err(EnterError::OtherCapabilities { differs: "IA32_VMX_BASIC" });
    assert_eq!(READY.plan(&other), refused);
}

#[test]
fn the_first_refusal_wins() {
    let other = Capabilities::NOTHING;
    let cr4 = Cr4::from_bits_retain(1 << 63);
    let mut cpu = Observed { feature_control: LOCK, cr0: Cr0::empty(), cr4, ..READY };
    assert!(matches!(cpu.plan(&other), Err(EnterError::LockedByFirmware { .. })));
    cpu.feature_control = 0;
    assert!(matches!(cpu.plan(&other), Err(EnterError::Cr0 { .. })));
    cpu.cr0 = CR0;
    assert!(matches!(cpu.plan(&other), Err(EnterError::Cr4 { .. })));
    cpu.cr4 = Cr4::empty();
    assert!(matches!(cpu.plan(&other), Err(EnterError::OtherCapabilities { .. })));
    assert!(cpu.plan(&CAPABILITIES).is_ok());
}

/// A CPU whose MSRs hold their own number, so that mixing two up shows.
struct Numbers {
    has_vmx: bool,
}

impl Cpuid for Numbers {
    fn cpuid(&mut self, leaf: u32, _: u32) -> CpuidResult {
        assert!(self.has_vmx || leaf == 1);
        CpuidResult { ecx: u32::from(self.has_vmx) << 5, ..Default::default() }
    }
}

impl Msr for Numbers {
    fn read_named(&mut self, msr: NamedMsr) -> u64 {
        assert!(self.has_vmx, "RDMSR of {msr:?} raises #GP(0) without VMX");
        msr.index().0.into()
    }
    unsafe fn read_msr(&mut self, msr: MsrIndex) -> u64 {
        panic!("{msr} is not of the closed set");
    }
    unsafe fn write_msr(&mut self, msr: MsrIndex, _: u64) {
        panic!("{msr} written while observing");
    }
}

impl ControlRegisters for Numbers {
    fn read_cr0(&mut self) -> Cr0 {
        Cr0::from_bits_retain(10)
    }
    fn read_cr2(&mut self) -> u64 {
        12
    }
    fn read_cr3(&mut self) -> u64 {
        13
    }
    fn read_cr4(&mut self) -> Cr4 {
        Cr4::from_bits_retain(14)
    }
    unsafe fn write_cr0(&mut self, _: Cr0) {
        panic!("CR0 written while observing");
    }
    unsafe fn write_cr4(&mut self, _: Cr4) {
        panic!("CR4 written while observing");
    }
}

#[test]
fn without_vmx_no_msr_is_touched() {
    let observed = observe(&mut Numbers { has_vmx: false });
    assert_eq!(observed.map(|_| ()), Err(EnterError::NoVmx));
}

#[test]
fn each_value_comes_from_its_register() {
    let observed = observe(&mut Numbers { has_vmx: true }).unwrap();
    assert_eq!(observed.feature_control, 0x3A);
    assert_eq!((observed.cr0.bits(), observed.cr4.bits()), (10, 14));
    let Capabilities { basic, cr0_fixed, cr4_fixed, .. } = observed.capabilities;
    assert_eq!(cr0_fixed, FixedBits { must_be_one: 0x486, may_be_one: 0x487 });
    assert_eq!(cr4_fixed, FixedBits { must_be_one: 0x488, may_be_one: 0x489 });
    assert_eq!(basic, VmxBasic(0x480));
}
