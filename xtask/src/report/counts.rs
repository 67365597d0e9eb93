//! The results as tables.

use std::collections::{BTreeMap, BTreeSet};

use crate::image::protocol::{self, ALL_GUESTS, Message};
use crate::report::table;

/// A row for each guest and the total of each policy.
pub(crate) fn guests<'a>(runs: impl IntoIterator<Item = (&'a str, &'a [Message])>) -> String {
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
    for (_, messages) in runs {
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

/// A row for each CPU under each policy; `None` if no CPU was counted.
pub(crate) fn cpus<'a>(runs: impl IntoIterator<Item = (&'a str, &'a [Message])>) -> Option<String> {
    let mut table = table::new([
        "policy",
        "CPU",
        "VM\nentries",
        "VMCLEARs",
        "of them asked\nby another CPU",
        "vCPUs taken over\nfrom another CPU",
    ]);
    for (policy, messages) in runs {
        for cpu in protocol::cpus(messages) {
            let mut row = vec![policy.to_owned()];
            row.extend(
                [u64::from(cpu.id), cpu.entries, cpu.clears, cpu.remote_clears, cpu.moves]
                    .map(|number| number.to_string()),
            );
            table.add_row(row);
        }
    }
    table::align(&mut table, 1);
    (!table.is_empty()).then(|| table::lines(&table))
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
    use super::{cpus, exits, guests};
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

    /// The same, of two CPUs.
    pub(in crate::report) fn with_cpus() -> Vec<Message> {
        let mut messages = messages();
        messages.extend((0..2).map(|id| {
            let line =
                format!("@cpu id={id} entries=1234567 clears=123 remote_clears=12 moves=123456");
            protocol::parse(&line).expect("a message").expect("valid")
        }));
        messages
    }

    #[test]
    fn the_table_fits_into_80_columns() {
        let text = guests([("eager", messages().as_slice())]);
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{text}");
        }
        let rows: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("eager  ")).collect();
        assert_eq!(rows.len(), 4, "{text}");
        assert!(rows[0].starts_with("wrmsr") && rows[3].starts_with("all"), "{text}");
    }

    #[test]
    fn cpus_are_shown_where_they_were_counted() {
        assert_eq!(cpus([("eager", messages().as_slice())]), None);
        let text = cpus([("eager", with_cpus().as_slice())]).expect("two");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let last: Vec<&str> = text.lines().last().expect("a row").split_whitespace().collect();
        assert_eq!(last, ["eager", "1", "1234567", "123", "12", "123456"], "{text}");
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
