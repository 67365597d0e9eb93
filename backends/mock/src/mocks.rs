//! Scripted CPUs and memory, made with `mockall`.
//!
//! For each method `m` of a trait there is `expect_m`, which says how often it may
//! be called, with what, and what it returns. A call without an expectation, or one
//! too few at the end, panics and so fails the test. `mockall`'s own documentation
//! tells the rest (sequences, predicates).
//!
//! A unit test of a function of yours:
//!
//! ```
//! use mockall::predicate::eq;
//! use vmx_core::cpu::SupervisorSsp;
//! use vmx_core::cet::{Ssp, SspRegister};
//! use vmx_mock::mocks::MockCpu;
//!
//! /// Takes the value out of IA32_PL0_SSP and leaves zero there.
//! fn take<C: SupervisorSsp>(cpu: &mut C) -> Ssp {
//!     let value = cpu.read_ssp(SspRegister::Pl0);
//!     cpu.write_ssp(SspRegister::Pl0, Ssp::ZERO);
//!     value
//! }
//!
//! let mut cpu = MockCpu::new();
//! let value = Ssp::from_register(0x8000);
//! cpu.expect_read_ssp().with(eq(SspRegister::Pl0)).once().return_const(value);
//! cpu.expect_write_ssp().with(eq(SspRegister::Pl0), eq(Ssp::ZERO)).once().return_const(());
//! assert_eq!(take(&mut cpu), value);
//! ```
//!
//! An `unsafe fn` of a trait is expected as any other method; it does nothing
//! unsafe here:
//!
//! ```
//! use mockall::predicate::eq;
//! use vmx_core::MsrIndex;
//! use vmx_core::cpu::Msr;
//! use vmx_mock::mocks::MockCpu;
//!
//! let mut cpu = MockCpu::new();
//! cpu.expect_write_msr().with(eq(MsrIndex::IA32_XSS), eq(1 << 12)).once().return_const(());
//! // SAFETY: no CPU is behind it.
//! unsafe { cpu.write_msr(MsrIndex::IA32_XSS, 1 << 12) };
//! ```
//!
//! Memory hands out pages that live as long as the program:
//!
//! ```
//! use vmx_core::{Page, PhysicalAddress};
//! use vmx_core::memory::Memory;
//! use vmx_mock::mocks::MockMemory;
//!
//! static PAGE: Page = Page::new();
//! let mut memory = MockMemory::new();
//! memory.expect_page().withf(|address| address.0 < 0x1000).return_const(Some(&PAGE));
//! memory.expect_page().return_const(None);
//! PAGE.write(2, 7);
//! assert_eq!(memory.read_word(PhysicalAddress(0x10)), Some(7));
//! assert_eq!(memory.read_word(PhysicalAddress(0x1010)), None);
//! ```

pub use generated::{MockCpu, MockMemory};

// The traits document the methods; what `mockall` generates besides them
// (`expect_…`, `checkpoint`) cannot be documented one by one.
#[allow(missing_docs, missing_debug_implementations)]
mod generated {
    use vmx_core::cet::{CetSupervisorArea, Ssp, SspRegister};
    use vmx_core::cpu::{
        CetSupervisorXstate, ControlRegisters, Cpuid, CpuidResult, Cr0, Cr4, EntryInstruction,
        HostPointers, InvalidateTranslations, InveptScope, InvvpidScope, Msr, SegmentState,
        Segments, SupervisorSsp, VmcsAccess, VmxInstructions, WorldSwitch,
    };
    use vmx_core::memory::Memory;
    use vmx_core::msr::NamedMsr;
    use vmx_core::vmcs::field::Encoding;
    use vmx_core::vmcs::{EnterError, VmcsPointer, VmxonPointer};
    use vmx_core::{Capabilities, GuestRegisters, MsrIndex, Page, PhysicalAddress, VmxError};

    mockall::mock! {
        /// A CPU that does what the test says: all the traits of
        /// [`vmx_core::cpu`]. The typed `read` and `write` of `VmcsAccess` go
        /// through `vmread` and `vmwrite` as on any CPU.
        #[derive(Debug)]
        pub Cpu {}

        impl Cpuid for Cpu {
            fn cpuid(&mut self, leaf: u32, subleaf: u32) -> CpuidResult;
        }

        impl Msr for Cpu {
            fn read_named(&mut self, msr: NamedMsr) -> u64;
            unsafe fn read_msr(&mut self, msr: MsrIndex) -> u64;
            unsafe fn write_msr(&mut self, msr: MsrIndex, value: u64);
        }

        impl SupervisorSsp for Cpu {
            fn read_ssp(&mut self, register: SspRegister) -> Ssp;
            fn write_ssp(&mut self, register: SspRegister, value: Ssp);
            fn accepts_ssp(&mut self, register: SspRegister, value: Ssp) -> bool;
        }

        impl CetSupervisorXstate for Cpu {
            fn xsaves_cet_s(&mut self, area: &mut CetSupervisorArea) -> bool;
            fn xrstors_cet_s(&mut self, area: &CetSupervisorArea);
        }

        impl ControlRegisters for Cpu {
            fn read_cr0(&mut self) -> Cr0;
            fn read_cr2(&mut self) -> u64;
            fn read_cr3(&mut self) -> u64;
            fn read_cr4(&mut self) -> Cr4;
            unsafe fn write_cr0(&mut self, value: Cr0);
            unsafe fn write_cr4(&mut self, value: Cr4);
        }

        impl Segments for Cpu {
            fn segments(&mut self) -> SegmentState;
        }

        // SAFETY: it touches no memory, so it may answer as it likes.
        unsafe impl VmxInstructions for Cpu {
            fn enter_vmx_operation(
                &mut self,
                region: &VmxonPointer,
                capabilities: &Capabilities,
            ) -> Result<(), EnterError>;
            fn leave_vmx_operation(&mut self, region: &VmxonPointer) -> Result<(), VmxError>;
            fn vmclear(&mut self, region: &VmcsPointer) -> Result<(), VmxError>;
            fn vmptrld(&mut self, region: &VmcsPointer) -> Result<(), VmxError>;
        }

        impl InvalidateTranslations for Cpu {
            fn invept(&mut self, scope: InveptScope) -> Result<(), VmxError>;
            fn invvpid(&mut self, scope: InvvpidScope) -> Result<(), VmxError>;
        }

        impl VmcsAccess for Cpu {
            fn vmread(&self, encoding: Encoding) -> Result<u64, VmxError>;
            fn vmwrite(&mut self, encoding: Encoding, value: u64) -> Result<(), VmxError>;
        }

        impl WorldSwitch for Cpu {
            type Registers = GuestRegisters;

            unsafe fn enter(
                &mut self,
                instruction: EntryInstruction,
                host: &mut HostPointers,
                registers: &mut GuestRegisters,
            ) -> Result<(), VmxError>;
        }
    }

    mockall::mock! {
        /// Memory that holds the pages that the test says.
        #[derive(Debug)]
        pub Memory {}

        impl Memory for Memory {
            fn page(&self, address: PhysicalAddress) -> Option<&'static Page>;
        }
    }
}
