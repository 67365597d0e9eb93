extern crate std;
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::format;

/// Which format each reason has, by the variant's name.
#[test]
fn formats_of_all_reasons() {
    let named = BTreeMap::from([
        (0, "Exception"),
        (4, "StartupIpi"),
        (9, "TaskSwitch"),
        (14, "Invlpg"),
        (28, "ControlRegister"),
        (29, "DebugRegister"),
        (30, "Io"),
        (33, "GuestState"),
        (34, "MsrLoading"),
        (36, "Mwait"),
        (44, "ApicAccess"),
        (45, "VirtualizedEoi"),
        (48, "EptViolation"),
        (56, "ApicWrite"),
        (62, "PageModificationLogFull"),
        (66, "SppRelatedEvent"),
        (75, "NotifyWindow"),
    ]);
    let displacement = [19, 21, 22, 23, 25, 27, 46, 47, 50, 53, 58, 63, 64];
    for number in (0..100).chain([0x7FFF, u16::MAX]) {
        let decoded = ExitQualification::decode(BasicExitReason(number), 1);
        let expected = match number {
            78 | 79 => "MsrList",
            _ if displacement.contains(&number) => "Displacement",
            _ => named.get(&number).copied().unwrap_or("Other"),
        };
        let text = format!("{decoded:?}");
        let name = text.split([' ', '(', '{']).next();
        assert_eq!(name, Some(expected), "{number}");
    }
}

#[test]
fn control_register_accesses() {
    use crate::exit::general_register::GeneralRegister;
    // The values that Bochs builds for MOV CR3, R12; MOV RAX, CR8; CLTS; LMSW [mem].
    let mov_to = ControlRegisterAccess(3 | 12 << 8);
    assert_eq!(mov_to.access_type(), ControlRegisterAccessType::MovTo);
    assert_eq!((mov_to.control_register(), mov_to.general_register()), (3, GeneralRegister::R12));
    let mov_from = ControlRegisterAccess(8 | 1 << 4);
    assert_eq!(mov_from.access_type(), ControlRegisterAccessType::MovFrom);
    assert_eq!(
        (mov_from.control_register(), mov_from.general_register()),
        (8, GeneralRegister::Rax)
    );
    assert_eq!(ControlRegisterAccess(2 << 4).access_type(), ControlRegisterAccessType::Clts);
    let lmsw = ControlRegisterAccess(3 << 4 | 1 << 6 | 0xFFF1 << 16);
    assert_eq!(lmsw.access_type(), ControlRegisterAccessType::Lmsw);
    assert!(lmsw.is_lmsw_from_memory());
    assert_eq!(lmsw.lmsw_source_data(), 0xFFF1);
}

#[test]
fn io_instructions() {
    use crate::intercept::io_bitmap::IoSize;
    // REP OUTSD to port FFFFh.
    let io = IoQualification(0xFFFF_0000 | 1 << 5 | 1 << 4 | 3);
    assert_eq!(
        (io.port(), io.size(), io.direction()),
        (0xFFFF, Some(IoSize::Bytes4), IoDirection::Out)
    );
    assert!(io.is_string() && io.is_repeated() && !io.is_immediate());
    for size in 0..8 {
        let known = matches!(size, 0 | 1 | 3);
        assert_eq!(IoQualification(size).size().is_some(), known);
    }
}

#[test]
fn apic_access_types_are_apart() {
    for number in 0..16u64 {
        let access_type = ApicAccess(number << 12 | 0xFFF).access_type();
        let known = matches!(number, 0..=4 | 10 | 11 | 15);
        assert_eq!(access_type == ApicAccessType::Unknown(number as u8), !known);
    }
}

proptest! {
    /// Whatever the hardware says, every accessor answers and nothing is lost.
    #[test]
    fn no_decoder_panics(number in prop_oneof![0u16..100, any::<u16>()], raw: u64, event: u32) {
        let decoded = ExitQualification::decode(BasicExitReason(number), raw);
        let kept = match decoded {
            ExitQualification::Exception(it) => {
                let event = crate::event::interruption::InterruptionInformation(event);
                let answers = (it.page_fault_address(event), it.debug_exception(event));
                prop_assert!(answers.0.is_none() || answers.1.is_none());
                it.0
            }
            ExitQualification::StartupIpi(it) => {
                prop_assert_eq!(it.start_address() >> 12, u32::from(it.vector()));
                it.0
            }
            ExitQualification::TaskSwitch(it) => {
                let _ = (it.selector(), it.source());
                it.0
            }
            ExitQualification::Invlpg { linear_address } => linear_address,
            ExitQualification::Displacement(value) => value,
            ExitQualification::ControlRegister(it) => {
                let _ = (it.control_register(), it.access_type(), it.general_register());
                it.0
            }
            ExitQualification::DebugRegister(it) => {
                let _ = (it.debug_register(), it.direction(), it.general_register());
                it.0
            }
            ExitQualification::Io(it) => {
                let _ = (it.size(), it.direction(), it.port());
                it.0
            }
            ExitQualification::GuestState(it) => {
                let text = format!("{it}");
                prop_assert!(!text.is_empty());
                it.0
            }
            ExitQualification::MsrLoading(it) => {
                prop_assert_eq!(it.position().map_or(0, |position| position + 1), it.0);
                it.0
            }
            ExitQualification::Mwait(it) => it.0,
            ExitQualification::ApicAccess(it) => {
                let _ = (it.offset(), it.access_type());
                it.0
            }
            ExitQualification::VirtualizedEoi(it) => it.0,
            ExitQualification::EptViolation(it) => {
                prop_assert_eq!(it.is_final_translation(), raw & 0x180 == 0x180);
                prop_assert!(it.permissions() < 8);
                it.bits()
            }
            ExitQualification::ApicWrite(it) => it.0,
            ExitQualification::PageModificationLogFull(it) => it.0,
            ExitQualification::SppRelatedEvent(it) => it.0,
            ExitQualification::NotifyWindow(it) => it.0,
            ExitQualification::MsrList(it) => {
                prop_assert_eq!(it.msr().0, raw as u32);
                it.0
            }
            ExitQualification::Other(value) => value,
        };
        prop_assert_eq!(kept, raw);
    }
}
