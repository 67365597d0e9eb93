//! Host-state fields. Source: SDM, appendix "Field Encoding in VMCS".

use super::existence::Existence::{Exit, SecondaryExit};
use super::row::fields;
use crate::cet::control::CetControl;
use crate::control::exit::{ExitControls, SecondaryExitControls};
use crate::cpu::register_bits::{Cr0, Cr4};

fields! {
    HOST:

    // 16-bit fields.

    /// Host ES selector.
    HOST_ES_SELECTOR: u16 = 0x0C00;
    /// Host CS selector.
    HOST_CS_SELECTOR: u16 = 0x0C02;
    /// Host SS selector.
    HOST_SS_SELECTOR: u16 = 0x0C04;
    /// Host DS selector.
    HOST_DS_SELECTOR: u16 = 0x0C06;
    /// Host FS selector.
    HOST_FS_SELECTOR: u16 = 0x0C08;
    /// Host GS selector.
    HOST_GS_SELECTOR: u16 = 0x0C0A;
    /// Host TR selector.
    HOST_TR_SELECTOR: u16 = 0x0C0C;

    // 64-bit fields.

    /// Host IA32_PAT.
    HOST_IA32_PAT: u64 = 0x2C00 if Exit(ExitControls::LOAD_IA32_PAT);
    /// Host IA32_EFER.
    HOST_IA32_EFER: u64 = 0x2C02 if Exit(ExitControls::LOAD_IA32_EFER);
    /// Host IA32_PERF_GLOBAL_CTRL.
    HOST_IA32_PERF_GLOBAL_CTRL: u64 = 0x2C04 if Exit(ExitControls::LOAD_IA32_PERF_GLOBAL_CTRL);
    /// Host IA32_PKRS.
    HOST_IA32_PKRS: u64 = 0x2C06 if Exit(ExitControls::LOAD_PKRS);
    /// Host IA32_FRED_CONFIG.
    HOST_IA32_FRED_CONFIG: u64 = 0x2C08 if SecondaryExit(SecondaryExitControls::LOAD_FRED_STATE);
    /// Host IA32_FRED_RSP1.
    HOST_IA32_FRED_RSP1: u64 = 0x2C0A if SecondaryExit(SecondaryExitControls::LOAD_FRED_STATE);
    /// Host IA32_FRED_RSP2.
    HOST_IA32_FRED_RSP2: u64 = 0x2C0C if SecondaryExit(SecondaryExitControls::LOAD_FRED_STATE);
    /// Host IA32_FRED_RSP3.
    HOST_IA32_FRED_RSP3: u64 = 0x2C0E if SecondaryExit(SecondaryExitControls::LOAD_FRED_STATE);
    /// Host IA32_FRED_STKLVLS.
    HOST_IA32_FRED_STKLVLS: u64 = 0x2C10 if SecondaryExit(SecondaryExitControls::LOAD_FRED_STATE);
    /// Host IA32_FRED_SSP1.
    HOST_IA32_FRED_SSP1: u64 = 0x2C12 if SecondaryExit(SecondaryExitControls::LOAD_FRED_STATE);
    /// Host IA32_FRED_SSP2.
    HOST_IA32_FRED_SSP2: u64 = 0x2C14 if SecondaryExit(SecondaryExitControls::LOAD_FRED_STATE);
    /// Host IA32_FRED_SSP3.
    HOST_IA32_FRED_SSP3: u64 = 0x2C16 if SecondaryExit(SecondaryExitControls::LOAD_FRED_STATE);
    /// Host IA32_SPEC_CTRL.
    HOST_IA32_SPEC_CTRL: u64 = 0x2C1A if SecondaryExit(SecondaryExitControls::LOAD_IA32_SPEC_CTRL);

    // 32-bit fields.

    /// Host IA32_SYSENTER_CS.
    HOST_IA32_SYSENTER_CS: u32 = 0x4C00;

    // Natural-width fields.

    /// Host CR0.
    HOST_CR0: Cr0 = 0x6C00;
    /// Host CR3.
    HOST_CR3: u64 = 0x6C02;
    /// Host CR4.
    HOST_CR4: Cr4 = 0x6C04;
    /// Host FS base.
    HOST_FS_BASE: u64 = 0x6C06;
    /// Host GS base.
    HOST_GS_BASE: u64 = 0x6C08;
    /// Host TR base.
    HOST_TR_BASE: u64 = 0x6C0A;
    /// Host GDTR base.
    HOST_GDTR_BASE: u64 = 0x6C0C;
    /// Host IDTR base.
    HOST_IDTR_BASE: u64 = 0x6C0E;
    /// Host IA32_SYSENTER_ESP.
    HOST_IA32_SYSENTER_ESP: u64 = 0x6C10;
    /// Host IA32_SYSENTER_EIP.
    HOST_IA32_SYSENTER_EIP: u64 = 0x6C12;
    /// Host RSP. Written by the world switch.
    HOST_RSP: u64 = 0x6C14;
    /// Host RIP. Written by the world switch.
    HOST_RIP: u64 = 0x6C16;
    /// Host IA32_S_CET. Loaded by exit with "load CET state".
    HOST_S_CET: CetControl = 0x6C18 if Exit(ExitControls::LOAD_CET_STATE);
    /// Host SSP. Loaded as [`HOST_S_CET`] is; written by the world switch.
    HOST_SSP: u64 = 0x6C1A if Exit(ExitControls::LOAD_CET_STATE);
    /// Host IA32_INTERRUPT_SSP_TABLE_ADDR. Loaded as [`HOST_S_CET`] is.
    HOST_INTERRUPT_SSP_TABLE_ADDR: u64 = 0x6C1C if Exit(ExitControls::LOAD_CET_STATE);
}
