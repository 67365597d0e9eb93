//! A page as 32768 bits: what the bitmaps share.

use crate::memory::page::{PAGE_WORDS, Page};

/// Sets or clears the bits `first` to `last`, both included. One atomic step a
/// word; nothing beyond the page and nothing where `first` is above `last`.
pub(crate) fn set_range(page: &Page, first: usize, last: usize, value: bool) {
    for word in first / 64..=(last / 64).min(PAGE_WORDS - 1) {
        let low = first.max(word * 64);
        let high = last.min(word * 64 + 63);
        if low > high {
            continue;
        }
        let mask = (u64::MAX >> (63 - (high - low))) << (low % 64);
        if value {
            page.set_bits(word, mask);
        } else {
            page.clear_bits(word, mask);
        }
    }
}

/// The positions of the 0 bits in `count` words from `first_word` on, counted
/// from the first of them.
pub(crate) fn zeros(
    page: &Page,
    first_word: usize,
    count: usize,
) -> impl Iterator<Item = usize> + '_ {
    (0..count).flat_map(move |word| {
        let mut left = !page.read(first_word + word);
        core::iter::from_fn(move || {
            let bit = left.trailing_zeros() as usize;
            left &= left.wrapping_sub(1);
            (bit < 64).then_some(word * 64 + bit)
        })
    })
}

/// Writes to every word of `page` the OR of the two others' words.
pub(crate) fn write_or(page: &Page, a: &Page, b: &Page) {
    for word in 0..PAGE_WORDS {
        page.write(word, a.read(word) | b.read(word));
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_range_is_its_bits(first in 0usize..33000, length in 0usize..400, value: bool) {
            let last = first + length;
            let page = Page::new();
            page.fill(if value { 0 } else { u64::MAX });
            set_range(&page, first, last, value);
            let is_set = |bit: usize| page.read(bit / 64) & (1 << (bit % 64)) != 0;
            let inside = first..=last.min(PAGE_WORDS * 64 - 1);
            prop_assert!(inside.clone().all(|bit| is_set(bit) == value));
            let changed = |word| if value { page.read(word) } else { !page.read(word) };
            let count: u32 = (0..PAGE_WORDS).map(|word| changed(word).count_ones()).sum();
            prop_assert_eq!(count as usize, inside.count());
        }

        #[test]
        fn zeros_are_the_zeros(words: [u64; 5], first in 0usize..3) {
            let page = Page::new();
            page.fill(u64::MAX);
            for (index, word) in words.iter().enumerate() {
                page.write(index, *word);
            }
            let found: std::vec::Vec<usize> = zeros(&page, first, 2).collect();
            let expected: std::vec::Vec<usize> = (0..128)
                .filter(|bit| page.read(first + bit / 64) & (1 << (bit % 64)) == 0)
                .collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_range_that_ends_before_it_starts_is_empty() {
        let page = Page::new();
        set_range(&page, 10, 3, true);
        set_range(&page, 700, 3, true);
        assert!((0..PAGE_WORDS).all(|word| page.read(word) == 0));
    }
}
