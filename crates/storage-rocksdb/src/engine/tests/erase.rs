//! What was erased leaves the files.

use super::*;

/// Files of a folder that hold these bytes. A file may go while we look: RocksDB deletes what it does
/// not need any more.
fn files_with(folder: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let holds = |path: &PathBuf| match fs::read(path) {
        Ok(held) => held.windows(bytes.len()).any(|window| window == bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => panic!("{}: {error}", path.display()),
    };
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.filter(holds).collect()
}

/// Bytes that no compression makes shorter, so that files show them as they are.
fn noise(seed: u64) -> Bytes {
    let block = |at: u64| *merkle::leaf_hash(&(seed * 1_000 + at).to_be_bytes()).as_bytes();
    (0..20).flat_map(block).collect::<Vec<u8>>().into()
}

fn secret_of(number: u64, kind: u8) -> Attachment {
    Attachment { kind, key_id: 0, bytes: noise(number * 256 + u64::from(kind)) }
}

/// An entry with a key and two attachments that are noise.
fn noisy(number: u64) -> StoredEntry {
    let attachments = vec![secret_of(number, 1), secret_of(number, 7)];
    StoredEntry { dedup: Some(key(number)), attachments, ..unkeyed(format!("entry {number}")) }
}

/// Appends entries, each with a digest that is noise too.
fn append_noisy(engine: &RocksEngine, planner: &mut Planner, all: &[StoredEntry]) {
    let mut append = planner.append(all.to_vec());
    for row in &mut append.rows {
        if let Row::Dedup(_, row) = row {
            row.digest = Some(digest_of(row.index.get()));
        }
    }
    commit(engine, &[append]);
}

fn digest_of(number: u64) -> ContentDigest {
    ContentDigest(*merkle::leaf_hash(&number.to_le_bytes()).as_bytes())
}

/// Erases kind 7 of entry 20, and its digest; not yet from the files.
fn erase_noisy(engine: &RocksEngine, planner: &mut Planner) -> Unpurged {
    let mut erase = erasing(planner, &[(20, &[7])]);
    let Some(Row::Erasure(erasure)) = erase.rows.last_mut() else { panic!("the erasure") };
    let found = engine.dedup(planner.log(), &[key(20).id()]).unwrap();
    let row = DedupRow { digest: None, ..found[0].unwrap() };
    erasure.targets[0].once = Some((key(20).id(), row));
    commit(engine, &[erase]);
    engine.unpurged().unwrap().remove(0)
}

/// The files that hold what [`erase_noisy`] erases.
fn files_with_erased(folder: &Path) -> Vec<PathBuf> {
    let mut files = files_with(folder, &noise(20 * 256 + 7)[..32]);
    files.extend(files_with(folder, &noise(20 * 256 + 7)[600..]));
    files.extend(files_with(folder, &digest_of(20).0));
    files
}

/// Wherever the bytes are when they are erased: in the write-ahead log, in a table file, or in one
/// below others that were written since.
#[test]
fn erased_bytes_are_in_no_file() {
    for flushes in 0..3 {
        let mut store = Temporary::new();
        let mut planner = Planner::new(1);
        let log = planner.log();
        commit(store.engine(), &[planner.create()]);
        let mut all: Vec<_> = (0..40).map(noisy).collect();
        append_noisy(store.engine(), &mut planner, &all);
        for round in 1..=flushes {
            store.engine().flush().unwrap();
            let more: Vec<_> = (round * 40..round * 40 + 40).map(noisy).collect();
            append_noisy(store.engine(), &mut planner, &more);
            all.extend(more);
        }
        let by = planner.size();
        let unpurged = erase_noisy(store.engine(), &mut planner);
        all.push(unkeyed(storage::stamp::with_time_ns(&[0; 12], by * 10).unwrap()));
        assert!(files_with_erased(store.folder.path()).len() >= 3, "they are hidden alone");
        store.engine().purge(&unpurged).unwrap();
        assert_eq!(files_with_erased(store.folder.path()), [] as [PathBuf; 0]);
        for _ in 0..2 {
            assert_eq!(store.engine().unpurged().unwrap(), []);
            let found = |at| store.engine().attachments(log, index(at)).unwrap();
            let whole = |at| [1, 7].map(|kind| Beside::Kept(secret_of(at, kind)));
            assert_eq!(found(20), [Beside::Kept(secret_of(20, 1)), erased(7, by)]);
            assert_eq!((found(19), found(21)), (whole(19).into(), whole(21).into()));
            let rows = store.engine().dedup(log, &[20, 21].map(|at| key(at).id())).unwrap();
            let digests = rows.into_iter().map(|row| row.unwrap().digest);
            assert!(digests.eq([None, Some(digest_of(21))]));
            assert_holds(store.engine(), &planner, &all);
            store.reopen();
        }
        assert_eq!(files_with_erased(store.folder.path()), [] as [PathBuf; 0]);
    }
}

#[test]
fn purging_again_finishes_what_a_crash_cut_short() {
    let store = Temporary::new();
    let mut planner = Planner::new(1);
    let log = planner.log();
    commit(store.engine(), &[planner.create()]);
    let all: Vec<_> = (0..40).map(noisy).collect();
    append_noisy(store.engine(), &mut planner, &all);
    store.engine().flush().unwrap();
    let unpurged = erase_noisy(store.engine(), &mut planner);
    let copy = store.crash_copy();
    let engine = open(copy.path());
    let found = engine.attachments(log, index(20)).unwrap();
    assert_eq!(found, [Beside::Kept(secret_of(20, 1)), erased(7, 40)]);
    assert!(!files_with_erased(copy.path()).is_empty());
    assert_eq!(engine.unpurged().unwrap(), std::slice::from_ref(&unpurged));
    engine.purge(&unpurged).unwrap();
    assert_eq!(files_with_erased(copy.path()), [] as [PathBuf; 0]);
    let read = Wal::read(copy.path()).unwrap();
    assert_eq!((read.damage, read.unread_bytes), (None, 0), "a delete in the log is read over");
}

#[test]
fn what_a_reader_holds_is_said_to_be_left() {
    let store = Temporary::new();
    let mut planner = Planner::new(1);
    let log = planner.log();
    commit(store.engine(), &[planner.create()]);
    let all: Vec<_> = (0..40).map(noisy).collect();
    append_noisy(store.engine(), &mut planner, &all);
    store.engine().flush().unwrap();
    let mut reader = store.engine().scan(Family::Attachments, &[]);
    let unpurged = erase_noisy(store.engine(), &mut planner);
    let error = store.engine().purge(&unpurged).unwrap_err();
    assert!(matches!(error, StorageError::StillInFiles { .. }), "{error}");
    let found = store.engine().attachments(log, index(20)).unwrap();
    assert_eq!(found[1], erased(7, 40), "the row is gone");
    assert_eq!(store.engine().unpurged().unwrap(), std::slice::from_ref(&unpurged));
    assert!(reader.next().is_some(), "the reader sees its moment");
    drop(reader);
    store.engine().purge(&unpurged).unwrap();
    assert_eq!(files_with_erased(store.folder.path()), [] as [PathBuf; 0]);
}
