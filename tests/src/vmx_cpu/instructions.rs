//! The CPU and its VMX instructions.
//!
//! Source: SDM, "VMX Instruction Reference", each instruction's "Operation".

use std::collections::{BTreeMap, VecDeque};
use std::sync::LazyLock;

use vmx_core::capability::VmxBasic;
use vmx_core::control::SecondaryControls;
use vmx_core::cpu::EntryInstruction;
use vmx_core::memory::PAGE_SIZE;
use vmx_core::vmcs::field::{self, Encoding};
use vmx_core::vmcs::{FieldValues, InstructionError};
use vmx_core::{Capabilities, PhysicalAddress, VmxError};

use super::active_vmcs::{self, ActiveVmcs, LaunchState};
use super::guest::GuestEvent;
use super::memory::{PhysicalMemory, Use};

/// What [`VmxCpu`] can do: no control but those that are always there.
pub const CAPABILITIES: Capabilities =
    Capabilities { basic: VmxBasic(6 << 50 | 4096 << 32 | 0x2A), ..Capabilities::NOTHING };

/// The fields of a CPU with [`CAPABILITIES`].
static ZEROS: LazyLock<FieldValues> = LazyLock::new(|| active_vmcs::zeros(&CAPABILITIES));

/// Bit 31 of a VMCS's first word: the shadow-VMCS indicator.
const SHADOW: u32 = 1 << 31;

/// An instruction that a test makes fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // Each is the instruction of its name.
pub enum Instruction {
    Vmxon,
    Vmxoff,
    Vmclear,
    Vmptrld,
}

/// A logical processor with VMX.
#[derive(Debug)]
pub struct VmxCpu<'m> {
    memory: &'m PhysicalMemory,
    apic_id: u32,
    pub(super) capabilities: Capabilities,
    /// The fields that it has.
    zeros: FieldValues,
    pub(super) vmxe: bool,
    /// `None` outside VMX operation.
    root: Option<RootOperation>,
    /// Instructions that fail the next time though the manual gives no reason.
    failing: Vec<Instruction>,
    guest: VecDeque<GuestEvent>,
    may_abandon: usize,
}

/// VMX root operation.
#[derive(Debug)]
struct RootOperation {
    vmxon: PhysicalAddress,
    current: Option<PhysicalAddress>,
    active: BTreeMap<PhysicalAddress, ActiveVmcs>,
}

impl<'m> VmxCpu<'m> {
    /// A CPU after reset, with [`CAPABILITIES`].
    pub fn new(memory: &'m PhysicalMemory, apic_id: u32) -> Self {
        Self {
            memory,
            apic_id,
            capabilities: CAPABILITIES,
            zeros: ZEROS.clone(),
            vmxe: false,
            root: None,
            failing: Vec::new(),
            guest: VecDeque::new(),
            may_abandon: 0,
        }
    }

    /// The same CPU with other capabilities.
    #[must_use]
    pub fn with_capabilities(self, capabilities: Capabilities) -> Self {
        Self { capabilities, zeros: active_vmcs::zeros(&capabilities), ..self }
    }

    /// The local APIC ID.
    pub const fn apic_id(&self) -> u32 {
        self.apic_id
    }

    /// Whether it is in VMX operation.
    pub const fn in_vmx_operation(&self) -> bool {
        self.root.is_some()
    }

    /// The VMCSs that are active, by address.
    pub fn active(&self) -> impl Iterator<Item = PhysicalAddress> {
        self.root.iter().flat_map(|root| root.active.keys().copied())
    }

    /// Whether the VMCS at `address` is active here and launched.
    pub fn is_launched(&self, address: PhysicalAddress) -> bool {
        let vmcs = self.root.as_ref().and_then(|root| root.active.get(&address));
        vmcs.is_some_and(|vmcs| vmcs.launch_state == LaunchState::Launched)
    }

    /// What comes of the next VM entry that has no answer yet.
    pub fn next_guest_event(&mut self, event: GuestEvent) {
        self.guest.push_back(event);
    }

    /// Makes an instruction fail once, though no real CPU would: with error 0, which the
    /// manual does not list. Nothing happens but that.
    pub fn fail_next(&mut self, instruction: Instruction) {
        self.failing.push(instruction);
    }

    /// Takes [`fail_next`](Self::fail_next) back.
    pub fn fail_not(&mut self, instruction: Instruction) {
        self.failing.retain(|failing| *failing != instruction);
    }

    /// So many VMCSs may be active at the next VMXOFF. Their regions are
    /// [`Use::Abandoned`] then.
    pub const fn may_abandon(&mut self, vmcss: usize) {
        self.may_abandon = vmcss;
    }

