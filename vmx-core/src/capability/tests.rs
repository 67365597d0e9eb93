extern crate std;

use crate::control::allowed_settings::AllowedSettings;
use crate::control::execution::PrimaryControls;
use crate::control::execution::SecondaryControls;
use crate::control::execution::VmFunctions;
use crate::control::exit::ExitControls;
use crate::cpu::cpuid::Cpuid;
use crate::cpu::msr::Msr;
use crate::memory::address::PhysicalAddress;
use crate::memory::linear_address::LinearAddressWidth;
use crate::msr::named::NamedMsr;
use std::string::ToString;

use proptest::prelude::*;

use super::*;
use crate::cpu::cpuid::CpuidResult;
use crate::msr::index::MsrIndex;

/// Bochs' model of Tiger Lake.
pub(crate) const TIGER_LAKE: &str = "
480 01d8100000000004
481 0000007f00000016
482 fff9fffe0401e172
483 107fffff00036dff
484 0010ffff000011ff
485 00000000600401e0
486 0000000080000021
487 00000000ffffffff
488 0000000000002000
489 0000000000f72fff
48a 0000000000000034
48b 02977fff00000000
48c 00000f0106b34141
48d 0000007f00000016
48e fff9fffe04006172
48f 107fffff00036dfb
490 0010ffff000011fb
491 0000000000000001
CPUID 1: 000806c1 00010800 77faf3bf bfebfbff
CPUID 7.0: 0 f1bf27eb 00405fce fc100510
CPUID 80000008: 00003027 0 0 0
";

fn tiger_lake() -> Capabilities {
    Capabilities::from_dump(TIGER_LAKE).unwrap()
}

#[test]
fn a_dump_is_understood() {
    let cpu = tiger_lake();
    assert_eq!(cpu.check(), Ok(()));
    assert_eq!(cpu.primary, AllowedSettings::from_msr(0xFFF9_FFFE_0400_6172));
    assert_eq!(cpu.secondary.may_be_one, 0x0297_7FFF);
    assert_eq!(cpu.tertiary.may_be_one, 0);
    assert_eq!(cpu.misc.cr3_target_count(), 4);
    assert_eq!(cpu.highest_field_index(), 26);
    assert!(cpu.ept_vpid.contains(EptVpidCapabilities::SUPERVISOR_SHADOW_STACK));
    assert!(!cpu.ept_vpid.contains(EptVpidCapabilities::PAGE_WALK_5));
    assert_eq!(cpu.vm_functions, VmFunctions::EPTP_SWITCHING);
    assert_eq!(cpu.linear_address_width, LinearAddressWidth::Bits48);
    assert_eq!(cpu.physical_address_width, 39);
    assert!(cpu.has_shadow_stacks && cpu.has_indirect_branch_tracking);
    assert!(cpu.is_physical_address(PhysicalAddress(0x7F_FFFF_F000)));
    assert!(!cpu.is_physical_address(PhysicalAddress(0x80_0000_0000)));
}

#[test]
fn both_notations_and_comments_are_read() {
    let other = TIGER_LAKE
        .lines()
        .map(|line| match line.split_once(' ') {
            Some((msr, value)) if !line.starts_with('C') => {
                std::format!("\t0x{msr}:  0X{value}   # comment\n")
            }
            _ => std::format!("{line}\r\n"),
        })
        .collect::<std::string::String>();
    assert_eq!(Capabilities::from_dump(&other), Ok(tiger_lake()));
}

#[test]
fn every_line_of_a_dump_is_missed_by_name() {
    for line in TIGER_LAKE.lines().filter(|line| !line.is_empty()) {
        let without = TIGER_LAKE.replace(line, "");
        let result = Capabilities::from_dump(&without);
        let plain = ["481", "482", "483", "484"];
        if line.starts_with("CPUID 1:") || plain.iter().any(|msr| line.starts_with(msr)) {
            assert_eq!(result, Ok(tiger_lake()));
            continue;
        }
        let error = result.unwrap_err().to_string();
        let name = line.split_once([' ', ':']).map(|(first, _)| first.to_uppercase()).unwrap();
        assert!(error.to_uppercase().contains(&name), "{error}: {line}");
    }
}

#[test]
fn a_wrong_line_is_named_with_the_reason() {
    for (line, error) in [
        ("480", LineError::TooShort),
        ("480 1 2", LineError::TooLong),
        ("4g0 1", LineError::Number),
        ("480 +1", LineError::Number),
        ("480 11112222333344445", LineError::Number),
        ("100000480 1", LineError::Number),
        ("CPUID", LineError::TooShort),
        ("CPUID 7.0: 1 2 3", LineError::TooShort),
        ("CPUID 7.0: 1 2 3 4 5", LineError::TooLong),
        ("CPUID 7.x: 1 2 3 4", LineError::Number),
        ("CPUID 7.0: 1 2 3 400000000", LineError::Number),
        ("480 0\n480 0", LineError::Twice),
    ] {
        let result = Capabilities::from_dump(line);
        assert_eq!(result, Err(DumpError::Line { line: line.lines().count(), error }), "{line}");
    }
}

