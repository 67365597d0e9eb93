//! A VMCS in memory that obeys every rule of VM entry: a 64-bit guest with EPT, VPID,
//! unrestricted-guest mode, an MSR bitmap and CET state, of a 64-bit host.

use vmx_core::control::ControlSet;
use vmx_core::control::{EntryControls, ExitControls, PrimaryControls, SecondaryControls};
use vmx_core::cpu::{Cpuid, CpuidResult, Msr, SegmentState, VmcsAccess};
use vmx_core::msr::NamedMsr;
use vmx_core::state::{GuestCetState, GuestState64};
use vmx_core::state::{HostCetState, HostState};
use vmx_core::vmcs::FieldValues;
use vmx_core::vmcs::InstructionError;
use vmx_core::vmcs::field;
use vmx_core::vmcs::field::{Encoding, FIELDS};
use vmx_core::{Capabilities, MsrIndex, PhysicalAddress, VmxError};

/// The state, and the capabilities under which it is valid.
pub(crate) fn build() -> Result<(FieldValues, Capabilities), String> {
    let capabilities = Capabilities::read(&mut TigerLake).map_err(|error| error.to_string())?;
    let required = ControlSet {
        primary: PrimaryControls::ACTIVATE_SECONDARY_CONTROLS | PrimaryControls::USE_MSR_BITMAPS,
        secondary: SecondaryControls::ENABLE_EPT
            | SecondaryControls::ENABLE_VPID
            | SecondaryControls::UNRESTRICTED_GUEST
            | SecondaryControls::ENABLE_XSAVES,
        exit: ExitControls::HOST_ADDRESS_SPACE_SIZE
            | ExitControls::LOAD_IA32_EFER
            | ExitControls::LOAD_IA32_PAT
            | ExitControls::LOAD_CET_STATE,
        entry: EntryControls::IA32E_MODE_GUEST
            | EntryControls::LOAD_IA32_EFER
            | EntryControls::LOAD_IA32_PAT
            | EntryControls::LOAD_CET_STATE,
        ..ControlSet::default()
    };
    let controls = ControlSet::negotiate(&capabilities, &required, &ControlSet::default())
        .map_err(|error| error.to_string())?;
    let mut vmcs = MemoryVmcs::new();
    write(&mut vmcs, &capabilities, &controls).map_err(|error| error.to_string())?;
    Ok((vmcs.0, capabilities))
}

fn write(
    vmcs: &mut MemoryVmcs,
    capabilities: &Capabilities,
    controls: &ControlSet,
) -> Result<(), VmxError> {
    controls.write(vmcs)?;
    vmcs.write(field::MSR_BITMAP, PhysicalAddress(0x5000))?;
    vmcs.write(field::VPID, 1)?;
    // Write-back, a page walk of four levels.
    vmcs.write(field::EPT_POINTER, 0x6000 | 3 << 3 | 6)?;
    let host = HostState {
        cr0: 0x8005_0033,
        cr3: 0x1000,
        // PAE, OSFXSR, VMXE, OSXSAVE, CET.
        cr4: 1 << 5 | 1 << 9 | 1 << 13 | 1 << 18 | 1 << 23,
        segments: SegmentState {
            cs: 0x08,
            ss: 0x10,
            tr: 0x18,
            tr_base: 0xFFFF_8000_0000_2000,
            gdtr_base: 0xFFFF_8000_0000_3000,
            idtr_base: 0xFFFF_8000_0000_4000,
            ..SegmentState::default()
        },
        // LME, LMA, NXE.
        efer: 1 << 8 | 1 << 10 | 1 << 11,
        pat: 0x0007_0406_0007_0406,
        cet: Some(HostCetState::default()),
        ..HostState::default()
    };
    host.write(vmcs, controls.exit)?;
    // The world switch writes these two.
    vmcs.write(field::HOST_RIP, 0xFFFF_8000_0010_0000)?;
    vmcs.write(field::HOST_RSP, 0xFFFF_8000_0020_0000)?;
    let guest = GuestState64 {
        rip: 0x10_0000,
        rsp: 0x20_0000,
        cr3: 0x1000,
        tss: (0x2000, 0x67),
        gdt: (0x3000, 0x27),
        idt: (0x4000, 0xFFF),
        ..GuestState64::default()
    };
    guest.write(vmcs, capabilities, controls.entry)?;
    GuestCetState::OFF.write(vmcs, controls.entry)
}

/// A VMCS whose fields are plain memory, all of them there and zero at first.
struct MemoryVmcs(FieldValues);

impl MemoryVmcs {
    fn new() -> Self {
        let mut values = FieldValues::new();
        for field in FIELDS {
            values.set_raw(field.encoding, 0);
        }
        Self(values)
    }
}

impl VmcsAccess for MemoryVmcs {
    fn vmread(&self, encoding: Encoding) -> Result<u64, VmxError> {
        // Error 12: an unsupported field.
        self.0.get_raw(encoding).ok_or(VmxError::FailValid(InstructionError(12)))
    }

    fn vmwrite(&mut self, encoding: Encoding, value: u64) -> Result<(), VmxError> {
        self.vmread(encoding)?;
        self.0.set_raw(encoding, value);
        Ok(())
    }
}

/// A processor with CET, as far as its capabilities: Bochs' model of Tiger Lake.
struct TigerLake;

impl Cpuid for TigerLake {
    fn cpuid(&mut self, leaf: u32, subleaf: u32) -> CpuidResult {
        let [eax, ebx, ecx, edx] = match (leaf, subleaf) {
            (1, _) => [0x0008_06C1, 0x0001_0800, 0x77FA_F3BF, 0xBFEB_FBFF],
            (7, 0) => [0, 0xF1BF_27EB, 0x0040_5FCE, 0xFC10_0510],
            (0x8000_0008, _) => [0x0000_3027, 0, 0, 0],
            _ => [0; 4],
        };
        CpuidResult { eax, ebx, ecx, edx }
    }
}

impl Msr for TigerLake {
    fn read_named(&mut self, msr: NamedMsr) -> u64 {
        match msr.index().0 {
            0x480 => 0x01D8_1000_0000_0004,
            0x481 => 0x0000_007F_0000_0016,
            0x482 => 0xFFF9_FFFE_0401_E172,
            0x483 => 0x107F_FFFF_0003_6DFF,
            0x484 => 0x0010_FFFF_0000_11FF,
            0x485 => 0x0000_0000_6004_01E0,
            0x486 => 0x0000_0000_8000_0021,
            0x487 => 0x0000_0000_FFFF_FFFF,
            0x488 => 0x0000_0000_0000_2000,
            0x489 => 0x0000_0000_00F7_2FFF,
            0x48A => 0x0000_0000_0000_0034,
            0x48B => 0x0297_7FFF_0000_0000,
            0x48C => 0x0000_0F01_06B3_4141,
            0x48D => 0x0000_007F_0000_0016,
            0x48E => 0xFFF9_FFFE_0400_6172,
            0x48F => 0x107F_FFFF_0003_6DFB,
            0x490 => 0x0010_FFFF_0000_11FB,
            0x491 => 1,
            _ => 0,
        }
    }

    unsafe fn read_msr(&mut self, _: MsrIndex) -> u64 {
        0
    }

    unsafe fn write_msr(&mut self, _: MsrIndex, _: u64) {}
}
