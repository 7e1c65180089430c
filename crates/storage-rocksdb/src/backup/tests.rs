#![expect(clippy::disallowed_methods, reason = "these tests damage files on purpose")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use formats::{Checkpoint, PrivateKey, Timestamp};
use tempfile::TempDir;

use super::*;
use storage::conformance::{assert_holds, commit};
use storage::journal::{self, Journal, JournalHead};
use storage::testing::{Planner, SECRET, attached, entries, erased, erasing, index, kept};
use storage::{Beside, Erase as _, LogState, StoredHead};

/// A data folder with one log of 300 entries, its public key, and a place for backups.
struct Data {
    folder: TempDir,
    planner: Planner,
    key: PrivateKey,
}

impl Data {
    fn new() -> (Self, RocksEngine) {
        let folder = tempfile::tempdir().unwrap();
        let mut planner = Planner::new(1);
        let name = planner.record.origin.key_name().unwrap();
        let key = PrivateKey::ed25519(name, &[9; 32]);
        let data = folder.path().join("data");
        fs::create_dir_all(data.join(KEYS)).unwrap();
        let vkey = format!("{}\n", key.verifier_key());
        fs::write(data.join(KEYS).join("log-1.vkey"), vkey).unwrap();
        fs::write(data.join(KEYS).join("log-1"), "private").unwrap();
        let engine = open(&data.join(DB));
        commit(&engine, &[planner.create()]);
        commit(&engine, &[planner.append(entries(0, 300))]);
        (Self { folder, planner, key }, engine)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// A signed checkpoint of a head, in a file.
    fn signed(&self, head: StoredHead) -> PathBuf {
        let origin = self.planner.record.origin.clone();
        let checkpoint = Checkpoint::new(origin, head.size, head.root);
        let note = formats::sign(&checkpoint, &[&self.key], Timestamp::ZERO).unwrap();
        let path = self.path("newest.checkpoint");
        fs::write(&path, note).unwrap();
        path
    }

    fn journal(&self, head: StoredHead) {
        let mut journal = Journal::open(&self.path("heads")).unwrap();
        journal.append(&[journaled(&self.planner, head)]).unwrap();
    }

    fn restore(&self, expect: Option<&Path>) -> Result<RestoreReport, BackupError> {
        let (from, to) = (self.path("backup"), self.path("restored"));
        let heads = self.path("heads");
        restore(&from, &to, &heads, expect, &RocksOptions::default(), &mut |_| {})
    }
}

fn journaled(planner: &Planner, head: StoredHead) -> JournalHead {
    JournalHead {
        origin_hash: journal::origin_hash(planner.record.origin.as_str()),
        size: head.size,
        root: head.root,
        time_ms: head.time_ms,
        epoch: head.epoch,
        retired: false,
    }
}

fn open(db: &Path) -> RocksEngine {
    RocksEngine::open(db, &RocksOptions::default()).unwrap()
}

#[test]
fn a_store_in_use_is_backed_up_by_who_uses_it_and_restores() {
    let (data, engine) = Data::new();
    let out = data.path("backup");
    let in_use = backup(&data.data(), &out, Secrets::Leave, &RocksOptions::default()).unwrap_err();
    assert!(matches!(in_use, BackupError::Storage(StorageError::InUse { .. })), "{in_use}");
    write(&engine, &data.data(), &out, Secrets::Leave).unwrap();
    let error = write(&engine, &data.data(), &out, Secrets::Leave).unwrap_err();
    assert!(error.to_string().contains("nothing is ever overwritten"), "{error}");
    let then = data.planner.clone();
    let mut planner = data.planner.clone();
    commit(&engine, &[planner.append(entries(300, 5))]);
    drop(engine);
    assert!(!out.join(KEYS).join("log-1").exists(), "private keys stay where they are");
    assert!(!out.join(HEADS).exists());
    let restored = data.restore(None).unwrap();
    assert_eq!(restored.logs[0].size.get(), 300);
    assert!(restored.behind_journal.is_empty());
    assert_holds(&open(&data.path("restored").join(DB)), &then, &entries(0, 300));
}

#[test]
fn attachments_are_in_a_backup_and_in_what_is_restored() {
    let (mut data, engine) = Data::new();
    let log = data.planner.log();
    let attached: Vec<_> = (300..310).map(|number| attached(number, &[1, 200])).collect();
    commit(&engine, &[data.planner.append(attached.clone())]);
    commit(&engine, &[erasing(&mut data.planner, &[(305, &[1])])]);
    drop(engine);
    backup(&data.data(), &data.path("backup"), Secrets::Leave, &RocksOptions::default()).unwrap();
    data.restore(None).unwrap();
    let engine = open(&data.path("restored").join(DB));
    for (at, entry) in (300..).zip(&attached).filter(|(at, _)| *at != 305) {
        let all: Vec<_> = entry.attachments.iter().cloned().map(Beside::Kept).collect();
        assert_eq!(engine.attachments(log, index(at)).unwrap(), all);
    }
    let left = engine.attachments(log, index(305)).unwrap();
    assert_eq!(left, [erased(1, 310), kept(305, 200)]);
    assert_eq!(engine.unpurged().unwrap().len(), 1, "who restores it purges it");
}

#[test]
fn a_store_that_nobody_uses_is_backed_up_too() {
    let (data, engine) = Data::new();
    drop(engine);
    backup(&data.data(), &data.path("backup"), Secrets::Leave, &RocksOptions::default()).unwrap();
    let restored = data.restore(None).unwrap();
    assert_eq!(restored.logs[0].name.as_str(), "log-1");
}

#[test]
fn what_is_no_store_is_not_backed_up() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    assert!(backup(folder.path(), &out, Secrets::Leave, &RocksOptions::default()).is_err());
    assert!(!out.exists());
    assert!(!folder.path().join(DB).exists());
}

