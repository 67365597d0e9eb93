//! Why the guest exited.

use core::fmt;

/// The exit-reason field, all 32 bits kept.
///
/// ```
/// use vmx_core::exit::{BasicExitReason, ExitReason};
/// let reason = ExitReason(0x8000_0021);
/// assert!(reason.is_entry_failure());
/// assert_eq!(reason.basic(), BasicExitReason::ENTRY_FAILURE_GUEST_STATE);
/// assert_eq!(reason.to_string(), "VM-entry failure due to invalid guest state (reason 33)");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct ExitReason(pub u32);

impl ExitReason {
    /// Bits 15:0, the basic exit reason.
    pub const fn basic(self) -> BasicExitReason {
        BasicExitReason(self.0 as u16)
    }

    /// Bit 31: VM entry failed while or after loading guest state. The launch
    /// state of the VMCS has not changed.
    pub const fn is_entry_failure(self) -> bool {
        self.0 & (1 << 31) != 0
    }

    /// Bit 25: a supervisor shadow-stack token may have been left busy.
    pub const fn is_prematurely_busy(self) -> bool {
        self.0 & (1 << 25) != 0
    }

    /// Bit 26: a bus lock was asserted too; needs "VMM bus-lock detection". With
    /// basic reason 74 it is the reason, and the bit is 0.
    pub const fn is_bus_lock(self) -> bool {
        self.0 & (1 << 26) != 0
    }

    /// Bit 27: the exit happened in enclave mode.
    pub const fn is_enclave_mode(self) -> bool {
        self.0 & (1 << 27) != 0
    }

    /// Bit 28: an MTF VM exit is pending. Only for exits to an SMM monitor.
    pub const fn is_monitor_trap_flag_pending(self) -> bool {
        self.0 & (1 << 28) != 0
    }

    /// Bit 29: the exit was from VMX root operation. Only for exits to an SMM
    /// monitor.
    pub const fn is_from_root_operation(self) -> bool {
        self.0 & (1 << 29) != 0
    }

    /// Bits 30 and 24:16, to which this crate knows no meaning.
    pub const fn unknown_bits(self) -> u32 {
        self.0 & 0x41FF_0000
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_entry_failure() {
            f.write_str("VM-entry failure due to ")?;
        }
        fmt::Display::fmt(&self.basic(), f)
    }
}

/// A basic exit reason. Unknown numbers are values like the others.
/// Source: SDM, appendix "VMX Basic Exit Reasons".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct BasicExitReason(pub u16);

/// One constant per row: number, name, the manual's words.
macro_rules! reasons {
    ($($number:literal $name:ident $words:literal;)*) => {
        impl BasicExitReason {
            $(#[doc = concat!($words, ".")] pub const $name: Self = Self($number);)*

            /// The manual's words for the reason; `None` for an unknown number.
            pub const fn meaning(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($words),)*
                    _ => None,
                }
            }
        }
    };
}

