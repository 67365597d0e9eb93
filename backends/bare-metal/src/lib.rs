//! The instructions behind `vmx-core`'s CPU traits, and the world switch.
//!
//! [`BareMetal`] is the running logical processor. It implements every trait of
//! [`vmx_core::cpu`] by executing the instruction of the same name; it decides
//! nothing and remembers nothing. [`OffsetMapping`] reaches physical memory
//! through a linear mapping that the host already has.
//!
//! Builds for ring 0 of a 64-bit host, with or without SSE; allocates nothing and
//! keeps no global.
//!
//! ```no_run
//! use vmx_bare_metal::BareMetal;
//! use vmx_core::vmcs::VmxOperation;
//! use vmx_core::{Capabilities, Error, Frame, Page};
//!
//! /// What this kernel keeps for each CPU.
//! type PerCpu = VmxOperation<Frame<&'static Page>>;
//!
//! fn start(here: &mut PerCpu, page: Frame<&'static Page>) -> Result<(), Error> {
//!     // SAFETY: this kernel runs in ring 0, has a handler for every exception, uses no
//!     // shadow stacks, and VMX belongs to this function alone.
//!     let mut cpu = unsafe { BareMetal::new() };
//!     let capabilities = Capabilities::read(&mut cpu)?;
//!     // SAFETY: interrupts are off from here to the end of the function, and `here` is
//!     // the running CPU's.
//!     let mut section = unsafe { here.section(cpu) };
//!     section.enter(page, &capabilities)?;
//!     // … load a VMCS, enter the guest …
//!     section.leave()?;
//!     Ok(())
//! }
//! ```
//!
//! # What the host's #GP handler does for it
//!
//! Only a trial tells whether the CPU takes a value that needs more than 48 bits in
//! IA32_PL0_SSP to IA32_PL2_SSP. For hosts under a hypervisor or an emulator, and for
//! CPUs with five-level paging, have the handler call [`general_protection_fix_up`]
//! first; without it, a guest's value that this CPU refuses ends in that handler.
//!
//! # What the world switch moves
//!
//! [`WorldSwitch::enter`](vmx_core::cpu::WorldSwitch::enter) moves RAX to R15 without
//! RSP, and CR2; XMM0 to XMM15 with MXCSR, and IA32_SPEC_CTRL, where the type of the
//! registers has them ([`WithVectors`], [`WithSpecCtrl`]). After the exit, and after an
//! entry that failed, each of these registers is zero or the host's. More defences are
//! [options](SwitchOptions). `cargo xtask bench` counts what each costs.
//!
//! It writes HOST_RSP, HOST_RIP and HOST_SSP where they have changed, works in a host with
//! and without shadow stacks, and a debugger can unwind from each of its instructions.
//!
//! # What the world switch does not move
//!
//! RIP, RSP, RFLAGS, SSP, segments, CR0, CR3, CR4 and the MSRs with a VMCS field travel in
//! the VMCS. Everything else is shared between host and guest unless the caller moves it or
//! keeps the guest from it:
//!
//! - XCR0, IA32_XSS, IA32_XFD and PKRU;
//! - x87, SSE, AVX and AMX state, MXCSR and the x87 control word included; of these
//!   [`WithVectors`] moves XMM0 to XMM15 and MXCSR, and **not** what AVX and AVX-512 add;
//! - DR0 to DR3 and DR6;
//! - the system-call MSRs: IA32_STAR, IA32_LSTAR, IA32_CSTAR, IA32_FMASK and
//!   IA32_KERNEL_GS_BASE;
//! - IA32_TSC_AUX, which RDTSCP and RDPID show;
//! - IA32_U_CET and IA32_PL3_SSP;
//! - IA32_PL0_SSP, IA32_PL1_SSP and IA32_PL2_SSP: the job of a policy of
//!   `cet-policy`;
//! - IA32_SPEC_CTRL, unless [`WithSpecCtrl`] moves it;
//! - what predictors, buffers and caches hold, unless an [option](SwitchOptions) is for
//!   it. The branch history is not cleared, no IBPB and no L1D flush is made;
//! - CR2 of the host: it holds the guest's value after an exit. A page fault sets
//!   it anew, so only a handler that is interrupted by the VM entry would notice. Whoever
//!   takes over a running system, which becomes the guest, gives it the value that is
//!   there: `registers.cr2 = cpu.read_cr2()`
//!   ([`ControlRegisters`](vmx_core::cpu::ControlRegisters));
//! - performance counters, tracing and machine-check MSRs.
//!
//! # What VM exit leaves changed in the host
//!
//! The processor itself sets these at every exit; restore those that matter
//! (SDM, "Loading Host State"):
//!
//! - the limits of GDTR and IDTR are FFFFh;
//! - LDTR is unusable, its selector 0;
//! - the limit of TR is 67h: an I/O permission bitmap is out of reach;
//! - the hidden limits and access rights of CS to GS are those of flat segments;
//! - DR7 is 400h: no breakpoint is on;
//! - IA32_DEBUGCTL is 0;
//! - RFLAGS is 2: interrupts are off, as they were, DF, AC and IOPL are 0;
//! - blocking by NMI stays as the exit made it: after an NMI exit NMIs are blocked
//!   until the next IRET.
//!
//! # A world switch of your own
//!
//! [`CurrentVmcs::enter_with`](vmx_core::CurrentVmcs::enter_with) takes any: here one with
//! the registers in the order of a kernel's own trap frames, which is simple and writes the
//! host's pointers each time.
//!
//! ```no_run
//! use core::arch::naked_asm;
//! use vmx_bare_metal::BareMetal;
//! use vmx_core::cpu::{EntryInstruction, HostPointers, VmcsAccess};
//! use vmx_core::exit::ExitReason;
//! use vmx_core::vmcs::{CurrentVmcs, EntryFailure, VmxError, field};
//!
//! /// R15 to R8, RBP, RDI, RSI, RDX, RCX, RBX, RAX.
//! #[repr(C)]
//! struct TrapFrame([u64; 15]);
//!
//! /// Returns 0 after an exit, else 1 for VMfailInvalid, 2 for VMfailValid.
//! #[unsafe(naked)]
//! unsafe extern "sysv64" fn switch(frame: *mut TrapFrame, resume: u64) -> u64 {
//!     naked_asm!(
//!         ".irp n, rbp, rbx, r12, r13, r14, r15, rdi",
//!         r"push \n",
//!         ".endr",
//!         "mov eax, {host_rsp}",
//!         "vmwrite rax, rsp",
//!         "jna 4f",
//!         "lea rcx, [rip + 5f]",
//!         "mov eax, {host_rip}",
//!         "vmwrite rax, rcx",
//!         "jna 4f",
//!         "test rsi, rsi", // no MOV below changes ZF
//!         ".set at, 0",
//!         ".irp n, r15, r14, r13, r12, r11, r10, r9, r8, rbp",
//!         r"mov \n, [rdi + at]",
//!         ".set at, at + 8",
//!         ".endr",
//!         ".set at, 80", // all but RDI
//!         ".irp n, rsi, rdx, rcx, rbx, rax",
//!         r"mov \n, [rdi + at]",
//!         ".set at, at + 8",
//!         ".endr",
//!         "mov rdi, [rdi + 72]",
//!         "jnz 3f",
//!         "vmlaunch",
//!         "jmp 4f",
//!         "3:",
//!         "vmresume",
//!         "4:", // it failed
//!         "mov eax, 2",
//!         "mov ecx, 1",
//!         "cmovc eax, ecx",
//!         "jmp 6f",
//!         "5:", // VM exit, with the stack as it was at the first VMWRITE
//!         "push rdi",
//!         "mov rdi, [rsp + 8]",
//!         ".set at, 0",
//!         ".irp n, r15, r14, r13, r12, r11, r10, r9, r8, rbp",
//!         r"mov [rdi + at], \n",
//!         ".set at, at + 8",
//!         ".endr",
//!         "pop qword ptr [rdi + 72]",
//!         ".set at, 80",
//!         ".irp n, rsi, rdx, rcx, rbx, rax",
//!         r"mov [rdi + at], \n",
//!         ".set at, at + 8",
//!         ".endr",
//!         "xor eax, eax",
//!         "6:", // leave nothing of the guest
//!         ".irp n, ecx, edx, ebx, ebp, esi, edi, r8d, r9d, r10d, r11d, r12d, r13d, r14d, r15d",
//!         r"xor \n, \n",
//!         ".endr",
//!         "add rsp, 8",
//!         ".irp n, r15, r14, r13, r12, rbx, rbp",
//!         r"pop \n",
//!         ".endr",
//!         "ret",
//!         host_rsp = const field::HOST_RSP.encoding().0,
//!         host_rip = const field::HOST_RIP.encoding().0,
//!     )
//! }
//!
//! /// # Safety
//! /// 1. The contract of `WorldSwitch::enter`. The host uses no shadow stack.
//! unsafe fn run(
//!     current: &mut CurrentVmcs<'_, BareMetal>,
//!     frame: &mut TrapFrame,
//! ) -> Result<ExitReason, EntryFailure> {
//!     let my_switch = |cpu: &mut BareMetal, instruction, host: &mut HostPointers| {
//!         *host = HostPointers::UNKNOWN; // written below, and not recorded
//!         let resume = u64::from(instruction == EntryInstruction::Resume);
//!         // SAFETY: the caller's contract; the frame is an exclusive reference.
//!         match unsafe { switch(frame, resume) } {
//!             0 => Ok(()),
//!             1 => Err(VmxError::FailInvalid),
//!             _ => {
//!                 let number = cpu.read(field::VM_INSTRUCTION_ERROR)?;
//!                 Err(VmxError::FailValid(number))
//!             }
//!         }
//!     };
//!     // SAFETY: the caller's contract; the switch enters by the instruction it is told,
//!     // and leaves the CPU, the current VMCS and `HostPointers` true.
//!     unsafe { current.enter_with(my_switch) }
//! }
//! # std::hint::black_box(run as unsafe fn(_, _) -> _); // assembled, too
//! ```
#![no_std]
#![cfg(target_arch = "x86_64")]

mod control_registers;
mod cpu;
mod cpuid;
mod fix_up;
mod instructions;
mod memory;
mod msr;
mod operation;
mod segments;
mod shadow_stack;
mod world_switch;

pub use cpu::BareMetal;
pub use cpuid::CpuidInstruction;
pub use fix_up::{FixUpRegisters, GeneralProtection, general_protection_fix_up};
pub use memory::{InRange, OffsetMapping, Reaches};
pub use world_switch::{
    Mxcsr, Plain, RegisterFile, SpecCtrl, SwitchOptions, VectorRegisters, WithSpecCtrl, WithVectors,
};
