//! What a boot amounts to.

use std::fmt::Write;

use crate::emulator::boot::Outcome;
use crate::image::protocol::{self, ALL_GUESTS, GUESTS, Message};

/// The judgement of one boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It came to its end, and every check passed.
    Passed,
    /// The processor lacks something; the text names it.
    Refused(String),
    /// Anything else; the text says what is known.
    Failed(String),
}

/// Judges a run of a policy: beyond an orderly end it must have reported each
/// guest and the total under that policy, with no check failed or skipped; and,
/// of a machine with several CPUs, each CPU, which must have entered a guest.
pub(crate) fn of_policy(outcome: &Outcome, policy: &str, cpus: u8) -> Verdict {
    let verdict = of_end(outcome);
    if verdict != Verdict::Passed {
        return verdict;
    }
    for guest in GUESTS.into_iter().chain([ALL_GUESTS]) {
        let found = protocol::results(&outcome.messages)
            .find(|result| result.guest == guest && result.policy == policy);
        let Some(result) = found else {
            return failed(
                outcome,
                &format!("no result of guest `{guest}` under policy {policy} was reported"),
            );
        };
        if !result.all_passed() {
            return failed(
                outcome,
                &format!(
                    "guest `{guest}`: {} checks failed, {} were skipped",
                    result.failed, result.skipped
                ),
            );
        }
    }
    for id in (0..cpus).filter(|_| cpus > 1) {
        match protocol::cpus(&outcome.messages).find(|cpu| cpu.id == id) {
            None => {
                let reason = format!(
                    "no counts of CPU {id} were reported: did the image run on {cpus} CPUs?"
                );
                return failed(outcome, &reason);
            }
            Some(cpu) if cpu.entries == 0 => {
                return failed(outcome, &format!("CPU {id} never entered a guest"));
            }
            Some(_) => {}
        }
    }
    Verdict::Passed
}

/// Judges the end alone: `@end failed=0` and a successful exit of Bochs.
pub(crate) fn of_end(outcome: &Outcome) -> Verdict {
    for message in &outcome.messages {
        if let Message::Refused(text) = message {
            return Verdict::Refused(text.clone());
        }
    }
    let Some(status) = outcome.status else {
        return failed(outcome, &hung(outcome));
    };
    if !outcome.unreadable.is_empty() {
        return failed(outcome, "the image and cargo xtask do not agree on the output");
    }
    if outcome
        .messages
        .iter()
        .any(|message| matches!(message, Message::Error(_) | Message::Fatal(_)))
    {
        return failed(outcome, "the image reported an error");
    }
    let end = outcome.messages.iter().find_map(|message| match message {
        Message::End { failed, .. } => Some(*failed),
        _ => None,
    });
    match end {
        None => failed(outcome, &format!("Bochs ended ({status}) before the image did")),
        Some(0) if status.success() => Verdict::Passed,
        Some(0) => failed(outcome, &format!("the image passed, but Bochs ended with {status}")),
        Some(count) => failed(outcome, &format!("{count} checks failed")),
    }
}

fn hung(outcome: &Outcome) -> String {
    let mut text = String::from(
        "the run was over its time limit, and Bochs was killed. Likely causes: a VM-exit \
         MSR load that failed (a VMX abort stops the emulated CPU silently); a loop in the host; \
         a guest loop while the VMX-preemption timer is off; or a slow machine (raise \
         --time-limit)",
    );
    if outcome.messages.is_empty() {
        text.push_str(". The image printed nothing: it may hang before 64-bit mode");
    }
    for message in outcome.messages.iter().rev() {
        if let Message::Progress { done, of, .. } = message {
            let _ = write!(text, ". It had done {done} of {of} switches");
            break;
        }
    }
    text
}

