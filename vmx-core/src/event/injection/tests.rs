use super::*;
use crate::capability::capabilities::Capabilities;
use crate::capability::vmx_basic::VmxBasic;
use crate::cpu::cpuid::{Cpuid, CpuidResult};
use crate::cpu::msr::Msr;
use crate::cpu::register_bits::Rflags;
use crate::event::guest_event_state::GuestEventState;
use crate::event::injection_rules::IllegalInjection;
use crate::event::injection_rules::InjectionContext;
use crate::event::interruption::{CONTROL_PROTECTION, GENERAL_PROTECTION, has_checked_error_code};
use crate::event::non_register_state::{ActivityState, InterruptibilityState};
use crate::msr::index::MsrIndex;
use crate::msr::named::NamedMsr;
use crate::vmcs::field::encoding::Encoding;
use crate::vmcs::field_values::FieldValues;
use proptest::prelude::*;

const OPEN: InjectionContext = InjectionContext {
    basic: VmxBasic(0),
    zero_length: false,
    monitor_trap_flag: true,
    protected_mode: true,
    virtual_nmis: true,
    guest: GuestEventState {
        rflags: Rflags::IF,
        interruptibility: InterruptibilityState::empty(),
        activity: ActivityState::ACTIVE,
        injecting: false,
    },
};

const ANY_ERROR_CODE: InjectionContext = InjectionContext { basic: VmxBasic(1 << 56), ..OPEN };

/// Type, vector and error code against the table of the manual, exhaustively.
#[test]
fn types_vectors_and_error_codes() {
    for bits in 0u32..1 << 12 {
        let information = InterruptionInformation(1 << 31 | bits);
        let (kind, vector, delivers) = ((bits >> 8) & 7, bits & 0xFF, bits & (1 << 11) != 0);
        let vector_is_legal = match kind {
            1 => false,
            2 => vector == 2,
            3 => vector < 32,
            7 => vector == 0,
            _ => true,
        };
        let wants = kind == 3 && [8, 10, 11, 12, 13, 14, 17].contains(&vector);
        let injection = Injection { information, error_code: 0, instruction_length: 1 };
        let legal = |context: &InjectionContext| injection.check_controls(context).is_ok();
        assert_eq!(legal(&OPEN), vector_is_legal && delivers == wants, "{bits:x}");
        let free = kind == 3 || !delivers;
        assert_eq!(legal(&ANY_ERROR_CODE), vector_is_legal && free, "{bits:x}");
        for context in [OPEN, ANY_ERROR_CODE] {
            let real_mode = InjectionContext { protected_mode: false, ..context };
            assert_eq!(legal(&real_mode), vector_is_legal && !delivers, "{bits:x}");
        }
        let no_mtf = InjectionContext { monitor_trap_flag: false, ..ANY_ERROR_CODE };
        assert_eq!(legal(&no_mtf), vector_is_legal && free && kind != 7, "{bits:x}");
    }
}

#[test]
fn cp_with_either_value_of_bit_56() {
    let cp = |error_code| Event::HardwareException { vector: CONTROL_PROTECTION, error_code };
    assert_eq!(cp(Some(3)).inject(&OPEN), Err(IllegalInjection::ErrorCode { vector: 21 }));
    assert!(cp(None).inject(&OPEN).is_ok());
    assert!(cp(Some(3)).inject(&ANY_ERROR_CODE).is_ok());
    assert!(cp(None).inject(&ANY_ERROR_CODE).is_ok());
}

#[test]
fn reserved_bits_and_wide_error_codes_are_refused() {
    let gp = |error_code| Event::HardwareException {
        vector: GENERAL_PROTECTION,
        error_code: Some(error_code),
    };
    assert!(gp(0xFFFF).inject(&OPEN).is_ok());
    let wide = IllegalInjection::ErrorCodeValue { error_code: 0x1_0000 };
    assert_eq!(gp(0x1_0000).inject(&OPEN), Err(wide));
    for bit in 12..31 {
        let mut injection = Event::Nmi.fields();
        injection.information.0 |= 1 << bit;
        let refused = Err(IllegalInjection::ReservedBits { bits: 1 << bit });
        assert_eq!(injection.check_controls(&OPEN), refused);
    }
}

