//! Why something is not possible, and one error for everything.

use core::fmt;

use vmx_core::VmxError;
use vmx_core::capability::NoVmx;
use vmx_core::cet::SspRegister;
use vmx_core::control::ControlError;
use vmx_core::ept::EptError;
use vmx_core::vmcs::{EnterError, EntryFailure, LeaveError, LoadError as VmcsLoadError};

use crate::host::Refused;
use crate::legality::IllegalValue;

/// Why a guest cannot be offered something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OfferError {
    /// The machine lacks it.
    Refused(Refused),
    /// The guest's IA32_S_CET in the VMCS cannot be accessed.
    Vmcs(VmxError),
}

impl fmt::Display for OfferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(_) => f.write_str("the machine lacks what the guest is offered"),
            Self::Vmcs(_) => f.write_str("the guest's IA32_S_CET cannot be accessed"),
        }
    }
}

impl core::error::Error for OfferError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Refused(refused) => Some(refused),
            Self::Vmcs(error) => Some(error),
        }
    }
}

/// Why the host's write of a guest's IA32_S_CET is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SCetError {
    /// The guest's own WRMSR of the value would raise #GP(0).
    Illegal(IllegalValue),
    /// The VMCS was not [taken over](crate::VcpuCet::attach), which would undo the write.
    NotAttached(NotAttached),
    /// The field in the VMCS cannot be written.
    Vmcs(VmxError),
}

impl fmt::Display for SCetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Illegal(_) => "the guest's IA32_S_CET does not take the value",
            Self::NotAttached(_) => "the guest's IA32_S_CET has no place yet",
            Self::Vmcs(_) => "the guest's IA32_S_CET cannot be accessed",
        })
    }
}

impl core::error::Error for SCetError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Illegal(illegal) => Some(illegal),
            Self::NotAttached(not_attached) => Some(not_attached),
            Self::Vmcs(error) => Some(error),
        }
    }
}

/// [`VcpuCet::attach`](crate::VcpuCet::attach) comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAttached;

impl fmt::Display for NotAttached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the vCPU's VMCS and MSR bitmap were not taken over: call VcpuCet::attach first",
        )
    }
}

impl core::error::Error for NotAttached {}

/// A value that a guest's register cannot have on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisterError {
    /// The register.
    pub register: SspRegister,
    /// The value it should have got.
    pub value: u64,
    /// Why not.
    pub cause: IllegalValue,
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the guest's {:?} cannot be {:#x}", self.register.msr(), self.value)
    }
}

impl core::error::Error for RegisterError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.cause)
    }
}

/// Why a vCPU cannot run on this CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadError {
    /// Its VMCS and MSR bitmap were not taken over.
    NotAttached(NotAttached),
    /// This CPU does not take a value of the guest's.
    Register(RegisterError),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAttached(not_attached) => fmt::Display::fmt(not_attached, f),
            Self::Register(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl core::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::NotAttached(not_attached) => not_attached.source(),
            Self::Register(error) => error.source(),
        }
    }
}

/// Any error of this crate or of `vmx-core`, for a function that passes all of them on by
/// `?`. Small, `Copy`, without an allocator.
///
/// Of `vmx-core`'s errors those that come up in the life of a vCPU are converted at once;
/// the others by way of [`vmx_core::Error`], which takes each of them.
///
/// ```
/// use cet_policy::{CpuCet, Error, HostCet, HostMode, HostXss};
/// use vmx_core::Capabilities;
/// use vmx_core::control::ControlSet;
/// use vmx_core::cpu::{ControlRegisters, Cpuid, Msr};
///
/// fn host<C: Cpuid + Msr + ControlRegisters>(cpu: &mut C) -> Result<HostCet, Error> {
///     let capabilities = Capabilities::read(cpu)?;
///     ControlSet::negotiate(&capabilities, &ControlSet::EMPTY, &ControlSet::EMPTY)?;
///     let cet = CpuCet::detect(cpu);
///     Ok(HostCet::new(cet, &capabilities, HostMode::DoesNot, HostXss::Fixed(0))?)
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A machine, a guest or a policy is refused.
    Refused(Refused),
    /// A guest cannot be offered something else.
    Offer(OfferError),
    /// A vCPU cannot run on this CPU.
    Load(LoadError),
    /// A register cannot have the value.
    Register(RegisterError),
    /// IA32_S_CET cannot be written.
    SCet(SCetError),
    /// Something comes before `attach`.
    NotAttached(NotAttached),
    /// A CET MSR does not take the value.
    Illegal(IllegalValue),
    /// An error of `vmx-core`.
    Vmx(vmx_core::Error),
}