/// A failure with everything that the image and Bochs said about it. The last
/// lines of output are only worth a look where the image did not explain itself.
fn failed(outcome: &Outcome, reason: &str) -> Verdict {
    let mut text = reason.to_owned();
    let mut explained = false;
    let mut add = |label: &str, line: &str| {
        let _ = write!(text, "\n  {label}: {line}");
    };
    for message in &outcome.messages {
        match message {
            Message::Fatal(line) | Message::Error(line) => {
                explained = true;
                add("image", line);
            }
            Message::Note(line) => add("note", line),
            Message::End { .. } => explained = true,
            _ => {}
        }
    }
    for line in &outcome.unreadable {
        add("unreadable", line);
    }
    for line in &outcome.complaints {
        add("Bochs", line);
    }
    for line in &outcome.last_lines {
        if !line.is_empty() && !explained {
            add("last output", line);
        }
    }
    Verdict::Failed(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::{Verdict, of_end, of_policy};
    use crate::emulator::boot::Outcome;
    use crate::image::protocol::{self, Message};

    fn outcome(lines: &[&str], status: Option<i32>) -> Outcome {
        Outcome {
            messages: lines
                .iter()
                .map(|line| protocol::parse(line).expect("a message").expect("valid"))
                .collect(),
            unreadable: Vec::new(),
            last_lines: vec!["<bochs:2>".into()],
            complaints: Vec::new(),
            status: status.map(|code| ExitStatus::from_raw(code << 8)),
        }
    }

    fn result(guest: &str, failed: u64, skipped: u64) -> Message {
        let line = format!(
            "@result policy=lazy guest={guest} passed=1 failed={failed} skipped={skipped} \
             switches=1 exits=1 rdmsr=0 wrmsr=0 wrmsr_xss=0 xsaves=0 xrstors=0 canary_rdmsr=0 \
             canary_wrmsr=0 bytes_per_vcpu=32"
        );
        protocol::parse(&line).expect("a message").expect("valid")
    }

    fn complete() -> Outcome {
        let mut complete = outcome(&["@end passed=3 failed=0"], Some(0));
        for guest in ["wrmsr", "xrstors", "unused", "all"] {
            complete.messages.push(result(guest, 0, 0));
        }
        complete
    }

    #[track_caller]
    fn assert_failed(outcome: &Outcome, part: &str) {
        match of_policy(outcome, "lazy", 1) {
            Verdict::Failed(text) => assert!(text.contains(part), "{text}"),
            other => panic!("{other:?} instead of a failure with `{part}`"),
        }
    }

    #[test]
    fn a_complete_run_passes() {
        assert_eq!(of_policy(&complete(), "lazy", 1), Verdict::Passed);
    }

    #[test]
    fn results_of_another_policy_do_not_count() {
        assert!(matches!(of_policy(&complete(), "eager", 1), Verdict::Failed(_)));
    }

    #[test]
    fn every_part_of_a_good_run_is_needed() {
        let mut run = complete();
        run.status = Some(ExitStatus::from_raw(1 << 8));
        assert_failed(&run, "Bochs ended with");

        let mut run = complete();
        run.messages.remove(0);
        assert_failed(&run, "before the image did");

        for index in 1..=4 {
            let mut run = complete();
            run.messages.remove(index);
            assert_failed(&run, "no result of guest");
        }
        for (failed, skipped) in [(1, 0), (0, 1)] {
            let mut run = complete();
            run.messages[2] = result("xrstors", failed, skipped);
            assert_failed(&run, "guest `xrstors`");
        }
        let mut run = complete();
        run.messages.push(Message::Error("VM entry failed".into()));
        assert_failed(&run, "VM entry failed");

        let mut run = complete();
        run.unreadable.push("@x".into());
        assert_failed(&run, "do not agree");
    }

    #[test]
    fn each_of_two_cpus_has_to_do_something() {
        let judged = |lines: &[&str]| {
            let mut run = complete();
            let lines = lines.iter().map(|line| protocol::parse(line).expect("a message"));
            run.messages.extend(lines.map(|message| message.expect("valid")));
            of_policy(&run, "lazy", 2)
        };
        let first = "@cpu id=0 entries=1 clears=0 remote_clears=0 moves=0";
        let second = "@cpu id=1 entries=1 clears=0 remote_clears=0 moves=0";
        let idle = "@cpu id=1 entries=0 clears=0 remote_clears=0 moves=0";
        assert_eq!(judged(&[first, second]), Verdict::Passed);
        for (lines, part) in [
            (&[][..], "no counts of CPU 0"),
            (&[first], "no counts of CPU 1"),
            (&[first, first], "no counts of CPU 1"),
            (&[first, idle], "CPU 1 never entered"),
        ] {
            let verdict = judged(lines);
            assert!(
                matches!(&verdict, Verdict::Failed(text) if text.contains(part)),
                "{verdict:?}"
            );
        }
    }

    #[test]
    fn an_end_alone_is_no_run_of_a_policy() {
        let run = outcome(&["@end passed=1 failed=0"], Some(0));
        assert_eq!(of_end(&run), Verdict::Passed);
        assert_failed(&run, "no result");
    }

    #[test]
    fn a_refusal_is_neither_passed_nor_failed() {
        let run = outcome(&["@refused this CPU has no VMX"], Some(1));
        assert_eq!(of_policy(&run, "lazy", 1), Verdict::Refused("this CPU has no VMX".into()));
    }

    #[test]
    fn a_killed_run_names_likely_causes() {
        assert_failed(&outcome(&["@note here"], None), "--time-limit");
        assert_failed(&outcome(&[], None), "before 64-bit mode");
    }
}
