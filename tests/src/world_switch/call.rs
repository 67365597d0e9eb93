//! A model CPU that calls the switch.

use std::collections::{BTreeMap, BTreeSet};

use super::code::Code;
use super::cpu::{Answer, Cpu, HOST_RIP, HOST_RSP, HOST_SSP, Registers};
use super::stuck::Stuck;
use super::variant::Variant;

/// Where things are in the model's memory.
pub mod place {
    /// The guest's registers.
    pub const REGISTERS: u64 = 0x10_0000;
    /// The record of the host-state fields.
    pub const POINTERS: u64 = 0x20_0000;
    /// RSP when the switch is called.
    pub const STACK: u64 = 0x7FFF_0000_1008;
    /// SSP then, where shadow stacks are on.
    pub const SHADOW_STACK: u64 = 0x7FFE_0000_1000;
    /// Where the switch returns to.
    pub const CALLER: u64 = 0x1234_5678_9ABC;
}

/// Distinct, and with bits in each half.
fn pattern(of: u64, index: u64) -> u64 {
    of << 56 | 0x00AB_CD00_0000_0000 | index << 32 | 0xFACE_0000 | index << 4 | of
}

/// What a guest or a host has in its registers.
fn patterns(of: u64) -> Registers {
    Registers {
        general: std::array::from_fn(|index| pattern(of, index as u64)),
        xmm: std::array::from_fn(|index| {
            u128::from(pattern(of, 0x20 + index as u64)) << 64
                | u128::from(pattern(of, 0x40 + index as u64))
        }),
        mxcsr: 0x1F80 | of as u32,
        cr2: pattern(of, 0x60),
        spec_ctrl: pattern(of, 0x61),
    }
}

impl Variant {
    /// A CPU about to execute the switch's first instruction: a host whose registers
    /// hold patterns has called it, the guest that is to be loaded, and the one that
    /// exits, have others. No host-state field is known, and the VMCS is a wreck.
    pub fn called(&self, code: &Code, launch: bool, shadow_stack: bool) -> Cpu {
        let mut host = patterns(1);
        host.general[4] = place::STACK;
        [host.general[7], host.general[6]] = [place::REGISTERS, place::POINTERS];
        host.general[2] = host.general[2] << 32 | u64::from(launch);
        let loaded = patterns(2);
        let mut cpu = Cpu {
            registers: host,
            rip: code.in_file(self.address),
            ssp: shadow_stack.then_some(place::SHADOW_STACK),
            carry: true,
            zero: true,
            memory: BTreeMap::new(),
            shadow_stack: BTreeMap::from([(place::SHADOW_STACK, place::CALLER)]),
            vmcs: BTreeMap::from([(HOST_RSP, 1), (HOST_RIP, 1), (HOST_SSP, 1)]),
            refused: BTreeSet::new(),
            answer: Answer::Exit,
            guest: patterns(3),
            entered: None,
            vmwrites: Vec::new(),
            wrmsrs: Vec::new(),
            trace: Vec::new(),
        };
        cpu.put(place::STACK, &place::CALLER.to_le_bytes());
        cpu.put(place::POINTERS, &[0; 24]);
        for (word, value) in general_in_order(&loaded).into_iter().enumerate() {
            cpu.put(place::REGISTERS + 8 * word as u64, &value.to_le_bytes());
        }
        if let Some(offset) = self.vectors {
            for (index, value) in loaded.xmm.into_iter().enumerate() {
                cpu.put(place::REGISTERS + offset + 16 * index as u64, &value.to_le_bytes());
            }
            cpu.put(place::REGISTERS + offset + 256, &loaded.mxcsr.to_le_bytes());
        }
        if let Some(offset) = self.spec_ctrl {
            let host = cpu.registers.spec_ctrl.to_le_bytes();
            cpu.put(place::REGISTERS + offset, &loaded.spec_ctrl.to_le_bytes());
            cpu.put(place::REGISTERS + offset + 8, &host);
        }
        cpu
    }
}

/// The first 16 words of the guest's registers, as `GuestRegisters` orders them: RSP is
/// not among them, CR2 is.
pub fn general_in_order(registers: &Registers) -> [u64; 16] {
    let [rax, rcx, rdx, rbx, _, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15] =
        registers.general;
    [rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15, registers.cr2]
}

impl Cpu {
    /// Puts bytes into memory.
    pub fn put(&mut self, address: u64, bytes: &[u8]) {
        self.memory.extend((address..).zip(bytes.iter().copied()));
    }

    /// Runs the switch up to its RET.
    ///
    /// # Errors
    /// [`Stuck`] on what it must not do.
    pub fn run(&mut self, code: &Code) -> Result<(), Stuck> {
        while self.step(code)? {}
        Ok(())
    }

    /// Calls the switch once more with what stands in memory now, as a host does that
    /// has done something else in between.
    pub fn call_again(&mut self, code: &Code, variant: &Variant, launch: bool) {
        let mut next = variant.called(code, launch, self.ssp.is_some());
        next.memory = std::mem::take(&mut self.memory);
        next.vmcs = std::mem::take(&mut self.vmcs);
        next.put(place::STACK, &place::CALLER.to_le_bytes());
        *self = next;
    }
}
