//! What lies beside entries: attachments, their erasure, and digests.

use merkle::leaf_hash;

use super::{assert_holds, commit, refuses};
use crate::testing::{
    Planner, attached, attachment, entry, erased, erasing, index, kept, key, keyed,
};
use crate::{Attachment, Beside, ContentDigest, DedupRow, Row, Store, StoredEntry, Unpurged};

pub(super) fn attachments(engine: &dyn Store) {
    let mut planner = Planner::new(1);
    let mut other = Planner::new(2);
    let log = planner.log();
    commit(engine, &[planner.create(), other.create()]);
    let longest = Attachment { bytes: vec![7; Attachment::LEN_MAX].into(), ..attachment(0, 255) };
    let mut all = vec![attached(0, &[1]), entry(1), attached(2, &[0, 3, 7]), entry(3)];
    all[3].attachments = vec![longest.clone()];
    let elsewhere = vec![attached(7, &[1]), attached(8, &[2])];
    commit(engine, &[planner.append(all.clone()), other.append(elsewhere)]);
    commit(engine, &[planner.append(vec![attached(4, &[9])])]);
    all.push(entry(4));
    let found = |at| engine.attachments(log, index(at)).unwrap();
    for _ in 0..2 {
        assert_holds(engine, &planner, &all);
        assert_eq!(found(0), [kept(0, 1)]);
        assert_eq!(found(1), []);
        assert_eq!(found(2), [0, 3, 7].map(|kind| kept(2, kind)));
        assert!(found(3) == [Beside::Kept(longest.clone())]);
        assert_eq!(found(4), [kept(4, 9)]);
        assert_eq!(found(5), []);
        assert_eq!(engine.attachments(other.log(), index(1)).unwrap(), [kept(8, 2)]);
        engine.flush().unwrap();
    }
}

pub(super) fn erasures(engine: &dyn Store) {
    let mut planner = Planner::new(1);
    let mut other = Planner::new(2);
    let log = planner.log();
    commit(engine, &[planner.create(), other.create()]);
    let mut all: Vec<_> = (0..4).map(|number| attached(number, &[1, 2, 3])).collect();
    commit(engine, &[planner.append(all.clone()), other.append(all.clone())]);
    let found = |at| engine.attachments(log, index(at)).unwrap();
    let whole = |at| [1, 2, 3].map(|kind| kept(at, kind));
    let erase = erasing(&mut planner, &[(1, &[1, 3]), (3, &[2])]);
    all.extend(erase.entries.clone());
    commit(engine, &[erase]);
    for _ in 0..2 {
        assert_eq!(found(1), [erased(1, 4), kept(1, 2), erased(3, 4)]);
        assert_eq!(found(3), [kept(3, 1), erased(2, 4), kept(3, 3)]);
        assert_eq!((found(0), found(2)), (whole(0).into(), whole(2).into()));
        assert_eq!(engine.attachments(other.log(), index(1)).unwrap(), whole(1));
        assert_holds(engine, &planner, &all);
        engine.flush().unwrap();
    }
    let erase = erasing(&mut planner, &[(1, &[2])]);
    all.extend(erase.entries.clone());
    commit(engine, &[erase]);
    assert_eq!(found(1), [erased(1, 4), erased(2, 5), erased(3, 4)]);
    commit(engine, &[planner.append(vec![attached(6, &[1])])]);
    assert_eq!(found(6), [kept(6, 1)]);
    // The erasure of an entry that is not in the commit.
    let mut bad = erasing(&mut planner.clone(), &[(0, &[1])]);
    let Some(Row::Erasure(erasure)) = bad.rows.last_mut() else { panic!("the erasure") };
    erasure.by = index(6);
    assert!(refuses(engine, &[bad]));
    assert_eq!(found(0), whole(0));
}

pub(super) fn purging(engine: &dyn Store) {
    let mut planners = [Planner::new(1), Planner::new(2)];
    for planner in &mut planners {
        commit(engine, &[planner.create()]);
        let all = (0..4).map(|number| attached(number, &[1, 2])).collect();
        commit(engine, &[planner.append(all)]);
    }
    let [one, two] = &mut planners;
    commit(engine, &[erasing(one, &[(1, &[1]), (3, &[2])]), erasing(two, &[(0, &[1])])]);
    commit(engine, &[erasing(one, &[(0, &[1])])]);
    let unpurged = |planner: &Planner, by, entries: &[u64]| {
        let entries = entries.iter().map(|at| index(*at)).collect();
        Unpurged { log: planner.log(), by: index(by), entries }
    };
    let [first, second, third] =
        [unpurged(one, 4, &[1, 3]), unpurged(one, 5, &[0]), unpurged(two, 4, &[0])];
    assert_eq!(engine.unpurged().unwrap(), [first.clone(), second.clone(), third.clone()]);
    assert_eq!(engine.logs().unwrap().len(), 2, "the rows are no logs");
    for _ in 0..2 {
        engine.purge(&first).unwrap();
        assert_eq!(engine.unpurged().unwrap(), [second.clone(), third.clone()]);
    }
    engine.purge(&third).unwrap();
    engine.purge(&second).unwrap();
    assert_eq!(engine.unpurged().unwrap(), []);
    let found = engine.attachments(one.log(), index(1)).unwrap();
    assert_eq!(found, [erased(1, 4), kept(1, 2)]);
}

pub(super) fn digests(engine: &dyn Store) {
    let mut planner = Planner::new(1);
    commit(engine, &[planner.create()]);
    let mut append =
        planner.append(vec![StoredEntry { dedup: Some(key(0)), ..attached(0, &[1]) }, keyed(1)]);
    let Some(Row::Dedup(id, row)) = append.rows.first_mut() else { panic!("a row for each key") };
    row.digest = Some(ContentDigest([4; 32]));
    row.time_ns = Some(5);
    let (id, mut row) = (*id, *row);
    commit(engine, &[append]);
    let leaf = leaf_hash(&entry(1).data);
    let other = DedupRow { index: index(1), leaf, time_ns: None, digest: None };
    let found = || engine.dedup(planner.log(), &[id, key(1).id()]).unwrap();
    assert_eq!(found(), [Some(row), Some(other)]);
    // An erasure takes the digest and leaves the rest.
    let mut erase = erasing(&mut planner.clone(), &[(0, &[1])]);
    let Some(Row::Erasure(erasure)) = erase.rows.last_mut() else { panic!("the erasure") };
    row.digest = None;
    erasure.targets[0].once = Some((id, row));
    commit(engine, &[erase]);
    assert_eq!(found(), [Some(row), Some(other)]);
}
