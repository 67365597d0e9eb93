//! One error for those who want one.

use core::fmt;

use crate::capability::check::Contradiction;
use crate::capability::dump::DumpError;
use crate::capability::read::NoVmx;
use crate::cet::ssp::IllegalSsp;
use crate::control::negotiation::ControlError;
use crate::control::negotiation::RefusedControls;
use crate::ept::Misconfiguration;
use crate::ept::{BeyondList, EptError, EptPointerError, MtrrError};
use crate::event::guest_event_state::BlockedBy;
use crate::event::injection_rules::IllegalInjection;
use crate::exit::general_register::RspIsInTheVmcs;
use crate::intercept::msr_bitmap::OutsideMsrBitmap;
use crate::intercept::vmcs_access_bitmap::OutsideVmcsAccessBitmap;
use crate::memory::page::OutsidePage;
use crate::msr_list::NotLoadable;
use crate::msr_list::NotStorable;
use crate::msr_list::Refused;
use crate::vmcs::entry_failure::EntryFailure;
use crate::vmcs::error::InstructionError;
use crate::vmcs::error::VmxError;
use crate::vmcs::operation_error::EnterRefused;
use crate::vmcs::operation_error::{EnterError, LeaveError, LoadError, ReleaseError};

/// Any error of this crate, for a function that can fail in several ways. `?` makes it of
/// each of them, but for [`ClearRefused`](crate::vmcs::ClearRefused): the request in it
/// is to be cancelled or sent on, or its VMCS counts as active for good.
///
/// ```
/// use vmx_core::cpu::{Cpuid, Msr};
/// use vmx_core::control::{PrimaryControls, SecondaryControls};
/// use vmx_core::{Capabilities, control::ControlSet, Error};
///
/// fn controls<C: Cpuid + Msr>(cpu: &mut C) -> Result<ControlSet, Error> {
///     let capabilities = Capabilities::read(cpu)?;
///     let required =
///         ControlSet { primary: PrimaryControls::USE_MSR_BITMAPS, ..ControlSet::EMPTY };
///     Ok(ControlSet::negotiate(&capabilities, &required, &ControlSet::EMPTY)?)
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The CPU lacks VMX.
    NoVmx(NoVmx),
    /// The capabilities contradict each other.
    Capabilities(Contradiction),
    /// A text is no dump of capabilities.
    Dump(DumpError),
    /// The CPU lacks required controls.
    Controls(ControlError),
    /// The CPU did not enter VMX operation.
    Enter(EnterError),
    /// The CPU did not leave VMX operation.
    Leave(LeaveError),
    /// A VMCS was not loaded or cleared.
    Load(LoadError),
    /// A VMCS was not settled after VMX operation ended.
    Release(ReleaseError),
    /// A VMX instruction failed.
    Vmx(VmxError),
    /// VM entry failed.
    Entry(EntryFailure),
    /// VM entry would not inject the event.
    Injection(IllegalInjection),
    /// The guest cannot take the event now.
    Blocked(BlockedBy),
    /// An MSR has no bit in the MSR bitmap.
    MsrBitmap(OutsideMsrBitmap),
    /// A field has no bit in the VMREAD and VMWRITE bitmaps.
    VmcsAccessBitmap(OutsideVmcsAccessBitmap),
    /// An MSR list does not take an entry.
    MsrList(Refused),
    /// An operation on EPT was refused.
    Ept(EptError),
    /// The CPU does not take an EPT pointer.
    EptPointer(EptPointerError),
    /// The EPTP list has no such entry.
    EptpList(BeyondList),
    /// The MTRRs were not read.
    Mtrrs(MtrrError),
    /// A value is no shadow-stack pointer.
    Ssp(IllegalSsp),
    /// Bytes do not fit into a page.
    Page(OutsidePage),
    /// An EPT entry is a misconfiguration.
    Misconfiguration(Misconfiguration),
    /// An MSR cannot be loaded at entry or exit.
    NotLoadable(NotLoadable),
    /// An MSR cannot be stored at exit.
    NotStorable(NotStorable),
    /// RSP is not among the general registers.
    Register(RspIsInTheVmcs),
    /// A VM-instruction error.
    Instruction(InstructionError),
    /// The CPU refuses controls.
    RefusedControls(RefusedControls),
}

