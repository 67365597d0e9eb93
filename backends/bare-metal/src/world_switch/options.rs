//! What a client may choose of the world switch, at compile time.

use vmx_core::GuestRegisters;

use super::registers::RegisterFile;

/// What the world switch of a [`BareMetal`](crate::BareMetal) moves and does. Each
/// option costs instructions in every entry and exit, so all are off unless chosen.
///
/// These are the defences that can stand nowhere but in the switch: between the last
/// access of the host and the entry, or between the exit and the host's first RET. Which
/// of them a CPU needs is said by its CPUID bits and IA32_ARCH_CAPABILITIES; Intel's
/// guidance on the named weakness explains when.
///
/// ```no_run
/// use vmx_bare_metal::{BareMetal, SwitchOptions, WithSpecCtrl};
/// use vmx_core::GuestRegisters;
///
/// /// For the CPUs in our racks.
/// struct Hardened;
///
/// impl SwitchOptions for Hardened {
///     type Registers = WithSpecCtrl<GuestRegisters>;
///     const FILL_RETURN_STACK_BUFFER: bool = true;
///     const VERW: bool = true;
/// }
///
/// // SAFETY: a kernel in ring 0, preemption off, a handler for every exception, …
/// let cpu: BareMetal<Hardened> = unsafe { BareMetal::with_options() };
/// # let _ = cpu;
/// ```
///
/// A kernel that chooses at run time has two such types and two values; both are of
/// size zero. Whichever enters, [`HostPointers`](vmx_core::cpu::HostPointers) takes care
/// that the exit lands in the switch that entered.
pub trait SwitchOptions {
    /// Which registers are moved: [`GuestRegisters`], and [`WithVectors`] or
    /// [`WithSpecCtrl`] around it.
    ///
    /// [`WithVectors`]: crate::WithVectors
    /// [`WithSpecCtrl`]: crate::WithSpecCtrl
    type Registers: RegisterFile;

    /// After the exit, before the first RET: 32 CALLs, so that every entry of the
    /// return-stack buffer is the host's, and LFENCE.
    ///
    /// For a host whose RETs must not be predicted by what a guest left: one that
    /// relies on retpolines, and one on a CPU whose enhanced IBRS does not cover the
    /// buffer after an exit ("Post-barrier Return Stack Buffer Predictions").
    ///
    /// Costs 38 instructions, 40 in a host on a shadow stack. Uses 256 bytes of the
    /// stack and, in such a host, 256 of the shadow stack, which the CALLs push and
    /// INCSSP takes off again.
    const FILL_RETURN_STACK_BUFFER: bool = false;

    /// VERW as the last instruction before VMLAUNCH or VMRESUME, which on a CPU with
    /// MD_CLEAR (CPUID.7.0:EDX\[10\]) overwrites the CPU's internal buffers.
    ///
    /// For CPUs with one of "Microarchitectural Data Sampling", "TSX Asynchronous
    /// Abort", "Processor MMIO Stale Data" and "Register File Data Sampling". It does
    /// not flush the L1 data cache: "L1 Terminal Fault" wants IA32_FLUSH_CMD, best in
    /// the VM-entry MSR-load list.
    ///
    /// Costs 3 instructions, of which VERW itself takes some hundred cycles where it
    /// clears something. The selector that it asks about is the one in SS.
    const VERW: bool = false;

    /// The host's IA32_SPEC_CTRL is written after every exit, also where the guest
    /// left the same value. Needs [`WithSpecCtrl`](crate::WithSpecCtrl).
    ///
    /// For a host that sets IBRS on a CPU without enhanced IBRS
    /// (IA32_ARCH_CAPABILITIES\[1\] = 0): there the write itself is the barrier. Costs
    /// one WRMSR more per exit.
    const LEGACY_IBRS: bool = false;

    /// XMM6 to XMM15 are the host's again after an exit, where the registers are
    /// [`WithVectors`](crate::WithVectors); otherwise they are zero.
    ///
    /// By default only where nobody else can do it: by the calling convention of Windows
    /// and UEFI the ten belong to a function's caller, so a compiler that knows the
    /// registers saves them around the switch; but Rust's UEFI target is compiled without
    /// SSE, and they are the firmware's. Costs 21 instructions and 160 bytes of the stack.
    const KEEP_XMM6_TO_XMM15: bool =
        cfg!(all(any(windows, target_os = "uefi"), not(target_feature = "sse")));
}

/// The plain switch: general registers and CR2, no defence but that all of them are
/// cleared or the host's after an exit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plain;

impl SwitchOptions for Plain {
    type Registers = GuestRegisters;
}