#[test]
fn instruction_lengths() {
    let zero_allowed = InjectionContext { zero_length: true, ..OPEN };
    for instruction_length in 0..20 {
        for event in [
            Event::SoftwareInterrupt { vector: 0x80, instruction_length },
            Event::SoftwareException { vector: 3, instruction_length },
            Event::PrivilegedSoftwareException { instruction_length },
        ] {
            let legal = (1..=15).contains(&instruction_length);
            assert_eq!(event.inject(&OPEN).is_ok(), legal);
            assert_eq!(event.inject(&zero_allowed).is_ok(), legal || instruction_length == 0);
        }
    }
}

#[test]
fn blocking() {
    let interrupt = Event::ExternalInterrupt { vector: 0x30 };
    let exception = Event::HardwareException { vector: 6, error_code: None };
    let with = |interruptibility| {
        let guest = GuestEventState { interruptibility, ..OPEN.guest };
        InjectionContext { guest, ..OPEN }
    };
    use InterruptibilityState as State;
    for (context, for_interrupt, for_nmi) in [
        (OPEN, None, None),
        (
            InjectionContext {
                guest: GuestEventState { rflags: Rflags::ALWAYS_ONE, ..OPEN.guest },
                ..OPEN
            },
            Some(IllegalInjection::InterruptFlag),
            None,
        ),
        (
            with(State::BLOCKING_BY_STI),
            Some(IllegalInjection::BlockingBySti),
            Some(IllegalInjection::BlockingBySti),
        ),
        (
            with(State::BLOCKING_BY_MOV_SS),
            Some(IllegalInjection::BlockingByMovSs),
            Some(IllegalInjection::BlockingByMovSs),
        ),
        (with(State::BLOCKING_BY_NMI), None, Some(IllegalInjection::BlockingByNmi)),
        (InjectionContext { virtual_nmis: false, ..with(State::BLOCKING_BY_NMI) }, None, None),
    ] {
        assert_eq!(interrupt.inject(&context).err(), for_interrupt);
        assert_eq!(Event::Nmi.inject(&context).err(), for_nmi);
        assert!(exception.inject(&context).is_ok());
    }
}

#[test]
fn activity_states() {
    let exception = |vector| Event::HardwareException { vector, error_code: None };
    for (event, in_hlt, in_shutdown) in [
        (Event::ExternalInterrupt { vector: 0x30 }, true, false),
        (Event::Nmi, true, true),
        (exception(1), true, false),
        (exception(18), true, true),
        (exception(6), false, false),
        (Event::MonitorTrapFlag, true, false),
        (Event::SoftwareInterrupt { vector: 18, instruction_length: 2 }, false, false),
    ] {
        let legal = |activity| {
            let guest = GuestEventState { activity, ..OPEN.guest };
            event.inject(&InjectionContext { guest, ..OPEN }).is_ok()
        };
        assert!(legal(ActivityState::ACTIVE));
        assert_eq!(legal(ActivityState::HLT), in_hlt, "{event:?}");
        assert_eq!(legal(ActivityState::SHUTDOWN), in_shutdown, "{event:?}");
        assert!(!legal(ActivityState::WAIT_FOR_SIPI));
    }
}

/// A VMCS that is nothing but values.
struct Values(FieldValues);

impl VmcsAccess for Values {
    fn vmread(&self, encoding: Encoding) -> Result<u64, VmxError> {
        let missing =
            VmxError::FailValid(crate::vmcs::error::InstructionError::UNSUPPORTED_COMPONENT);
        self.0.get_raw(encoding).ok_or(missing)
    }
    fn vmwrite(&mut self, encoding: Encoding, value: u64) -> Result<(), VmxError> {
        self.0.set_raw(encoding, value);
        Ok(())
    }
}

/// A CPU whose capability MSRs are all ones.
struct AllOnes;

impl Cpuid for AllOnes {
    fn cpuid(&mut self, _leaf: u32, _subleaf: u32) -> CpuidResult {
        CpuidResult { eax: u32::MAX, ebx: u32::MAX, ecx: u32::MAX, edx: u32::MAX }
    }
}

impl Msr for AllOnes {
    fn read_named(&mut self, _msr: NamedMsr) -> u64 {
        u64::MAX
    }
    unsafe fn read_msr(&mut self, _msr: MsrIndex) -> u64 {
        u64::MAX
    }
    unsafe fn write_msr(&mut self, _msr: MsrIndex, _value: u64) {}
}

