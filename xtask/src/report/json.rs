//! The results as JSON.

use anyhow::{Context, Result};
use serde::Serialize;

use crate::image::protocol::{self, ALL_GUESTS, GuestResult, Message};

/// One line of JSON: the counts of one guest under one policy, or of all.
#[derive(Debug, Serialize)]
struct JsonLine<'a> {
    policy: &'a str,
    on: &'a str,
    model: &'a str,
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

/// One JSON object a line: each guest under each policy, then the total of them all.
pub(crate) fn lines<'a>(
    runs: impl IntoIterator<Item = &'a [Message]>,
    policy: &str,
    on: &str,
    model: &str,
) -> Result<String> {
    let mut text = String::new();
    let mut total = GuestResult {
        policy: policy.to_owned(),
        guest: ALL_GUESTS.to_owned(),
        ..GuestResult::default()
    };
    let mut add = |result: &GuestResult| -> Result<()> {
        text.push_str(&serde_json::to_string(&json_line(result, on, model))?);
        text.push('\n');
        Ok(())
    };
    for messages in runs {
        for result in protocol::in_order(messages).filter(|result| result.guest != ALL_GUESTS) {
            add(result).context("cannot write JSON")?;
            total.merge(result);
        }
    }
    add(&total).context("cannot write JSON")?;
    Ok(text)
}

fn json_line<'a>(result: &'a GuestResult, on: &'a str, model: &'a str) -> JsonLine<'a> {
    JsonLine {
        policy: &result.policy,
        on,
        model,
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

#[cfg(test)]
mod tests {
    use super::lines;
    use crate::report::counts::tests::messages;

    #[test]
    fn json_is_one_object_a_line_with_the_promised_keys() {
        let messages = messages();
        let text =
            lines([&*messages, &*messages], "all", "bochs", "sapphire_rapids").expect("JSON");
        assert_eq!(text.lines().count(), 7, "three guests twice, and one total");
        let total = text.lines().last().expect("a total");
        assert!(total.starts_with(r#"{"policy":"all""#), "{total}");
        assert!(total.contains(r#""guest":"all","passed":74070,"#), "{total}");
        assert_eq!(
            text.lines().next(),
            Some(
                r#"{"policy":"eager","on":"bochs","model":"sapphire_rapids","guest":"wrmsr","passed":12345,"failed":0,"skipped":0,"switches":1050,"exits":12345,"rdmsr":12345,"wrmsr":12345,"wrmsr_xss":12345,"xsaves":1050,"xrstors":1050,"canary_accesses":12345,"bytes_per_vcpu":1234}"#
            )
        );
    }
}
