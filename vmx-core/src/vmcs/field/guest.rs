//! Guest-state fields. Source: SDM, appendix "Field Encoding in VMCS".

use super::existence::Existence::{Entry, EntryOrExit, PinBased, Secondary, Tertiary};
use super::existence::FRED;
use super::row::fields;
use crate::apic::guest_interrupt_status::GuestInterruptStatus;
use crate::cet::control::CetControl;
use crate::control::entry::EntryControls;
use crate::control::execution::{PinBasedControls, SecondaryControls, TertiaryControls};
use crate::control::exit::ExitControls;
use crate::cpu::register_bits::{Cr0, Cr4, Rflags};
use crate::event::non_register_state::{
    ActivityState, InterruptibilityState, PendingDebugExceptions,
};
use crate::vmcs::access_rights::AccessRights;

fields! {
    GUEST:

    // 16-bit fields.

    /// Guest ES selector.
    GUEST_ES_SELECTOR: u16 = 0x0800;
    /// Guest CS selector.
    GUEST_CS_SELECTOR: u16 = 0x0802;
    /// Guest SS selector.
    GUEST_SS_SELECTOR: u16 = 0x0804;
    /// Guest DS selector.
    GUEST_DS_SELECTOR: u16 = 0x0806;
    /// Guest FS selector.
    GUEST_FS_SELECTOR: u16 = 0x0808;
    /// Guest GS selector.
    GUEST_GS_SELECTOR: u16 = 0x080A;
    /// Guest LDTR selector.
    GUEST_LDTR_SELECTOR: u16 = 0x080C;
    /// Guest TR selector.
    GUEST_TR_SELECTOR: u16 = 0x080E;
    /// Guest interrupt status: RVI in bits 7:0, SVI in bits 15:8.
    GUEST_INTERRUPT_STATUS: GuestInterruptStatus = 0x0810
        if Secondary(SecondaryControls::VIRTUAL_INTERRUPT_DELIVERY);
    /// Index of the next entry of the page-modification log; counts down from 511.
    PML_INDEX: u16 = 0x0812 if Secondary(SecondaryControls::ENABLE_PML);
    /// Guest UINV: the user-interrupt notification vector.
    GUEST_UINV: u16 = 0x0814 if EntryOrExit(EntryControls::LOAD_UINV, ExitControls::CLEAR_UINV);

    // 64-bit fields.

    /// VMCS link pointer; all ones without VMCS shadowing.
    VMCS_LINK_POINTER: u64 = 0x2800;
    /// Guest IA32_DEBUGCTL.
    GUEST_IA32_DEBUGCTL: u64 = 0x2802;
    /// Guest IA32_PAT.
    GUEST_IA32_PAT: u64 = 0x2804
        if EntryOrExit(EntryControls::LOAD_IA32_PAT, ExitControls::SAVE_IA32_PAT);
    /// Guest IA32_EFER.
    GUEST_IA32_EFER: u64 = 0x2806
        if EntryOrExit(EntryControls::LOAD_IA32_EFER, ExitControls::SAVE_IA32_EFER);
    /// Guest IA32_PERF_GLOBAL_CTRL.
    GUEST_IA32_PERF_GLOBAL_CTRL: u64 = 0x2808
        if Entry(EntryControls::LOAD_IA32_PERF_GLOBAL_CTRL);
    /// Guest PDPTE 0, used with PAE paging under EPT.
    GUEST_PDPTE_0: u64 = 0x280A if Secondary(SecondaryControls::ENABLE_EPT);
    /// Guest PDPTE 1, used with PAE paging under EPT.
    GUEST_PDPTE_1: u64 = 0x280C if Secondary(SecondaryControls::ENABLE_EPT);
    /// Guest PDPTE 2, used with PAE paging under EPT.
    GUEST_PDPTE_2: u64 = 0x280E if Secondary(SecondaryControls::ENABLE_EPT);
    /// Guest PDPTE 3, used with PAE paging under EPT.
    GUEST_PDPTE_3: u64 = 0x2810 if Secondary(SecondaryControls::ENABLE_EPT);
    /// Guest IA32_BNDCFGS.
    GUEST_IA32_BNDCFGS: u64 = 0x2812
        if EntryOrExit(EntryControls::LOAD_IA32_BNDCFGS, ExitControls::CLEAR_IA32_BNDCFGS);
    /// Guest IA32_RTIT_CTL.
    GUEST_IA32_RTIT_CTL: u64 = 0x2814
        if EntryOrExit(EntryControls::LOAD_IA32_RTIT_CTL, ExitControls::CLEAR_IA32_RTIT_CTL);
    /// Guest IA32_LBR_CTL.
    GUEST_IA32_LBR_CTL: u64 = 0x2816
        if EntryOrExit(EntryControls::LOAD_IA32_LBR_CTL, ExitControls::CLEAR_IA32_LBR_CTL);
    /// Guest IA32_PKRS.
    GUEST_IA32_PKRS: u64 = 0x2818 if Entry(EntryControls::LOAD_PKRS);
    /// Guest IA32_FRED_CONFIG.
    GUEST_IA32_FRED_CONFIG: u64 = 0x281A if FRED;
    /// Guest IA32_FRED_RSP1.
    GUEST_IA32_FRED_RSP1: u64 = 0x281C if FRED;
    /// Guest IA32_FRED_RSP2.
    GUEST_IA32_FRED_RSP2: u64 = 0x281E if FRED;
    /// Guest IA32_FRED_RSP3.
    GUEST_IA32_FRED_RSP3: u64 = 0x2820 if FRED;
    /// Guest IA32_FRED_STKLVLS.
    GUEST_IA32_FRED_STKLVLS: u64 = 0x2822 if FRED;
    /// Guest IA32_FRED_SSP1.
    GUEST_IA32_FRED_SSP1: u64 = 0x2824 if FRED;
    /// Guest IA32_FRED_SSP2.
    GUEST_IA32_FRED_SSP2: u64 = 0x2826 if FRED;
    /// Guest IA32_FRED_SSP3.
    GUEST_IA32_FRED_SSP3: u64 = 0x2828 if FRED;
    /// Guest IA32_SPEC_CTRL.
    GUEST_IA32_SPEC_CTRL: u64 = 0x282E if Entry(EntryControls::LOAD_IA32_SPEC_CTRL);
    /// Guest deadline: when the virtual timer fires, in the CPU's own TSC.
    GUEST_DEADLINE: u64 = 0x2830 if Tertiary(TertiaryControls::APIC_TIMER_VIRTUALIZATION);

    // 32-bit fields.

    /// Guest ES limit.
    GUEST_ES_LIMIT: u32 = 0x4800;
    /// Guest CS limit.
    GUEST_CS_LIMIT: u32 = 0x4802;
    /// Guest SS limit.
    GUEST_SS_LIMIT: u32 = 0x4804;
    /// Guest DS limit.
    GUEST_DS_LIMIT: u32 = 0x4806;
    /// Guest FS limit.
    GUEST_FS_LIMIT: u32 = 0x4808;
    /// Guest GS limit.
    GUEST_GS_LIMIT: u32 = 0x480A;
    /// Guest LDTR limit.
    GUEST_LDTR_LIMIT: u32 = 0x480C;
    /// Guest TR limit.
    GUEST_TR_LIMIT: u32 = 0x480E;
    /// Guest GDTR limit.
    GUEST_GDTR_LIMIT: u32 = 0x4810;
    /// Guest IDTR limit.
    GUEST_IDTR_LIMIT: u32 = 0x4812;
    /// Guest ES access rights.
    GUEST_ES_ACCESS_RIGHTS: AccessRights = 0x4814;
    /// Guest CS access rights.
    GUEST_CS_ACCESS_RIGHTS: AccessRights = 0x4816;
    /// Guest SS access rights.
    GUEST_SS_ACCESS_RIGHTS: AccessRights = 0x4818;
    /// Guest DS access rights.
    GUEST_DS_ACCESS_RIGHTS: AccessRights = 0x481A;
    /// Guest FS access rights.
    GUEST_FS_ACCESS_RIGHTS: AccessRights = 0x481C;
    /// Guest GS access rights.
    GUEST_GS_ACCESS_RIGHTS: AccessRights = 0x481E;
    /// Guest LDTR access rights.
    GUEST_LDTR_ACCESS_RIGHTS: AccessRights = 0x4820;
    /// Guest TR access rights.
    GUEST_TR_ACCESS_RIGHTS: AccessRights = 0x4822;
    /// Guest interruptibility state.
    GUEST_INTERRUPTIBILITY_STATE: InterruptibilityState = 0x4824;
    /// Guest activity state.
    GUEST_ACTIVITY_STATE: ActivityState = 0x4826;
    /// Guest SMBASE.
    GUEST_SMBASE: u32 = 0x4828;
    /// Guest IA32_SYSENTER_CS.
    GUEST_IA32_SYSENTER_CS: u32 = 0x482A;
    /// VMX-preemption timer value, in units of TSC ticks shifted right by
    /// IA32_VMX_MISC\[4:0\].
    VMX_PREEMPTION_TIMER_VALUE: u32 = 0x482E
        if PinBased(PinBasedControls::ACTIVATE_VMX_PREEMPTION_TIMER);

    // Natural-width fields.

    /// Guest CR0.
    GUEST_CR0: Cr0 = 0x6800;
    /// Guest CR3.
    GUEST_CR3: u64 = 0x6802;
    /// Guest CR4.
    GUEST_CR4: Cr4 = 0x6804;
    /// Guest ES base.
    GUEST_ES_BASE: u64 = 0x6806;
    /// Guest CS base.
    GUEST_CS_BASE: u64 = 0x6808;
    /// Guest SS base.
    GUEST_SS_BASE: u64 = 0x680A;
    /// Guest DS base.
    GUEST_DS_BASE: u64 = 0x680C;
    /// Guest FS base.
    GUEST_FS_BASE: u64 = 0x680E;
    /// Guest GS base.
    GUEST_GS_BASE: u64 = 0x6810;
    /// Guest LDTR base.
    GUEST_LDTR_BASE: u64 = 0x6812;
    /// Guest TR base.
    GUEST_TR_BASE: u64 = 0x6814;
    /// Guest GDTR base.
    GUEST_GDTR_BASE: u64 = 0x6816;
    /// Guest IDTR base.
    GUEST_IDTR_BASE: u64 = 0x6818;
    /// Guest DR7.
    GUEST_DR7: u64 = 0x681A;
    /// Guest RSP.
    GUEST_RSP: u64 = 0x681C;
    /// Guest RIP.
    GUEST_RIP: u64 = 0x681E;
    /// Guest RFLAGS.
    GUEST_RFLAGS: Rflags = 0x6820;
    /// Guest pending debug exceptions.
    GUEST_PENDING_DEBUG_EXCEPTIONS: PendingDebugExceptions = 0x6822;
    /// Guest IA32_SYSENTER_ESP.
    GUEST_IA32_SYSENTER_ESP: u64 = 0x6824;
    /// Guest IA32_SYSENTER_EIP.
    GUEST_IA32_SYSENTER_EIP: u64 = 0x6826;
    /// Guest IA32_S_CET. Saved on every exit; loaded by entry with "load CET state".
    GUEST_S_CET: CetControl = 0x6828 if Entry(EntryControls::LOAD_CET_STATE);
    /// Guest SSP. Saved and loaded as [`GUEST_S_CET`] is.
    GUEST_SSP: u64 = 0x682A if Entry(EntryControls::LOAD_CET_STATE);
    /// Guest IA32_INTERRUPT_SSP_TABLE_ADDR. Saved and loaded as [`GUEST_S_CET`] is.
    GUEST_INTERRUPT_SSP_TABLE_ADDR: u64 = 0x682C if Entry(EntryControls::LOAD_CET_STATE);
}