    /// The CPU is reset: VMX operation ends, and the regions of what was active have
    /// garbage, since data that was in the CPU is lost.
    pub fn reset(&mut self) {
        if let Some(root) = self.root.take() {
            self.memory.end_use(root.vmxon, None);
            for address in root.active.into_keys() {
                self.memory.cpu_page(address, Use::ActiveVmcs(self.apic_id)).fill(!0);
                self.memory.end_use(address, None);
            }
        }
        self.vmxe = false;
        self.failing.clear();
    }

    /// VMXON.
    ///
    /// # Errors
    /// [`VmxError`], as the manual says.
    pub fn vmxon(&mut self, region: PhysicalAddress) -> Result<(), VmxError> {
        assert!(self.vmxe, "#UD in the host: VMXON with CR4.VMXE = 0");
        if self.root.is_some() {
            return Err(self.fail(15));
        }
        self.injected(Instruction::Vmxon)?;
        if !self.is_pointer(region) {
            return Err(VmxError::FailInvalid);
        }
        let begins = Use::VmxonRegion(self.apic_id);
        let page = self.memory.cpu_page(region, begins);
        if active_vmcs::identifier(page) != self.capabilities.basic.revision() {
            return Err(VmxError::FailInvalid);
        }
        self.memory.begin_use(region, begins);
        self.root = Some(RootOperation { vmxon: region, current: None, active: BTreeMap::new() });
        Ok(())
    }

    /// VMXOFF.
    ///
    /// # Errors
    /// None but what a test asks for.
    ///
    /// # Panics
    /// With active VMCSs, which may be corrupted then, unless a test expects it.
    pub fn vmxoff(&mut self) -> Result<(), VmxError> {
        self.root("VMXOFF");
        self.injected(Instruction::Vmxoff)?;
        if let Some(root) = self.root.take() {
            let abandoned = root.active.len();
            assert_eq!(abandoned, self.may_abandon, "VMXOFF with so many active VMCSs");
            for address in root.active.into_keys() {
                self.memory.end_use(address, Some(Use::Abandoned(self.apic_id)));
            }
            self.memory.end_use(root.vmxon, None);
        }
        self.may_abandon = 0;
        Ok(())
    }

    /// VMCLEAR.
    ///
    /// # Errors
    /// [`VmxError`], as the manual says.
    ///
    /// # Panics
    /// If the VMCS is active on another CPU.
    pub fn vmclear(&mut self, region: PhysicalAddress) -> Result<(), VmxError> {
        let (vmxon, uses) = (self.root("VMCLEAR").vmxon, Use::ActiveVmcs(self.apic_id));
        if !self.is_pointer(region) {
            return Err(self.fail(2));
        }
        if region == vmxon {
            return Err(self.fail(3));
        }
        self.injected(Instruction::Vmclear)?;
        let page = self.memory.cpu_page(region, uses);
        let root = self.root("VMCLEAR");
        if let Some(vmcs) = root.active.remove(&region) {
            vmcs.store(page);
            if root.current == Some(region) {
                root.current = None;
            }
            self.memory.end_use(region, None);
        } else {
            // Elsewhere active, its data would not be written, or over this one's.
            let used = self.memory.used(region);
            assert!(used.is_none(), "VMCLEAR on CPU {} of {region:?}: {used:?}", self.apic_id);
            active_vmcs::initialize(page);
        }
        Ok(())
    }

    /// VMPTRLD.
    ///
    /// # Errors
    /// [`VmxError`], as the manual says.
    ///
    /// # Panics
    /// If the VMCS is active on another CPU, or was never VMCLEARed.
    pub fn vmptrld(&mut self, region: PhysicalAddress) -> Result<(), VmxError> {
        let (vmxon, uses) = (self.root("VMPTRLD").vmxon, Use::ActiveVmcs(self.apic_id));
        if !self.is_pointer(region) {
            return Err(self.fail(9));
        }
        if region == vmxon {
            return Err(self.fail(10));
        }
        self.injected(Instruction::Vmptrld)?;
        let identifier = active_vmcs::identifier(self.memory.cpu_page(region, uses));
        let may_be_shadow =
            self.capabilities.secondary.may_be_one & SecondaryControls::VMCS_SHADOWING.bits() != 0;
        if identifier & !SHADOW != self.capabilities.basic.revision()
            || (identifier & SHADOW != 0 && !may_be_shadow)
        {
            return Err(self.fail(11));
        }
        if !self.root("VMPTRLD").active.contains_key(&region) {
            let page = self.memory.begin_use(region, uses);
            let vmcs = ActiveVmcs::load(page, &self.zeros);
            self.root("VMPTRLD").active.insert(region, vmcs);
        }
        self.root("VMPTRLD").current = Some(region);
        Ok(())
    }

    /// VMPTRST: `None` for FFFFFFFF_FFFFFFFFh, and outside VMX operation, where it would
    /// raise #UD.
    pub fn vmptrst(&self) -> Option<PhysicalAddress> {
        self.root.as_ref().and_then(|root| root.current)
    }

