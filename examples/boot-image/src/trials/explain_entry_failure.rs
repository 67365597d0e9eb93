//! An example: VM entries that fail, and the sentence that says why.

use vmx_core::Capabilities;
use vmx_core::cpu::Rflags;
use vmx_core::entry_check::{ExampleGuest, Explanation, Outcome};
use vmx_core::vmcs::FieldValues;
use vmx_core::vmcs::field;

use crate::output::console::{say, say_lines};
use crate::output::exit::ExitKind;
use crate::trials::entry_trial::Bench;
use crate::trials::entry_trials::with_bench;

type Break = fn(&mut FieldValues);

/// Ways to break a valid VMCS.
const BROKEN: [(&str, Break); 3] = [
    ("a null selector in the host's TR", |fields| fields.set(field::HOST_TR_SELECTOR, 0)),
    ("five CR3-target values", |fields| fields.set(field::CR3_TARGET_COUNT, 5)),
    ("bit 1 of the guest's RFLAGS cleared", |fields| {
        fields.set(field::GUEST_RFLAGS, Rflags::empty())
    }),
];

/// Breaks the VMCS in each way, enters, and explains.
pub(crate) fn run() -> ExitKind {
    match with_bench(explain_all) {
        Ok(()) => ExitKind::Passed,
        Err(reason) => {
            say(format_args!("error {reason}"));
            ExitKind::Failed
        }
    }
}

fn explain_all(bench: &mut Bench<'_>, capabilities: &Capabilities) {
    let Some((valid, memory)) = bench.base(ExampleGuest::Guest64) else { return };
    let mut unexplained = 0;
    for (what, break_it) in BROKEN {
        let mut fields = valid.clone();
        break_it(&mut fields);
        say(format_args!("note {what}:"));
        let circumstances = bench.circumstances();
        match bench.enter(&fields, &memory) {
            Err(field) => say(format_args!("error {field:?} was not written")),
            Ok(Outcome::Entered) => say(format_args!("error the guest was entered")),
            Ok(outcome) => {
                let explanation =
                    Explanation::read(bench.vmcs(), capabilities, circumstances, outcome);
                say_lines("note", format_args!("{explanation}"));
                unexplained += u64::from(!explanation.accounts_for_outcome());
            }
        }
    }
    say(format_args!("end passed={} failed={unexplained}", BROKEN.len() as u64 - unexplained));
}
