//! The running logical processor as a value.

use core::fmt;
use core::marker::PhantomData;

use crate::{Plain, SwitchOptions};

/// The logical processor that executes this code.
///
/// `O` says what the [world switch](SwitchOptions) does; nothing else depends on it,
/// so that values with different options may be used side by side.
///
/// Zero-sized: making one costs nothing, so make it where you need it. It cannot be
/// sent to or shared with another thread. A kernel that preempts makes one inside each
/// critical section; one that pins a thread to each CPU may keep it.
pub struct BareMetal<O = Plain> {
    // A raw pointer is neither Send nor Sync.
    stays_here: PhantomData<*const ()>,
    options: PhantomData<fn() -> O>,
}

static_assertions::const_assert_eq!(size_of::<BareMetal>(), 0);
static_assertions::assert_not_impl_any!(BareMetal: Send, Sync, Clone);

impl BareMetal {
    /// The running CPU, with the [plain](Plain) world switch.
    ///
    /// # Safety
    ///
    /// 1. Whenever a method of the value is called, the code runs in ring 0, in 64-bit
    ///    mode, and every exception reaches a handler of the host: methods that the
    ///    CPU lacks the feature for raise #UD, #NM or #GP.
    /// 2. The value belongs to the logical processor that executes this call. It is
    ///    used only there, by whomever it is handed or lent to, and only while the
    ///    executing thread cannot be moved to another one: preemption or interrupts
    ///    are off, or the thread is pinned. What must hold from one call to the next,
    ///    such as which VMCS is current, holds only within one such section. A value
    ///    that is not in use may lie anywhere, as in a per-CPU variable.
    /// 3. While values of a guest are in IA32_PL0_SSP to IA32_PL2_SSP (between a
    ///    policy's load and its put) nobody on this CPU uses them in the host with
    ///    shadow stacks on: nothing returns to ring 3, changes to ring 0, 1 or 2
    ///    from an outer ring, or executes SETSSBSY or CLRSSBSY on them.
    /// 4. A guest that reaches IA32_U_CET or IA32_PL3_SSP leaves its values there;
    ///    nothing returns to ring 3 until the host's are back.
    /// 5. VMX on this CPU belongs to the code that uses this value and others made
    ///    for the same CPU: nobody else enters or leaves VMX operation, or loads or
    ///    clears a VMCS, but code that keeps their records true. As long as no
    ///    [`VmxOperation`](vmx_core::VmxOperation) is entered there are none, and
    ///    other code may do both.
    /// 6. HOST_RSP, HOST_RIP and HOST_SSP of a VMCS that a
    ///    [`CurrentVmcs`](vmx_core::CurrentVmcs) manages are written through that
    ///    `CurrentVmcs` only, never by this or another value beside it, nor by code that
    ///    writes to any `VmcsAccess` and is given this value. It keeps in
    ///    mind what they hold ([`HostPointers`](vmx_core::cpu::HostPointers)), and the
    ///    world switch goes by that.
    /// 7. The GDT that GDTR points at stays mapped and readable.
    pub const unsafe fn new() -> Self {
        // SAFETY: the caller keeps the same contract.
        unsafe { Self::with_options() }
    }
}

impl<O: SwitchOptions> BareMetal<O> {
    /// The running CPU, with a world switch by your own options.
    ///
    /// # Safety
    ///
    /// The contract of [`BareMetal::new`].
    pub const unsafe fn with_options() -> Self {
        Self { stays_here: PhantomData, options: PhantomData }
    }
}

impl<O> fmt::Debug for BareMetal<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BareMetal")
    }
}
