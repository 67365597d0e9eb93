//! Every encoding, asked of this CPU: which VMCS fields it has.
//!
//! VMREAD of a field that the CPU does not have fails with VM-instruction error 12.
//! The table of `vmx_core::vmcs::field` says, by the CPU's capabilities, which these are.

use vmx_core::Capabilities;
use vmx_core::cpu::VmcsAccess;
use vmx_core::vmcs::field::Encoding;

use crate::output::console::say;
use crate::output::exit::ExitKind;
use crate::trials::entry_trial::Bench;
use crate::trials::entry_trials::with_bench;

/// Encodings of full access: four widths, four groups, 512 indices.
fn encodings() -> impl Iterator<Item = Encoding> {
    let kinds = (0..4).flat_map(|width| (0..4).map(move |group| width << 13 | group << 10));
    kinds.flat_map(|kind| (0..512).map(move |index| Encoding(kind | index << 1)))
}

/// Asks, and prints every difference, then their number.
pub(crate) fn run() -> ExitKind {
    match with_bench(ask_all) {
        Ok(()) => ExitKind::Passed,
        Err(reason) => {
            say(format_args!("error {reason}"));
            ExitKind::Failed
        }
    }
}

fn ask_all(bench: &mut Bench<'_>, capabilities: &Capabilities) {
    let (mut asked, mut present, mut different) = (0u64, 0u64, 0u64);
    for encoding in encodings() {
        let expected = encoding.exists(capabilities);
        let found = bench.vmcs().vmread(encoding).is_ok();
        asked += 1;
        present += u64::from(found);
        if expected != found {
            different += 1;
            say(format_args!(
                "field-difference encoding={} expected={} found={}",
                encoding.0,
                u8::from(expected),
                u8::from(found)
            ));
        }
    }
    say(format_args!(
        "summary {asked} encodings asked, {present} fields on this CPU, {different} differences"
    ));
    say(format_args!("end passed={asked} failed=0"));
}
