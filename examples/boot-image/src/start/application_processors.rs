//! Starting the other CPUs by INIT and start-up IPIs, and what each does first in Rust.
//!
//! Nobody tells the image which CPUs there are, so the messages go to all, and each that
//! comes says who it is. (SDM, "MP Initialization Protocol Algorithm for MP Systems". The
//! delay of 10 ms after INIT that its example has is for CPUs with an external APIC.)

use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering::SeqCst};
use core::time::Duration;

use super::trampoline;
use crate::processors::call;
use crate::processors::lock::{Lock, relax};
use crate::processors::number::{self, Number};
use crate::registers::control_registers::drop_translations;
use crate::registers::extended_state;
use crate::registers::halt::halt;
use crate::registers::local_apic::{self, LocalApicError};
use crate::registers::time::Deadline;
use crate::system::paging::MappingError;
use crate::system::{descriptors, shadow_stack};

/// How long the CPUs may take to come after the first start-up IPI before they get a second.
const SECOND_TRY: Duration = Duration::from_micros(200);
/// How long they may take to come after it.
const PATIENCE: Duration = Duration::from_millis(20);

/// Why there are not as many CPUs as wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StartError {
    /// They were started before.
    Again,
    /// A CPU's local APIC cannot be used.
    LocalApic(LocalApicError),
    /// What a CPU needs could not be mapped.
    Mapping(MappingError),
    /// Not all came in time.
    NotAnswered {
        /// How many CPUs were wanted, the one that asked included.
        wanted: usize,
        /// How many there are.
        found: usize,
    },
    /// CPUID and the local APIC of a CPU do not agree on its APIC ID.
    ApicIdMismatch {
        /// The CPU.
        number: Number,
        /// Its ID by CPUID.
        cpuid: u32,
        /// Its ID by its local APIC.
        local_apic: u32,
    },
    /// Two CPUs say that they have this APIC ID.
    ApicIdTwice(u32),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Again => f.write_str("the other CPUs were started before"),
            Self::LocalApic(error) => write!(f, "cannot start other CPUs: {error}"),
            Self::Mapping(error) => write!(f, "cannot start other CPUs: {error}"),
            Self::NotAnswered { wanted, found } => write!(
                f,
                "{found} of {wanted} CPUs answered INIT and start-up IPI within {} ms: has the \
                 machine {wanted}?",
                PATIENCE.as_millis()
            ),
            Self::ApicIdMismatch { number, cpuid, local_apic } => write!(
                f,
                "{number} has APIC ID {cpuid:#x} by CPUID, but {local_apic:#x} by its local APIC: \
                 no message would reach it"
            ),
            Self::ApicIdTwice(id) => {
                write!(f, "two CPUs have APIC ID {id:#x} by CPUID: they cannot be told apart")
            }
        }
    }
}

impl core::error::Error for StartError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::LocalApic(error) => Some(error),
            Self::Mapping(error) => Some(error),
            _ => None,
        }
    }
}

/// Why a CPU that came could not stay.
static FAILURE: Lock<Option<StartError>> = Lock::new(None);
/// Whether [`start`] was called.
static STARTED: AtomicBool = AtomicBool::new(false);

/// Starts CPUs until there are `wanted` (at most [`number::MOST`]), this one included. Once.
///
/// # Errors
///
/// See [`StartError`]. The CPUs that did come stay.
pub(crate) fn start(wanted: usize) -> Result<(), StartError> {
    if STARTED.swap(true, SeqCst) {
        return Err(StartError::Again);
    }
    enable_local_apic(number::this())?;
    for number in (1..wanted).filter_map(Number::new) {
        trampoline::guard_stack(number)
            .and_then(|()| shadow_stack::prepare(number))
            .map_err(StartError::Mapping)?;
    }
    // SAFETY: the page is RAM of a PC, and nothing else uses it: see there.
    unsafe { trampoline::place() };
    trampoline::let_in(wanted);
    // SAFETY: no other CPU executes the image: this is the first call, and nobody but the
    // trampoline lets one in.
    unsafe { local_apic::init_others() };
    for patience in [SECOND_TRY, PATIENCE] {
        // SAFETY: the page has the trampoline, which is for CPUs that come from INIT. A CPU
        // that has started already does not wait for the message and ignores it.
        unsafe { local_apic::start_up_others(trampoline::PAGE_NUMBER) };
        let deadline = Deadline::after(patience);
        while !deadline.is_over() {
            if let Some(error) = *FAILURE.lock() {
                return Err(error);
            }
            if number::online().len() == wanted {
                return Ok(());
            }
            relax();
        }
    }
    trampoline::close();
    Err(StartError::NotAnswered { wanted, found: number::online().len() })
}

/// Where the trampoline ends: the CPU has drawn this number and is on its stack.
pub(super) extern "C" fn entered(ticket: u32) -> ! {
    // The trampoline lets in only numbers below the limit.
    let Some(number) = Number::new(ticket as usize) else { halt() };
    match prepare(number) {
        Ok(()) => {
            number::set_online(number);
            // What it has cached before the others knew that it has to be asked.
            drop_translations();
            call::idle()
        }
        Err(error) => {
            *FAILURE.lock() = Some(error);
            halt()
        }
    }
}

/// Makes this CPU sane, as the boot processor is.
fn prepare(number: Number) -> Result<(), StartError> {
    let own = number::own_apic_id();
    if number::with_apic_id(own).is_some() {
        return Err(StartError::ApicIdTwice(own));
    }
    number::register(number);
    descriptors::install(number);
    extended_state::enable();
    enable_local_apic(number)
}

/// Enables this CPU's local APIC and compares the two IDs.
fn enable_local_apic(number: Number) -> Result<(), StartError> {
    let local_apic = local_apic::enable().map_err(StartError::LocalApic)?;
    let cpuid = number::own_apic_id();
    if local_apic == cpuid {
        Ok(())
    } else {
        Err(StartError::ApicIdMismatch { number, cpuid, local_apic })
    }
}