#[test]
fn a_restore_overwrites_nothing_and_wants_a_complete_backup() {
    let (data, engine) = Data::new();
    write(&engine, &data.data(), &data.path("backup"), Secrets::Leave).unwrap();
    fs::remove_file(data.path("backup").join(MARK)).unwrap();
    assert!(matches!(data.restore(None), Err(BackupError::NotABackup { .. })));
    fs::write(data.path("backup").join(MARK), "").unwrap();
    data.restore(None).unwrap();
    assert!(matches!(data.restore(None), Err(BackupError::Exists { .. })));
}

#[test]
fn a_damaged_backup_is_refused_and_leaves_nothing() {
    let (data, engine) = Data::new();
    write(&engine, &data.data(), &data.path("backup"), Secrets::Leave).unwrap();
    let saved = open(&data.path("backup").join(DB));
    let key = storage::keys::entry_key(data.planner.log(), index(7));
    saved.put_raw(storage::Family::Entries, &key, b"\x01\x00forged");
    drop(saved);
    let error = data.restore(None).unwrap_err();
    assert!(matches!(&error, BackupError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("entry 7 does not hash"), "{error}");
    assert_eq!(fs::read_dir(data.path("restored")).unwrap().count(), 0);
}

#[test]
fn the_newest_known_checkpoint_decides() {
    let (data, engine) = Data::new();
    write(&engine, &data.data(), &data.path("backup"), Secrets::Leave).unwrap();
    let head = data.planner.head.unwrap();
    let mut later = data.planner.clone();
    drop(later.append(entries(300, 1)));
    let ahead = data.signed(later.head.unwrap());
    let error = data.restore(Some(&ahead)).unwrap_err();
    assert!(matches!(error, BackupError::Behind { found: 300, known: 301, .. }), "{error}");
    let other = data.signed(StoredHead { root: Hash::from([1; 32]), ..head });
    let error = data.restore(Some(&other)).unwrap_err();
    assert!(matches!(error, BackupError::OtherRoot { size: 300, .. }), "{error}");
    let good = data.signed(head);
    let mut note = fs::read(&good).unwrap();
    let at = note.len() - 10;
    note[at] ^= 1;
    let forged = data.path("forged");
    fs::write(&forged, &note).unwrap();
    let error = data.restore(Some(&forged)).unwrap_err();
    assert!(matches!(error, BackupError::Expect { .. }), "{error}");
    fs::write(&forged, "nothing").unwrap();
    let error = data.restore(Some(&forged)).unwrap_err();
    assert!(matches!(error, BackupError::Expect { reason: ExpectFault::Malformed, .. }), "{error}");
    data.restore(Some(&good)).unwrap();
}

#[test]
fn a_restore_says_when_the_journal_is_ahead_and_leaves_it_alone() {
    let (data, engine) = Data::new();
    write(&engine, &data.data(), &data.path("backup"), Secrets::Leave).unwrap();
    let mut later = data.planner.clone();
    drop(later.append(entries(300, 1)));
    data.journal(later.head.unwrap());
    let before = journal::read_heads(&data.path("heads")).unwrap();
    let restored = data.restore(None).unwrap();
    assert_eq!(restored.behind_journal, std::slice::from_ref(&data.planner.record.name));
    assert_eq!(journal::read_heads(&data.path("heads")).unwrap(), before);
    let options = RocksOptions::default();
    let checked =
        crate::fsck::run(&data.path("restored"), &data.path("heads"), &options, &mut |_| {});
    assert!(checked.unwrap().findings.contains_key("journal_ahead"));
}

/// Corrupts the write-ahead log: a commit of 10, then one of 20, above 300. `damage` gets its bytes.
fn corrupt_wal(
    data: &mut Data,
    engine: RocksEngine,
    damage: impl FnOnce(&mut [u8]),
) -> [StoredHead; 2] {
    engine.flush().unwrap();
    let kept = data.planner.head.unwrap();
    commit(&engine, &[data.planner.append(entries(300, 10))]);
    commit(&engine, &[data.planner.append(entries(310, 20))]);
    // The files as a crash leaves them: closing the engine would write its memory to table files.
    let crashed = data.path("crashed");
    fs::create_dir(&crashed).unwrap();
    for file in fs::read_dir(data.data().join(DB)).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), crashed.join(file.file_name())).unwrap();
    }
    drop(engine);
    fs::remove_dir_all(data.data().join(DB)).unwrap();
    fs::rename(&crashed, data.data().join(DB)).unwrap();
    let files = fs::read_dir(data.data().join(DB)).unwrap().map(|file| file.unwrap().path());
    let wal = files
        .filter(|path| path.extension().is_some_and(|ending| ending == "log"))
        .filter(|path| fs::metadata(path).unwrap().len() > 0)
        .max()
        .unwrap();
    let mut bytes = fs::read(&wal).unwrap();
    damage(&mut bytes);
    fs::write(&wal, &bytes).unwrap();
    [kept, data.planner.head.unwrap()]
}