impl Error {
    /// The error inside.
    const fn inner(&self) -> &(dyn core::error::Error + 'static) {
        match self {
            Self::Refused(error) => error,
            Self::Offer(error) => error,
            Self::Load(error) => error,
            Self::Register(error) => error,
            Self::SCet(error) => error,
            Self::NotAttached(error) => error,
            Self::Illegal(error) => error,
            Self::Vmx(error) => error,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.inner(), f)
    }
}

impl core::error::Error for Error {
    /// The source of the error inside, whose text this one's is.
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.inner().source()
    }
}

impl From<Refused> for Error {
    fn from(error: Refused) -> Self {
        Self::Refused(error)
    }
}

impl From<OfferError> for Error {
    fn from(error: OfferError) -> Self {
        Self::Offer(error)
    }
}

impl From<LoadError> for Error {
    fn from(error: LoadError) -> Self {
        Self::Load(error)
    }
}

impl From<RegisterError> for Error {
    fn from(error: RegisterError) -> Self {
        Self::Register(error)
    }
}

impl From<SCetError> for Error {
    fn from(error: SCetError) -> Self {
        Self::SCet(error)
    }
}

impl From<NotAttached> for Error {
    fn from(error: NotAttached) -> Self {
        Self::NotAttached(error)
    }
}

impl From<IllegalValue> for Error {
    fn from(error: IllegalValue) -> Self {
        Self::Illegal(error)
    }
}

impl From<vmx_core::Error> for Error {
    fn from(error: vmx_core::Error) -> Self {
        Self::Vmx(error)
    }
}

impl From<VmxError> for Error {
    fn from(error: VmxError) -> Self {
        Self::Vmx(error.into())
    }
}

impl From<NoVmx> for Error {
    fn from(error: NoVmx) -> Self {
        Self::Vmx(error.into())
    }
}

impl From<ControlError> for Error {
    fn from(error: ControlError) -> Self {
        Self::Vmx(error.into())
    }
}

impl From<EnterError> for Error {
    fn from(error: EnterError) -> Self {
        Self::Vmx(error.into())
    }
}

impl From<LeaveError> for Error {
    fn from(error: LeaveError) -> Self {
        Self::Vmx(error.into())
    }
}

impl From<VmcsLoadError> for Error {
    fn from(error: VmcsLoadError) -> Self {
        Self::Vmx(error.into())
    }
}

impl From<EntryFailure> for Error {
    fn from(error: EntryFailure) -> Self {
        Self::Vmx(error.into())
    }
}

impl From<EptError> for Error {
    fn from(error: EptError) -> Self {
        Self::Vmx(error.into())
    }
}

#[cfg(test)]
mod tests {
    use core::error::Error as _;

    use vmx_core::control::{ControlSet, RefusedControls};

    use super::*;

    #[test]
    fn every_error_says_why() {
        let cause = IllegalValue::RefusedByCpu;
        let register = RegisterError { register: SspRegister::Pl0, value: 1 << 55, cause };
        let refused = Refused::OffersNothing;
        // Each with its source, if it has one.
        let failed = VmxError::FailInvalid;
        let cases: [(Error, Option<&dyn core::error::Error>); 19] = [
            (refused.into(), None),
            (OfferError::Refused(refused).into(), Some(&refused)),
            (OfferError::Vmcs(VmxError::FailInvalid).into(), Some(&VmxError::FailInvalid)),
            (register.into(), Some(&cause)),
            (LoadError::Register(register).into(), Some(&cause)),
            (LoadError::NotAttached(NotAttached).into(), None),
            (SCetError::Illegal(cause).into(), Some(&cause)),
            (SCetError::NotAttached(NotAttached).into(), Some(&NotAttached)),
            (SCetError::Vmcs(VmxError::FailInvalid).into(), Some(&VmxError::FailInvalid)),
            (NotAttached.into(), None),
            (cause.into(), None),
            (VmxError::FailInvalid.into(), None),
            (NoVmx.into(), None),
            (ControlError::Refused(RefusedControls(ControlSet::EMPTY)).into(), None),
            (EnterError::Vmxon(failed).into(), Some(&failed)),
            (LeaveError::Vmxoff(failed).into(), Some(&failed)),
            (VmcsLoadError::Vmx(failed).into(), Some(&failed)),
            (EntryFailure::Instruction(failed).into(), Some(&failed)),
            (EptError::OutOfFrames.into(), None),
        ];
        for (error, source) in cases {
            let [found, expected] = [error.source(), source]
                .map(|source| source.map(alloc::string::ToString::to_string));
            assert_eq!(found, expected, "{error:?}");
            assert!(!alloc::string::ToString::to_string(&error).is_empty());
        }
    }
}