#[test]
fn contradictions_are_named() {
    let settings = AllowedSettings { must_be_one: 0b11, may_be_one: 0b01 };
    let cpu = Capabilities { exit: settings, ..tiger_lake() };
    let found = Contradiction::Fixed { word: "VM-exit controls", bits: 0b10 };
    assert_eq!(cpu.check(), Err(found));
    assert_eq!(found.to_string(), "VM-exit controls: bits 0x2 must be 1 and must be 0");

    let cr4_fixed = FixedBits { must_be_one: 1 << 13, may_be_one: 0 };
    let cpu = Capabilities { cr4_fixed, ..tiger_lake() };
    assert_eq!(cpu.check(), Err(Contradiction::Fixed { word: "CR4", bits: 1 << 13 }));

    let tertiary = AllowedSettings::from_allowed_ones(1);
    let found = Capabilities { tertiary, ..tiger_lake() }.check().unwrap_err();
    assert_eq!(
        found.to_string(),
        "tertiary processor-based controls: bits may be 1, but \"activate tertiary controls\" \
         may not"
    );

    let cpu = Capabilities { basic: VmxBasic(0), ..tiger_lake() };
    assert_eq!(cpu.check(), Err(Contradiction::RegionSize(0)));
    let cpu = Capabilities { physical_address_width: 53, ..tiger_lake() };
    assert_eq!(cpu.check(), Err(Contradiction::PhysicalAddressWidth(53)));
}

/// A CPU that answers from a value, and panics for an MSR that it does not have.
struct Answers(Capabilities);

impl Cpuid for Answers {
    fn cpuid(&mut self, leaf: u32, _: u32) -> CpuidResult {
        match leaf {
            1 => CpuidResult { ecx: 1 << 5, ..Default::default() },
            7 => CpuidResult { ecx: 0x0040_5FCE, edx: 0xFC10_0510, ..Default::default() },
            _ => CpuidResult { eax: 0x3027, ..Default::default() },
        }
    }
}

impl Msr for Answers {
    fn read_named(&mut self, msr: NamedMsr) -> u64 {
        let prefix = std::format!("{:x} ", msr.index().0);
        let text = self.0.to_string();
        let line = text.lines().find_map(|line| line.strip_prefix(&prefix));
        let value = u64::from_str_radix(line.unwrap(), 16).unwrap();
        let is_optional = matches!(
            msr,
            NamedMsr::VmxProcBasedCtls3
                | NamedMsr::VmxExitCtls2
                | NamedMsr::VmxProcBasedCtls2
                | NamedMsr::VmxEptVpidCap
                | NamedMsr::VmxVmfunc
        );
        assert!(value != 0 || !is_optional, "RDMSR of {msr:?} raises #GP(0)");
        value
    }
    unsafe fn read_msr(&mut self, msr: MsrIndex) -> u64 {
        panic!("{msr} is not of the closed set");
    }
    unsafe fn write_msr(&mut self, msr: MsrIndex, _: u64) {
        panic!("{msr} written");
    }
}

#[test]
fn a_cpu_is_read_without_touching_what_it_lacks() {
    assert_eq!(Capabilities::read(&mut Answers(tiger_lake())), Ok(tiger_lake()));
    let bare = Capabilities {
        has_shadow_stacks: true,
        has_indirect_branch_tracking: true,
        physical_address_width: 39,
        ..Capabilities::NOTHING
    };
    assert_eq!(Capabilities::read(&mut Answers(bare)), Ok(bare));
}

proptest! {
    /// What is printed and read again is the same, for all values that a CPU can
    /// have; no text makes the parser panic.
    #[test]
    fn printing_and_parsing_are_inverse(
        words: [u64; 11], fixed: [u64; 4], width in 32u32..53, flags: [bool; 4],
    ) {
        let [basic, pin, primary, exit, entry, secondary, misc, ept, functions, tertiary, exit2] =
            words;
        let mut cpu = Capabilities {
            basic: VmxBasic(basic),
            pin_based: AllowedSettings::from_msr(pin),
            primary: AllowedSettings::from_msr(primary),
            exit: AllowedSettings::from_msr(exit),
            entry: AllowedSettings::from_msr(entry),
            misc: VmxMisc(misc),
            cr0_fixed: FixedBits { must_be_one: fixed[0], may_be_one: fixed[1] },
            cr4_fixed: FixedBits { must_be_one: fixed[2], may_be_one: fixed[3] },
            vmcs_enum: misc ^ basic,
            physical_address_width: width,
            has_shadow_stacks: flags[0],
            has_indirect_branch_tracking: flags[1],
            ..Capabilities::NOTHING
        };
        if flags[2] {
            cpu.linear_address_width = LinearAddressWidth::Bits57;
        }
        if cpu.primary.allows(PrimaryControls::ACTIVATE_SECONDARY_CONTROLS) {
            cpu.secondary = AllowedSettings::from_msr(secondary);
            if cpu.secondary.allows(SecondaryControls::ENABLE_EPT)
                || cpu.secondary.allows(SecondaryControls::ENABLE_VPID)
            {
                cpu.ept_vpid = EptVpidCapabilities::from_bits_retain(ept);
            }
            if cpu.secondary.allows(SecondaryControls::ENABLE_VM_FUNCTIONS) {
                cpu.vm_functions = VmFunctions::from_bits_retain(functions);
            }
        }
        if cpu.primary.allows(PrimaryControls::ACTIVATE_TERTIARY_CONTROLS) {
            cpu.tertiary = AllowedSettings::from_allowed_ones(tertiary);
        }
        if cpu.exit.allows(ExitControls::ACTIVATE_SECONDARY_CONTROLS) {
            cpu.secondary_exit = AllowedSettings::from_allowed_ones(exit2);
        }
        prop_assert_eq!(Capabilities::from_dump(&cpu.to_string()), Ok(cpu));
    }

    #[test]
    fn no_text_panics(text: std::string::String, line in "[0-9a-fA-FxX:.# CPUIDcpuid]{0,40}") {
        let _ = Capabilities::from_dump(&text);
        let _ = Capabilities::from_dump(&line);
    }
}
