//! Erasure: what lies beside an entry gives way to a tombstone, and the entry itself stays.
//!
//! An erasure is part of the commit of the entry that states it, so neither is ever stored without the
//! other. Its bytes are then taken out of the store's files, by [`Erase`](super::Erase).

use merkle::LeafIndex;

use super::{Attachment, DedupId, DedupRow, LogCommit, LogId, Row, Violation};

/// What the store has of one attachment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beside {
    /// The attachment.
    Kept(Attachment),
    /// It was erased: the tombstone that took its place.
    Erased {
        /// Its kind.
        kind: u8,
        /// When, in nanoseconds since the Unix epoch: the time in the entry `by`.
        time_ns: u64,
        /// The later entry of the log that states the erasure.
        by: LeafIndex,
    },
}

impl Beside {
    /// Which of the entry's attachments it is, or was.
    pub fn kind(&self) -> u8 {
        match self {
            Self::Kept(attachment) => attachment.kind,
            Self::Erased { kind, .. } => *kind,
        }
    }

    /// The attachment, unless it was erased.
    pub fn kept(&self) -> Option<&Attachment> {
        match self {
            Self::Kept(attachment) => Some(attachment),
            Self::Erased { .. } => None,
        }
    }
}

/// An erasure, written in the commit of the entry that states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// The entry that states it: one of the same commit.
    pub by: LeafIndex,
    /// The time in that entry, in nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// 1 to [`Erasure::TARGETS_MAX`], their indexes ascending.
    pub targets: Vec<EraseTarget>,
}

/// What is erased of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EraseTarget {
    /// The entry. It stands before the one that states the erasure.
    pub index: LeafIndex,
    /// The kinds of its attachments that go, ascending. All of them are kept so far.
    pub kinds: Vec<u8>,
    /// The entry's deduplication row as it will be: as it was, but without the digest, which says
    /// something of what is erased. `None` if there is no row with a digest.
    pub once: Option<(DedupId, DedupRow)>,
}

/// An erasure that is committed, while files may still hold the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpurged {
    /// The log.
    pub log: LogId,
    /// The entry that states the erasure.
    pub by: LeafIndex,
    /// The entries from which something was erased, ascending.
    pub entries: Vec<LeafIndex>,
}

impl Erasure {
    /// The most entries of one erasure: its purging is one row, and one pass over the files.
    pub const TARGETS_MAX: usize = 1_000;
}

/// Checks what can be checked of a commit's erasures without reading anything.
pub(super) fn check_erasures(commit: &LogCommit) -> Result<(), Violation> {
    let first = commit.expected.map_or(0, |head| head.size.get());
    for row in &commit.rows {
        if let Row::Erasure(erasure) = row {
            let is_new = erasure.by.get() >= first && commit.new.size.contains(erasure.by);
            if !is_new || !has_legal_targets(erasure) {
                return Err(Violation::Erasure { by: erasure.by });
            }
        }
    }
    Ok(())
}

fn has_legal_targets(Erasure { by, targets, .. }: &Erasure) -> bool {
    let legal = |target: &EraseTarget| {
        let EraseTarget { index, kinds, once } = target;
        let once_fits =
            once.as_ref().is_none_or(|(_, row)| row.index == *index && row.digest.is_none());
        index < by
            && once_fits
            && (1..=Attachment::COUNT_MAX).contains(&kinds.len())
            && kinds.is_sorted_by(|one, next| one < next)
    };
    (1..=Erasure::TARGETS_MAX).contains(&targets.len())
        && targets.iter().all(legal)
        && targets.is_sorted_by(|one, next| one.index < next.index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Planner, attached, erasing, index, size};

    fn verdict(change: impl FnOnce(&mut Erasure)) -> Result<(), Violation> {
        let mut planner = Planner::new(1);
        drop(planner.create());
        drop(planner.append((0..3_000).map(|number| attached(number, &[1, 2])).collect()));
        let mut commit = erasing(&mut planner, &[(5, &[1, 2]), (7, &[2])]);
        let Some(Row::Erasure(erasure)) = commit.rows.last_mut() else { panic!("the erasure") };
        assert_eq!((erasure.by, commit.new.size), (index(3_000), size(3_001)));
        change(erasure);
        check_erasures(&commit)
    }

    #[test]
    fn an_erasure_is_stated_by_a_later_entry_of_its_commit() {
        assert_eq!(verdict(|_| {}), Ok(()));
        for by in [2_999, 3_001] {
            let found = verdict(|erasure| erasure.by = index(by));
            assert_eq!(found, Err(Violation::Erasure { by: index(by) }));
        }
        let refused = Err(Violation::Erasure { by: index(3_000) });
        assert_eq!(verdict(|erasure| erasure.targets[1].index = index(2_999)), Ok(()));
        for at in [5, 4, 3_000] {
            assert_eq!(verdict(|erasure| erasure.targets[1].index = index(at)), refused, "{at}");
        }
    }

    #[test]
    fn the_targets_of_an_erasure_are_limited_and_in_order() {
        let refused = Err(Violation::Erasure { by: index(3_000) });
        assert_eq!(verdict(|erasure| erasure.targets.clear()), refused);
        for kinds in [vec![], vec![2, 1], vec![1, 1], (0..17).collect()] {
            assert_eq!(verdict(|erasure| erasure.targets[0].kinds = kinds), refused);
        }
        assert_eq!(verdict(|erasure| erasure.targets[0].kinds = (0..16).collect()), Ok(()));
        let many = |count: u64| {
            let target = |at| EraseTarget { index: index(at), kinds: vec![1], once: None };
            verdict(|erasure| erasure.targets = (0..count).map(target).collect())
        };
        assert_eq!(many(1_000), Ok(()));
        assert_eq!(many(1_001), refused);
    }
}
