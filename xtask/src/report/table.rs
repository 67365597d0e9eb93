//! Tables for a terminal.

use clap::ValueEnum;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

/// What `--format` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// One object a line.
    Json,
}

/// A table that is never folded to the terminal's width.
pub(crate) fn new<'a>(header: impl IntoIterator<Item = &'a str>) -> Table {
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
