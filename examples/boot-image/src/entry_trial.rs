//! One VM entry with given field values, and what the CPU answered.

use vmx_bare_metal::BareMetal;
use vmx_core::control::{EntryControls, ExitControls, PinBasedControls, PrimaryControls};
use vmx_core::cpu::{ControlRegisters, EntryInstruction, VmcsAccess};
use vmx_core::entry_check::{Circumstances, Outcome};
use vmx_core::field::{self, Encoding};
use vmx_core::field_values::FieldValues;
use vmx_core::guest_state::GuestState64;
use vmx_core::host_state::HostState;
use vmx_core::{
    Capabilities, ControlSet, CurrentVmcs, Frame, GuestRegisters, Page, PhysicalAddress,
};

/// TSC ticks after which a guest that does not exit is stopped.
const TIME_SLICE: u64 = 1 << 20;
/// VMCALL, then HLT for ever.
const PROGRAM: [u8; 6] = [0x0F, 0x01, 0xC1, 0xF4, 0xEB, 0xFD];

static GUEST_CODE: Page = Page::new();
static GUEST_STACK: Page = Page::new();

/// The controls of a valid state, apart from what the CPU has to offer.
const REQUIRED: ControlSet = ControlSet {
    pin_based: PinBasedControls::ACTIVATE_VMX_PREEMPTION_TIMER,
    primary: PrimaryControls::HLT_EXITING.union(PrimaryControls::ACTIVATE_SECONDARY_CONTROLS),
    exit: ExitControls::HOST_ADDRESS_SPACE_SIZE,
    entry: EntryControls::IA32E_MODE_GUEST,
    ..ControlSet::EMPTY
};

const WANTED: ControlSet = ControlSet {
    exit: ExitControls::LOAD_IA32_EFER
        .union(ExitControls::LOAD_IA32_PAT)
        .union(ExitControls::LOAD_CET_STATE),
    entry: EntryControls::LOAD_IA32_EFER
        .union(EntryControls::LOAD_IA32_PAT)
        .union(EntryControls::LOAD_CET_STATE),
    ..ControlSet::EMPTY
};

/// The controls of a valid state on this CPU.
pub(crate) fn controls(capabilities: &Capabilities) -> Result<ControlSet, &'static str> {
    ControlSet::negotiate(capabilities, &REQUIRED, &WANTED)
        .map_err(|_| "this CPU lacks controls that every trial needs")
}

/// The physical address of a page of the image: memory is mapped to itself.
pub(crate) fn address_of(page: &'static Page) -> PhysicalAddress {
    PhysicalAddress((page as *const Page).addr() as u64)
}

/// Gives a page of the image to VMX.
///
/// # Safety
///
/// 1. Nothing else uses the page, and this is called once for it.
pub(crate) unsafe fn frame(page: &'static Page) -> Frame<'static> {
    // SAFETY: the address is the page's, and the caller keeps the rest.
    unsafe { Frame::new(page, address_of(page)) }
}

/// A CPU with a current VMCS, for one trial after the other.
pub(crate) struct Bench<'a> {
    current: CurrentVmcs<'a, BareMetal>,
    cr0: u64,
    cr4: u64,
    launched: bool,
    /// What the VMCS holds; read again whenever the CPU may have changed it.
    held: FieldValues,
}

impl<'a> Bench<'a> {
    /// Fills the VMCS with a valid state: a 64-bit guest that executes VMCALL.
    pub(crate) fn new(
        mut current: CurrentVmcs<'a, BareMetal>,
        capabilities: &Capabilities,
        controls: &ControlSet,
        host: &HostState,
    ) -> Result<Self, &'static str> {
        GUEST_CODE.write_bytes(0, &PROGRAM).map_err(|_| "the program does not fit")?;
        let guest = GuestState64 {
            rip: address_of(&GUEST_CODE).0,
            rsp: address_of(&GUEST_STACK).0 + 0x1000,
            cr3: host.cr3,
            tss: (0, 0x67),
            ..GuestState64::default()
        };
        let timer = TIME_SLICE >> capabilities.preemption_timer_shift();
        for (row, _) in FieldValues::read(&mut current).iter() {
            // What is not set below is zero. Read-only fields refuse, rightly.
            let _ = current.vmwrite(row, 0);
        }
        controls
            .write(&mut current)
            .and_then(|()| host.write(&mut current, controls.exit))
            .and_then(|()| guest.write(&mut current, capabilities, controls.entry))
            .and_then(|()| current.write(field::VMX_PREEMPTION_TIMER_VALUE, timer as u32))
            .map_err(|_| "a field of the valid state was not written")?;
        let held = FieldValues::read(&mut current);
        Ok(Self { current, cr0: host.cr0, cr4: host.cr4, launched: false, held })
    }

    /// The field values as the CPU has them.
    pub(crate) fn values(&self) -> &FieldValues {
        &self.held
    }

    /// The circumstances of the next entry.
    pub(crate) fn circumstances(&self) -> Circumstances {
        let instruction =
            if self.launched { EntryInstruction::Resume } else { EntryInstruction::Launch };
        Circumstances { instruction, is_launched: self.launched, ..Circumstances::LAUNCH }
    }

    /// Writes the values and enters; the field that was not written, if one was not.
    pub(crate) fn enter(&mut self, values: &FieldValues) -> Result<Outcome, Encoding> {
        for (encoding, value) in values.iter() {
            if self.held.get_raw(encoding) != Some(value) {
                self.current.vmwrite(encoding, value).map_err(|_| encoding)?;
            }
        }
        let mut registers = GuestRegisters::default();
        // SAFETY: the host state is the running CPU's but for what a case changes, and
        // its cases keep host registers such that the image goes on; the guest
        // executes one instruction of the image's, which exits, and any other it
        // might come to is stopped by the timer; interrupts are off.
        let entered = unsafe { self.current.enter(&mut registers) };
        self.restore_control_registers();
        let outcome = match entered {
            Err(error) => Outcome::Failed(error),
            Ok(reason) if reason.is_entry_failure() => {
                let qualification = self.current.read(field::EXIT_QUALIFICATION);
                Outcome::ExitedAtOnce { reason, qualification: qualification.unwrap_or(u64::MAX) }
            }
            Ok(_) => {
                self.launched = true;
                Outcome::Entered
            }
        };
        self.held = FieldValues::read(&mut self.current);
        Ok(outcome)
    }

    /// The CPU, with the VMCS.
    pub(crate) fn vmcs(&mut self) -> &mut CurrentVmcs<'a, BareMetal> {
        &mut self.current
    }

    /// A VM exit loads what the host fields say, and a case may have changed them.
    fn restore_control_registers(&mut self) {
        let cpu = self.current.cpu();
        if cpu.read_cr4() != self.cr4 {
            // SAFETY: the value that the image ran with before.
            unsafe { cpu.write_cr4(self.cr4) };
        }
        if cpu.read_cr0() != self.cr0 {
            // SAFETY: the value that the image ran with before.
            unsafe { cpu.write_cr0(self.cr0) };
        }
    }
}
