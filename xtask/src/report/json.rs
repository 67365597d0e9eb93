//! The results as JSON.

use anyhow::{Context, Result};
use serde::Serialize;

use crate::image::protocol::{self, ALL_GUESTS, CpuResult, GuestResult, Message};

/// What every line says of the machine.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Setting<'a> {
    /// What ran it.
    pub(crate) on: &'a str,
    /// The CPU model.
    pub(crate) model: &'a str,
    /// How many CPUs.
    pub(crate) cpus: u8,
}

/// One line: the counts of one guest under one policy, or of all.
#[derive(Debug, Serialize)]
struct GuestLine<'a> {
    policy: &'a str,
    #[serde(flatten)]
    setting: Setting<'a>,
    guest: &'a str,
    passed: u64,
    failed: u64,
    skipped: u64,
    switches: u64,
    exits: u64,
    rdmsr: u64,
    wrmsr: u64,
    wrmsr_xss: u64,
    xsaves: u64,
    xrstors: u64,
    canary_accesses: u64,
    bytes_per_vcpu: u64,
}

/// One line: the counts of one CPU under one policy.
#[derive(Debug, Serialize)]
struct CpuLine<'a> {
    policy: &'a str,
    #[serde(flatten)]
    setting: Setting<'a>,
    cpu: u8,
    entries: u64,
    clears: u64,
    remote_clears: u64,
    moves: u64,
}

/// One JSON object a line: each guest under each policy, and each CPU where the image
/// counted them, then the total of all guests.
pub(crate) fn lines<'a>(
    runs: impl IntoIterator<Item = (&'a str, &'a [Message])>,
    policy: &str,
    setting: Setting<'_>,
) -> Result<String> {
    let mut text = String::new();
    let mut total = GuestResult {
        policy: policy.to_owned(),
        guest: ALL_GUESTS.to_owned(),
        ..GuestResult::default()
    };
    for (policy, messages) in runs {
        for result in protocol::in_order(messages).filter(|result| result.guest != ALL_GUESTS) {
            add(&mut text, &guest_line(result, setting))?;
            total.merge(result);
        }
        for cpu in protocol::cpus(messages) {
            add(&mut text, &cpu_line(policy, cpu, setting))?;
        }
    }
    add(&mut text, &guest_line(&total, setting))?;
    Ok(text)
}

fn add(text: &mut String, line: &impl Serialize) -> Result<()> {
    text.push_str(&serde_json::to_string(line).context("cannot write JSON")?);
    text.push('\n');
    Ok(())
}

fn guest_line<'a>(result: &'a GuestResult, setting: Setting<'a>) -> GuestLine<'a> {
    GuestLine {
        policy: &result.policy,
        setting,
        guest: &result.guest,
        passed: result.passed,
        failed: result.failed,
        skipped: result.skipped,
        switches: result.switches,
        exits: result.exits,
        rdmsr: result.rdmsr,
        wrmsr: result.wrmsr,
        wrmsr_xss: result.wrmsr_xss,
        xsaves: result.xsaves,
        xrstors: result.xrstors,
        canary_accesses: result.canary_rdmsr + result.canary_wrmsr,
        bytes_per_vcpu: result.bytes_per_vcpu,
    }
}

fn cpu_line<'a>(policy: &'a str, result: &CpuResult, setting: Setting<'a>) -> CpuLine<'a> {
    let CpuResult { id, entries, clears, remote_clears, moves } = *result;
    CpuLine { policy, setting, cpu: id, entries, clears, remote_clears, moves }
}

#[cfg(test)]
mod tests {
    use super::{Setting, lines};
    use crate::report::counts::tests::{messages, with_cpus};

    #[test]
    fn json_is_one_object_a_line_with_the_promised_keys() {
        let messages = messages();
        let setting = Setting { on: "bochs", model: "sapphire_rapids", cpus: 1 };
        let runs = [("eager", &*messages), ("eager", &*messages)];
        let text = lines(runs, "all", setting).expect("JSON");
        assert_eq!(text.lines().count(), 7, "three guests twice, and one total");
        let total = text.lines().last().expect("a total");
        assert!(total.starts_with(r#"{"policy":"all""#), "{total}");
        assert!(total.contains(r#""guest":"all","passed":74070,"#), "{total}");
        assert_eq!(
            text.lines().next(),
            Some(
                r#"{"policy":"eager","on":"bochs","model":"sapphire_rapids","cpus":1,"guest":"wrmsr","passed":12345,"failed":0,"skipped":0,"switches":1050,"exits":12345,"rdmsr":12345,"wrmsr":12345,"wrmsr_xss":12345,"xsaves":1050,"xrstors":1050,"canary_accesses":12345,"bytes_per_vcpu":1234}"#
            )
        );
    }

    #[test]
    fn each_cpu_has_a_line_before_the_total() {
        let setting = Setting { on: "bochs", model: "m", cpus: 2 };
        let text = lines([("lazy", &*with_cpus())], "lazy", setting).expect("JSON");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 6, "{text}");
        assert_eq!(
            lines[4],
            r#"{"policy":"lazy","on":"bochs","model":"m","cpus":2,"cpu":1,"entries":1234567,"clears":123,"remote_clears":12,"moves":123456}"#
        );
    }
}
