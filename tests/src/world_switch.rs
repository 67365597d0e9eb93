//! The world switch of `vmx-bare-metal`, executed instruction by instruction on a model
//! of a CPU: what it costs, what it writes, what it leaves behind.
//!
//! It takes the machine code of the running program, so what is looked at is what the
//! compiler and the assembler made of it.
//!
//! ```
//! let plain = &vmx_tests::world_switch::round_trips()?[0];
//! assert_eq!(plain.what, "plain");
//! assert!(plain.instructions < 100);
//! # Ok::<(), vmx_tests::world_switch::Stuck>(())
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};
use std::marker::PhantomData;

use vmx_bare_metal::{BareMetal, Plain, RegisterFile, SwitchOptions, WithSpecCtrl, WithVectors};
use vmx_core::GuestRegisters;

mod code;
mod cpu;

pub use code::Code;
pub use cpu::{Answer, Cpu, HOST_RIP, HOST_RSP, HOST_SSP, Registers, SPEC_CTRL};

/// The switch cannot be followed, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck(String);

impl Stuck {
    fn new(what: &str, reason: &dyn Display) -> Self {
        Self(format!("{what}: {reason}"))
    }

    fn at(address: u64, reason: &str) -> Self {
        Self(format!("at {address:#x}: {reason}"))
    }
}

impl Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Stuck {}

/// A world switch with one choice of options.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// The options, in words.
    pub what: &'static str,
    /// Its address in this program.
    pub address: usize,
    /// Where the registers have XMM0, and MXCSR 256 bytes further; in bytes.
    pub vectors: Option<u64>,
    /// Where they have the guest's IA32_SPEC_CTRL, and the host's 8 bytes further.
    pub spec_ctrl: Option<u64>,
    /// VERW stands before the entry.
    pub verw: bool,
    /// The return-stack buffer is filled.
    pub fill: bool,
    /// IA32_SPEC_CTRL is written after every exit.
    pub legacy_ibrs: bool,
    /// XMM6 to XMM15 are the caller's afterwards.
    pub keep: bool,
}

/// Every choice of options as a type.
struct Chosen<R, const OPTIONS: u32>(PhantomData<R>);

const FILL: u32 = 1;
const VERW: u32 = 2;
const IBRS: u32 = 4;
const KEEP: u32 = 8;

impl<R: RegisterFile, const OPTIONS: u32> SwitchOptions for Chosen<R, OPTIONS> {
    type Registers = R;
    const FILL_RETURN_STACK_BUFFER: bool = OPTIONS & FILL != 0;
    const VERW: bool = OPTIONS & VERW != 0;
    const LEGACY_IBRS: bool = OPTIONS & IBRS != 0;
    const KEEP_XMM6_TO_XMM15: bool = OPTIONS & KEEP != 0;
}

fn address<R: RegisterFile, const OPTIONS: u32>() -> usize {
    BareMetal::<Chosen<R, OPTIONS>>::world_switch_address()
}

/// The plain switch, each option alone, and all together.
pub fn variants() -> [Variant; 8] {
    const PLAIN: Variant = Variant {
        what: "plain",
        address: 0,
        vectors: None,
        spec_ctrl: None,
        verw: false,
        fill: false,
        legacy_ibrs: false,
        keep: false,
    };
    // 16 words of general registers; 16 XMM registers and MXCSR, filled up to 16 bytes.
    const AFTER_GENERAL: Option<u64> = Some(128);
    const AFTER_VECTORS: Option<u64> = Some(128 + 256 + 16);
    [
        Variant { address: BareMetal::<Plain>::world_switch_address(), ..PLAIN },
        Variant {
            what: "return-stack buffer filled",
            address: address::<GuestRegisters, FILL>(),
            fill: true,
            ..PLAIN
        },
        Variant { what: "VERW", address: address::<GuestRegisters, VERW>(), verw: true, ..PLAIN },
        Variant {
            what: "IA32_SPEC_CTRL",
            address: address::<WithSpecCtrl<GuestRegisters>, 0>(),
            spec_ctrl: AFTER_GENERAL,
            ..PLAIN
        },
        Variant {
            what: "IA32_SPEC_CTRL, legacy IBRS",
            address: address::<WithSpecCtrl<GuestRegisters>, IBRS>(),
            spec_ctrl: AFTER_GENERAL,
            legacy_ibrs: true,
            ..PLAIN
        },
        Variant {
            what: "vectors",
            address: address::<WithVectors, 0>(),
            vectors: AFTER_GENERAL,
            ..PLAIN
        },
        Variant {
            what: "vectors, XMM6 to XMM15 kept",
            address: address::<WithVectors, KEEP>(),
            vectors: AFTER_GENERAL,
            keep: true,
            ..PLAIN
        },
        Variant {
            what: "all of them",
            address: address::<WithSpecCtrl<WithVectors>, { FILL | VERW | IBRS | KEEP }>(),
            vectors: AFTER_GENERAL,
            spec_ctrl: AFTER_VECTORS,
            verw: true,
            fill: true,
            legacy_ibrs: true,
            keep: true,
        },
    ]
}

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

/// What a round trip costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundTrip {
    /// The options, in words.
    pub what: &'static str,
    /// Instructions executed from the first one of the switch to its RET, this one
    /// included, by VMRESUME; the guest's are not counted. HOST_RSP, HOST_RIP and
    /// HOST_SSP hold what they must, CR2 and IA32_SPEC_CTRL have not changed, and the
    /// host is on no shadow stack.
    pub instructions: usize,
    /// The same on a shadow stack.
    pub on_shadow_stack: usize,
}

/// Counts the round trip of each variant.
///
/// # Errors
/// [`Stuck`] where a switch cannot be followed.
pub fn round_trips() -> Result<Vec<RoundTrip>, Stuck> {
    let code = Code::of_this_program()?;
    let count = |variant: &Variant, shadow_stack| -> Result<usize, Stuck> {
        let mut cpu = variant.called(&code, true, shadow_stack);
        cpu.run(&code)?;
        cpu.call_again(&code, variant, false);
        // The guest has changed nothing of what costs more.
        let cr2 = cpu.read(place::REGISTERS + 8 * 15, 8).map_err(|e| Stuck::new("CR2", &e))?;
        (cpu.registers.cr2, cpu.guest.cr2) = (cr2, cr2);
        if let Some(offset) = variant.spec_ctrl {
            let host = cpu.registers.spec_ctrl;
            cpu.put(place::REGISTERS + offset, &host.to_le_bytes());
            cpu.guest.spec_ctrl = host;
        }
        cpu.run(&code)?;
        Ok(cpu.trace.len())
    };
    variants()
        .iter()
        .map(|variant| {
            Ok(RoundTrip {
                what: variant.what,
                instructions: count(variant, false)?,
                on_shadow_stack: count(variant, true)?,
            })
        })
        .collect()
}
