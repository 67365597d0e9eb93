//! The running logical processor as a value.

use core::marker::PhantomData;

/// The logical processor that executes this code.
///
/// Zero-sized: making one costs nothing, so make it where you need it. It cannot
/// be sent to or shared with another thread, which might run on another CPU.
#[derive(Debug)]
pub struct BareMetal {
    // A raw pointer is neither Send nor Sync.
    stays_here: PhantomData<*const ()>,
}

static_assertions::const_assert_eq!(size_of::<BareMetal>(), 0);
static_assertions::assert_not_impl_any!(BareMetal: Send, Sync, Clone);

impl BareMetal {
    /// The running CPU.
    ///
    /// # Safety
    ///
    /// 1. The code runs in ring 0, in 64-bit mode, and every exception reaches a
    ///    handler of the host: methods that the CPU lacks the feature for raise
    ///    #UD, #NM or #GP.
    /// 2. The thread does not migrate to another logical processor while the value
    ///    lives.
    /// 3. While values of a guest are in IA32_PL0_SSP to IA32_PL2_SSP (between a
    ///    policy's load and its put) nobody on this CPU uses them in the host with
    ///    shadow stacks on: nothing returns to ring 3, changes to ring 0, 1 or 2
    ///    from an outer ring, or executes SETSSBSY or CLRSSBSY on them.
    /// 4. A guest that reaches IA32_U_CET or IA32_PL3_SSP leaves its values there;
    ///    nothing returns to ring 3 until the host's are back.
    /// 5. VMX on this CPU belongs to the code that holds this value and others made
    ///    for the same CPU: nobody else enters or leaves VMX operation or loads a
    ///    VMCS meanwhile.
    /// 6. The GDT that GDTR points at stays mapped and readable.
    pub const unsafe fn new() -> Self {
        Self { stays_here: PhantomData }
    }
}
