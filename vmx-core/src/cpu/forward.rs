//! CPU traits of a wrapper, passed on to the CPU inside it.

/// Implements CPU traits for a type that holds or borrows a CPU, by passing each
/// call on to that CPU.
///
/// For a wrapper of your own around a CPU: a per-CPU structure, a lock guard, a CPU
/// that looks at some accesses. Name the traits that go through unchanged and
/// implement the others by hand. What stands after the type says how the wrapper
/// leads to the CPU, in the form of a closure from `&mut` wrapper to `&mut` CPU.
/// Each trait is implemented where the inner CPU implements it. Its provided methods
/// stay as provided.
///
/// ```
/// use vmx_core::cpu::{Cpuid, CpuidResult, Msr, VmcsAccess};
/// use vmx_core::vmcs::field::{Encoding, HOST_RSP};
/// use vmx_core::{VmxError, forward_cpu_traits};
///
/// /// A CPU that notices when somebody moves the host's stack.
/// struct Watched<C> {
///     cpu: C,
///     stack_moves: usize,
/// }
///
/// forward_cpu_traits! {
///     impl<C> Cpuid, Msr for Watched<C> {
///         |watched| -> &mut C { &mut watched.cpu }
///     }
/// }
///
/// impl<C: VmcsAccess> VmcsAccess for Watched<C> {
///     fn vmread(&self, encoding: Encoding) -> Result<u64, VmxError> {
///         self.cpu.vmread(encoding)
///     }
///     fn vmwrite(&mut self, encoding: Encoding, value: u64) -> Result<(), VmxError> {
///         self.stack_moves += usize::from(encoding == HOST_RSP.encoding());
///         self.cpu.vmwrite(encoding, value)
///     }
/// }
///
/// # struct ACpu;
/// # impl Cpuid for ACpu {
/// #     fn cpuid(&mut self, leaf: u32, _subleaf: u32) -> CpuidResult {
/// #         CpuidResult { eax: leaf + 1, ..CpuidResult::default() }
/// #     }
/// # }
/// let mut watched = Watched { cpu: ACpu, stack_moves: 0 };
/// assert_eq!(watched.cpuid(6, 0).eax, 7);
/// ```
///
/// Generics are lifetimes and types, with at most one bound each (`T: ?Sized`). A
/// guard that borrows its CPU:
///
/// ```
/// # use core::fmt::Debug;
/// # use vmx_core::forward_cpu_traits;
/// struct Guard<'a, C: Debug>(&'a mut C);
///
/// forward_cpu_traits! {
///     impl<'a, C: Debug> ControlRegisters, Segments, WorldSwitch for Guard<'a, C> {
///         |guard| -> &mut C { guard.0 }
///     }
/// }
/// ```
///
/// An unsafe trait takes an invocation of its own, which begins with `unsafe impl`:
/// whoever writes it keeps the trait's contract for the wrapper, and promises that
/// the wrapper leads to the same CPU each time. A crate that forbids unsafe code
/// cannot implement a trait with unsafe methods, by this macro neither.
///
/// A name that is not a CPU trait does not compile, and the message lists those that
/// are:
///
/// ```compile_fail
/// # struct Wrapper<C>(C);
/// vmx_core::forward_cpu_traits! {
///     impl<C> Segmentation for Wrapper<C> { |wrapper| -> &mut C { &mut wrapper.0 } }
/// }
/// ```
#[macro_export]
macro_rules! forward_cpu_traits {
    // The table: associated types and safe methods of each trait in the first braces,
    // unsafe methods in the second. Paths are absolute: an invocation may stand anywhere.
    (@table Cpuid $wrapper:tt) => {
        $crate::forward_cpu_traits! { @impl Cpuid $wrapper {
            fn cpuid(leaf: u32, subleaf: u32) -> $crate::cpu::CpuidResult;
        } {} }
    };
    (@table Msr $wrapper:tt) => {
        $crate::forward_cpu_traits! { @impl Msr $wrapper {
            fn read_named(msr: $crate::msr::NamedMsr) -> u64;
        } {
            fn read_msr(msr: $crate::msr::MsrIndex) -> u64;
            fn write_msr(msr: $crate::msr::MsrIndex, value: u64) -> ();
        } }
    };
    (@table SupervisorSsp $wrapper:tt) => {
        $crate::forward_cpu_traits! { @impl SupervisorSsp $wrapper {
            fn read_ssp(register: $crate::cet::SspRegister) -> $crate::cet::Ssp;
            fn write_ssp(register: $crate::cet::SspRegister, value: $crate::cet::Ssp) -> ();
            fn accepts_ssp(register: $crate::cet::SspRegister, value: $crate::cet::Ssp) -> bool;
        } {} }
    };
    (@table CetSupervisorXstate $wrapper:tt) => {
        $crate::forward_cpu_traits! { @impl CetSupervisorXstate $wrapper {
            fn xsaves_cet_s(area: &mut $crate::cet::CetSupervisorArea) -> bool;
            fn xrstors_cet_s(area: &$crate::cet::CetSupervisorArea) -> ();
        } {} }
    };
    (@table ControlRegisters $wrapper:tt) => {
        $crate::forward_cpu_traits! { @impl ControlRegisters $wrapper {
            fn read_cr0() -> $crate::cpu::Cr0;
            fn read_cr2() -> u64;
            fn read_cr3() -> u64;
            fn read_cr4() -> $crate::cpu::Cr4;
        } {
            fn write_cr0(value: $crate::cpu::Cr0) -> ();
            fn write_cr4(value: $crate::cpu::Cr4) -> ();
        } }
    };
    (@table Segments $wrapper:tt) => {
        $crate::forward_cpu_traits! { @impl Segments $wrapper {
            fn segments() -> $crate::cpu::SegmentState;
        } {} }
    };
    (@table VmxInstructions $wrapper:tt) => {
        $crate::forward_cpu_traits! { @impl VmxInstructions $wrapper {
            fn enter_vmx_operation(
                region: &$crate::vmcs::VmxonPointer, capabilities: &$crate::Capabilities
            ) -> ::core::result::Result<(), $crate::vmcs::EnterError>;
            fn leave_vmx_operation(
                region: &$crate::vmcs::VmxonPointer
            ) -> ::core::result::Result<(), $crate::VmxError>;
            fn vmclear(
                region: &$crate::vmcs::VmcsPointer
            ) -> ::core::result::Result<(), $crate::VmxError>;
            fn vmptrld(
                region: &$crate::vmcs::VmcsPointer
            ) -> ::core::result::Result<(), $crate::VmxError>;
            fn current_vmcs() -> ::core::option::Option<$crate::PhysicalAddress>;
            fn local_apic_id() -> ::core::option::Option<u32>;
        } {} }
    };
    (@table InvalidateTranslations $wrapper:tt) => {
        $crate::forward_cpu_traits! { @impl InvalidateTranslations $wrapper {
            fn invept(
                scope: $crate::cpu::InveptScope
            ) -> ::core::result::Result<(), $crate::VmxError>;
            fn invvpid(
                scope: $crate::cpu::InvvpidScope
            ) -> ::core::result::Result<(), $crate::VmxError>;
        } {} }
    };
    (@table WorldSwitch $wrapper:tt) => {
        $crate::forward_cpu_traits! { @impl WorldSwitch $wrapper {
            type Registers;
        } {
            fn enter(
                instruction: $crate::cpu::EntryInstruction,
                host: &mut $crate::cpu::HostPointers,
                registers: &mut Self::Registers
            ) -> ::core::result::Result<(), $crate::VmxError>;
        } }
    };
    (@table $other:ident $wrapper:tt) => {
        ::core::compile_error! { ::core::concat!(
            "`", ::core::stringify!($other), "` is not a CPU trait; those that can be forwarded \
             are Cpuid, Msr, SupervisorSsp, CetSupervisorXstate, ControlRegisters, Segments, \
             VmxInstructions, InvalidateTranslations, WorldSwitch; VmcsAccess is two methods by hand"
        ) }
    };

    // One trait for one wrapper.
    (@impl $name:ident
        [[$($unsafe:tt)?] [$($generics:tt)*] [$wrapper:ty] [$inner:ty] $this:ident $reach:block]
        {
            $(type $associated:ident;)*
            $(fn $safe_method:ident($($a:ident: $a_type:ty),*) -> $safe_return:ty;)*
        }
        { $(fn $unsafe_method:ident($($b:ident: $b_type:ty),*) -> $unsafe_return:ty;)* }
    ) => {
        $($unsafe)? impl<$($generics)*> $crate::cpu::$name for $wrapper
        where
            $inner: $crate::cpu::$name,
        {
            $(type $associated = <$inner as $crate::cpu::$name>::$associated;)*
            $(
                #[inline]
                fn $safe_method(&mut self $(, $a: $a_type)*) -> $safe_return {
                    let $this = self;
                    let cpu: &mut $inner = $reach;
                    <$inner as $crate::cpu::$name>::$safe_method(cpu $(, $a)*)
                }
            )*
            $(
                #[inline]
                unsafe fn $unsafe_method(&mut self $(, $b: $b_type)*) -> $unsafe_return {
                    let $this = self;
                    let cpu: &mut $inner = $reach;
                    // SAFETY: the caller keeps the same contract.
                    unsafe { <$inner as $crate::cpu::$name>::$unsafe_method(cpu $(, $b)*) }
                }
            )*
        }
    };
    // Every named trait, each with the whole description of the wrapper as one token.
    (@each [$($name:ident)+] $wrapper:tt) => {
        $($crate::forward_cpu_traits! { @table $name $wrapper })+
    };

    // What a caller writes.
    (
        impl<$($param:tt $(: $(?$relaxed:ident)? $($bound:path)?)?),*>
            $($name:ident),+ for $wrapper:ty
        { |$this:ident| -> &mut $inner:ty $reach:block }
    ) => {
        $crate::forward_cpu_traits! { @each [$($name)+] [
            [] [$($param $(: $(?$relaxed)? $($bound)?)?),*] [$wrapper] [$inner] $this $reach
        ] }
    };
    (
        unsafe impl<$($param:tt $(: $(?$relaxed:ident)? $($bound:path)?)?),*>
            $($name:ident),+ for $wrapper:ty
        { |$this:ident| -> &mut $inner:ty $reach:block }
    ) => {
        $crate::forward_cpu_traits! { @each [$($name)+] [
            [unsafe] [$($param $(: $(?$relaxed)? $($bound)?)?),*] [$wrapper] [$inner] $this $reach
        ] }
    };
}

// A CPU can be lent.
forward_cpu_traits! {
    impl<T: ?Sized>
        Cpuid, Msr, SupervisorSsp, CetSupervisorXstate, ControlRegisters, Segments,
        InvalidateTranslations, WorldSwitch
    for &mut T {
        |lent| -> &mut T { lent }
    }
}

// The same CPU, so what it answers stays as true as it was.
forward_cpu_traits! {
    unsafe impl<T: ?Sized> VmxInstructions for &mut T { |lent| -> &mut T { lent } }
}
