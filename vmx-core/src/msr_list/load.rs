//! What may stand in an MSR-load list. Source: SDM, "Loading MSRs" of VM entries and
//! of VM exits; the values, from the chapter "Model-Specific Registers".

use core::fmt;

use super::MsrEntry;
use crate::cet::control::CetControl;
use crate::memory::linear_address::LinearAddressWidth;
use crate::msr::index::MsrIndex;
use crate::msr::value::{EFER_LME, SUPPRESS_AND_TRACKER, cet_reserved_bits, is_pat, reserved};

/// The numbers of MSRs that the rules name.
pub(super) mod numbers {
    pub(crate) const BIOS_UPDATE_TRIGGER: u32 = 0x79;
    pub(crate) const BIOS_SIGNATURE: u32 = 0x8B;
    pub(crate) const SMM_MONITOR_CONTROL: u32 = 0x9B;
    pub(crate) const SMBASE: u32 = 0x9E;
    pub(crate) const PREDICTION_COMMAND: u32 = 0x49;
    pub(crate) const FLUSH_COMMAND: u32 = 0x10B;
    pub(crate) const SYSENTER_ESP: u32 = 0x175;
    pub(crate) const SYSENTER_EIP: u32 = 0x176;
    pub(crate) const PAT: u32 = 0x277;
    pub(crate) const DS_AREA: u32 = 0x600;
    pub(crate) const PKRS: u32 = 0x6E1;
    pub(crate) const UINTR_HANDLER: u32 = 0x986;
    pub(crate) const UINTR_STACK_ADJUST: u32 = 0x987;
    pub(crate) const UINTR_MISC: u32 = 0x988;
    pub(crate) const UINTR_PD: u32 = 0x989;
    pub(crate) const UINTR_TT: u32 = 0x98A;
    pub(crate) const EFER: u32 = 0xC000_0080;
    pub(crate) const LSTAR: u32 = 0xC000_0082;
    pub(crate) const CSTAR: u32 = 0xC000_0083;
    pub(crate) const FS_BASE: u32 = 0xC000_0100;
    pub(crate) const GS_BASE: u32 = 0xC000_0101;
    pub(crate) const KERNEL_GS_BASE: u32 = 0xC000_0102;
    pub(crate) const TSC_AUX: u32 = 0xC000_0103;
}

/// What decides whether WRMSR takes a value: the CPU, and its state when the list is
/// processed. That is the guest's state for a list of VM entry, the host's for one
/// of VM exit, and what earlier entries of the list have loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MsrContext {
    /// The width of linear addresses.
    pub linear_address_width: LinearAddressWidth,
    /// The CPU has shadow stacks.
    pub shadow_stacks: bool,
    /// The CPU has indirect-branch tracking.
    pub indirect_branch_tracking: bool,
    /// The bits of IA32_XSS that the CPU has: CPUID.(0Dh,1):EDX:ECX.
    pub xss: u64,
    /// CR0.PG.
    pub paging: bool,
    /// IA32_EFER.LME.
    pub long_mode_enable: bool,
}

impl MsrContext {
    /// A CPU without CET and XSAVES, in 64-bit mode.
    pub const fn minimal(linear_address_width: LinearAddressWidth) -> Self {
        Self {
            linear_address_width,
            shadow_stacks: false,
            indirect_branch_tracking: false,
            xss: 0,
            paging: true,
            long_mode_enable: true,
        }
    }
}

/// Why processing an entry of an MSR-load list fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotLoadable {
    /// Bits 63:32 of the entry are not zero.
    ReservedBits,
    /// IA32_FS_BASE or IA32_GS_BASE, which have VMCS fields.
    SegmentBase,
    /// The MSR is one of 800h to 8FFh, the APIC's registers in x2APIC mode.
    X2Apic,
    /// The MSR can be written in system-management mode only:
    /// IA32_SMM_MONITOR_CTL.
    SystemManagementMode,
    /// The CPU may refuse the MSR for model-specific reasons: IA32_BIOS_UPDT_TRIG,
    /// IA32_BIOS_SIGN_ID.
    ModelSpecific,
    /// The MSR cannot be written.
    ReadOnly,
    /// The MSR does not exist without a feature that the CPU lacks.
    NoSuchMsr,
    /// Reserved bits of the value are set; those of a feature that the CPU lacks
    /// are among them.
    ReservedValueBits {
        /// The offending bits.
        bits: u64,
    },
    /// The value is an address and not canonical.
    NotCanonical,
    /// Bits 1:0 of a shadow-stack pointer are not zero.
    Misaligned,
    /// SUPPRESS and TRACKER are both set in IA32_S_CET or IA32_U_CET.
    SuppressAndTracker,
    /// A byte of IA32_PAT is not a memory type.
    MemoryType,
    /// IA32_EFER.LME would change while paging is on.
    LongModeChange,
}