/// Where a text is in a write-ahead log.
fn position(bytes: &[u8], text: &str) -> usize {
    bytes.windows(text.len()).position(|found| found == text.as_bytes()).unwrap()
}

fn flip_entry(bytes: &mut [u8]) {
    bytes[position(bytes, "entry 305")] ^= 1;
}

fn recover(data: &Data, without_journal: bool) -> Result<RecoverReport, BackupError> {
    let options = RocksOptions::default();
    recover_truncating(&data.data(), &data.path("heads"), without_journal, &options)
}

#[test]
fn a_corrupt_write_ahead_log_is_cut_and_what_is_lost_is_told() {
    type Damage = fn(&mut [u8]);
    let flip_tag: Damage = |bytes| {
        // Of the row: tag, family, length of the key, key, length of the value; then version and length.
        let tag = position(bytes, "entry 305") - 2 - 1 - 12 - 1 - 1 - 1;
        assert_eq!(bytes[tag], 5);
        bytes[tag] ^= 4;
    };
    let flip_length: Damage = |bytes| bytes[5] ^= 0x40;
    let flip_kind: Damage = |bytes| bytes[6] ^= 0x10;
    let nothing_after: Damage = |bytes| bytes[..7].fill(0xff);
    for (damage, seen, whole) in [
        (flip_entry as Damage, 330, true),
        (flip_tag, 330, false),
        (flip_kind, 300, false),
        (nothing_after, 300, false),
        (flip_length, 300, false),
    ] {
        let (mut data, engine) = Data::new();
        let planner = data.planner.clone();
        let [kept, _] = corrupt_wal(&mut data, engine, damage);
        data.journal(kept);
        let Err(refused) = RocksEngine::open(&data.data().join(DB), &RocksOptions::default())
        else {
            // A length beyond the end of the file is what a crash in a write leaves, and is no damage.
            assert_eq!((seen, whole), (300, false));
            continue;
        };
        assert!(matches!(refused, StorageError::WalDamaged { offset: 0, .. }), "{refused}");
        assert!(refused.to_string().contains("recover --truncate-wal"), "{refused}");
        let report = recover(&data, false).unwrap();
        let cut = report.cut.unwrap();
        assert_eq!((cut.offset, cut.unread_bytes == 0), (0, whole));
        let log = planner.record.name.clone();
        assert_eq!(report.logs, [Recovered { log, kept: 300, seen }]);
        assert_holds(&open(&data.data().join(DB)), &planner, &entries(0, 300));
    }
}

