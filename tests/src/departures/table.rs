//! All departures, and how one is found.

use super::departure::Departure;
use super::{others, vm_entry};

/// All rows, in tables by subject.
pub const DEPARTURES: [&[Departure]; 2] = [vm_entry::ROWS, others::ROWS];

/// The row of this identifier.
pub fn find(id: &str) -> Option<&'static Departure> {
    DEPARTURES.into_iter().flatten().find(|departure| departure.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_complete_and_named_once() {
        for row in DEPARTURES.into_iter().flatten() {
            assert_eq!(find(row.id), Some(row), "{} is there twice", row.id);
            let texts = [row.manual, row.bochs, row.versions, row.reason, row.source, row.used_by];
            assert!(texts.iter().all(|text| !text.trim().is_empty()), "{row:?}");
            assert!(row.source.contains("Bochs cpu/") && row.source.contains("SDM, "), "{row:?}");
            assert!(
                row.id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            );
        }
    }
}