impl Error {
    /// The error inside.
    fn inner(&self) -> &(dyn core::error::Error + 'static) {
        match self {
            Self::NoVmx(error) => error,
            Self::Capabilities(error) => error,
            Self::Dump(error) => error,
            Self::Controls(error) => error,
            Self::Enter(error) => error,
            Self::Leave(error) => error,
            Self::Load(error) => error,
            Self::Release(error) => error,
            Self::Vmx(error) => error,
            Self::Entry(error) => error,
            Self::Injection(error) => error,
            Self::Blocked(error) => error,
            Self::MsrBitmap(error) => error,
            Self::VmcsAccessBitmap(error) => error,
            Self::MsrList(error) => error,
            Self::Ept(error) => error,
            Self::EptPointer(error) => error,
            Self::EptpList(error) => error,
            Self::Mtrrs(error) => error,
            Self::Ssp(error) => error,
            Self::Page(error) => error,
            Self::Misconfiguration(error) => error,
            Self::NotLoadable(error) => error,
            Self::NotStorable(error) => error,
            Self::Register(error) => error,
            Self::Instruction(error) => error,
            Self::RefusedControls(error) => error,
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

/// The page goes back to where it came from.
impl<P> From<EnterRefused<P>> for Error {
    fn from(refused: EnterRefused<P>) -> Self {
        Self::Enter(refused.error)
    }
}

impl From<NoVmx> for Error {
    fn from(error: NoVmx) -> Self {
        Self::NoVmx(error)
    }
}

impl From<Contradiction> for Error {
    fn from(error: Contradiction) -> Self {
        Self::Capabilities(error)
    }
}

impl From<DumpError> for Error {
    fn from(error: DumpError) -> Self {
        Self::Dump(error)
    }
}

impl From<ControlError> for Error {
    fn from(error: ControlError) -> Self {
        Self::Controls(error)
    }
}

impl From<EnterError> for Error {
    fn from(error: EnterError) -> Self {
        Self::Enter(error)
    }
}

impl From<LeaveError> for Error {
    fn from(error: LeaveError) -> Self {
        Self::Leave(error)
    }
}

impl From<LoadError> for Error {
    fn from(error: LoadError) -> Self {
        Self::Load(error)
    }
}

impl From<ReleaseError> for Error {
    fn from(error: ReleaseError) -> Self {
        Self::Release(error)
    }
}

impl From<VmxError> for Error {
    fn from(error: VmxError) -> Self {
        Self::Vmx(error)
    }
}

impl From<EntryFailure> for Error {
    fn from(error: EntryFailure) -> Self {
        Self::Entry(error)
    }
}

impl From<IllegalInjection> for Error {
    fn from(error: IllegalInjection) -> Self {
        Self::Injection(error)
    }
}

impl From<BlockedBy> for Error {
    fn from(error: BlockedBy) -> Self {
        Self::Blocked(error)
    }
}

impl From<OutsideMsrBitmap> for Error {
    fn from(error: OutsideMsrBitmap) -> Self {
        Self::MsrBitmap(error)
    }
}

impl From<OutsideVmcsAccessBitmap> for Error {
    fn from(error: OutsideVmcsAccessBitmap) -> Self {
        Self::VmcsAccessBitmap(error)
    }
}

impl From<Refused> for Error {
    fn from(error: Refused) -> Self {
        Self::MsrList(error)
    }
}

impl From<EptError> for Error {
    fn from(error: EptError) -> Self {
        Self::Ept(error)
    }
}

impl From<EptPointerError> for Error {
    fn from(error: EptPointerError) -> Self {
        Self::EptPointer(error)
    }
}

impl From<BeyondList> for Error {
    fn from(error: BeyondList) -> Self {
        Self::EptpList(error)
    }
}

impl From<MtrrError> for Error {
    fn from(error: MtrrError) -> Self {
        Self::Mtrrs(error)
    }
}

impl From<IllegalSsp> for Error {
    fn from(error: IllegalSsp) -> Self {
        Self::Ssp(error)
    }
}

impl From<OutsidePage> for Error {
    fn from(error: OutsidePage) -> Self {
        Self::Page(error)
    }
}

impl From<Misconfiguration> for Error {
    fn from(error: Misconfiguration) -> Self {
        Self::Misconfiguration(error)
    }
}

impl From<NotLoadable> for Error {
    fn from(error: NotLoadable) -> Self {
        Self::NotLoadable(error)
    }
}

impl From<NotStorable> for Error {
    fn from(error: NotStorable) -> Self {
        Self::NotStorable(error)
    }
}

impl From<RspIsInTheVmcs> for Error {
    fn from(error: RspIsInTheVmcs) -> Self {
        Self::Register(error)
    }
}

impl From<InstructionError> for Error {
    fn from(error: InstructionError) -> Self {
        Self::Instruction(error)
    }
}

impl From<RefusedControls> for Error {
    fn from(error: RefusedControls) -> Self {
        Self::RefusedControls(error)
    }
}
