//! Capabilities as text.

use core::fmt;

use super::Capabilities;
use crate::msr::named::NamedMsr;

/// How many MSRs from IA32_VMX_BASIC on are capability MSRs.
const COUNT: usize = 20;

impl Capabilities {
    /// Takes capabilities from a text of one value a line, all numbers in
    /// hexadecimal: `480 01d8100000000004` or `0x480: 0x01d8100000000004` for an
    /// MSR, and `CPUID 80000008: 00003027 0 0 0` or `CPUID 7.0: …` (EAX, EBX, ECX,
    /// EDX) for CPUID. Empty lines, what follows `#`, other MSRs and other leaves
    /// are skipped. Both of those leaves are needed, and every capability MSR that
    /// the others say exists; where the TRUE MSRs exist, the plain ones are not.
    ///
    /// # Errors
    /// [`DumpError`] names the line, or what is missing. Call
    /// [`check`](Self::check) for contradictions.
    ///
    /// ```
    /// use vmx_core::Capabilities;
    /// use vmx_core::capability::{DumpError, LineError};
    /// let wrong = Capabilities::from_dump("480 01d8100000000004\n481: 7f0000001g\n");
    /// assert_eq!(wrong, Err(DumpError::Line { line: 2, error: LineError::Number }));
    /// let short = Capabilities::from_dump("480 01d8100000000004").unwrap_err();
    /// assert_eq!(short.to_string(), "no line for MSR 48Dh");
    /// ```
    pub fn from_dump(text: &str) -> Result<Self, DumpError> {
        let mut msrs = [None; COUNT];
        let mut features = None;
        let mut widths = None;
        for (number, line) in (1..).zip(text.lines()) {
            let error = |error| DumpError::Line { line: number, error };
            match Line::parse(line).map_err(error)? {
                Some(Line::Msr { index, value }) => {
                    if let Some(place) = place(index).and_then(|place| msrs.get_mut(place)) {
                        set(place, value).map_err(error)?;
                    }
                }
                Some(Line::Cpuid { leaf: 7, subleaf: 0, registers: [_, _, ecx, edx] }) => {
                    set(&mut features, (ecx, edx)).map_err(error)?;
                }
                Some(Line::Cpuid { leaf: 0x8000_0008, registers: [eax, ..], .. }) => {
                    set(&mut widths, eax).map_err(error)?;
                }
                _ => {}
            }
        }
        let capabilities = Self::from_msrs(|msr| {
            let value = place(msr.index().0).and_then(|place| msrs.get(place).copied().flatten());
            value.ok_or(DumpError::NoMsr(msr))
        })?;
        let (ecx, edx) = features.ok_or(DumpError::NoCpuid { leaf: 7 })?;
        let eax = widths.ok_or(DumpError::NoCpuid { leaf: 0x8000_0008 })?;
        Ok(capabilities.with_features(ecx, edx).with_widths(eax))
    }
}

/// The place of a capability MSR among them.
fn place(index: u32) -> Option<usize> {
    usize::try_from(index.checked_sub(NamedMsr::VmxBasic.index().0)?).ok()
}

/// Gives `place` its value, once.
fn set<T>(place: &mut Option<T>, value: T) -> Result<(), LineError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(LineError::Twice),
    }
}

/// One line of the text.
enum Line {
    Msr { index: u32, value: u64 },
    Cpuid { leaf: u32, subleaf: u32, registers: [u32; 4] },
}

impl Line {
    /// Takes a line apart; `None` for an empty one.
    fn parse(line: &str) -> Result<Option<Self>, LineError> {
        let line = line.split_once('#').map_or(line, |(before, _)| before);
        let mut words = line.split([' ', '\t', ':']).filter(|word| !word.is_empty());
        let Some(first) = words.next() else { return Ok(None) };
        let line = if first.eq_ignore_ascii_case("cpuid") {
            let leaf = words.next().ok_or(LineError::TooShort)?;
            let (leaf, subleaf) = leaf.split_once('.').unwrap_or((leaf, "0"));
            let mut registers = [0; 4];
            for register in &mut registers {
                *register = narrow(number(words.next().ok_or(LineError::TooShort)?)?)?;
            }
            Self::Cpuid {
                leaf: narrow(number(leaf)?)?,
                subleaf: narrow(number(subleaf)?)?,
                registers,
            }
        } else {
            let value = number(words.next().ok_or(LineError::TooShort)?)?;
            Self::Msr { index: narrow(number(first)?)?, value }
        };
        if words.next().is_some() { Err(LineError::TooLong) } else { Ok(Some(line)) }
    }
}

