//! One VM entry with given field values, and what the CPU answered.

use vmx_bare_metal::BareMetal;
use vmx_core::control::ControlSet;
use vmx_core::control::{
    EntryControls, ExitControls, PinBasedControls, PrimaryControls, SecondaryControls,
};
use vmx_core::cpu::{ControlRegisters, Cr4, VmcsAccess};
use vmx_core::entry_check::{Circumstances, ExampleGuest, Outcome};
use vmx_core::ept::{
    EntryFlags, Ept, EptPointer, EptPointerFlags, EptRules, GuestPhysicalAddress, Level,
    MemoryType, TablePages,
};
use vmx_core::exit::ExitReason;
use vmx_core::memory::Physical;
use vmx_core::msr_list::MsrEntry;
use vmx_core::state::HostState;
use vmx_core::state::{GuestCetState, GuestState32, GuestState64, GuestStateReal};
use vmx_core::vmcs::field;
use vmx_core::vmcs::field::Encoding;
use vmx_core::vmcs::{EntryFailure, FieldValues};
use vmx_core::{
    Capabilities, CurrentVmcs, Frame, GuestRegisters, MsrIndex, Page, PhysicalAddress, VmxError,
};
use vmx_tests::entry_cases::CaseMemory;

use crate::system::paging::{MAPPED, PAGE_SIZE};
use crate::trials::entry_basics;

/// TSC ticks after which a guest that does not exit is stopped.
const TIME_SLICE: u64 = 1 << 20;
/// VMCALL, then HLT for ever.
const PROGRAM: [u8; 6] = [0x0F, 0x01, 0xC1, 0xF4, 0xEB, 0xFD];

static GUEST_CODE: Page = Page::new();
static GUEST_STACK: Page = Page::new();
static PAGE_DIRECTORY: Page = Page::new();
static EPT_TABLES: [Page; 4] = [const { Page::new() }; 4];
static LINKED_REGION: Page = Page::new();
static PAGE_DIRECTORY_POINTERS: Page = Page::new();
static MSR_LOAD_AREA: Page = Page::new();

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

/// What a guest in real mode needs.
const UNRESTRICTED: SecondaryControls =
    SecondaryControls::ENABLE_EPT.union(SecondaryControls::UNRESTRICTED_GUEST);

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
pub(crate) unsafe fn frame(page: &'static Page) -> Frame<&'static Page> {
    // SAFETY: the address is the page's, and the caller keeps the rest.
    unsafe { Frame::new(page, address_of(page)) }
}

/// A CPU with a current VMCS, for one trial after the other.
pub(crate) struct Bench<'a> {
    current: CurrentVmcs<'a, BareMetal>,
    capabilities: Capabilities,
    host: HostState,
    /// What the VMCS holds; read again whenever the CPU may have changed it.
    held: FieldValues,
    /// The valid state with a 64-bit guest.
    valid: FieldValues,
    memory: CaseMemory,
}

