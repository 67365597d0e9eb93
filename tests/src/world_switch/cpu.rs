//! A CPU as far as the world switch uses it: it executes the switch's machine code.
//!
//! Only the instructions that stand there are known, by the manual's pseudocode; any
//! other one, memory that nothing was written to, and memory below RSP end the run.

use std::collections::{BTreeMap, BTreeSet};

use iced_x86::{ConditionCode, FlowControl, Instruction, Mnemonic, OpKind, Register};

use super::code::Code;
use super::stuck::Stuck;

/// VMCS fields (SDM, "Field Encoding in VMCS").
pub const HOST_RSP: u32 = 0x6C14;
/// See [`HOST_RSP`].
pub const HOST_RIP: u32 = 0x6C16;
/// See [`HOST_RSP`].
pub const HOST_SSP: u32 = 0x6C1A;
/// IA32_SPEC_CTRL.
pub const SPEC_CTRL: u32 = 0x48;

/// What host and guest each have of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registers {
    /// RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15: by their numbers.
    pub general: [u64; 16],
    /// XMM0 to XMM15.
    pub xmm: [u128; 16],
    /// MXCSR.
    pub mxcsr: u32,
    /// CR2.
    pub cr2: u64,
    /// IA32_SPEC_CTRL.
    pub spec_ctrl: u64,
}

/// How the CPU answers VMLAUNCH and VMRESUME.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The guest runs, and exits.
    Exit,
    /// VMfailInvalid.
    FailInvalid,
    /// VMfailValid.
    FailValid,
}

/// The CPU.
#[derive(Clone, Debug)]
pub struct Cpu {
    /// Of whoever runs.
    pub registers: Registers,
    /// Address of the next instruction.
    pub rip: u64,
    /// SSP, where shadow stacks are on.
    pub ssp: Option<u64>,
    /// CF.
    pub carry: bool,
    /// ZF.
    pub zero: bool,
    /// Memory of the host, by byte.
    pub memory: BTreeMap<u64, u8>,
    /// Words that stand on the shadow stack.
    pub shadow_stack: BTreeMap<u64, u64>,
    /// The current VMCS.
    pub vmcs: BTreeMap<u32, u64>,
    /// Fields that a VMWRITE fails for.
    pub refused: BTreeSet<u32>,
    /// The answer to the next entry.
    pub answer: Answer,
    /// What the guest leaves at its exit; RSP is not looked at.
    pub guest: Registers,
    /// The state in which the guest was entered, by which instruction.
    pub entered: Option<(Mnemonic, Registers)>,
    /// Fields written, in order.
    pub vmwrites: Vec<(u32, u64)>,
    /// Values written to IA32_SPEC_CTRL, in order.
    pub wrmsrs: Vec<u64>,
    /// What was executed, in order.
    pub trace: Vec<Instruction>,
}

impl Cpu {
    /// Executes one instruction. False after the RET that leaves the function.
    ///
    /// # Errors
    /// [`Stuck`] where the CPU would fault, or is not known.
    pub fn step(&mut self, code: &Code) -> Result<bool, Stuck> {
        let instruction = code.decode(self.rip)?;
        self.trace.push(instruction);
        self.rip = instruction.next_ip();
        self.execute(&instruction)
            .map_err(|reason| Stuck::at(instruction.ip(), &format!("{reason} ({instruction:?})")))
    }

    fn execute(&mut self, i: &Instruction) -> Result<bool, String> {
        use Mnemonic as M;
        match i.mnemonic() {
            M::Push => {
                let value = self.operand(i, 0)?;
                self.push(value)?;
            }
            M::Pop => {
                // The destination's address is that after the POP (SDM, "POP").
                let value = self.read(self.rsp(), 8)?;
                *self.rsp_mut() += 8;
                self.set_operand(i, 0, value)?;
            }
            M::Mov if i.op1_register() == Register::CR2 => {
                self.set_operand(i, 0, self.registers.cr2)?;
            }
            M::Mov if i.op0_register() == Register::CR2 => {
                self.registers.cr2 = self.operand(i, 1)?;
            }
            M::Mov if i.op1_register() == Register::SS => self.set_operand(i, 0, 0x10)?,
            M::Mov => {
                let value = self.operand(i, 1)?;
                self.set_operand(i, 0, value)?;
            }
            M::Lea => {
                let address = self.address(i)?;
                self.set_operand(i, 0, address)?;
            }
            M::Cmovb if !self.carry => {}
            M::Cmovb => {
                let value = self.operand(i, 1)?;
                self.set_operand(i, 0, value)?;
            }
            M::Cmp => {
                let (left, right) = (self.operand(i, 0)?, self.operand(i, 1)?);
                (self.carry, self.zero) = (left < right, left == right);
            }
            M::Test | M::Xor => {
                let (left, right) = (self.operand(i, 0)?, self.operand(i, 1)?);
                let result = if i.mnemonic() == M::Xor { left ^ right } else { left & right };
                (self.carry, self.zero) = (false, result == 0);
                if i.mnemonic() == M::Xor {
                    self.set_operand(i, 0, result)?;
                }
            }
            M::Add | M::Sub => {
                let (left, right) = (self.operand(i, 0)?, self.operand(i, 1)?);
                let (result, carry) = if i.mnemonic() == M::Add {
                    left.overflowing_add(right)
                } else {
                    left.overflowing_sub(right)
                };
                (self.carry, self.zero) = (carry, result == 0);
                self.set_operand(i, 0, result)?;
            }
            M::Lfence => {}
            M::Xorps | M::Movaps | M::Movups | M::Ldmxcsr | M::Stmxcsr => self.vector(i)?,
            // Reads its operand; only ZF changes.
            M::Verw => {
                self.operand(i, 0)?;
                self.zero = !self.zero;
            }
            M::Rdmsr | M::Wrmsr => self.msr(i.mnemonic())?,
            M::Rdsspq => {
                if let Some(ssp) = self.ssp {
                    self.set_operand(i, 0, ssp)?;
                }
            }
            M::Incsspq => {
                let count = self.operand(i, 0)? & 0xFF;
                let ssp = self.ssp.as_mut().ok_or("#UD: shadow stacks are off")?;
                *ssp += 8 * count;
            }
            M::Vmwrite => self.vmwrite(i)?,
            M::Vmlaunch | M::Vmresume => self.enter(i.mnemonic())?,
            _ => return self.branch(i),
        }
        Ok(true)
    }

