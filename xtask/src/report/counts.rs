//! The results as tables.

use std::collections::{BTreeMap, BTreeSet};

use crate::image::protocol::{self, ALL_GUESTS, Message};
use crate::report::table;

/// A row for each guest and the total of each policy.
pub(crate) fn counts<'a>(runs: impl IntoIterator<Item = &'a [Message]>) -> String {
    let mut table = table::new([
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
    for messages in runs {
        for result in protocol::in_order(messages) {
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
    table::align(&mut table, 2);
    format!(
        "{}\nRD MSR, WR MSR: RDMSR and WRMSR of IA32_PL0_SSP to PL2_SSP by the policy;\n\
         WR XSS: WRMSR of IA32_XSS; canary: accesses that place and check the host's own\n\
         values.\n",
        table::lines(&table)
    )
}

/// VM exits of all guests by reason, a column for each policy.
pub(crate) fn exits<'a>(runs: impl IntoIterator<Item = (&'a str, &'a [Message])>) -> String {
    let mut policies = Vec::new();
    let mut reasons = BTreeSet::new();
    let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for (policy, messages) in runs {
        policies.push(policy);
        let exits = || {
            messages.iter().filter_map(|message| match message {
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
    let mut table = table::new(header);
    for reason in reasons {
        let mut row = vec![reason.to_owned()];
        row.extend(
            policies
                .iter()
                .map(|policy| counts.get(&(reason, *policy)).copied().unwrap_or(0).to_string()),
        );
        table.add_row(row);
    }
    table::align(&mut table, 1);
    table::lines(&table)
}

#[cfg(test)]
pub(super) mod tests {
    use super::{counts, exits};
    use crate::image::protocol::{self, Message};

    /// What the image says of one policy.
    pub(in crate::report) fn messages() -> Vec<Message> {
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
        messages
    }

    #[test]
    fn the_table_fits_into_80_columns() {
        let text = counts([messages().as_slice()]);
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{text}");
        }
        let guests: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("eager  ")).collect();
        assert_eq!(guests.len(), 4, "{text}");
        assert!(guests[0].starts_with("wrmsr") && guests[3].starts_with("all"), "{text}");
    }

    #[test]
    fn exits_are_summed_over_the_guests_unless_the_image_did() {
        let mut messages = messages();
        assert!(exits([("eager", messages.as_slice())]).contains("Vmcall                 7"));
        messages.push(Message::Exits { guest: "all".into(), reason: "Vmcall".into(), count: 9 });
        let text = exits([("eager", messages.as_slice())]);
        assert!(text.contains("Vmcall                 9"), "{text}");
    }
}