    /// VMREAD of the current VMCS.
    ///
    /// # Errors
    /// [`VmxError`] number 12.
    ///
    /// # Panics
    /// Without a current VMCS.
    pub fn vmread(&self, encoding: Encoding) -> Result<u64, VmxError> {
        let vmcs = self.current("VMREAD");
        if encoding == field::VM_INSTRUCTION_ERROR.encoding() {
            return Ok(vmcs.error.get().0.into());
        }
        match vmcs.fields.get_raw(encoding.full()) {
            Some(value) if encoding.is_high() => Ok(value >> 32),
            Some(value) => Ok(value),
            None => Err(self.fail(12)),
        }
    }

    /// VMWRITE of the current VMCS.
    ///
    /// # Errors
    /// [`VmxError`] number 12 or 13.
    ///
    /// # Panics
    /// Without a current VMCS.
    pub fn vmwrite(&mut self, encoding: Encoding, value: u64) -> Result<(), VmxError> {
        let may_write_all = self.capabilities.misc.vmwrite_writes_any_field();
        let (field, width) = (encoding.full(), encoding.width().mask());
        let Some(old) = self.current("VMWRITE").fields.get_raw(field) else {
            return Err(self.fail(12));
        };
        if encoding.is_read_only() && !may_write_all {
            return Err(self.fail(13));
        }
        let new = match encoding.is_high() {
            true => old & 0xFFFF_FFFF | value << 32,
            false => value & width,
        };
        self.current_mut("VMWRITE").fields.set_raw(field, new);
        Ok(())
    }

    /// VMLAUNCH or VMRESUME, up to the VM exit.
    ///
    /// # Errors
    /// [`VmxError`]: the guest did not run.
    ///
    /// # Panics
    /// Without a current VMCS.
    pub fn vm_entry(&mut self, instruction: EntryInstruction) -> Result<(), VmxError> {
        let address = self.vmptrst();
        let launch_state = self.current("VM entry").launch_state;
        let is_shadow = address.is_some_and(|address| {
            let page = self.memory.cpu_page(address, Use::ActiveVmcs(self.apic_id));
            active_vmcs::identifier(page) & SHADOW != 0
        });
        if is_shadow {
            return Err(VmxError::FailInvalid);
        }
        match (instruction, launch_state) {
            (EntryInstruction::Launch, LaunchState::Launched) => return Err(self.fail(4)),
            (EntryInstruction::Resume, LaunchState::Clear) => return Err(self.fail(5)),
            _ => {}
        }
        match self.guest.pop_front().unwrap_or(GuestEvent::VMCALL) {
            GuestEvent::Refused(InstructionError(number)) => return Err(self.fail(number)),
            GuestEvent::Exit { reason, qualification } => {
                let vmcs = self.current_mut("VM entry");
                vmcs.fields.set(field::EXIT_REASON, reason);
                vmcs.fields.set(field::EXIT_QUALIFICATION, qualification);
                if !reason.is_entry_failure() {
                    vmcs.launch_state = LaunchState::Launched;
                }
            }
        }
        Ok(())
    }

    /// VMfail with this error number.
    pub(super) fn fail(&self, number: u32) -> VmxError {
        let error = InstructionError(number);
        let current = self.root.as_ref().and_then(|root| root.active.get(&root.current?));
        match current {
            Some(vmcs) => {
                vmcs.error.set(error);
                VmxError::FailValid(error)
            }
            None => VmxError::FailInvalid,
        }
    }

    fn injected(&mut self, instruction: Instruction) -> Result<(), VmxError> {
        match self.failing.iter().position(|failing| *failing == instruction) {
            Some(place) => {
                self.failing.remove(place);
                Err(self.fail(0))
            }
            None => Ok(()),
        }
    }

    /// Whether VMX instructions take this address: of a page, within the CPU's width.
    fn is_pointer(&self, address: PhysicalAddress) -> bool {
        address.0.is_multiple_of(PAGE_SIZE as u64) && self.capabilities.is_physical_address(address)
    }

    fn root(&mut self, instruction: &str) -> &mut RootOperation {
        match &mut self.root {
            Some(root) => root,
            None => panic!("#UD in the host: {instruction} outside VMX operation"),
        }
    }

    fn current(&self, instruction: &str) -> &ActiveVmcs {
        let current = self.root.as_ref().and_then(|root| root.active.get(&root.current?));
        match current {
            Some(vmcs) => vmcs,
            None => panic!("{instruction} without a current VMCS on CPU {}", self.apic_id),
        }
    }

    fn current_mut(&mut self, instruction: &str) -> &mut ActiveVmcs {
        let apic_id = self.apic_id;
        let root = self.root(instruction);
        match root.current.and_then(|current| root.active.get_mut(&current)) {
            Some(vmcs) => vmcs,
            None => panic!("{instruction} without a current VMCS on CPU {apic_id}"),
        }
    }
}
