extern crate std;
use super::*;
use crate::cpu::guest_registers::GuestRegisters;
use crate::exit::general_register::GeneralRegister;
use proptest::prelude::*;
use std::format;

/// Which format each reason has, by the variant's name.
#[test]
fn formats_of_all_reasons() {
    for number in (0..100).chain([0x7FFF, u16::MAX]) {
        let expected = match number {
            19 | 21 | 22 | 27 | 63 | 64 => "Memory",
            23 | 25 => "VmcsField",
            30 => "StringIo",
            46 => "DescriptorTable",
            47 => "SegmentRegister",
            50 | 53 | 58 => "Invalidate",
            57 | 61 | 67 | 68 => "Register",
            69 => "LoadInternalWrappingKey",
            _ => "Other",
        };
        let decoded = format!("{:?}", InstructionInformation::decode(BasicExitReason(number), 0));
        assert_eq!(decoded.split('(').next(), Some(expected), "{number}");
    }
}

/// The operand that Bochs describes for VMREAD [GS:RBX + 4*RSI], RDX in 64-bit mode,
/// and for VMREAD R9, RDX.
#[test]
fn vmread_operands() {
    let memory = VmcsFieldAccess(2 | 1 << 8 | 5 << 15 | 6 << 18 | 3 << 23 | 2 << 28);
    assert_eq!(memory.encoding_register(), GeneralRegister::Rdx);
    let RegisterOrMemory::Memory(operand) = memory.operand() else { panic!("not memory") };
    assert_eq!(operand.scale(), 4);
    assert_eq!(operand.address_size(), Some(AddressSize::Bits64));
    assert_eq!(operand.segment(), Some(SegmentRegister::Gs));
    assert_eq!(operand.index(), Some(GeneralRegister::Rsi));
    assert_eq!(operand.base(), Some(GeneralRegister::Rbx));
    let register = VmcsFieldAccess(9 << 3 | 1 << 10 | 2 << 28);
    assert_eq!(register.operand(), RegisterOrMemory::Register(GeneralRegister::R9));
}

#[test]
fn effective_addresses() {
    let registers = GuestRegisters { rbx: u64::MAX, rsi: 3, ..GuestRegisters::default() };
    let none = MemoryOperand(1 << 22 | 1 << 27 | 2 << 7);
    assert_eq!(none.effective_address(0x1234, &registers, 0), 0x1234);
    let by_rsp = MemoryOperand(1 << 22 | 4 << 23 | 2 << 7);
    assert_eq!(by_rsp.effective_address(8, &registers, 0x7000), 0x7008);
    // RBX + 8*RSI - 16 wraps around; with 16 bits it is cut.
    let wrapping = |size: u32| MemoryOperand(3 | size << 7 | 6 << 18 | 3 << 23);
    let displacement = (-16i64) as u64;
    assert_eq!(wrapping(2).effective_address(displacement, &registers, 0), 7);
    assert_eq!(wrapping(0).effective_address(0x1_0000, &registers, 0), 23);
}

#[test]
fn identities() {
    use DescriptorTableInstruction as Table;
    use SegmentRegisterInstruction as Segment;
    let tables = [Table::Sgdt, Table::Sidt, Table::Lgdt, Table::Lidt];
    let segments = [Segment::Sldt, Segment::Str, Segment::Lldt, Segment::Ltr];
    for number in 0..4u32 {
        let index = number as usize;
        assert_eq!(DescriptorTableAccess(number << 28).instruction(), tables[index]);
        assert_eq!(SegmentRegisterAccess(number << 28).instruction(), segments[index]);
    }
}

proptest! {
    #[test]
    fn no_decoder_panics(
        number in prop_oneof![0u16..100, any::<u16>()],
        raw: u32, displacement: u64, rsp: u64, register: u64,
    ) {
        let registers = GuestRegisters { rax: register, r8: register, ..GuestRegisters::default() };
        let address = |operand: MemoryOperand| {
            let _ = (operand.segment(), operand.scale());
            let address = operand.effective_address(displacement, &registers, rsp);
            operand.address_size().is_none_or(|size| address & !size.mask() == 0)
        };
        let either = |operand| match operand {
            RegisterOrMemory::Register(_) => true,
            RegisterOrMemory::Memory(memory) => address(memory),
        };
        let fits = match InstructionInformation::decode(BasicExitReason(number), raw) {
            InstructionInformation::StringIo(it) => {
                let _ = (it.address_size(), it.segment());
                it.0 == raw
            }
            InstructionInformation::Invalidate(it) => {
                let _ = it.type_register();
                address(it.descriptor())
            }
            InstructionInformation::DescriptorTable(it) => {
                let _ = (it.instruction(), it.operand_size());
                address(it.operand())
            }
            InstructionInformation::SegmentRegister(it) => {
                let _ = it.instruction();
                either(it.operand())
            }
            InstructionInformation::Register(it) => {
                let _ = (it.register(), it.operand_size());
                it.0 == raw
            }
            InstructionInformation::Memory(it) => address(it),
            InstructionInformation::VmcsField(it) => {
                let _ = it.encoding_register();
                either(it.operand())
            }
            InstructionInformation::LoadInternalWrappingKey(it) => {
                it.register_1() < 16 && it.register_2() < 16
            }
            InstructionInformation::Other(it) => it == raw,
        };
        prop_assert!(fits);
    }
}
