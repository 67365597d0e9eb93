//! What a vCPU's CET state answers to the hypervisor, and what resets it.

/// What to do about a guest's RDMSR that exited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadAnswer {
    /// Put it into EDX:EAX and advance RIP.
    Value(u64),
    /// Inject #GP(0) and leave RIP.
    GeneralProtection,
    /// The MSR is the hypervisor's to answer.
    NotOurs,
}

/// What to do about a guest's WRMSR that exited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteAnswer {
    /// It is written: advance RIP.
    Done,
    /// Inject #GP(0) and leave RIP.
    GeneralProtection,
    /// The MSR is the hypervisor's to answer.
    NotOurs,
}

/// What resets the vCPU. Source: SDM, "IA-32 and Intel 64 Processor States
/// Following Power-up, Reset, or INIT".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// Power-up or RESET: everything is zero.
    PowerUp,
    /// INIT: IA32_XSS keeps its value, the rest of CET is zero.
    Init,
}
