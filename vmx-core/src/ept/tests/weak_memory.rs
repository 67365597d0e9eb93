//! Translation while another thread makes tables. Miri shows a thread old values of what
//! another one wrote wherever the memory model allows it; a CPU does so rarely, or never.

use std::hint::spin_loop;
use std::thread;

use super::*;
use crate::memory::page::Page;

const AT: GuestPhysicalAddress = GuestPhysicalAddress(5 << 30);
const RIGHT: u64 = 2 << 30;

/// A page of 1 GiB: one table is between it and the root.
fn large(address: u64) -> PageEntry {
    page(address, PageSize::Size1GiB, EntryFlags::ALL_ACCESS)
}

/// What a frame held in the word that `AT` selects, when it was a table of others.
fn old_entry(size: PageSize) -> u64 {
    page(7 << 30, size, EntryFlags::ALL_ACCESS).encode(&EVERYTHING).expect("valid")
}

/// Waits until a thread has changed the word. Says nothing about what else it wrote.
fn wait_for_change(page: &Page, index: usize, old: u64) {
    while page.read(index) == old {
        spin_loop();
    }
}

#[test]
fn nobody_sees_what_a_new_table_held_before() {
    let pages = pages(2);
    pages[1].write(5, old_entry(PageSize::Size1GiB));
    let mut ept = ept(&pages, Level::Pml4, EVERYTHING);
    let view = ept.view(Pages(&pages));
    thread::scope(|threads| {
        threads.spawn(|| {
            wait_for_change(&pages[0], 0, 0);
            let found = loop {
                match view.translate(AT) {
                    Err(EptError::NotMapped(_)) => spin_loop(),
                    found => break found,
                }
            };
            assert_eq!(found.map(|found| found.address.0), Ok(RIGHT));
        });
        let _ = ept.map(AT, large(RIGHT), Existing::Refuse).expect("mapped");
    });
}

#[test]
fn a_page_leads_where_it_did_while_it_is_split() {
    let pages = pages(3);
    pages[2].write(0, old_entry(PageSize::Size2MiB));
    let mut ept = ept(&pages, Level::Pml4, EVERYTHING);
    let _ = ept.map(AT, large(RIGHT), Existing::Refuse).expect("mapped");
    let view = ept.view(Pages(&pages));
    let whole = pages[1].read(5);
    thread::scope(|threads| {
        threads.spawn(|| {
            wait_for_change(&pages[1], 5, whole);
            let found = view.translate(AT).expect("mapped");
            assert_eq!((found.address.0, found.size), (RIGHT, PageSize::Size2MiB));
        });
        let _ = ept.split(AT).expect("split");
    });
}
