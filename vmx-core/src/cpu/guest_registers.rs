//! The guest registers that no VMCS field holds and every world switch moves.
//!
//! ```
//! use vmx_core::GuestRegisters;
//! let mut registers = GuestRegisters { rax: !0, rdx: !0, ..GuestRegisters::default() };
//! registers.set_edx_eax(0x1234_5678_9ABC_DEF0); // what RDMSR leaves
//! assert_eq!((registers.rdx, registers.rax), (0x1234_5678, 0x9ABC_DEF0));
//! ```

/// The guest's general registers, without RSP (it is in the VMCS), and CR2.
///
/// The layout is fixed, for world switches written in assembly: 16 words of 64
/// bits in the order of the fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
#[allow(missing_docs)] // Each field is the register of its name.
pub struct GuestRegisters {
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rbx: u64,
    pub rbp: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub cr2: u64,
}

static_assertions::const_assert_eq!(core::mem::size_of::<GuestRegisters>(), 16 * 8);

impl GuestRegisters {
    /// EDX:EAX, the value that WRMSR writes.
    pub const fn edx_eax(&self) -> u64 {
        (self.rdx << 32) | (self.rax & 0xFFFF_FFFF)
    }

    /// Sets EDX:EAX as RDMSR does: both upper halves become zero.
    pub const fn set_edx_eax(&mut self, value: u64) {
        self.rax = value & 0xFFFF_FFFF;
        self.rdx = value >> 32;
    }
}
