//! Valid entries to guests of three kinds, and the means to break them.

use super::{Circumstances, EntryMemory, EntryState};
use crate::capability::capabilities::Capabilities;
use crate::capability::ept_vpid::EptVpidCapabilities;
use crate::capability::fixed_bits::FixedBits;
use crate::capability::vmx_misc::VmxMisc;
use crate::control::allowed_settings::AllowedSettings;
use crate::control::entry::EntryControls;
use crate::control::execution::{PinBasedControls, PrimaryControls, SecondaryControls};
use crate::control::exit::ExitControls;
use crate::cpu::segments::SegmentState;
use crate::memory::address::PhysicalAddress;
use crate::msr::index::MsrIndex;
use crate::msr_list::MsrEntry;
use crate::state::host::HostState;
use crate::vmcs::access_rights::AccessRights;
use crate::vmcs::field::*;
use crate::vmcs::field_values::FieldValues;

/// The valid states.
#[derive(Clone, Copy, Debug)]
pub(super) enum Base {
    Guest64,
    Guest32,
    GuestReal,
}

/// A rule, the state to start from, and what breaks the rule.
pub(super) type Row = (&'static str, Base, fn(&mut Scene));

/// One VM entry.
pub(super) struct Scene {
    pub(super) values: FieldValues,
    pub(super) capabilities: Capabilities,
    pub(super) memory: SceneMemory,
}

/// Memory and circumstances of the entry.
pub(super) struct SceneMemory {
    pub(super) in_smm: bool,
    pub(super) current_vmcs: PhysicalAddress,
    pub(super) vmxon_region: PhysicalAddress,
    pub(super) linked_region: PhysicalAddress,
    pub(super) linked_region_start: u32,
    pub(super) pdpt: PhysicalAddress,
    pub(super) pdptes: [u64; 4],
    pub(super) msr_load_area: [MsrEntry; 4],
}

impl Scene {
    pub(super) fn new(base: Base) -> Self {
        let memory = SceneMemory {
            in_smm: false,
            current_vmcs: PhysicalAddress(0x1000),
            vmxon_region: PhysicalAddress(0x2000),
            linked_region: PhysicalAddress(0x3000),
            linked_region_start: 0,
            pdpt: PhysicalAddress(0x4000),
            pdptes: [0; 4],
            msr_load_area: [MsrEntry::new(MsrIndex(0), 0); 4],
        };
        let mut scene = Self { values: FieldValues::new(), capabilities: capabilities(), memory };
        scene.fill(base);
        scene
    }

    fn fill(&mut self, base: Base) {
        for field in FIELDS.iter().filter(|field| field.encoding.group() == Group::GuestState) {
            self.values.set_raw(field.encoding, 0);
        }
        self.set_host();
        self.set(PIN_BASED_CONTROLS, PinBasedControls::empty());
        self.set(PRIMARY_CONTROLS, PrimaryControls::empty());
        self.set(SECONDARY_CONTROLS, SecondaryControls::empty());
        // Four levels of write-back tables, for guests that use them.
        self.set(EPT_POINTER, 0x5000 | 3 << 3 | 6);
        self.set(VM_ENTRY_CONTROLS, EntryControls::empty());
        self.set(VM_ENTRY_MSR_LOAD_COUNT, 0);
        self.set(VMCS_LINK_POINTER, u64::MAX);
        self.set(GUEST_RIP, 0x1000);
        self.set(GUEST_RFLAGS, 2);
        self.set(GUEST_DR7, 0x400);
        self.set(GUEST_TR_SELECTOR, 24);
        self.set(GUEST_TR_LIMIT, 0x67);
        self.set(GUEST_TR_ACCESS_RIGHTS, AccessRights::BUSY_TSS);
        self.set(GUEST_LDTR_ACCESS_RIGHTS, AccessRights::UNUSABLE);
        let (cr0, cr4, limit, code, data) = match base {
            Base::Guest64 => {
                self.turn_on(EntryControls::IA32E_MODE_GUEST);
                self.set(GUEST_IA32_EFER, 0x500);
                (0x8001_0021, 0x2020, u32::MAX, AccessRights::CODE_64, AccessRights::DATA)
            }
            Base::Guest32 => {
                (0x8001_0021, 0x2000, u32::MAX, AccessRights::CODE_32, AccessRights::DATA)
            }
            Base::GuestReal => {
                let secondary =
                    SecondaryControls::ENABLE_EPT | SecondaryControls::UNRESTRICTED_GUEST;
                self.set(PRIMARY_CONTROLS, PrimaryControls::ACTIVATE_SECONDARY_CONTROLS);
                self.set(SECONDARY_CONTROLS, secondary);
                let (code, data) = (AccessRights::REAL_MODE_CODE, AccessRights::REAL_MODE_DATA);
                (0x20, 0x2000, 0xFFFF, code, data)
            }
        };
        self.set(GUEST_CR0, cr0);
        self.set(GUEST_CR4, cr4);
        self.set(GUEST_CS_SELECTOR, 8);
        self.set(GUEST_CS_LIMIT, limit);
        self.set(GUEST_CS_ACCESS_RIGHTS, code);
        for (selector, limit_field, rights) in [
            (GUEST_SS_SELECTOR, GUEST_SS_LIMIT, GUEST_SS_ACCESS_RIGHTS),
            (GUEST_DS_SELECTOR, GUEST_DS_LIMIT, GUEST_DS_ACCESS_RIGHTS),
            (GUEST_ES_SELECTOR, GUEST_ES_LIMIT, GUEST_ES_ACCESS_RIGHTS),
            (GUEST_FS_SELECTOR, GUEST_FS_LIMIT, GUEST_FS_ACCESS_RIGHTS),
            (GUEST_GS_SELECTOR, GUEST_GS_LIMIT, GUEST_GS_ACCESS_RIGHTS),
        ] {
            self.set(selector, 16);
            self.set(limit_field, limit);
            self.set(rights, data);
        }
    }

    /// A 64-bit host.
    fn set_host(&mut self) {
        let exit = ExitControls::HOST_ADDRESS_SPACE_SIZE;
        let segments = SegmentState { cs: 8, tr: 24, ..SegmentState::default() };
        let host = HostState { cr0: 0x8001_0021, cr4: 0x2020, segments, ..HostState::default() };
        self.set(VM_EXIT_CONTROLS, exit);
        host.write(&mut self.values, exit).unwrap();
    }

    pub(super) fn get<V: FieldValue>(&self, field: Field<V>) -> V {
        self.values.get(field).unwrap()
    }

    pub(super) fn set<V: FieldValue>(&mut self, field: Field<V>, value: V) {
        self.values.set(field, value);
    }

    pub(super) fn set_bits<V: FieldValue>(&mut self, field: Field<V>, bits: u64) {
        let value = self.get(field).into_field();
        self.values.set_raw(field.encoding(), value | bits);
    }

    pub(super) fn clear_bits<V: FieldValue>(&mut self, field: Field<V>, bits: u64) {
        let value = self.get(field).into_field();
        self.values.set_raw(field.encoding(), value & !bits);
    }

    pub(super) fn turn_on(&mut self, control: EntryControls) {
        self.set_bits(VM_ENTRY_CONTROLS, control.bits().into());
    }

    /// Calls `look` with the state of the entry.
    pub(super) fn with_state<R>(&self, look: impl FnOnce(&EntryState<'_>) -> R) -> R {
        let memory = &self.memory;
        let circumstances = Circumstances { in_smm: memory.in_smm, ..Circumstances::LAUNCH };
        let state = EntryState::new(&self.values, &self.capabilities, circumstances);
        look(&state.with_memory(EntryMemory {
            current_vmcs: Some(memory.current_vmcs),
            vmxon_region: Some(memory.vmxon_region),
            virtual_tpr: None,
            linked_region_start: Some(memory.linked_region_start),
            pdptes: Some(memory.pdptes),
            msr_load_area: &memory.msr_load_area,
        }))
    }
}

/// A CPU with every feature but SGX.
fn capabilities() -> Capabilities {
    let all = AllowedSettings { must_be_one: 0, may_be_one: u32::MAX };
    let secondary = !SecondaryControls::ENABLE_ENCLS_EXITING.bits();
    Capabilities {
        pin_based: all,
        primary: all,
        secondary: AllowedSettings { must_be_one: 0, may_be_one: secondary },
        exit: all,
        entry: all,
        misc: VmxMisc(0b111 << 6),
        cr0_fixed: FixedBits { must_be_one: 0x8000_0021, may_be_one: 0xFFFF_FFFF },
        cr4_fixed: FixedBits { must_be_one: 0x2000, may_be_one: 1 << 32 | 0x03FF_FFFF },
        ept_vpid: EptVpidCapabilities::from_bits_retain(!0),
        physical_address_width: 46,
        ..Capabilities::NOTHING
    }
}
