//! The rules of the CET MSRs compared with the CPU that the image boots on.

use std::collections::BTreeMap;
use std::fmt::Write;

use vmx_tests::departures::CetMsrDifference;

use crate::checks::verdict::{self, Verdict};
use crate::emulator::boot::Outcome;
use crate::image::protocol::Message;

/// The image's parameter for this boot.
pub(crate) const PARAMETERS: &str = "compare=cet-msrs";

/// What a comparison came to.
pub(crate) struct Comparison {
    /// What the boot amounts to; a difference without an explanation is a failure.
    pub(crate) verdict: Verdict,
    /// The result in words, for a person.
    pub(crate) text: String,
}

/// Judges the boot.
pub(crate) fn of(outcome: &Outcome, model: &str) -> Comparison {
    let verdict = verdict::of_end(outcome);
    let compared = outcome.messages.iter().find_map(|message| match message {
        Message::Compared { rules, different } => Some((*rules, *different)),
        _ => None,
    });
    let differences: Vec<&CetMsrDifference> = outcome
        .messages
        .iter()
        .filter_map(|message| match message {
            Message::Difference(difference) => Some(difference),
            _ => None,
        })
        .collect();
    let verdict = match (verdict, compared) {
        (Verdict::Passed, None) => Verdict::Failed("the image compared nothing".into()),
        (Verdict::Passed, Some((_, different))) if different != differences.len() as u64 => {
            let heard = differences.len();
            Verdict::Failed(format!("of {different} differences {heard} were heard of"))
        }
        (Verdict::Passed, Some(_)) => judge(&differences),
        (other, _) => other,
    };
    let text = compared.map_or_else(String::new, |(rules, different)| {
        let mut text = format!(
            "CET MSR rules: {rules} values tried on {model}, {} as the manual has it, \
             {different} otherwise\n",
            rules - different
        );
        let mut by_row = BTreeMap::<_, u64>::new();
        for row in differences.iter().filter_map(|difference| difference.explain()) {
            *by_row.entry((row.id, row.bochs)).or_default() += 1;
        }
        for ((id, bochs), count) in by_row {
            let _ = writeln!(text, "{count:6}  {id}: Bochs {bochs}");
        }
        text
    });
    Comparison { verdict, text }
}

/// Every difference must stand in the table of departures.
fn judge(differences: &[&CetMsrDifference]) -> Verdict {
    let mut text = String::new();
    for difference in differences.iter().filter(|difference| difference.explain().is_none()) {
        let _ = write!(text, "\n  {difference:x?}");
    }
    if text.is_empty() {
        Verdict::Passed
    } else {
        Verdict::Failed(format!(
            "differences between the rules and the CPU that tests/src/departures does not \
             explain:{text}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::of;
    use crate::checks::verdict::Verdict;
    use crate::emulator::boot::Outcome;
    use crate::image::protocol;

    fn outcome(lines: &[&str]) -> Outcome {
        Outcome {
            messages: lines
                .iter()
                .map(|line| protocol::parse(line).expect("a message").expect("valid"))
                .collect(),
            unreadable: Vec::new(),
            last_lines: Vec::new(),
            complaints: Vec::new(),
            status: Some(ExitStatus::from_raw(0)),
        }
    }

    const KNOWN: &str =
        "@difference instruction=wrmsr msr=1700 value=140737488355328 manual=ok cpu=gp";
    const UNKNOWN: &str = "@difference instruction=wrmsr msr=1700 value=1 manual=gp cpu=ok";
    const END: &str = "@end passed=9 failed=0";

    #[test]
    fn a_known_departure_passes_and_is_told() {
        let comparison = of(&outcome(&[KNOWN, "@compared rules=9 different=1", END]), "m");
        assert_eq!(comparison.verdict, Verdict::Passed);
        assert!(comparison.text.contains("1  canonical-by-cr4-la57"), "{}", comparison.text);
    }

    #[test]
    fn anything_else_fails() {
        for lines in [
            &[UNKNOWN, "@compared rules=9 different=1", END][..],
            &[KNOWN, "@compared rules=9 different=2", END],
            &[END],
        ] {
            let verdict = of(&outcome(lines), "m").verdict;
            assert!(matches!(verdict, Verdict::Failed(_)), "{lines:?}");
        }
    }
}