/// A hexadecimal number, with or without `0x` before it.
fn number(word: &str) -> Result<u64, LineError> {
    let digits = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")).unwrap_or(word);
    if digits.starts_with('+') {
        return Err(LineError::Number);
    }
    u64::from_str_radix(digits, 16).map_err(|_| LineError::Number)
}

/// A number that must have 32 bits at most.
fn narrow(number: u64) -> Result<u32, LineError> {
    u32::try_from(number).map_err(|_| LineError::Number)
}

/// Why a text has no capabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DumpError {
    /// A line cannot be read.
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it.
        error: LineError,
    },
    /// An MSR is missing that the others say exists.
    NoMsr(NamedMsr),
    /// A CPUID leaf is missing.
    NoCpuid {
        /// The leaf; its subleaf is 0.
        leaf: u32,
    },
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineError {
    /// A word is no hexadecimal number, or one too large for its place.
    Number,
    /// A value is missing.
    TooShort,
    /// There is more than the values.
    TooLong,
    /// The MSR or leaf had its line before.
    Twice,
}

impl fmt::Display for DumpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { line, error } => write!(f, "line {line}: {error}"),
            Self::NoMsr(msr) => write!(f, "no line for {}", msr.index()),
            Self::NoCpuid { leaf } => write!(f, "no line for CPUID {leaf:x}"),
        }
    }
}

impl core::error::Error for DumpError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Line { error, .. } => Some(error),
            Self::NoMsr(_) | Self::NoCpuid { .. } => None,
        }
    }
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Number => "not a hexadecimal number of the right size",
            Self::TooShort => "a value is missing",
            Self::TooLong => "more than the values",
            Self::Twice => "given before",
        })
    }
}

impl core::error::Error for LineError {}

/// The text that [`Capabilities::from_dump`] reads. The CPUID lines hold the bits
/// that capabilities hold, and zeros.
impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_true = self.basic.has_true_controls();
        let precise = |plain, precise| if has_true { precise } else { plain };
        for (msr, value) in [
            (NamedMsr::VmxBasic, self.basic.0),
            (
                precise(NamedMsr::VmxPinBasedCtls, NamedMsr::VmxTruePinBasedCtls),
                self.pin_based.to_msr(),
            ),
            (
                precise(NamedMsr::VmxProcBasedCtls, NamedMsr::VmxTrueProcBasedCtls),
                self.primary.to_msr(),
            ),
            (precise(NamedMsr::VmxExitCtls, NamedMsr::VmxTrueExitCtls), self.exit.to_msr()),
            (precise(NamedMsr::VmxEntryCtls, NamedMsr::VmxTrueEntryCtls), self.entry.to_msr()),
            (NamedMsr::VmxMisc, self.misc.0),
            (NamedMsr::VmxCr0Fixed0, self.cr0_fixed.must_be_one),
            (NamedMsr::VmxCr0Fixed1, self.cr0_fixed.may_be_one),
            (NamedMsr::VmxCr4Fixed0, self.cr4_fixed.must_be_one),
            (NamedMsr::VmxCr4Fixed1, self.cr4_fixed.may_be_one),
            (NamedMsr::VmxVmcsEnum, self.vmcs_enum),
            (NamedMsr::VmxProcBasedCtls2, self.secondary.to_msr()),
            (NamedMsr::VmxEptVpidCap, self.ept_vpid.bits()),
            (NamedMsr::VmxVmfunc, self.vm_functions.bits()),
            (NamedMsr::VmxProcBasedCtls3, self.tertiary.may_be_one),
            (NamedMsr::VmxExitCtls2, self.secondary_exit.may_be_one),
        ] {
            writeln!(f, "{:x} {value:016x}", msr.index().0)?;
        }
        let ecx = u32::from(self.has_shadow_stacks) << 7;
        let edx = u32::from(self.has_indirect_branch_tracking) << 20;
        writeln!(f, "CPUID 7.0: 00000000 00000000 {ecx:08x} {edx:08x}")?;
        let eax = self.linear_address_width.bits() << 8 | self.physical_address_width & 0xFF;
        writeln!(f, "CPUID 80000008.0: {eax:08x} 00000000 00000000 00000000")
    }
}