impl fmt::Display for NotLoadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReservedBits => "bits 63:32 of the entry are not zero",
            Self::SegmentBase => "IA32_FS_BASE and IA32_GS_BASE have VMCS fields",
            Self::X2Apic => "the MSR is in the x2APIC range",
            Self::SystemManagementMode => "the MSR can be written in system-management mode only",
            Self::ModelSpecific => "CPUs may refuse this MSR for model-specific reasons",
            Self::ReadOnly => "the MSR cannot be written",
            Self::NoSuchMsr => "the CPU lacks the feature that brings the MSR",
            Self::ReservedValueBits { bits } => {
                return write!(f, "reserved bits {bits:#x} of the value are set");
            }
            Self::NotCanonical => "the address is not canonical",
            Self::Misaligned => "bits 1:0 of the shadow-stack pointer are not zero",
            Self::SuppressAndTracker => "SUPPRESS and TRACKER are both set",
            Self::MemoryType => "a byte of IA32_PAT is not a memory type",
            Self::LongModeChange => "IA32_EFER.LME would change while paging is on",
        })
    }
}

impl core::error::Error for NotLoadable {}

/// Judges an entry of an MSR-load list, of VM entry or of VM exit: the rules are the
/// same.
///
/// As far as that is possible without the CPU: the values of MSRs that this crate
/// does not know are not judged, and WRMSR may raise #GP(0) for them. Without an SMM
/// monitor, no VM entry or exit is from or to system-management mode, so what needs
/// that mode is refused. The checks of VM entry ([`check`](crate::entry_check::check))
/// judge by this function too.
///
/// # Errors
/// [`NotLoadable`]: processing the entry fails.
///
/// ```
/// use vmx_core::msr_list::{MsrContext, MsrEntry, NotLoadable, check_load_entry};
/// use vmx_core::MsrIndex;
/// use vmx_core::memory::LinearAddressWidth;
/// let context = MsrContext::minimal(LinearAddressWidth::Bits48);
/// let lstar = MsrEntry::new(MsrIndex(0xC000_0082), 1 << 47);
/// assert_eq!(check_load_entry(&lstar, &context), Err(NotLoadable::NotCanonical));
/// ```
pub const fn check_load_entry(entry: &MsrEntry, context: &MsrContext) -> Result<(), NotLoadable> {
    if entry.reserved != 0 {
        return Err(NotLoadable::ReservedBits);
    }
    match entry.msr.0 {
        numbers::FS_BASE | numbers::GS_BASE => Err(NotLoadable::SegmentBase),
        _ if entry.msr.is_x2apic() => Err(NotLoadable::X2Apic),
        numbers::SMM_MONITOR_CONTROL => Err(NotLoadable::SystemManagementMode),
        numbers::BIOS_UPDATE_TRIGGER | numbers::BIOS_SIGNATURE => Err(NotLoadable::ModelSpecific),
        _ if is_read_only(entry.msr) => Err(NotLoadable::ReadOnly),
        _ if !exists(entry.msr, context) => Err(NotLoadable::NoSuchMsr),
        _ => check_value(entry.msr, entry.value, context),
    }
}

/// Whether the MSR is one that can only be read: IA32_SMBASE, IA32_MTRRCAP,
/// IA32_ARCH_CAPABILITIES, IA32_MCG_CAP, the VMX capabilities.
const fn is_read_only(msr: MsrIndex) -> bool {
    matches!(msr.0, numbers::SMBASE | 0xFE | 0x10A | 0x179 | 0x480..=0x493)
}

