//! Encodings of VMCS fields, and a field with its type.
//!
//! Source: SDM, "Field Encoding in VMCS".

use core::fmt;
use core::marker::PhantomData;

/// The 32-bit encoding of a VMCS field, as VMREAD and VMWRITE take it.
/// Source: SDM, "Field Encoding in VMCS".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Encoding(pub u32);

impl Encoding {
    /// The field's width.
    pub const fn width(self) -> Width {
        match (self.0 >> 13) & 0b11 {
            0 => Width::Bits16,
            1 => Width::Bits64,
            2 => Width::Bits32,
            _ => Width::Natural,
        }
    }

    /// The group that the field belongs to.
    pub const fn group(self) -> Group {
        match (self.0 >> 10) & 0b11 {
            0 => Group::Control,
            1 => Group::ExitInformation,
            2 => Group::GuestState,
            _ => Group::HostState,
        }
    }

    /// Whether VMWRITE refuses the field, on a CPU whose IA32_VMX_MISC\[29\] is 0.
    pub const fn is_read_only(self) -> bool {
        matches!(self.group(), Group::ExitInformation)
    }

    /// Whether it is the high half (bit 0) of a 64-bit field, bits 63:32.
    pub const fn is_high(self) -> bool {
        self.0 & 1 != 0
    }

    /// The field itself, of which this may be the high half.
    pub const fn full(self) -> Self {
        Self(self.0 & !1)
    }

    /// The high half of a 64-bit field; `None` for fields of other widths.
    pub const fn high(self) -> Option<Self> {
        match self.width() {
            Width::Bits64 => Some(Self(self.0 | 1)),
            _ => None,
        }
    }
}

/// Bits 14:13 of an encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Width {
    /// 16 bits.
    Bits16,
    /// 64 bits, also on a 32-bit CPU.
    Bits64,
    /// 32 bits.
    Bits32,
    /// As wide as a register.
    Natural,
}

impl Width {
    /// The bits that a field of this width has, natural-width ones on a 64-bit CPU.
    pub const fn mask(self) -> u64 {
        match self {
            Self::Bits16 => 0xFFFF,
            Self::Bits32 => 0xFFFF_FFFF,
            Self::Bits64 | Self::Natural => u64::MAX,
        }
    }
}

/// Bits 11:10 of an encoding: the field's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// A control field.
    Control,
    /// A VM-exit information field: read-only data.
    ExitInformation,
    /// Guest state.
    GuestState,
    /// Host state.
    HostState,
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Control => "control fields",
            Self::ExitInformation => "VM-exit information",
            Self::GuestState => "guest state",
            Self::HostState => "host state",
        })
    }
}

/// The type parameter of a [`Field`] that VMWRITE may be used on.
#[derive(Clone, Copy, Debug)]
pub enum ReadWrite {}

/// The type parameter of a VM-exit information [`Field`].
///
/// Some CPUs allow VMWRITE on these (IA32_VMX_MISC\[29\]); use
/// [`VmcsAccess::vmwrite`](crate::cpu::VmcsAccess::vmwrite) there.
#[derive(Clone, Copy, Debug)]
pub enum ReadOnly {}

/// A VMCS field whose value is a `V`.
pub struct Field<V, A = ReadWrite> {
    pub(super) encoding: Encoding,
    /// The row in [`FIELDS`], or its length for a field without a name.
    pub(super) row: u16,
    pub(super) value: PhantomData<fn(V) -> (V, A)>,
}

impl<V, A> Clone for Field<V, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V, A> Copy for Field<V, A> {}

impl<V, A> fmt::Debug for Field<V, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.encoding, f)
    }
}

impl<V, A> Field<V, A> {
    /// The field's encoding.
    pub const fn encoding(self) -> Encoding {
        self.encoding
    }
}
