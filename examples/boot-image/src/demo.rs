//! Small runs that exercise the image itself; chosen by the parameter `demo`.

use core::arch::asm;
use core::ffi::c_void;
use core::hint::black_box;

use cet_policy::{CpuCet, GuestCet, HostCet, HostMode, HostXss, VcpuCet, XsaveBacked};
use vmx_bare_metal::BareMetal;
use vmx_core::cet::{CET_S, Ssp, SspRegister};
use vmx_core::cpu::{Msr, SupervisorSsp};
use vmx_core::memory::PhysicalPage;
use vmx_core::vmcs::FieldValues;
use vmx_core::{Capabilities, MsrBitmap, MsrIndex, Page};

use crate::console::say;
use crate::exit::ExitKind;
use crate::paging::MAPPED;
use crate::shadow_stack::{PL0_SSP_WRITES, ShadowStackPage, run_on_shadow_stack};
use crate::world_switch;

/// IA32_S_CET.
const S_CET: u32 = 0x6A2;

static SHADOW_STACK: ShadowStackPage = ShadowStackPage::new();

/// Runs a demonstration by name.
pub(crate) fn run(name: &str) -> ExitKind {
    if let Some(name) = name.strip_prefix("switch-") {
        return world_switch::run(name);
    }
    match name {
        "pass" => passed(),
        "page-fault" => page_fault(),
        "stack-overflow" => {
            say(format_args!("note depth {}", overflow(0)));
            ExitKind::Failed
        }
        "shadow-stack" => shadow_stack(overwrite_nothing),
        "shadow-stack-overflow" => shadow_stack(overflow_on_shadow_stack),
        "counts" => counts(),
        "xsaves-without-xss" => xsaves_without_xss(),
        "hang" => loop {
            core::hint::spin_loop();
        },
        other => {
            say(format_args!("error no demonstration is called {other}"));
            ExitKind::Failed
        }
    }
}

/// Executes instructions of each kind that Bochs' log is counted for, and
/// reports how many: the count of the log must come to the same.
fn counts() -> ExitKind {
    const XSS: u32 = 0xDA0;
    const PL0_SSP: u32 = 0x6A4;
    let mut area = ExtendedState([0; 640]);
    // Its header says: compacted, component 12 only.
    area.0[520..528].copy_from_slice(&(1 << 63 | CET_S).to_le_bytes());

    let write = |first: u64| {
        for register in 0..3 {
            // SAFETY: the three registers exist with shadow stacks, which the
            // start demanded, and take any canonical multiple of 4; none is
            // used, since everything runs in ring 0.
            unsafe { x86::msr::wrmsr(PL0_SSP + register, first + u64::from(register) * 8) };
        }
    };
    // SAFETY: the register exists with XSAVES, which the start demanded, and
    // bit 12 with shadow stacks.
    unsafe { x86::msr::wrmsr(XSS, CET_S) };
    write(0x1000);
    xsaves(&mut area, CET_S);
    // Restores from an image that is not initial, which Bochs logs as WRMSR
    // too, between two accesses that are real.
    write(0x2000);
    xrstors(&area, CET_S);
    // SAFETY: as for `write`.
    let restored = unsafe { x86::msr::rdmsr(PL0_SSP) };
    // And from an initial image, which Bochs does not log as WRMSR.
    area.0[512..520].fill(0);
    xrstors(&area, CET_S);
    write(0);
    if restored != 0x1000 {
        say(format_args!("error XRSTORS restored {restored:#x} instead of 0x1000"));
        return ExitKind::Failed;
    }
    say(format_args!(
        "result policy=none guest=all passed=1 failed=0 skipped=0 switches=0 exits=0 rdmsr=1 \
         wrmsr=6 wrmsr_xss=1 xsaves=1 xrstors=2 canary_rdmsr=0 canary_wrmsr=3 bytes_per_vcpu=0"
    ));
    passed()
}

/// An XSAVE area: 512 bytes, the header's 64, and room for component 12.
#[repr(C, align(64))]
struct ExtendedState([u8; 640]);

fn xsaves(area: &mut ExtendedState, components: u64) {
    // SAFETY: the area is aligned and large enough for component 12, the only
    // one that this file saves.
    unsafe {
        asm!("xsaves64 [{}]", in(reg) area, in("eax") components as u32,
             in("edx") (components >> 32) as u32, options(nostack, preserves_flags));
    }
}

fn xrstors(area: &ExtendedState, components: u64) {
    // SAFETY: the area has a valid header, and component 12 in it came from
    // XSAVES; the registers that it restores are not in use.
    unsafe {
        asm!("xrstors64 [{}]", in(reg) area, in("eax") components as u32,
             in("edx") (components >> 32) as u32, options(nostack, preserves_flags));
    }
}

