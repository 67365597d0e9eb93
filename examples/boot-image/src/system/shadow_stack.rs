//! Running a function on a supervisor shadow stack.
//!
//! A function cannot just turn shadow stacks on and return: its own return
//! address is not on the shadow stack. So a small trampoline turns them on,
//! calls, and turns them off again before its own RET.
//!
//! While they are on, an exception that switches to a stack of the
//! interrupt stack table (#DF, NMI) also switches to a shadow stack of the
//! interrupt SSP table. That table is set up here, or a double fault would
//! end in a silent triple fault. Each CPU has a table and stacks of its own.

use core::arch::global_asm;
use core::ffi::c_void;
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use vmx_core::cpu::Cr4;

use crate::processors::number::{MOST, Number, PerProcessor};
use crate::registers::control_registers;
use crate::system::descriptors::{DOUBLE_FAULT_IST, NMI_IST};
use crate::system::paging::{self, MappingError, PAGE_SIZE, Page};

/// IA32_INTERRUPT_SSP_TABLE_ADDR.
const INTERRUPT_SSP_TABLE_ADDR: u32 = 0x6A8;

/// Number of WRMSR of IA32_PL0_SSP in one call of [`run_on_shadow_stack`], for
/// whoever compares counts. It does not read the register, and does not touch
/// IA32_PL1_SSP or IA32_PL2_SSP.
pub(crate) const PL0_SSP_WRITES: u64 = 1;

/// The token's bit that SETSSBSY sets.
const BUSY: u64 = 1;

const WORDS: usize = PAGE_SIZE / 8;

/// A page for shadow stacks. Keep it in a `static`: once it is in use,
/// ordinary stores to it fault for good.
#[repr(C, align(4096))]
pub(crate) struct ShadowStackPage([AtomicU64; WORDS]);

impl ShadowStackPage {
    /// An unused page.
    pub(crate) const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; WORDS])
    }

    /// As a page of the paging structures.
    const fn page(&self) -> *const Page {
        (&raw const *self).cast()
    }

    /// The address behind its last word, from which SSP comes down.
    pub(crate) fn end(&self) -> u64 {
        self.address_of(0) + PAGE_SIZE as u64
    }

    fn address_of(&self, word: usize) -> u64 {
        (&raw const self.0[word]).addr() as u64
    }

    /// Writes the token of a free supervisor shadow stack (its own address,
    /// with the busy bit clear) and returns that address.
    fn put_token(&self, word: usize) -> u64 {
        let address = self.address_of(word);
        self.0[word].store(address, Relaxed);
        address
    }
}

/// Why the function was not run, or not left properly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShadowStackError {
    /// CPUID reports no shadow stacks.
    Unsupported,
    /// The page could not be mapped as a shadow stack.
    Mapping(MappingError),
    /// After the function the token was not the busy token of this stack:
    /// the function left on another shadow stack than it came on.
    TokenLost,
}

impl fmt::Display for ShadowStackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported => f.write_str("this CPU has no shadow stacks (CPUID.7.0:ECX[7])"),
            Self::Mapping(error) => write!(f, "cannot map the shadow stack: {error}"),
            Self::TokenLost => {
                f.write_str("the shadow stack's token was not found busy at the end")
            }
        }
    }
}

impl core::error::Error for ShadowStackError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Mapping(error) => Some(error),
            _ => None,
        }
    }
}

/// Whether CPUID reports shadow stacks.
pub(crate) fn supported() -> bool {
    use core::arch::x86_64::{__cpuid, __cpuid_count};
    __cpuid(0).eax >= 7 && __cpuid_count(7, 0).ecx & (1 << 7) != 0
}

/// Sets CR4.CET. Nothing is enforced until IA32_S_CET or IA32_U_CET says so.
///
/// # Errors
///
/// [`ShadowStackError::Unsupported`].
pub(crate) fn enable_cet() -> Result<(), ShadowStackError> {
    if !supported() {
        return Err(ShadowStackError::Unsupported);
    }
    // SAFETY: the processor has the bit, the start-up code set CR0.WP, and
    // IA32_S_CET is 0 after reset or holds what someone chose knowingly.
    unsafe { control_registers::set_cr4(Cr4::CET) };
    Ok(())
}

/// What a CPU needs for exceptions that switch stacks.
struct InterruptStacks {
    /// The shadow stacks of the interrupt stack table: each has a quarter of the page.
    stacks: ShadowStackPage,
    /// The interrupt SSP table, indexed by interrupt-stack-table index.
    table: [AtomicU64; 8],
}

static INTERRUPT_STACKS: PerProcessor<InterruptStacks> =
    PerProcessor::new([const { InterruptStacks::new() }; MOST]);

impl InterruptStacks {
    const fn new() -> Self {
        Self { stacks: ShadowStackPage::new(), table: [const { AtomicU64::new(0) }; 8] }
    }

    /// Makes shadow stacks for #DF and NMI, unless they are there.
    fn make(&'static self) -> Result<(), MappingError> {
        if paging::is_shadow_stack(self.stacks.page()) {
            return Ok(());
        }
        for index in [DOUBLE_FAULT_IST, NMI_IST] {
            let token = self.stacks.put_token(index * (WORDS / 4) - 1);
            self.table[index].store(token, Relaxed);
        }
        // SAFETY: the page is private to this function, which writes its tokens only
        // before this: one CPU makes them, the boot processor before it starts this CPU, or
        // this CPU; the start-up code set CR0.WP.
        unsafe { paging::make_shadow_stack(self.stacks.page()) }
    }