    fn branch(&mut self, i: &Instruction) -> Result<bool, String> {
        let taken = match (i.flow_control(), i.condition_code()) {
            (FlowControl::UnconditionalBranch, _) => true,
            (FlowControl::ConditionalBranch, ConditionCode::b) => self.carry,
            (FlowControl::ConditionalBranch, ConditionCode::e) => self.zero,
            (FlowControl::ConditionalBranch, ConditionCode::ne) => !self.zero,
            (FlowControl::ConditionalBranch, ConditionCode::be) => self.carry || self.zero,
            (FlowControl::Call, _) => {
                self.push(i.next_ip())?;
                // Not for a CALL to the next instruction (SDM, "CALL").
                if let Some(ssp) =
                    self.ssp.as_mut().filter(|_| i.near_branch_target() != i.next_ip())
                {
                    *ssp -= 8;
                    self.shadow_stack.insert(*ssp, i.next_ip());
                }
                true
            }
            (FlowControl::Return, _) => {
                let to = self.read(self.rsp(), 8)?;
                *self.rsp_mut() += 8;
                if let Some(ssp) = self.ssp.as_mut() {
                    if self.shadow_stack.get(ssp) != Some(&to) {
                        return Err("#CP: the shadow stack holds another address".to_owned());
                    }
                    *ssp += 8;
                }
                self.rip = to;
                return Ok(false);
            }
            _ => return Err("not an instruction of the switch".to_owned()),
        };
        if taken {
            self.rip = i.near_branch_target();
        }
        Ok(true)
    }

    fn vector(&mut self, i: &Instruction) -> Result<(), String> {
        let of = |register: Register| register.number();
        match (i.mnemonic(), i.op0_kind(), i.op1_kind()) {
            (Mnemonic::Xorps, OpKind::Register, OpKind::Register) => {
                self.registers.xmm[of(i.op0_register())] ^=
                    self.registers.xmm[of(i.op1_register())];
            }
            (Mnemonic::Movaps | Mnemonic::Movups, OpKind::Register, OpKind::Memory) => {
                let address = self.vector_address(i)?;
                let low = u128::from(self.read(address, 8)?);
                let value = u128::from(self.read(address + 8, 8)?) << 64 | low;
                self.registers.xmm[of(i.op0_register())] = value;
            }
            (Mnemonic::Movaps | Mnemonic::Movups, OpKind::Memory, OpKind::Register) => {
                let (address, value) =
                    (self.vector_address(i)?, self.registers.xmm[of(i.op1_register())]);
                self.write(address, 8, value as u64)?;
                self.write(address + 8, 8, (value >> 64) as u64)?;
            }
            (Mnemonic::Ldmxcsr, ..) => {
                let value = self.operand(i, 0)?;
                if value >> 16 != 0 {
                    return Err("#GP: reserved bits of MXCSR".to_owned());
                }
                self.registers.mxcsr = value as u32;
            }
            (Mnemonic::Stmxcsr, ..) => self.set_operand(i, 0, self.registers.mxcsr.into())?,
            _ => return Err("operands that the switch does not use".to_owned()),
        }
        Ok(())
    }

    fn vector_address(&self, i: &Instruction) -> Result<u64, String> {
        let address = self.address(i)?;
        if i.mnemonic() == Mnemonic::Movaps && !address.is_multiple_of(16) {
            return Err("#GP: not aligned".to_owned());
        }
        Ok(address)
    }