/// A put under the XSAVE-backed policy while IA32_XSS is 0: the instruction saves
/// nothing and rewrites the area's header, and yet nothing is lost.
fn xsaves_without_xss() -> ExitKind {
    let mut done = 0;
    for mode in [HostMode::DoesNot, HostMode::UsesShadowStacks] {
        match put_without_xss(mode) {
            Ok(true) => done += 1,
            Ok(false) => say(format_args!("error {mode:?}: a value was lost")),
            Err(error) => say(format_args!("error {mode:?}: {error}")),
        }
    }
    if done == 2 { passed() } else { ExitKind::Failed }
}

/// Whether the guest's values and the host's came through.
fn put_without_xss(mode: HostMode) -> Result<bool, cet_policy::Error> {
    static BITMAP: Page = Page::new();
    let bitmap = MsrBitmap::all_exit(PhysicalPage::unplaced(&BITMAP));
    // SAFETY: ring 0 of the only CPU, whose exceptions have handlers; nothing uses shadow
    // stacks while this runs.
    let mut cpu = unsafe { BareMetal::new() };
    let capabilities = Capabilities::read(&mut cpu)?;
    let xss = HostXss::Fixed(CET_S);
    let host = HostCet::new(CpuCet::detect(&mut cpu), &capabilities, mode, xss)?;
    let guest = GuestCet { shadow_stacks: true, xss: CET_S, ..GuestCet::default() };
    let mut cet = VcpuCet::<XsaveBacked>::new(&host, guest)?;
    // No guest runs, so the fields may be anywhere.
    cet.attach(&mut FieldValues::new(), &bitmap)?;
    let set_xss = |cpu: &mut BareMetal, value| {
        // SAFETY: the register exists and takes bit 12, which `host` was checked for; it
        // only decides what the policy's XSAVES and XRSTORS move.
        unsafe { cpu.write_msr(MsrIndex::IA32_XSS, value) };
    };
    let registers = |cpu: &mut BareMetal| SspRegister::ALL.map(|register| cpu.read_ssp(register));

    let hosts = registers(&mut cpu);
    set_xss(&mut cpu, CET_S);
    cet.load(&mut cpu)?;
    cet.host_write(&mut cpu, &bitmap, SspRegister::Pl0, 0x1000)?;
    set_xss(&mut cpu, 0);
    cet.put(&mut cpu, &bitmap);
    let kept = cet.state(&mut cpu).ssp == [0x1000, 0, 0]
        && (mode == HostMode::DoesNot || registers(&mut cpu) == hosts);
    // An edit makes XRSTORS look for the component, which must be in the header again.
    cet.host_write(&mut cpu, &bitmap, SspRegister::Pl1, 0x2000)?;
    set_xss(&mut cpu, CET_S);
    cet.load(&mut cpu)?;
    let loaded = registers(&mut cpu).map(Ssp::get) == [0x1000, 0x2000, 0];
    cet.put(&mut cpu, &bitmap);
    set_xss(&mut cpu, 0);
    Ok(kept && loaded)
}

fn passed() -> ExitKind {
    say(format_args!("end passed=1 failed=0"));
    ExitKind::Passed
}

/// Reads the first byte behind the mapped memory.
fn page_fault() -> ExitKind {
    let beyond = core::ptr::with_exposed_provenance::<u8>(MAPPED);
    // SAFETY: the page is not mapped; the read faults, and the handler does
    // not return.
    let value = unsafe { beyond.read_volatile() };
    say(format_args!("error read {value} where nothing is mapped"));
    ExitKind::Failed
}

/// Recurses until the stack's guard page is hit.
#[allow(unconditional_recursion)] // That is the purpose.
fn overflow(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    overflow(black_box(depth + 1)) + frame[0]
}

/// Runs a function on the shadow stack twice: the token must be free again
/// after the first time.
fn shadow_stack(function: extern "C" fn(*mut c_void)) -> ExitKind {
    for _ in 0..2 {
        let mut s_cet = 0u64;
        // SAFETY: nothing has turned shadow stacks on (1), the page has no
        // other user (2), and the functions below take a pointer to a `u64`
        // that outlives the call and change none of the registers (3, 4).
        let result =
            unsafe { run_on_shadow_stack(&SHADOW_STACK, function, (&raw mut s_cet).cast()) };
        if let Err(error) = result {
            say(format_args!("error {error}"));
            return ExitKind::Failed;
        }
        // SAFETY: the register exists: shadow stacks were just in use.
        let after = unsafe { x86::msr::rdmsr(S_CET) };
        say(format_args!(
            "note S_CET was {s_cet:#x} and is {after:#x}; WRMSR of PL0_SSP: {PL0_SSP_WRITES}"
        ));
        if s_cet != 1 || after != 0 {
            return ExitKind::Failed;
        }
    }
    passed()
}

extern "C" fn overwrite_nothing(s_cet: *mut c_void) {
    // SAFETY: the register exists: this runs on a shadow stack.
    let value = unsafe { x86::msr::rdmsr(S_CET) };
    // SAFETY: the caller passes a pointer to a live `u64`.
    unsafe { s_cet.cast::<u64>().write(value) };
}

extern "C" fn overflow_on_shadow_stack(_: *mut c_void) {
    say(format_args!("note depth {}", overflow(0)));
}
