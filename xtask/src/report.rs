//! The results as a table and as JSON.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::bochs::Outcome;
use crate::log_count::Comparison;
use crate::protocol::{ALL_GUESTS, GUESTS, GuestResult, Message};
use crate::verdict;

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
pub(crate) fn json<'a>(
    outcomes: impl IntoIterator<Item = &'a Outcome>,
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
    for outcome in outcomes {
        for result in in_order(outcome).filter(|result| result.guest != ALL_GUESTS) {
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

/// A row for each guest and the total of each policy.
pub(crate) fn counts<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> String {
    let mut table = table([
        "policy",
        "guest",
        "ok/bad/\nskipped",
        "swit-\nches",
        "VM\nexits",
        "RD\nMSR",
        "WR\nMSR",
        "WR\nXSS",
        "XSA-\nVES",
        "XRS-\nTORS",
        "can-\nary",
        "bytes\n/vCPU",
    ]);
    for outcome in outcomes {
        for result in in_order(outcome) {
            let checks = format!("{}/{}/{}", result.passed, result.failed, result.skipped);
            let mut row = vec![result.policy.clone(), result.guest.clone(), checks];
            row.extend(
                [
                    result.switches,
                    result.exits,
                    result.rdmsr,
                    result.wrmsr,
                    result.wrmsr_xss,
                    result.xsaves,
                    result.xrstors,
                    result.canary_rdmsr + result.canary_wrmsr,
                    result.bytes_per_vcpu,
                ]
                .map(|number| number.to_string()),
            );
            table.add_row(row);
        }
    }
    align(&mut table, 2);
    format!(
        "{}\nRD MSR, WR MSR: RDMSR and WRMSR of IA32_PL0_SSP to PL2_SSP by the policy;\n\
         WR XSS: WRMSR of IA32_XSS; canary: accesses that place and check the host's own\n\
         values.\n",
        lines(&table)
    )
}

/// VM exits of all guests by reason, a column for each policy.
pub(crate) fn exits<'a>(outcomes: impl IntoIterator<Item = (&'a str, &'a Outcome)>) -> String {
    let mut policies = Vec::new();
    let mut reasons = BTreeSet::new();
    let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for (policy, outcome) in outcomes {
        policies.push(policy);
        let exits = || {
            outcome.messages.iter().filter_map(|message| match message {
                Message::Exits { guest, reason, count } => {
                    Some((guest.as_str(), reason.as_str(), *count))
                }
                _ => None,
            })
        };
        // The image may report the total itself; it is not added to its parts.
        let total = exits().any(|(guest, ..)| guest == ALL_GUESTS);
        for (guest, reason, count) in exits() {
            if (guest == ALL_GUESTS) == total {
                reasons.insert(reason);
                *counts.entry((reason, policy)).or_default() += count;
            }
        }
    }
    let mut header = vec!["VM exits by reason"];
    header.extend(&policies);
    let mut table = table(header);
    for reason in reasons {
        let mut row = vec![reason.to_owned()];
        row.extend(
            policies
                .iter()
                .map(|policy| counts.get(&(reason, *policy)).copied().unwrap_or(0).to_string()),
        );
        table.add_row(row);
    }
    align(&mut table, 1);
    lines(&table)
}

/// The image's counts beside Bochs'.
pub(crate) fn comparison(policy: &str, rows: &[Comparison]) -> String {
    let heading = format!("{policy}: executed by the host");
    let mut table = table([heading.as_str(), "counted by the image", "by Bochs", ""]);
    for row in rows {
        table.add_row([
            row.quantity.to_owned(),
            row.image.to_string(),
            row.bochs.to_string(),
            if row.image == row.bochs { "equal" } else { "DIFFERENT" }.to_owned(),
        ]);
    }
    align(&mut table, 1);
    lines(&table)
}

/// The guests in the table's order, the total last.
fn in_order(outcome: &Outcome) -> impl Iterator<Item = &GuestResult> {
    GUESTS
        .into_iter()
        .chain([ALL_GUESTS])
        .flat_map(|guest| verdict::results(outcome).filter(move |result| result.guest == guest))
}

/// A table that is never folded to the terminal's width.
pub(crate) fn table<'a>(header: impl IntoIterator<Item = &'a str>) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header);
    table
}

/// Numbers, from this column on, to the right.
pub(crate) fn align(table: &mut Table, first_number: usize) {
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 1));
        if index >= first_number {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// The table as text, no line with blanks at its end.
pub(crate) fn lines(table: &Table) -> String {
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{counts, exits, json};
    use crate::bochs::Outcome;
    use crate::protocol::{self, Message};

    fn outcome() -> Outcome {
        let mut messages: Vec<Message> = ["all", "unused", "xrstors", "wrmsr"]
            .map(|guest| {
                format!(
                    "@result policy=eager guest={guest} passed=12345 failed=0 skipped=0 \
                     switches=1050 exits=12345 rdmsr=12345 wrmsr=12345 wrmsr_xss=12345 \
                     xsaves=1050 xrstors=1050 canary_rdmsr=10000 canary_wrmsr=2345 \
                     bytes_per_vcpu=1234"
                )
            })
            .iter()
            .map(|line| protocol::parse(line).expect("a message").expect("valid"))
            .collect();
        for (guest, count) in [("wrmsr", 3), ("unused", 4)] {
            messages.push(Message::Exits { guest: guest.into(), reason: "Vmcall".into(), count });
        }
        Outcome {
            messages,
            unreadable: Vec::new(),
            last_lines: Vec::new(),
            complaints: Vec::new(),
            status: None,
        }
    }

    #[test]
    fn the_table_fits_into_80_columns() {
        let text = counts([&outcome()]);
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{text}");
        }
        let guests: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("eager  ")).collect();
        assert_eq!(guests.len(), 4, "{text}");
        assert!(guests[0].starts_with("wrmsr") && guests[3].starts_with("all"), "{text}");
    }

    #[test]
    fn exits_are_summed_over_the_guests_unless_the_image_did() {
        let mut outcome = outcome();
        assert!(exits([("eager", &outcome)]).contains("Vmcall                 7"));
        outcome.messages.push(Message::Exits {
            guest: "all".into(),
            reason: "Vmcall".into(),
            count: 9,
        });
        let text = exits([("eager", &outcome)]);
        assert!(text.contains("Vmcall                 9"), "{text}");
    }

    #[test]
    fn json_is_one_object_a_line_with_the_promised_keys() {
        let outcome = outcome();
        let text = json([&outcome, &outcome], "all", "bochs", "sapphire_rapids").expect("JSON");
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
