//! A minimal hypervisor, of whose programs `cargo xtask bench core` measures the bytes.
//!
//! It does what every hypervisor does with `vmx-core`: asks the CPU, negotiates controls,
//! fills host and guest state and an MSR bitmap, enters through the world switch of
//! `vmx-bare-metal`, decodes exits and answers the simplest. The programs in `bin/` differ
//! in what they print when an entry fails. None of them is ever run.
#![no_std]
#![cfg(target_os = "none")]

use core::fmt::{self, Display, Write};
use core::hint::black_box;
use core::panic::PanicInfo;

use vmx_bare_metal::BareMetal;
use vmx_core::control::{
    ControlSet, EntryControls, ExitControls, PrimaryControls, SecondaryControls,
};
use vmx_core::cpu::{Cpuid, VmcsAccess};
use vmx_core::exit::qualification::ExitQualification;
use vmx_core::exit::{BasicExitReason, ExitReason};
use vmx_core::intercept::MsrAccess;
use vmx_core::memory::{PageOwner, PhysicalPage};
use vmx_core::state::{GuestState64, HostState};
use vmx_core::vmcs::{CurrentVmcs, EntryFailure, VmxOperation, field};
use vmx_core::{
    Capabilities, CriticalSection, Error, Frame, GuestRegisters, MsrBitmap, MsrIndex, Page,
    PhysicalAddress, VmxError,
};

/// What a program does about an entry that failed. The current VMCS is the one that was not
/// entered.
pub type OnFailure = fn(&CurrentVmcs<'_, BareMetal>, EntryFailure, &Capabilities);

/// VMXON region, VMCS region, MSR bitmap.
static PAGES: [Page; 3] = [const { Page::new() }; 3];

/// What it cannot do without.
const REQUIRED: ControlSet = ControlSet {
    primary: PrimaryControls::USE_MSR_BITMAPS
        .union(PrimaryControls::HLT_EXITING)
        .union(PrimaryControls::ACTIVATE_SECONDARY_CONTROLS),
    secondary: SecondaryControls::ENABLE_VPID,
    exit: ExitControls::HOST_ADDRESS_SPACE_SIZE.union(ExitControls::LOAD_IA32_EFER),
    entry: EntryControls::IA32E_MODE_GUEST.union(EntryControls::LOAD_IA32_EFER),
    ..ControlSet::EMPTY
};

/// What it takes where the CPU has it.
const WANTED: ControlSet = ControlSet {
    exit: ExitControls::LOAD_IA32_PAT.union(ExitControls::LOAD_CET_STATE),
    entry: EntryControls::LOAD_IA32_PAT.union(EntryControls::LOAD_CET_STATE),
    ..ControlSet::EMPTY
};

/// The whole program: a guest from start to end.
pub fn main(on_failure: OnFailure) -> ! {
    // SAFETY: never executed.
    let mut cpu = unsafe { BareMetal::new() };
    let capabilities = black_box(Capabilities::read(&mut cpu));
    if let Ok(capabilities) = capabilities {
        let mut operation = VmxOperation::new();
        // SAFETY: never executed.
        let mut section = unsafe { operation.section(cpu) };
        black_box(run(&mut section, &capabilities, on_failure).is_ok());
    }
    stop()
}

/// Enters VMX operation, fills a VMCS and runs its guest until it executes HLT.
fn run(
    section: &mut CriticalSection<'_, BareMetal, Frame<&'static Page>>,
    capabilities: &Capabilities,
    on_failure: OnFailure,
) -> Result<(), Error> {
    let controls = ControlSet::negotiate(capabilities, &REQUIRED, &WANTED)?;
    // SAFETY: never executed.
    let [vmxon, region, bitmap] = PAGES
        .each_ref()
        .map(|page| unsafe { Frame::new(page, PhysicalAddress(&raw const *page as u64)) });
    section.enter(vmxon, capabilities)?;
    let host = HostState::from_cpu(section, capabilities, &controls);
    let bitmap_address = bitmap.address();
    let bitmap = MsrBitmap::all_exit(PhysicalPage::new(bitmap.into_owner(), bitmap_address));
    for access in MsrAccess::ALL {
        bitmap.pass(MsrIndex(0xC000_0100), access)?;
        bitmap.pass(MsrIndex(0xC000_0101), access)?;
    }
    let mut vmcs = section.build(region, capabilities, |current| -> Result<(), Error> {
        controls.write(current)?;
        host.write(current, controls.exit)?;
        let guest = GuestState64 {
            rip: 0x1000,
            rsp: 0x3000,
            cr3: 0x4000,
            gdt: (0x5000, 0x27),
            idt: (0x6000, 0xFFF),
            tss: (0x7000, 0x67),
            ..GuestState64::default()
        };
        guest.write(current, capabilities, controls.entry)?;
        current.write(field::MSR_BITMAP, bitmap.address())?;
        current.write(field::VPID, 1)?;
        Ok(())
    })?;
    let mut registers = GuestRegisters::default();
    let mut current = section.load(&mut vmcs)?;
    loop {
        // SAFETY: never executed.
        match unsafe { current.enter(&mut registers) } {
            Err(failure) => {
                on_failure(&current, failure, capabilities);
                break;
            }
            Ok(reason) => {
                if !answer(reason, &mut current, &mut registers)? {
                    break;
                }
            }
        }
    }
    section.clear(&mut vmcs)?;
    section.leave()?;
    Ok(())
}

/// Answers an exit; false if the guest has ended.
fn answer(
    reason: ExitReason,
    current: &mut CurrentVmcs<'_, BareMetal>,
    registers: &mut GuestRegisters,
) -> Result<bool, VmxError> {
    let qualification = current.read(field::EXIT_QUALIFICATION)?;
    match ExitQualification::decode(reason.basic(), qualification) {
        ExitQualification::ControlRegister(access) => {
            black_box(access.access_type());
        }
        ExitQualification::Io(io) => {
            black_box((io.port(), io.size(), io.direction()));
        }
        ExitQualification::EptViolation(violation) => {
            black_box((violation.permissions(), violation.is_final_translation()));
        }
        _ => {}
    }
    match reason.basic() {
        BasicExitReason::HLT => return Ok(false),
        BasicExitReason::CPUID => {
            let answer = current.cpuid(registers.rax as u32, registers.rcx as u32);
            registers.rax = answer.eax.into();
            registers.rbx = answer.ebx.into();
            registers.rcx = answer.ecx.into();
            registers.rdx = answer.edx.into();
        }
        BasicExitReason::RDMSR => registers.set_edx_eax(0),
        BasicExitReason::WRMSR => {
            black_box(registers.edx_eax());
        }
        _ => {}
    }
    let length = current.read(field::VM_EXIT_INSTRUCTION_LENGTH)?;
    let rip = current.read(field::GUEST_RIP)?;
    current.write(field::GUEST_RIP, rip.wrapping_add(length.into()))?;
    Ok(true)
}

/// Writes a text to where it goes.
pub fn print(text: impl Display) {
    struct Sink;
    impl Write for Sink {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            black_box(text);
            Ok(())
        }
    }
    black_box(write!(Sink, "{text}").is_ok());
}

fn stop() -> ! {
    loop {
        core::hint::spin_loop();
    }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    stop()
}
