//! IA32_VMX_BASIC. Source: SDM, "Basic VMX Information".
//!
//! ```
//! use vmx_core::capability::VmxBasic;
//! let basic = VmxBasic(0x01D8_1000_0000_0004);
//! assert_eq!((basic.revision(), basic.region_size()), (4, 4096));
//! assert_eq!(basic.memory_type(), VmxBasic::WRITE_BACK);
//! assert!(basic.has_true_controls() && basic.any_error_code());
//! ```

/// IA32_VMX_BASIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct VmxBasic(pub u64);

impl VmxBasic {
    /// The memory type "uncacheable".
    pub const UNCACHEABLE: u8 = 0;
    /// The memory type "write-back".
    pub const WRITE_BACK: u8 = 6;

    /// Bits 30:0: the identifier that starts VMXON and VMCS regions.
    pub const fn revision(self) -> u32 {
        self.0 as u32 & 0x7FFF_FFFF
    }

    /// Bits 44:32: the size of VMXON and VMCS regions in bytes, at most 4096.
    pub const fn region_size(self) -> u32 {
        (self.0 >> 32) as u32 & 0x1FFF
    }

    /// Bit 48: addresses of VMX structures are limited to 32 bits.
    pub const fn limits_addresses_to_32_bits(self) -> bool {
        self.0 & (1 << 48) != 0
    }

    /// Bit 49: the dual-monitor treatment of SMIs and SMM.
    pub const fn has_dual_monitor_treatment(self) -> bool {
        self.0 & (1 << 49) != 0
    }

    /// Bits 53:50: the memory type for VMX structures,
    /// [`UNCACHEABLE`](Self::UNCACHEABLE) or [`WRITE_BACK`](Self::WRITE_BACK).
    pub const fn memory_type(self) -> u8 {
        (self.0 >> 50) as u8 & 0xF
    }

    /// Bit 54: exits due to INS and OUTS have instruction information.
    pub const fn reports_ins_and_outs(self) -> bool {
        self.0 & (1 << 54) != 0
    }

    /// Bit 55: the TRUE capability MSRs exist.
    pub const fn has_true_controls(self) -> bool {
        self.0 & (1 << 55) != 0
    }

    /// Bit 56: VM entry may inject a hardware exception with or without an error
    /// code, whatever the vector.
    pub const fn any_error_code(self) -> bool {
        self.0 & (1 << 56) != 0
    }

    /// Bit 58: interruption information says whether an exception is nested, as
    /// FRED event delivery wants to know.
    pub const fn has_nested_exceptions(self) -> bool {
        self.0 & (1 << 58) != 0
    }
}