    /// EDX:EAX and the MSR of ECX, of which there is one.
    fn msr(&mut self, mnemonic: Mnemonic) -> Result<(), String> {
        let Registers { general: [rax, rcx, rdx, ..], spec_ctrl, .. } = &mut self.registers;
        if *rcx as u32 != SPEC_CTRL {
            return Err(format!("#GP: MSR {rcx:#x}"));
        }
        if mnemonic == Mnemonic::Rdmsr {
            (*rax, *rdx) = (*spec_ctrl & 0xFFFF_FFFF, *spec_ctrl >> 32);
        } else {
            *spec_ctrl = *rdx << 32 | *rax & 0xFFFF_FFFF;
            self.wrmsrs.push(*spec_ctrl);
        }
        Ok(())
    }

    fn vmwrite(&mut self, i: &Instruction) -> Result<(), String> {
        let (encoding, value) = (self.operand(i, 0)? as u32, self.operand(i, 1)?);
        let refused = self.refused.contains(&encoding);
        (self.carry, self.zero) = (false, refused);
        if !refused {
            self.vmcs.insert(encoding, value);
            self.vmwrites.push((encoding, value));
        }
        Ok(())
    }

    fn enter(&mut self, mnemonic: Mnemonic) -> Result<(), String> {
        self.entered = Some((mnemonic, self.registers.clone()));
        (self.carry, self.zero) = match self.answer {
            Answer::FailInvalid => (true, false),
            Answer::FailValid => (false, true),
            Answer::Exit => {
                let field = |encoding| self.vmcs.get(&encoding).copied();
                let lost = "the VMCS does not say where the exit lands";
                self.rip = field(HOST_RIP).ok_or(lost)?;
                self.registers = self.guest.clone();
                self.registers.general[4] = field(HOST_RSP).ok_or(lost)?;
                if self.ssp.is_some() {
                    self.ssp = Some(field(HOST_SSP).ok_or("no HOST_SSP on a shadow stack")?);
                }
                (false, false)
            }
        };
        Ok(())
    }

    fn rsp(&self) -> u64 {
        self.registers.general[4]
    }

    fn rsp_mut(&mut self) -> &mut u64 {
        &mut self.registers.general[4]
    }

    fn push(&mut self, value: u64) -> Result<(), String> {
        *self.rsp_mut() -= 8;
        self.write(self.rsp(), 8, value)
    }

    fn address(&self, i: &Instruction) -> Result<u64, String> {
        if i.is_ip_rel_memory_operand() {
            return Ok(i.ip_rel_memory_address());
        }
        if i.memory_index() != Register::None {
            return Err("an address with an index".to_owned());
        }
        let base = self.registers.general[i.memory_base().number()];
        Ok(base.wrapping_add(i.memory_displacement64()))
    }

    fn operand(&self, i: &Instruction, operand: u32) -> Result<u64, String> {
        match i.op_kind(operand) {
            OpKind::Register => {
                let register = i.op_register(operand);
                let value = self.registers.general[register.full_register().number()];
                Ok(if register.size() == 4 { value & 0xFFFF_FFFF } else { value })
            }
            OpKind::Memory => self.read(self.address(i)?, i.memory_size().size()),
            _ => i.try_immediate(operand).map_err(|error| error.to_string()),
        }
    }

    fn set_operand(&mut self, i: &Instruction, operand: u32, value: u64) -> Result<(), String> {
        match i.op_kind(operand) {
            OpKind::Register => {
                let register = i.op_register(operand);
                let value = if register.size() == 4 { value & 0xFFFF_FFFF } else { value };
                self.registers.general[register.full_register().number()] = value;
                Ok(())
            }
            OpKind::Memory => self.write(self.address(i)?, i.memory_size().size(), value),
            _ => Err("a destination that is none".to_owned()),
        }
    }

    /// Reads up to eight bytes.
    ///
    /// # Errors
    /// Where nothing was written, or an interrupt may have overwritten it.
    pub fn read(&self, address: u64, size: usize) -> Result<u64, String> {
        self.not_below_rsp(address)?;
        let mut value = 0;
        for byte in (0..size as u64).rev() {
            let held = self.memory.get(&(address + byte));
            let held = held.ok_or_else(|| format!("reads {address:#x}, which holds nothing"))?;
            value = value << 8 | u64::from(*held);
        }
        Ok(value)
    }

    fn write(&mut self, address: u64, size: usize, value: u64) -> Result<(), String> {
        self.not_below_rsp(address)?;
        for (byte, held) in value.to_le_bytes().into_iter().take(size).enumerate() {
            self.memory.insert(address + byte as u64, held);
        }
        Ok(())
    }

    /// The page below RSP is nobody's: NMIs may push there.
    fn not_below_rsp(&self, address: u64) -> Result<(), String> {
        if (self.rsp().saturating_sub(0x1000)..self.rsp()).contains(&address) {
            return Err(format!("{address:#x} is below RSP"));
        }
        Ok(())
    }
}
