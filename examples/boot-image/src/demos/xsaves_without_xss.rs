//! An XSAVES that saves nothing.

use cet_policy::{CpuCet, GuestCet, HostCet, HostMode, HostXss, VcpuCet, XsaveBacked};
use vmx_bare_metal::BareMetal;
use vmx_core::cet::{CET_S, Ssp, SspRegister};
use vmx_core::cpu::{Msr, SupervisorSsp};
use vmx_core::memory::PhysicalPage;
use vmx_core::vmcs::FieldValues;
use vmx_core::{Capabilities, MsrBitmap, MsrIndex, Page};

use crate::output::console::say;
use crate::output::exit::{ExitKind, passed};

/// A put under the XSAVE-backed policy while IA32_XSS is 0: the instruction saves
/// nothing and rewrites the area's header, and yet nothing is lost.
pub(super) fn xsaves_without_xss() -> ExitKind {
    let mut done = 0;
    for mode in [HostMode::DoesNot, HostMode::UsesShadowStacks] {
        match put_without_xss(mode) {
            Ok(true) => done += 1,
            Ok(false) => say(format_args!("error {mode:?}: a value was lost")),
            Err(error) => say(format_args!("error {mode:?}: {error}")),
        }
    }
    if done == 2 { passed(1) } else { ExitKind::Failed }
}

/// Whether the guest's values and the host's came through.
fn put_without_xss(mode: HostMode) -> Result<bool, cet_policy::Error> {
    static BITMAP: Page = Page::new();
    let bitmap = MsrBitmap::all_exit(PhysicalPage::unplaced(&BITMAP));
    // SAFETY: ring 0 of the running CPU, whose exceptions have handlers; nothing uses shadow
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
