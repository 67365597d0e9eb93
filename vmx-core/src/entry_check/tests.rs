use super::*;

#[test]
fn names_are_unique_and_sections_in_order() {
    let names = || SECTIONS.iter().flat_map(|section| section.rules).map(|rule| rule.name);
    for (index, name) in names().enumerate() {
        assert!(names().skip(index + 1).all(|other| other != name), "{name} is there twice");
    }
    assert!(SECTIONS.is_sorted_by_key(|section| section.group));
}

mod controls;
mod exit_and_entry_controls;
mod host;
mod valid_entry;
