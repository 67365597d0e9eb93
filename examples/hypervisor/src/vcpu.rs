//! One vCPU: its VMCS, its registers, its memory, its CET state.

use cet_policy::{GuestCet, HostCet, Policy, VcpuCet};
use vmx_core::cet::CET_S;
use vmx_core::cpu::{Cr0, Cr4, VmcsAccess};
use vmx_core::ept::EptPointerFlags;
use vmx_core::state::GuestState64;
use vmx_core::state::HostState;
use vmx_core::vmcs::field;
use vmx_core::{CriticalSection, GuestRegisters, MsrBitmap, Vmcs, VmxError};

use crate::Backend;
use crate::error::RunError;
use crate::guest_memory::{self, GuestMemory};
use crate::guest_program::{self, Role};
use crate::machine::Machine;
use crate::page_pool::{PagePool, PoolFrame};
use crate::report::GuestReport;

/// TSC ticks after which a guest that has not exited is taken for hanging.
const TIME_SLICE: u64 = 1 << 26;

/// One vCPU with the policy `P`.
#[derive(Debug)]
pub struct Vcpu<P> {
    /// What its guest does.
    pub role: Role,
    /// Its VMCS.
    pub vmcs: Vmcs<PoolFrame>,
    /// Its general registers and CR2, while it is not running.
    pub registers: GuestRegisters,
    /// Its supervisor shadow-stack state.
    pub cet: VcpuCet<P>,
    /// Its MSR bitmap: a lazy policy needs one per vCPU.
    pub bitmap: MsrBitmap<'static>,
    /// Its memory.
    pub memory: GuestMemory,
    /// The number of the CPU that it ran on last.
    pub last_cpu: Option<usize>,
    /// What it has done.
    pub report: GuestReport,
    /// Its guest has ended.
    pub finished: bool,
}

impl<P: Policy> Vcpu<P> {
    /// A vCPU that starts its guest's program; its VMCS is still empty. `ept` are the
    /// flags of its EPT pointer.
    ///
    /// # Errors
    /// [`RunError`] if memory is short or the policy is refused.
    pub fn new(
        machine: &Machine,
        host: &HostCet,
        pool: &PagePool,
        role: Role,
        rounds: u64,
        ept: EptPointerFlags,
    ) -> Result<Self, RunError> {
        let guest = GuestCet {
            shadow_stacks: true,
            indirect_branch_tracking: machine.cet.indirect_branch_tracking,
            xss: machine.cet.supported_xss & CET_S,
        };
        let cet = VcpuCet::new(host, guest)?;
        let bitmap = MsrBitmap::all_exit(pool.take_page().ok_or(RunError::OutOfMemory)?);
        let frame = pool.take_frame().ok_or(RunError::OutOfMemory)?;
        Ok(Self {
            role,
            vmcs: Vmcs::new(frame, &machine.capabilities),
            registers: GuestRegisters { rdi: role as u64, rsi: rounds, ..Default::default() },
            cet,
            bitmap,
            memory: GuestMemory::new(pool, machine.ept, ept)?,
            last_cpu: None,
            report: GuestReport::new(role),
            finished: false,
        })
    }

    /// Fills the VMCS: controls, host state from the running CPU, guest state.
    ///
    /// # Errors
    /// [`RunError`] of the load or VMWRITE that failed.
    pub fn fill_vmcs<C: Backend>(
        &mut self,
        machine: &Machine,
        section: &mut CriticalSection<'_, C, PoolFrame>,
    ) -> Result<(), RunError> {
        let capabilities = &machine.capabilities;
        let host = HostState::from_cpu(section, capabilities, &machine.controls);
        let mut current = section.load(&mut self.vmcs)?;
        machine.controls.write(&mut current)?;
        host.write(&mut current, machine.controls.exit)?;
        let guest = GuestState64 {
            rip: guest_program::ENTRY,
            rsp: guest_memory::STACK_TOP,
            cr3: self.memory.cr3().0,
            cr0: Cr0::empty(),
            cr4: Cr4::OSFXSR | Cr4::OSXSAVE,
            gdt: guest_memory::GDT,
            idt: guest_memory::IDT,
            tss: guest_memory::TSS,
        };
        guest.write(&mut current, capabilities, machine.controls.entry)?;
        self.cet.attach(&mut current, &self.bitmap)?;
        let timer = TIME_SLICE >> capabilities.preemption_timer_shift();
        current.write(field::VMX_PREEMPTION_TIMER_VALUE, timer.max(1) as u32)?;
        current.write(field::MSR_BITMAP, self.bitmap.address())?;
        current.write(field::EPT_POINTER, self.memory.ept_pointer())?;
        fill_rest(&mut current)?;
        Ok(())
    }
}

/// Fields that stay zero, and the CR4 bit that the guest does not own.
fn fill_rest<V: VmcsAccess>(vmcs: &mut V) -> Result<(), VmxError> {
    for unused in [
        field::EXCEPTION_BITMAP,
        field::PAGE_FAULT_ERROR_CODE_MASK,
        field::PAGE_FAULT_ERROR_CODE_MATCH,
        field::CR3_TARGET_COUNT,
        field::VM_EXIT_MSR_STORE_COUNT,
        field::VM_EXIT_MSR_LOAD_COUNT,
        field::VM_ENTRY_MSR_LOAD_COUNT,
    ] {
        vmcs.write(unused, 0)?;
    }
    vmcs.write(field::XSS_EXITING_BITMAP, 0)?;
    vmcs.write(field::CR0_GUEST_HOST_MASK, Cr0::empty())?;
    // VMXE belongs to the host: the guest neither sees nor changes it.
    vmcs.write(field::CR4_GUEST_HOST_MASK, Cr4::VMXE)?;
    vmcs.write(field::CR4_READ_SHADOW, Cr4::empty())
}