#[test]
fn the_context_comes_from_the_vmcs() {
    let capabilities = Capabilities::read(&mut AllOnes).unwrap();
    let mut vmcs = Values(FieldValues::new());
    assert!(InjectionContext::read(&vmcs, &capabilities).is_err());
    for (encoding, value) in [
        (field::PIN_BASED_CONTROLS.encoding(), 1 << 5),
        (field::PRIMARY_CONTROLS.encoding(), 1 << 31),
        (field::SECONDARY_CONTROLS.encoding(), 1 << 7),
        (field::GUEST_CR0.encoding(), 0x30),
        (field::GUEST_RFLAGS.encoding(), 0x202),
        (field::GUEST_INTERRUPTIBILITY_STATE.encoding(), 8),
        (field::GUEST_ACTIVITY_STATE.encoding(), 1),
        (field::VM_ENTRY_INTERRUPTION_INFORMATION.encoding(), 0),
    ] {
        vmcs.vmwrite(encoding, value).unwrap();
    }
    let expected = InjectionContext {
        zero_length: true,
        protected_mode: false,
        guest: GuestEventState {
            rflags: Rflags::from_bits_retain(0x202),
            interruptibility: InterruptibilityState::BLOCKING_BY_NMI,
            activity: ActivityState::HLT,
            injecting: false,
        },
        basic: VmxBasic(u64::MAX),
        ..OPEN
    };
    assert_eq!(InjectionContext::read(&vmcs, &capabilities), Ok(expected));
    // Without "unrestricted guest", CR0.PE is not asked.
    vmcs.vmwrite(field::PRIMARY_CONTROLS.encoding(), 0).unwrap();
    let protected = InjectionContext { protected_mode: true, ..expected };
    assert_eq!(InjectionContext::read(&vmcs, &capabilities), Ok(protected));
}

#[test]
fn an_injection_writes_what_entry_uses() {
    let written = |event: Event| {
        let mut vmcs = Values(FieldValues::new());
        event.fields().write(&mut vmcs).unwrap();
        [
            field::VM_ENTRY_INTERRUPTION_INFORMATION.encoding(),
            field::VM_ENTRY_EXCEPTION_ERROR_CODE.encoding(),
            field::VM_ENTRY_INSTRUCTION_LENGTH.encoding(),
        ]
        .map(|encoding| vmcs.0.get_raw(encoding))
    };
    assert_eq!(written(Event::Nmi), [Some(0x8000_0202), None, None]);
    let page_fault = Event::HardwareException { vector: 14, error_code: Some(2) };
    assert_eq!(written(page_fault), [Some(0x8000_0B0E), Some(2), None]);
    let int3 = Event::SoftwareException { vector: 3, instruction_length: 1 };
    assert_eq!(written(int3), [Some(0x8000_0603), None, Some(1)]);
}

proptest! {
    /// What an exit interrupted is injected again as it was, and legally.
    #[test]
    fn interrupted_events_are_injected_again(
        kind in prop_oneof![Just(0u32), 2u32..7],
        vector in 0u32..32,
        undefined in 0u32..1 << 19,
        error_code in 0u32..0x1_0000,
        length in 1u32..16,
    ) {
        let vector = if kind == 2 { 2 } else { vector };
        let delivers = kind == 3 && has_checked_error_code(vector as u8);
        let event = 1 << 31 | u32::from(delivers) << 11 | kind << 8 | vector;
        let vectoring = InterruptionInformation(event | undefined << 12);
        let again = Injection::from_idt_vectoring(vectoring, error_code, length).unwrap();
        prop_assert_eq!(again.information.0, event);
        prop_assert_eq!(again.check_controls(&OPEN), Ok(()));
    }

    #[test]
    fn nothing_panics(
        information: u32, error_code: u32, instruction_length: u32,
        basic: u64, flags: [bool; 4], interruptibility: u32, activity: u32,
    ) {
        let [monitor_trap_flag, protected_mode, virtual_nmis, zero_length] = flags;
        let guest = GuestEventState {
            interruptibility: InterruptibilityState::from_bits_retain(interruptibility),
            activity: ActivityState(activity),
            ..OPEN.guest
        };
        let context = InjectionContext {
            basic: VmxBasic(basic), zero_length, monitor_trap_flag, protected_mode, virtual_nmis, guest,
        };
        let information = InterruptionInformation(information);
        let injection = Injection { information, error_code, instruction_length };
        let answers = [injection.check_controls(&context), injection.check_guest_state(&context)];
        if !information.is_valid() {
            prop_assert_eq!(answers, [Ok(()), Ok(())]);
        }
        let again = Injection::from_idt_vectoring(information, error_code, instruction_length);
        prop_assert_eq!(again.is_some(), information.is_valid());
    }
}
