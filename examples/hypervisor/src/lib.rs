//! A small hypervisor: three vCPUs share one CPU, or two, each with its own supervisor
//! shadow-stack state, switched by the policy of your choice.
//!
//! It is `no_std`, without an allocator, and generic over the CPU ([`Backend`])
//! and the policy. Read it in the order of a hypervisor's life:
//!
//! 1. [`machine`]: the CPU is asked what it can do and enters VMX operation;
//! 2. [`controls`]: the whole choice of VMX controls;
//! 3. [`guest_memory`] and [`guest_program`]: a guest's EPT, its page tables and its
//!    code;
//! 4. [`vcpu`]: one vCPU, from its VMCS to its CET state;
//! 5. [`exits`]: what each VM exit is answered with;
//! 6. [`slice`](mod@slice): a vCPU comes to a CPU, runs, and leaves;
//! 7. [`processor`]: what each CPU does, alone or one of several that share the vCPUs,
//!    and the checks on the host's own registers ([`canaries`]).
//!
//! Two scenarios stand apart: [`supervisor_shadow_stack`], about what EPT does for a
//! guest's shadow stack, and [`wide_address`], about a value that the CPU refuses though
//! its CPUID says that it is legal.
//!
//! Each guest's EPT maps its own memory, from guest-physical address 0 on, and nothing
//! else.
#![no_std]
#![cfg(target_arch = "x86_64")]

pub mod canaries;
pub mod controls;
pub mod ept_access;
pub mod error;
pub mod exits;
pub mod guest_dump;
pub mod guest_memory;
pub mod guest_program;
pub mod machine;
pub mod page_pool;
pub mod processor;
pub mod report;
pub mod scenario;
pub mod shared;
pub mod slice;
pub mod supervisor_shadow_stack;
pub mod vcpu;
pub mod wide_address;

use vmx_core::GuestRegisters;
use vmx_core::cpu::{
    CetSupervisorXstate, ControlRegisters, Cpuid, InvalidateTranslations, Msr, Segments,
    SupervisorSsp, VmcsAccess, VmxInstructions, WorldSwitch,
};

/// Everything that the hypervisor uses of a CPU.
pub trait Backend:
    Cpuid
    + Msr
    + SupervisorSsp
    + CetSupervisorXstate
    + ControlRegisters
    + Segments
    + VmxInstructions
    + InvalidateTranslations
    + VmcsAccess
    + WorldSwitch<Registers = GuestRegisters>
{
}

impl<C> Backend for C where
    C: Cpuid
        + Msr
        + SupervisorSsp
        + CetSupervisorXstate
        + ControlRegisters
        + Segments
        + VmxInstructions
        + InvalidateTranslations
        + VmcsAccess
        + WorldSwitch<Registers = GuestRegisters>
{
}