impl<'a> Bench<'a> {
    /// Fills the VMCS, whose region is at `vmcs`, with a valid state: a 64-bit guest
    /// that executes VMCALL.
    pub(crate) fn new(
        mut current: CurrentVmcs<'a, BareMetal>,
        vmcs: PhysicalAddress,
        capabilities: &Capabilities,
        controls: &ControlSet,
        host: &HostState,
    ) -> Result<Self, &'static str> {
        GUEST_CODE.write_bytes(0, &PROGRAM).map_err(|_| "the program does not fit")?;
        for (encoding, _) in FieldValues::read(&current).iter() {
            // What is not set below is zero. Read-only fields refuse, rightly.
            let _ = current.vmwrite(encoding, 0);
        }
        let guest = GuestState64 {
            rip: address_of(&GUEST_CODE).0,
            rsp: stack_top(),
            cr3: host.cr3,
            tss: (0, 0x67),
            ..GuestState64::default()
        };
        let timer = TIME_SLICE >> capabilities.preemption_timer_shift();
        controls
            .write(&mut current)
            .and_then(|()| host.write(&mut current, controls.exit))
            .and_then(|()| guest.write(&mut current, capabilities, controls.entry))
            .and_then(|()| GuestCetState::OFF.write(&mut current, controls.entry))
            .and_then(|()| current.write(field::VMX_PREEMPTION_TIMER_VALUE, timer as u32))
            .and_then(|()| {
                current.write(field::VM_ENTRY_MSR_LOAD_ADDRESS, address_of(&MSR_LOAD_AREA))
            })
            .map_err(|_| "a field of the valid state was not written")?;
        let valid = FieldValues::read(&current);
        let memory = CaseMemory {
            current_vmcs: vmcs,
            vmxon_region: None,
            linked_region: address_of(&LINKED_REGION),
            linked_region_start: capabilities.basic.revision(),
            pdpt: address_of(&PAGE_DIRECTORY_POINTERS),
            pdptes: [0; 4],
            msr_load_area: [MsrEntry::new(MsrIndex(0), 0); 4],
        };
        Ok(Self {
            current,
            capabilities: *capabilities,
            host: *host,
            held: valid.clone(),
            valid,
            memory,
        })
    }

    /// Whether the CPU has such guests.
    pub(crate) fn has(&self, base: ExampleGuest) -> bool {
        base != ExampleGuest::GuestReal || self.capabilities.secondary.allows(UNRESTRICTED)
    }

    /// A valid state with such a guest, and the memory that it uses; `None` where the
    /// CPU [has](Self::has) no such guests, or its state could not be made.
    pub(crate) fn base(&self, base: ExampleGuest) -> Option<(FieldValues, CaseMemory)> {
        let mut values = self.valid.clone();
        match base {
            ExampleGuest::Guest64 => {}
            ExampleGuest::Guest32 => self.make_32_bit(&mut values).ok()?,
            ExampleGuest::GuestReal => self.make_real(&mut values)?,
        }
        Some((values, self.memory))
    }

    fn leave_ia32e_mode(values: &mut FieldValues) -> EntryControls {
        let entry = values.get(field::VM_ENTRY_CONTROLS).unwrap_or_default();
        let entry = entry - EntryControls::IA32E_MODE_GUEST;
        values.set(field::VM_ENTRY_CONTROLS, entry);
        entry
    }

    /// Paged by 4-MiB pages that map memory to itself.
    fn make_32_bit(&self, values: &mut FieldValues) -> Result<(), VmxError> {
        const PRESENT_WRITABLE_LARGE: u64 = 0x83;
        for word in 0..8 {
            let entry = |index: u64| index << 22 | PRESENT_WRITABLE_LARGE;
            PAGE_DIRECTORY.write(word, entry(2 * word as u64) | entry(2 * word as u64 + 1) << 32);
        }
        let entry = Self::leave_ia32e_mode(values);
        let guest = GuestState32 {
            eip: address_of(&GUEST_CODE).0 as u32,
            esp: stack_top() as u32,
            cr3: address_of(&PAGE_DIRECTORY).0 as u32,
            cr4: Cr4::PSE,
            tss: (0, 0x67),
            ..GuestState32::default()
        };
        guest.write(values, &self.capabilities, entry)
    }

    /// Behind EPT that maps memory to itself, with CS where the program is.
    fn make_real(&self, values: &mut FieldValues) -> Option<()> {
        if !self.has(ExampleGuest::GuestReal) {
            return None;
        }
        let secondary = values.get(field::SECONDARY_CONTROLS).unwrap_or_default();
        values.set(field::SECONDARY_CONTROLS, secondary | UNRESTRICTED);
        values.set(field::EPT_POINTER, self.identity_ept()?);
        let entry = Self::leave_ia32e_mode(values);
        let code_base = address_of(&GUEST_CODE).0 as u32;
        let guest = GuestStateReal { code_base, ..GuestStateReal::at(0, 0) };
        guest.write(values, &self.capabilities, entry).ok()
    }

    fn identity_ept(&self) -> Option<EptPointer> {
        let rules =
            EptRules::new(self.capabilities.ept_vpid, self.capabilities.physical_address_width);
        let pages = Physical::new(&EPT_TABLES[..], address_of(EPT_TABLES.first()?));
        let (flags, kind) = (EptPointerFlags::default(), MemoryType::WriteBack);
        let mut ept = Ept::new(TablePages::new(pages), Level::Pml4, kind, flags, rules).ok()?;
        let (at, address) = (GuestPhysicalAddress(0), PhysicalAddress(0));
        ept.map_range(at, address, MAPPED as u64, kind, EntryFlags::ALL_ACCESS).ok()?;
        Some(ept.pointer())
    }

    /// Why the guest of the last entry exited.
    pub(crate) fn exit_reason(&self) -> ExitReason {
        self.held.get(field::EXIT_REASON).unwrap_or(ExitReason(u32::MAX))
    }

    /// The circumstances of the next entry.
    pub(crate) fn circumstances(&self) -> Circumstances {
        self.current.circumstances()
    }

    /// The CPU, with the VMCS.
    pub(crate) fn vmcs(&mut self) -> &mut CurrentVmcs<'a, BareMetal> {
        &mut self.current
    }

    /// Writes the values and enters; the field that was not written, if one was not.
    pub(crate) fn enter(
        &mut self,
        values: &FieldValues,
        memory: &CaseMemory,
    ) -> Result<Outcome, Encoding> {
        LINKED_REGION.write(0, memory.linked_region_start.into());
        for (word, entry) in memory.pdptes.into_iter().enumerate() {
            PAGE_DIRECTORY_POINTERS.write(word, entry);
        }
        for (index, entry) in memory.msr_load_area.iter().enumerate() {
            MSR_LOAD_AREA
                .write(2 * index, u64::from(entry.reserved) << 32 | u64::from(entry.msr.0));
            MSR_LOAD_AREA.write(2 * index + 1, entry.value);
        }
        for (encoding, value) in values.iter() {
            if self.held.get_raw(encoding) != Some(value) {
                self.current.vmwrite(encoding, value).map_err(|_| encoding)?;
            }
        }
        let mut registers = GuestRegisters::default();
        let entered = if values.get(field::HOST_RIP) == self.valid.get(field::HOST_RIP) {
            // SAFETY: the host state is the running CPU's but for what a case changes,
            // and its cases keep host registers such that the image goes on; the guest
            // executes one instruction of the image's, which exits, and any other it
            // might come to is stopped by the timer; interrupts are off.
            unsafe { self.current.enter(&mut registers) }
        } else {
            // The world switch would write the field anew.
            let error = entry_basics::enter_that_fails(self.circumstances().is_launched);
            Err(EntryFailure::Instruction(error))
        };
        self.restore_control_registers();
        let outcome = entered.map_or_else(Outcome::from, |_| Outcome::Entered);
        self.held = FieldValues::read(&self.current);
        Ok(outcome)
    }

    /// A VM exit loads what the host fields say, and a case may have changed them.
    fn restore_control_registers(&mut self) {
        let cpu = &mut self.current;
        if cpu.read_cr4() != self.host.cr4 {
            // SAFETY: the value that the image ran with before.
            unsafe { cpu.write_cr4(self.host.cr4) };
        }
        if cpu.read_cr0() != self.host.cr0 {
            // SAFETY: the value that the image ran with before.
            unsafe { cpu.write_cr0(self.host.cr0) };
        }
    }
}

fn stack_top() -> u64 {
    address_of(&GUEST_STACK).0 + PAGE_SIZE as u64
}