/// Whether the CPU has the CET or XSAVES MSR; true for MSRs of other features.
pub(super) const fn exists(msr: MsrIndex, context: &MsrContext) -> bool {
    match msr {
        MsrIndex::IA32_U_CET | MsrIndex::IA32_S_CET => {
            context.shadow_stacks || context.indirect_branch_tracking
        }
        MsrIndex::IA32_PL0_SSP
        | MsrIndex::IA32_PL1_SSP
        | MsrIndex::IA32_PL2_SSP
        | MsrIndex::IA32_PL3_SSP
        | MsrIndex::IA32_INTERRUPT_SSP_TABLE_ADDR => context.shadow_stacks,
        _ => true,
    }
}

/// The rules by which WRMSR judges the value.
const fn check_value(msr: MsrIndex, value: u64, context: &MsrContext) -> Result<(), NotLoadable> {
    match msr {
        MsrIndex::IA32_U_CET | MsrIndex::IA32_S_CET => check_cet_control(value, context),
        MsrIndex::IA32_PL0_SSP
        | MsrIndex::IA32_PL1_SSP
        | MsrIndex::IA32_PL2_SSP
        | MsrIndex::IA32_PL3_SSP => {
            if value & 0b11 != 0 {
                return Err(NotLoadable::Misaligned);
            }
            check_canonical(value, context)
        }
        MsrIndex::IA32_INTERRUPT_SSP_TABLE_ADDR => check_canonical(value, context),
        MsrIndex::IA32_XSS => check_reserved(value, !context.xss),
        MsrIndex(numbers::EFER) => {
            let enables = value & EFER_LME != 0;
            if context.paging && enables != context.long_mode_enable {
                return Err(NotLoadable::LongModeChange);
            }
            // WRMSR ignores LMA.
            check_reserved(value, reserved::EFER)
        }
        MsrIndex(numbers::PAT) if is_pat(value) => Ok(()),
        MsrIndex(numbers::PAT) => Err(NotLoadable::MemoryType),
        MsrIndex(numbers::PREDICTION_COMMAND | numbers::FLUSH_COMMAND) => check_reserved(value, !1),
        MsrIndex(numbers::UINTR_MISC) => check_reserved(value, !0xFF_FFFF_FFFF),
        MsrIndex(numbers::UINTR_PD) => check_aligned(value, 0b11_1111, context),
        MsrIndex(numbers::UINTR_TT) => check_aligned(value, 0b1110, context),
        MsrIndex(numbers::PKRS | numbers::TSC_AUX) => check_reserved(value, 0xFFFF_FFFF << 32),
        MsrIndex(
            numbers::SYSENTER_ESP
            | numbers::SYSENTER_EIP
            | numbers::DS_AREA
            | numbers::UINTR_HANDLER
            | numbers::UINTR_STACK_ADJUST
            | numbers::LSTAR
            | numbers::CSTAR
            | numbers::KERNEL_GS_BASE,
        ) => check_canonical(value, context),
        _ => Ok(()),
    }
}

const fn check_reserved(value: u64, reserved: u64) -> Result<(), NotLoadable> {
    match value & reserved {
        0 => Ok(()),
        bits => Err(NotLoadable::ReservedValueBits { bits }),
    }
}

const fn check_canonical(value: u64, context: &MsrContext) -> Result<(), NotLoadable> {
    if context.linear_address_width.is_canonical(value) {
        Ok(())
    } else {
        Err(NotLoadable::NotCanonical)
    }
}

/// An address with reserved low bits.
const fn check_aligned(value: u64, reserved: u64, context: &MsrContext) -> Result<(), NotLoadable> {
    match check_reserved(value, reserved) {
        Ok(()) => check_canonical(value, context),
        Err(illegal) => Err(illegal),
    }
}

/// A value for IA32_S_CET or IA32_U_CET.
const fn check_cet_control(value: u64, context: &MsrContext) -> Result<(), NotLoadable> {
    let reserved = cet_reserved_bits(context.shadow_stacks, context.indirect_branch_tracking);
    if let Err(illegal) = check_reserved(value, reserved) {
        return Err(illegal);
    }
    if CetControl::from_bits_retain(value).contains(SUPPRESS_AND_TRACKER) {
        return Err(NotLoadable::SuppressAndTracker);
    }
    check_canonical(value & !0xFFF, context)
}