#[test]
fn a_write_ahead_log_that_is_whole_is_not_cut() {
    let (mut data, engine) = Data::new();
    let [_, newest] = corrupt_wal(&mut data, engine, |_| {});
    // Not even the journal is asked.
    let report = recover(&data, false).unwrap();
    assert_eq!(report.cut, None);
    let log = data.planner.record.name.clone();
    assert_eq!(report.logs, [Recovered { log, kept: 330, seen: 330 }]);
    assert_eq!(open(&data.data().join(DB)).head(data.planner.log()).unwrap(), Some(newest));
}

#[test]
fn a_write_ahead_log_is_not_cut_below_a_journaled_head() {
    let (mut data, engine) = Data::new();
    let [_, signed] = corrupt_wal(&mut data, engine, flip_entry);
    data.journal(signed);
    let error = recover(&data, false).unwrap_err();
    assert!(matches!(error, BackupError::Behind { found: 300, known: 330, .. }), "{error}");
    let options = RocksOptions::default();
    assert!(RocksEngine::open(&data.data().join(DB), &options).is_err(), "nothing has changed");
}

#[test]
fn a_write_ahead_log_is_not_cut_before_a_log_that_was_journaled() {
    let (mut data, engine) = Data::new();
    let [kept, _] = corrupt_wal(&mut data, engine, flip_entry);
    data.journal(kept);
    let (mut other, heads) = (Planner::new(2), data.path("heads"));
    drop(other.create());
    let created = journaled(&other, other.head.unwrap());
    Journal::open(&heads).unwrap().append(&[created]).unwrap();
    let error = recover(&data, false).unwrap_err();
    assert!(matches!(error, BackupError::LogLost { .. }), "{error}");

    Journal::open(&heads).unwrap().retire(other.record.origin.as_str()).unwrap();
    assert_eq!(recover(&data, false).unwrap().logs.len(), 1, "of a retired log nothing is signed");
}

#[test]
fn without_a_journal_a_write_ahead_log_is_cut_only_by_who_accepts_it() {
    let (mut data, engine) = Data::new();
    corrupt_wal(&mut data, engine, flip_entry);
    let error = recover(&data, false).unwrap_err();
    assert!(matches!(error, BackupError::JournalMissing { .. }), "{error}");
    assert!(error.to_string().contains("--heads-dir"), "{error}");
    assert_eq!(recover(&data, true).unwrap().logs[0].seen, 330);
}

