//! What a person wants to see of a guest that cannot go on.

use core::fmt;

use vmx_core::GuestRegisters;
use vmx_core::control::EntryControls;
use vmx_core::cpu::VmcsAccess;
use vmx_core::exit::ExitReason;
use vmx_core::vmcs::InstructionError;
use vmx_core::vmcs::field;
use vmx_core::vmcs::field::Encoding;

/// The state of a guest that cannot go on: its registers, and the VMCS fields that
/// matter for what happened.
#[derive(Clone, Copy, Debug)]
pub struct GuestDump {
    /// The general registers.
    pub registers: GuestRegisters,
    fields: [(Encoding, Option<u64>); Self::COUNT],
}

impl GuestDump {
    const COUNT: usize = 33;

    /// What there is to know when VM entry fails or a guest stops.
    const FIELDS: [Encoding; Self::COUNT] = [
        field::VM_INSTRUCTION_ERROR.encoding(),
        field::EXIT_REASON.encoding(),
        field::EXIT_QUALIFICATION.encoding(),
        field::GUEST_PHYSICAL_ADDRESS.encoding(),
        field::GUEST_LINEAR_ADDRESS.encoding(),
        field::PIN_BASED_CONTROLS.encoding(),
        field::PRIMARY_CONTROLS.encoding(),
        field::SECONDARY_CONTROLS.encoding(),
        field::VM_EXIT_CONTROLS.encoding(),
        field::VM_ENTRY_CONTROLS.encoding(),
        field::VM_ENTRY_INTERRUPTION_INFORMATION.encoding(),
        field::EPT_POINTER.encoding(),
        field::GUEST_CR0.encoding(),
        field::GUEST_CR3.encoding(),
        field::GUEST_CR4.encoding(),
        field::GUEST_IA32_EFER.encoding(),
        field::GUEST_RIP.encoding(),
        field::GUEST_RSP.encoding(),
        field::GUEST_RFLAGS.encoding(),
        field::GUEST_S_CET.encoding(),
        field::GUEST_SSP.encoding(),
        field::GUEST_INTERRUPT_SSP_TABLE_ADDR.encoding(),
        field::GUEST_INTERRUPTIBILITY_STATE.encoding(),
        field::GUEST_ACTIVITY_STATE.encoding(),
        field::HOST_CR0.encoding(),
        field::HOST_CR3.encoding(),
        field::HOST_CR4.encoding(),
        field::HOST_IA32_EFER.encoding(),
        field::HOST_RIP.encoding(),
        field::HOST_RSP.encoding(),
        field::HOST_S_CET.encoding(),
        field::HOST_SSP.encoding(),
        field::HOST_INTERRUPT_SSP_TABLE_ADDR.encoding(),
    ];

    /// Reads the fields of the current VMCS; one that cannot be read is left out.
    pub fn capture<V: VmcsAccess>(vmcs: &mut V, registers: &GuestRegisters) -> Self {
        let fields = Self::FIELDS.map(|encoding| (encoding, vmcs.vmread(encoding).ok()));
        Self { registers: *registers, fields }
    }

    fn value(&self, wanted: Encoding) -> Option<u64> {
        self.fields.iter().find(|(encoding, _)| *encoding == wanted)?.1
    }
}

impl fmt::Display for GuestDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(error) = self.value(field::VM_INSTRUCTION_ERROR.encoding())
            && error != 0
        {
            writeln!(f, "  last {}", InstructionError(error as u32))?;
        }
        if let Some(reason) = self.value(field::EXIT_REASON.encoding()) {
            writeln!(f, "  last exit: {}", ExitReason(reason as u32))?;
        }
        if let Some(entry) = self.value(field::VM_ENTRY_CONTROLS.encoding()) {
            let controls = EntryControls::from_bits_retain(entry as u32);
            let has_cet = controls.contains(EntryControls::LOAD_CET_STATE);
            writeln!(
                f,
                "  guest CET state is {}loaded by entry",
                if has_cet { "" } else { "not " }
            )?;
        }
        for (encoding, value) in self.fields {
            if let (Some(name), Some(value)) = (encoding.name(), value) {
                writeln!(f, "  {name:<34} {value:#018x}")?;
            }
        }
        let r = &self.registers;
        writeln!(f, "  rax {:#018x}  rbx {:#018x}  rcx {:#018x}", r.rax, r.rbx, r.rcx)?;
        writeln!(f, "  rdx {:#018x}  rsi {:#018x}  rdi {:#018x}", r.rdx, r.rsi, r.rdi)?;
        write!(f, "  r13 {:#018x}  r14 {:#018x}  r15 {:#018x}", r.r13, r.r14, r.r15)
    }
}