    /// Gives #DF and NMI of the CPU that executes this shadow stacks of their own.
    fn install(&'static self) -> Result<(), MappingError> {
        self.make()?;
        let table = (&raw const self.table).addr() as u64;
        // SAFETY: the register exists with shadow stacks, which the caller checked;
        // the table is static and its used entries name valid tokens.
        unsafe { x86::msr::wrmsr(INTERRUPT_SSP_TABLE_ADDR, table) };
        Ok(())
    }
}

/// Makes the shadow stacks that a CPU needs for exceptions, before it is started: later it
/// would have to wait until every other CPU has dropped its translations. Nothing, where
/// there are no shadow stacks.
///
/// # Errors
///
/// See [`MappingError`].
pub(crate) fn prepare(number: Number) -> Result<(), MappingError> {
    if supported() { INTERRUPT_STACKS.of(number).make() } else { Ok(()) }
}

// u64 run_with_shadow_stack(function: rdi, argument: rsi, token: rdx)
//
// Returns the token as it was after the function: busy, if all went well.
// CLRSSBSY reports that in CF, but Bochs 3.0 reports it the wrong way round.
//
// Between the WRMSR that sets SH_STK_EN and SETSSBSY, and between CLRSSBSY and
// the WRMSR that clears it, the current shadow stack is at address 0: neither
// part may contain a CALL or RET.
global_asm!(
    r#"
    .section .text.shadow_stack, "ax"
    .global run_with_shadow_stack
run_with_shadow_stack:
    push rbx
    push rbp
    push r12
    mov rbp, rdi
    mov r12, rsi
    mov rbx, rdx

    mov ecx, 0x6A4          // IA32_PL0_SSP: where SETSSBSY looks
    mov eax, ebx
    shr rdx, 32
    wrmsr
    mov ecx, 0x6A2          // IA32_S_CET = SH_STK_EN
    mov eax, 1
    xor edx, edx
    wrmsr
    setssbsy

    mov rdi, r12
    call rbp

    mov r12, [rbx]
    clrssbsy [rbx]
    mov ecx, 0x6A2
    xor eax, eax
    xor edx, edx
    wrmsr

    mov rax, r12
    pop r12
    pop rbp
    pop rbx
    ret
    .text
    "#
);

unsafe extern "sysv64" {
    /// The trampoline above: the token's word before it was freed.
    fn run_with_shadow_stack(
        function: extern "C" fn(*mut c_void),
        argument: *mut c_void,
        token: u64,
    ) -> u64;
}

/// Runs a function with supervisor shadow stacks on (IA32_S_CET = SH_STK_EN),
/// on the shadow stack of `page`, and comes back with IA32_S_CET = 0.
///
/// Sets CR4.CET if it is not set yet, and IA32_INTERRUPT_SSP_TABLE_ADDR for
/// the stacks of #DF and NMI; both stay. IA32_PL0_SSP is written once (see
/// [`PL0_SSP_WRITES`]) and keeps the token's address. The function may change
/// IA32_PL0_SSP to PL2_SSP as it likes: they matter only when ring 0 is
/// entered from another ring. The page may be used again.
///
/// # Errors
///
/// [`ShadowStackError::Unsupported`] and [`ShadowStackError::Mapping`]: the
/// function was not run. [`ShadowStackError::TokenLost`]: it was, and the page
/// must not be used again.
///
/// # Safety
///
/// 1. IA32_S_CET is 0 and the processor executes in ring 0.
/// 2. Nothing accesses the page by ordinary stores, now or later, and no other CPU runs
///    anything on it meanwhile.
/// 3. `function` may be called with `argument`; it returns by RET, and when it
///    returns CR4.CET is 1, IA32_S_CET is SH_STK_EN, and SSP is what it was:
///    after a VM exit the VMCS's host state must restore all three.
/// 4. It nests fewer calls than the page has words, 511.
pub(crate) unsafe fn run_on_shadow_stack(
    page: &'static ShadowStackPage,
    function: extern "C" fn(*mut c_void),
    argument: *mut c_void,
) -> Result<(), ShadowStackError> {
    enable_cet()?;
    INTERRUPT_STACKS.own().install().map_err(ShadowStackError::Mapping)?;
    let token = if paging::is_shadow_stack(page.page()) {
        // Used before: its token was freed at the end of that run.
        page.address_of(WORDS - 1)
    } else {
        let token = page.put_token(WORDS - 1);
        // SAFETY: no ordinary stores by the caller's contract (2), and the
        // token was written before; the start-up code set CR0.WP.
        unsafe { paging::make_shadow_stack(page.page()) }.map_err(ShadowStackError::Mapping)?;
        token
    };
    // SAFETY: CR4.CET is 1 and the page is a shadow stack whose free token is
    // at its top, so SETSSBSY succeeds; (1), (3) and (4) are the caller's.
    let left = unsafe { run_with_shadow_stack(function, argument, token) };
    // The page is still readable; its token must have gone from busy to free.
    let now = page.0[WORDS - 1].load(Relaxed);
    if (left, now) == (token | BUSY, token) { Ok(()) } else { Err(ShadowStackError::TokenLost) }
}
