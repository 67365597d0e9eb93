//! A state that every rule lets pass, for tests to start from.

use crate::capability::capabilities::Capabilities;
use crate::capability::ept_vpid::EptVpidCapabilities;
use crate::control::entry::EntryControls;
use crate::control::execution::SecondaryControls;
use crate::control::exit::ExitControls;
use crate::control::negotiation::ControlError;
use crate::control::set::ControlSet;
use crate::cpu::register_bits::{Cr0, Cr4};
use crate::cpu::segments::SegmentState;
use crate::cpu::vmcs_access::VmcsAccess;
use crate::msr::value::{EFER_LMA, EFER_LME};
use crate::state::guest::{GuestState32, GuestState64, GuestStateReal};
use crate::state::host::{HostCetState, HostState};
use crate::vmcs::error::VmxError;
use crate::vmcs::field;
use crate::vmcs::field::FIELDS;
use crate::vmcs::field_values::FieldValues;

/// The guest of [`valid_fields`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExampleGuest {
    /// In 64-bit mode, ring 0.
    Guest64,
    /// In 32-bit protected mode, ring 0, without PAE; paged, unless "unrestricted guest"
    /// is among the controls.
    Guest32,
    /// In real mode, as an unrestricted guest behind EPT.
    GuestReal,
}

/// Field values with which VM entry breaks no rule on a CPU with these capabilities: for
/// a test that changes one thing, or that wants some VMCS in memory.
///
/// The host is a 64-bit one. Beyond the `required` controls only those are set that the
/// two modes need and that the CPU fixes. Addresses are small numbers, with no memory
/// behind them: this is nothing to enter, but to look at. Every field that can be written
/// has a value, 0 where no rule wants another.
///
/// ```
/// use vmx_core::Capabilities;
/// use vmx_core::control::{ControlSet, EntryControls, PrimaryControls};
/// use vmx_core::cpu::Rflags;
/// use vmx_core::entry_check::{Circumstances, EntryState, ExampleGuest, check, valid_fields};
/// use vmx_core::vmcs::field;
///
/// # const DUMP: &str = "480 01d8100000000004\n48d 7f00000016\n48e fff9fffe04006172\n48f 107fffff00036dfb
/// # 490 10ffff000011fb\n485 600401e0\n486 80000021\n487 ffffffff\n488 2000\n489 f72fff\n48a 34
/// # 48b 2977fff00000000\n48c f0106b34141\n491 1\nCPUID 7: 0 0 405fce fc100510\nCPUID 80000008: 3027 0 0 0";
/// # fn dump_of_the_cpu() -> &'static str { DUMP }
/// let cpu = Capabilities::from_dump(dump_of_the_cpu())?;
/// let required = ControlSet {
///     primary: PrimaryControls::USE_MSR_BITMAPS,
///     entry: EntryControls::LOAD_IA32_EFER,
///     ..ControlSet::EMPTY
/// };
/// let mut fields = valid_fields(ExampleGuest::Guest64, &cpu, &required)?;
///
/// // What my code makes of it: here it forgets the bit of RFLAGS that is always 1.
/// fields.set(field::GUEST_RFLAGS, Rflags::IF);
/// let state = EntryState::new(&fields, &cpu, Circumstances::LAUNCH);
/// assert!(check(&state).map(|violation| violation.rule.name).eq(["guest-rflags-bit-1"]));
/// # Ok::<(), vmx_core::Error>(())
/// ```
///
/// # Errors
/// [`ControlError`] where the CPU cannot have these controls. The controls of
/// system-management mode are granted, but VM entry outside of it refuses them.
pub fn valid_fields(
    guest: ExampleGuest,
    capabilities: &Capabilities,
    required: &ControlSet,
) -> Result<FieldValues, ControlError> {
    let mut required = *required;
    required.exit |= ExitControls::HOST_ADDRESS_SPACE_SIZE;
    required.entry.set(EntryControls::IA32E_MODE_GUEST, guest == ExampleGuest::Guest64);
    if guest == ExampleGuest::GuestReal {
        required.secondary |= SecondaryControls::ENABLE_EPT | SecondaryControls::UNRESTRICTED_GUEST;
    }
    let controls = ControlSet::negotiate(capabilities, &required, &ControlSet::EMPTY)?;
    let mut fields = FieldValues::new();
    for field in FIELDS.iter().filter(|field| !field.encoding.is_read_only()) {
        fields.set_raw(field.encoding, 0);
    }
    // Values in memory take every field.
    let _ = write(&mut fields, guest, capabilities, &controls);
    Ok(fields)
}

fn write(
    fields: &mut FieldValues,
    guest: ExampleGuest,
    capabilities: &Capabilities,
    controls: &ControlSet,
) -> Result<(), VmxError> {
    controls.write(fields)?;
    if controls.secondary.contains(SecondaryControls::ENABLE_EPT) {
        fields.set_raw(field::EPT_POINTER.encoding(), ept_pointer(capabilities));
    }
    if controls.secondary.contains(SecondaryControls::ENABLE_VPID) {
        fields.write(field::VPID, 1)?;
    }
    if controls.secondary.contains(SecondaryControls::USE_TSC_SCALING) {
        // A factor of one.
        fields.write(field::TSC_MULTIPLIER, 1 << 48)?;
    }
    host(capabilities, controls).write(fields, controls.exit)?;
    fields.write(field::HOST_RIP, 0x10_0000)?;
    fields.write(field::HOST_RSP, 0x20_0000)?;
    let (entry, tss) = (controls.entry, 0x67);
    match guest {
        ExampleGuest::Guest64 => {
            let state =
                GuestState64 { rip: 0x1000, rsp: 0x8000, tss: (0, tss), ..GuestState64::default() };
            state.write(fields, capabilities, entry)
        }
        ExampleGuest::Guest32 => {
            let state = GuestState32 {
                eip: 0x1000,
                esp: 0x8000,
                tss: (0, tss),
                is_unrestricted: controls.secondary.contains(SecondaryControls::UNRESTRICTED_GUEST),
                ..GuestState32::default()
            };
            state.write(fields, capabilities, entry)
        }
        ExampleGuest::GuestReal => GuestStateReal::at(0, 0x1000).write(fields, capabilities, entry),
    }
}

/// Four levels of tables, cached as well as the CPU can.
const fn ept_pointer(capabilities: &Capabilities) -> u64 {
    let write_back = capabilities.ept_vpid.contains(EptVpidCapabilities::WRITE_BACK_STRUCTURES);
    0x5000 | 3 << 3 | if write_back { 6 } else { 0 }
}

fn host(capabilities: &Capabilities, controls: &ControlSet) -> HostState {
    let cr0 = Cr0::PE | Cr0::WP | Cr0::PG;
    HostState {
        cr0: Cr0::from_bits_retain(capabilities.cr0_fixed.apply(cr0.bits())),
        cr3: 0x6000,
        cr4: Cr4::from_bits_retain(capabilities.cr4_fixed.apply(Cr4::PAE.bits())),
        segments: SegmentState { cs: 8, ss: 16, tr: 24, ..SegmentState::default() },
        efer: EFER_LME | EFER_LMA,
        // As after reset.
        pat: 0x0007_0406_0007_0406,
        cet: controls.exit.contains(ExitControls::LOAD_CET_STATE).then(HostCetState::default),
        ..HostState::default()
    }
}
