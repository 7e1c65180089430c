//! The indexes of a stream that wait for a receipt. Pure.
//!
//! The entries of a stream lie close together, so one receipt proves a range, with the entries that
//! others wrote in between. But a duplicate has the index of its first use, which may be anywhere.
//! So indexes that are further apart than one receipt reaches are kept in separate ranges:
//! otherwise a stream would be sent proofs of the whole log between two entries.

use std::collections::BTreeMap;
use std::ops::Range;

use merkle::{LeafIndex, TreeSize};

/// The most ranges. When there is one more, the two with the smallest gap become one.
const RANGES_MAX: usize = 1_024;

/// Indexes that are committed and wait for a receipt.
#[derive(Debug)]
pub(super) struct Unproven {
    /// The most indexes of one receipt.
    receipt_max: u64,
    /// Ends by starts, with more than `receipt_max` indexes between two ranges.
    ranges: BTreeMap<u64, u64>,
}

impl Unproven {
    pub(super) fn new(receipt_max: usize) -> Self {
        let receipt_max = u64::try_from(receipt_max).unwrap_or(u64::MAX).max(1);
        Self { receipt_max, ranges: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, index: LeafIndex) {
        let (mut start, mut end) = (index.get(), index.size_through().get());
        let before = self.ranges.range(..=start).next_back().map(|(&start, &end)| (start, end));
        if let Some((from, to)) = before.filter(|(_, to)| self.is_near(*to, start)) {
            self.ranges.remove(&from);
            (start, end) = (from, end.max(to));
        }
        let after = self.ranges.range(end..).next().map(|(&start, &end)| (start, end));
        if let Some((from, to)) = after.filter(|(from, _)| self.is_near(end, *from)) {
            self.ranges.remove(&from);
            end = to;
        }
        self.ranges.insert(start, end);
        if self.ranges.len() > RANGES_MAX {
            self.join_nearest();
        }
    }

    /// Takes the indexes of the next receipt.
    pub(super) fn take(&mut self) -> Option<Range<TreeSize>> {
        let (start, end) = self.ranges.pop_first()?;
        let cut = end.min(start.saturating_add(self.receipt_max));
        if cut < end {
            self.ranges.insert(cut, end);
        }
        // Every index is below the size of a tree.
        Some(TreeSize::new(start).ok()?..TreeSize::new(cut).ok()?)
    }

    fn is_near(&self, end: u64, start: u64) -> bool {
        start.saturating_sub(end) <= self.receipt_max
    }

    fn join_nearest(&mut self) {
        let pairs = self.ranges.iter().zip(self.ranges.iter().skip(1));
        let nearest = pairs.min_by_key(|((_, end), (start, _))| start.saturating_sub(**end));
        let Some(((&first, _), (&second, &end))) = nearest else { return };
        self.ranges.remove(&second);
        self.ranges.insert(first, end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(max: usize, indexes: impl IntoIterator<Item = u64>) -> Vec<(u64, u64)> {
        let mut unproven = Unproven::new(max);
        for index in indexes {
            unproven.add(LeafIndex::new(index).unwrap());
        }
        let next = || unproven.take().map(|range| (range.start.get(), range.end.get()));
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn what_is_close_is_proven_together_in_receipts_of_bounded_size() {
        assert_eq!(taken(10, []), []);
        assert_eq!(taken(10, 5..12), [(5, 12)]);
        assert_eq!(taken(10, [7, 5, 6, 5]), [(5, 8)]);
        assert_eq!(taken(10, 0..25), [(0, 10), (10, 20), (20, 25)]);
        assert_eq!(taken(10, [0, 11]), [(0, 10), (10, 12)]);
        assert_eq!(taken(10, [0, 21, 12, 9]), [(0, 10), (10, 20), (20, 22)]);
    }

    #[test]
    fn an_old_index_beside_a_new_one_is_not_the_log_between_them() {
        assert_eq!(taken(10, [0, 12]), [(0, 1), (12, 13)]);
        let newest = (1 << 63) - 2;
        assert_eq!(taken(10, [newest, 0, newest - 1, 1]), [(0, 2), (newest - 1, newest + 1)]);
    }

    #[test]
    fn memory_is_bounded_and_every_index_is_covered() {
        let indexes = || (0..3_000_u64).map(|position| (position * 7_919 % 3_000) * 1_000);
        let ranges = taken(500, indexes());
        for index in indexes() {
            assert!(ranges.iter().any(|(start, end)| (*start..*end).contains(&index)), "{index}");
        }
        let mut unproven = Unproven::new(500);
        indexes().for_each(|index| unproven.add(LeafIndex::new(index).unwrap()));
        assert_eq!(unproven.ranges.len(), RANGES_MAX);
    }
}