#[test]
fn a_retired_log_is_marked_in_journal_and_store() {
    let (data, engine) = Data::new();
    drop(engine);
    let (options, heads) = (RocksOptions::default(), data.path("heads"));
    let name = data.planner.record.name.clone();
    for _ in 0..2 {
        let report = retire(&data.data(), &heads, &name, &options).unwrap();
        assert_eq!((report.log, report.size), (name.clone(), 300));
    }
    let engine = open(&data.data().join(DB));
    assert_eq!(engine.logs().unwrap()[0].state, LogState::Retired);
    let journal = journal::read_heads(&heads).unwrap().unwrap();
    assert!(journal.values().all(|head| head.retired));
    drop(engine);
    let unknown = LogName::new("nobody").unwrap();
    let error = retire(&data.data(), &heads, &unknown, &options).unwrap_err();
    assert_eq!(error.to_string(), "no log named nobody");
}

#[test]
fn the_secrets_of_audit_logs_are_in_a_backup_that_was_asked_for_them() {
    for (secrets, missing) in [(Secrets::Take, 0), (Secrets::Leave, 1)] {
        let (data, engine) = Data::new();
        let mut audit = Planner::audit(2);
        commit(&engine, &[audit.create()]);
        let (secret, name) = (SECRET, "log-2.audit");
        fs::write(data.data().join(KEYS).join(name), secret).unwrap();
        let written = write(&engine, &data.data(), &data.path("backup"), secrets).unwrap();
        assert_eq!(written.without_secret.len(), missing);
        let says =
            |warning: String| warning.contains("log-2") && warning.contains("--with-secrets");
        assert_eq!(written.warning().map(says), (missing == 1).then_some(true));
        drop(engine);
        assert!(!data.path("backup").join(KEYS).join("log-1").exists(), "no private key");
        let restored = data.restore(None).unwrap();
        assert_eq!(restored.without_secret.len(), missing);
        let found = fs::read(data.path("restored").join(KEYS).join(name)).ok();
        assert_eq!(found.as_deref(), (missing == 0).then_some(&secret[..]));
    }
}

#[test]
fn a_secret_that_is_there_is_not_replaced_by_a_restore() {
    let (data, engine) = Data::new();
    let name = "log-2.audit";
    fs::write(data.data().join(KEYS).join(name), [3; 32]).unwrap();
    write(&engine, &data.data(), &data.path("backup"), Secrets::Take).unwrap();
    drop(engine);
    let keys = data.path("restored").join(KEYS);
    fs::create_dir_all(&keys).unwrap();
    fs::write(keys.join(name), [4; 32]).unwrap();
    data.restore(None).unwrap();
    assert_eq!(fs::read(keys.join(name)).unwrap(), [4; 32]);
}

/// A file with another secret is as good as none.
#[test]
fn a_backup_and_a_restore_look_at_what_the_secret_is() {
    let (data, engine) = Data::new();
    let mut audit = Planner::audit(2);
    commit(&engine, &[audit.create()]);
    let secret = data.data().join(KEYS).join("log-2.audit");
    for (number, wrong) in
        [&[4; 32][..], &SECRET[..31], &[&SECRET[..], &[7]].concat()].into_iter().enumerate()
    {
        fs::write(&secret, wrong).unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        let out = data.path(&format!("wrong-{number}"));
        let written = write(&engine, &data.data(), &out, Secrets::Take).unwrap();
        assert_eq!(written.without_secret.len(), 1, "{number}");
    }
    fs::write(&secret, SECRET).unwrap();
    let written = write(&engine, &data.data(), &data.path("backup"), Secrets::Take).unwrap();
    assert_eq!(written.without_secret, []);
    drop(engine);
    let keys = data.path("restored").join(KEYS);
    fs::create_dir_all(&keys).unwrap();
    fs::write(keys.join("log-2.audit"), [4; 32]).unwrap();
    fs::set_permissions(keys.join("log-2.audit"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(data.restore(None).unwrap().without_secret.len(), 1, "another one is there");
}
