//! What the image counted beside what Bochs' log says.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::emulator::boot::Outcome;
use crate::emulator::log_count::LogCount;
use crate::image::protocol::{self, ALL_GUESTS, CpuResult, GuestResult};
use crate::report::table;

/// One quantity as the image and as Bochs counted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Comparison {
    /// What was counted.
    pub(crate) quantity: String,
    /// By the image.
    pub(crate) image: u64,
    /// By Bochs.
    pub(crate) bochs: u64,
}

/// What a log of Bochs says.
pub(crate) struct LogReport {
    /// The file.
    pub(crate) path: PathBuf,
    /// Its size in bytes.
    size: u64,
    /// Bochs' counts beside the image's.
    rows: Vec<Comparison>,
}

impl LogReport {
    /// Counts the log of a boot; `None` if the boot has no totals to compare.
    pub(crate) fn of(path: PathBuf, outcome: &Outcome) -> Result<Option<Self>> {
        let mut results = protocol::results(&outcome.messages);
        let Some(total) = results.find(|result| result.guest == ALL_GUESTS) else {
            return Ok(None);
        };
        let size = std::fs::metadata(&path)
            .with_context(|| format!("Bochs left no log {}", path.display()))?
            .len();
        let cpus = protocol::cpus(&outcome.messages);
        let rows = compare(total, cpus, &LogCount::of_file(&path)?);
        Ok(Some(Self { path, size, rows }))
    }

    /// What Bochs and the image counted differently.
    pub(crate) fn differences(&self) -> impl Iterator<Item = &Comparison> {
        self.rows.iter().filter(|row| row.image != row.bochs)
    }

    /// The counts as a table, and where the log is.
    pub(crate) fn text(&self, policy: &str) -> String {
        let heading = format!("{policy}: executed by the host");
        let mut table = table::new([heading.as_str(), "counted by the image", "by Bochs", ""]);
        for row in &self.rows {
            table.add_row([
                row.quantity.clone(),
                row.image.to_string(),
                row.bochs.to_string(),
                if row.image == row.bochs { "equal" } else { "DIFFERENT" }.to_owned(),
            ]);
        }
        table::align(&mut table, 1);
        format!(
            "{}log: {} ({:.1} MB)",
            table::lines(&table),
            self.path.display(),
            self.size as f64 / 1e6
        )
    }
}

/// The counts of both: of the host on all CPUs together, where the image's are the policy's
/// and the canaries', and of the VM entries of each CPU that the image tells of.
fn compare<'a>(
    total: &GuestResult,
    cpus: impl Iterator<Item = &'a CpuResult>,
    bochs: &LogCount,
) -> Vec<Comparison> {
    let all = bochs.of_all();
    let host = [
        ("RDMSR of PL0..2_SSP", total.rdmsr + total.canary_rdmsr, all.rdmsr),
        ("WRMSR of PL0..2_SSP", total.wrmsr + total.canary_wrmsr, all.wrmsr),
        ("XSAVES", total.xsaves, all.xsaves),
        ("XRSTORS", total.xrstors, all.xrstors),
    ]
    .map(|(quantity, image, bochs)| Comparison { quantity: quantity.to_owned(), image, bochs });
    let entries = cpus.map(|cpu| Comparison {
        quantity: format!("VM entries of CPU {}", cpu.id),
        image: cpu.entries,
        bochs: bochs.of_cpu(cpu.id).entries,
    });
    host.into_iter().chain(entries).collect()
}