reasons! {
    0 EXCEPTION_OR_NMI "exception or NMI";
    1 EXTERNAL_INTERRUPT "external interrupt";
    2 TRIPLE_FAULT "triple fault";
    3 INIT_SIGNAL "INIT signal";
    4 STARTUP_IPI "start-up IPI";
    5 IO_SMI "I/O SMI";
    6 OTHER_SMI "other SMI";
    7 INTERRUPT_WINDOW "interrupt window";
    8 NMI_WINDOW "NMI window";
    9 TASK_SWITCH "task switch";
    10 CPUID "CPUID";
    11 GETSEC "GETSEC";
    12 HLT "HLT";
    13 INVD "INVD";
    14 INVLPG "INVLPG";
    15 RDPMC "RDPMC";
    16 RDTSC "RDTSC";
    17 RSM "RSM";
    18 VMCALL "VMCALL";
    19 VMCLEAR "VMCLEAR";
    20 VMLAUNCH "VMLAUNCH";
    21 VMPTRLD "VMPTRLD";
    22 VMPTRST "VMPTRST";
    23 VMREAD "VMREAD";
    24 VMRESUME "VMRESUME";
    25 VMWRITE "VMWRITE";
    26 VMXOFF "VMXOFF";
    27 VMXON "VMXON";
    28 CONTROL_REGISTER_ACCESS "control-register access";
    29 MOV_DR "MOV DR";
    30 IO_INSTRUCTION "I/O instruction";
    31 RDMSR "RDMSR";
    32 WRMSR "WRMSR";
    33 ENTRY_FAILURE_GUEST_STATE "invalid guest state";
    34 ENTRY_FAILURE_MSR_LOADING "MSR loading";
    36 MWAIT "MWAIT";
    37 MONITOR_TRAP_FLAG "monitor trap flag";
    39 MONITOR "MONITOR";
    40 PAUSE "PAUSE";
    41 ENTRY_FAILURE_MACHINE_CHECK "machine-check event";
    43 TPR_BELOW_THRESHOLD "TPR below threshold";
    44 APIC_ACCESS "APIC access";
    45 VIRTUALIZED_EOI "virtualised EOI";
    46 GDTR_OR_IDTR_ACCESS "access to GDTR or IDTR";
    47 LDTR_OR_TR_ACCESS "access to LDTR or TR";
    48 EPT_VIOLATION "EPT violation";
    49 EPT_MISCONFIGURATION "EPT misconfiguration";
    50 INVEPT "INVEPT";
    51 RDTSCP "RDTSCP";
    52 VMX_PREEMPTION_TIMER_EXPIRED "VMX-preemption timer expired";
    53 INVVPID "INVVPID";
    54 WBINVD_OR_WBNOINVD "WBINVD or WBNOINVD";
    55 XSETBV "XSETBV";
    56 APIC_WRITE "APIC write";
    57 RDRAND "RDRAND";
    58 INVPCID "INVPCID";
    59 VMFUNC "VMFUNC";
    60 ENCLS "ENCLS";
    61 RDSEED "RDSEED";
    62 PAGE_MODIFICATION_LOG_FULL "page-modification log full";
    63 XSAVES "XSAVES";
    64 XRSTORS "XRSTORS";
    65 PCONFIG "PCONFIG";
    66 SPP_RELATED_EVENT "SPP-related event";
    67 UMWAIT "UMWAIT";
    68 TPAUSE "TPAUSE";
    69 LOADIWKEY "LOADIWKEY";
    70 ENCLV "ENCLV";
    72 ENQCMD_PASID_TRANSLATION_FAILURE "ENQCMD PASID translation failure";
    73 ENQCMDS_PASID_TRANSLATION_FAILURE "ENQCMDS PASID translation failure";
    74 BUS_LOCK "bus lock";
    75 INSTRUCTION_TIMEOUT "instruction timeout";
    76 SEAMCALL "SEAMCALL";
    77 TDCALL "TDCALL";
    78 RDMSRLIST "RDMSRLIST";
    79 WRMSRLIST "WRMSRLIST";
    80 URDMSR "URDMSR";
    81 UWRMSR "UWRMSR";
}

impl fmt::Display for BasicExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.meaning() {
            Some(meaning) => write!(f, "{meaning} (reason {})", self.0),
            None => write!(f, "unknown exit reason {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;

    #[test]
    fn every_bit_has_one_accessor() {
        for bit in 16..32 {
            let reason = ExitReason(1 << bit);
            let answers = [
                reason.is_prematurely_busy(),
                reason.is_bus_lock(),
                reason.is_enclave_mode(),
                reason.is_monitor_trap_flag_pending(),
                reason.is_from_root_operation(),
                reason.is_entry_failure(),
                reason.unknown_bits() == reason.0,
            ];
            assert_eq!(answers.iter().filter(|answer| **answer).count(), 1, "{bit}");
            assert_eq!(reason.basic(), BasicExitReason(0));
        }
    }

    proptest! {
        #[test]
        fn every_reason_prints(raw: u32) {
            let text = ExitReason(raw).to_string();
            prop_assert!(text.contains(&(raw as u16).to_string()));
        }
    }
}
