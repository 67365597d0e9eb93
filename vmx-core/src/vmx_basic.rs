//! IA32_VMX_BASIC. Source: SDM, "Basic VMX Information".

/// IA32_VMX_BASIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct VmxBasic(pub u64);

impl VmxBasic {
    /// Bits 30:0: the identifier that starts VMXON and VMCS regions.
    pub const fn revision(self) -> u32 {
        self.0 as u32 & 0x7FFF_FFFF
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
}
