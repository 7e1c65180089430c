//! The texts that callers and operators read.

use merkle::{Hash, LeafIndex};

use super::*;
use storage::{BadAttachments, StorageError};

fn lines(errors: &[&dyn std::fmt::Display]) -> String {
    let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let text = text.join("\n");
    assert!(text.lines().all(|line| !line.ends_with('.') && !line.starts_with(char::is_uppercase)));
    text
}

#[test]
fn append_errors() {
    let source = Arc::new(StorageError::Poisoned);
    let retry_after = Duration::from_millis(50);
    let index = LeafIndex::new(7).unwrap();
    insta::assert_snapshot!(lines(&[
        &EntryRefusal::Empty,
        &EntryRefusal::TooLarge { bytes: 65_536 },
        &EntryRefusal::BadDedupKey { bytes: 65 },
        &EntryRefusal::DedupKeyNotTaken,
        &EntryRefusal::DigestWithoutKey,
        &EntryRefusal::NoRoomForTime { bytes: 11 },
        &EntryRefusal::TimeGiven,
        &EntryRefusal::BadAttachments(BadAttachments::TooMany { count: 17 }),
        &EntryRefusal::BadAttachments(BadAttachments::Length { kind: 7, bytes: 0 }),
        &EntryRefusal::BadAttachments(BadAttachments::Order { kind: 7 }),
        &EntryRefusal::DedupKeyConflict { index },
        &AppendError::EmptyBatch,
        &AppendError::TooManyEntries { entries: 10_001 },
        &AppendError::TooManyBytes { bytes: 8_388_609 },
        &AppendError::StreamEntryRefused { position: 3, refusal: EntryRefusal::Empty },
        &AppendError::SequenceGap { expected: 5, found: 7 },
        &AppendError::ProducerFenced,
        &AppendError::EventsOnly,
        &AppendError::EntriesOnly,
        &AppendError::AuditSecretMissing,
        &AppendError::Frozen,
        &AppendError::Retired,
        &AppendError::ReadOnly,
        &AppendError::RolledBack,
        &AppendError::WitnessesPending { retry_after },
        &AppendError::QueueFull { retry_after },
        &AppendError::DiskLow { free_bytes: 1, min_free_bytes: 2, retry_after },
        &AppendError::ShuttingDown,
        &AppendError::NotCommitted { source },
        &AppendError::OutcomeUnknown,
    ]), @r#"
    entry is empty
    entry has 65536 bytes, the limit is 65535
    deduplication key has 65 bytes, it must have 1 to 64
    entries of this log take no deduplication key: the entry itself is the key
    content digest without a deduplication key
    leaf has 11 bytes, too few to hold a time
    leaf holds a time already: only the log writes it
    entry has 17 attachments, the limit is 16
    attachment of kind 7 has 0 bytes, it must have 1 to 4194368
    attachment of kind 7 does not follow a lower kind
    deduplication key belongs to another entry, at index 7
    call has no entries
    call has 10001 entries, the limit is 10000
    call has 8388609 bytes of entries, the limit is 8388608
    entry 3 of a producer's stream is refused: entry is empty
    producer's next sequence is 5, the call starts at 7
    another stream was opened with this producer id
    an audit log takes events only
    a plain log takes no events
    the secret of this audit log is missing, or another one is there: it takes no events
    log is frozen
    log is retired: its operator declared data lost
    server is read-only
    a witness holds a newer head of this log: it was rolled back, and takes no entries
    too few witnesses have said what they hold of this log: no entries are taken yet
    queue is full, try again in 50 ms
    disk is low: 1 bytes free, 2 needed
    server is shutting down
    nothing was written: an earlier write failed and its outcome is unknown: restart to recover
    outcome unknown: the write failed, and may or may not be found after a restart
    "#);
}

#[test]
fn erase_errors() {
    let source = Arc::new(StorageError::Poisoned);
    let index = LeafIndex::new(7).unwrap();
    insta::assert_snapshot!(lines(&[
        &EraseError::NoTargets,
        &EraseError::TooManyTargets { targets: 1_001 },
        &EraseError::BeyondSize { index, size: size(7) },
        &EraseError::NotThere { index, kind: 3 },
        &EraseError::Repeated { index },
        &EraseError::Refused(EntryRefusal::TimeGiven),
        &EraseError::Append(AppendError::Frozen),
        &EraseError::Storage { source: Arc::clone(&source) },
        &EraseError::NotPurged { by: index, source },
    ]), @r"
    nothing is named that could be erased
    1001 entries are named, the limit is 1000
    entry 7 is beyond the committed size 7
    nothing of kind 3 lies beside entry 7
    the event that should state the erasure stands at index 7 already
    leaf holds a time already: only the log writes it
    log is frozen
    store cannot be read: an earlier write failed and its outcome is unknown: restart to recover
    entry 7 states the erasure, but files may still hold the bytes: an earlier write failed and its outcome is unknown: restart to recover
    ");
}

#[test]
fn signing_and_creating_errors() {
    let (wanted, committed) = (size(9), size(7));
    insta::assert_snapshot!(lines(&[
        &SignError::BeyondSize { wanted, committed },
        &SignError::JournalUnavailable,
        &SignError::KeyFailed,
        &SignError::Retired,
        &SignError::TooManyWaiting { retry_after: Duration::from_millis(50) },
        &SignError::ReadOnly,
        &SignError::ShuttingDown,
        &WitnessError::NoWitnessPolicy,
        &WitnessError::QuorumLost,
        &CreateError::BadName { name: "A".to_owned() },
        &CreateError::BadOrigin { origin: "a b".to_owned() },
        &CreateError::AuditDeduplicates,
        &CreateError::NameTaken { name: "a".to_owned() },
        &CreateError::OriginTaken { origin: "example.com/a".to_owned() },
        &CreateError::TooManyLogs { logs_max: 10 },
        &CreateError::ReadOnly,
        &CreateError::ShuttingDown,
        &CreateError::OutcomeUnknown,
        &CreateError::Sign(SignError::JournalUnavailable),
    ]), @r#"
    size 9 is beyond the committed size 7
    head journal cannot be written
    key could not sign
    log is retired and signs nothing
    too many callers wait for a signed head, try again in 50 ms
    server is read-only and signs nothing
    server is shutting down
    log has no witness policy
    the log's witnesses form no quorum
    bad log name "A": 1 to 64 characters of a-z, 0-9 and '-', not starting with '-'
    bad origin "a b": 1 to 255 bytes, no white space, no control character, no '+'
    an audit log does not deduplicate whole entries: an event is known by its source and id
    log a exists
    origin example.com/a was used on this server before and is never used again
    server has 10 logs, the most it takes
    server is read-only
    server is shutting down
    outcome unknown: the write failed, and may or may not be found after a restart
    log was created, but its first head was not signed: head journal cannot be written
    "#);
}

#[test]
fn start_errors() {
    let log = || "default".to_owned();
    let dir = || std::path::PathBuf::from("heads");
    let hash = Hash::EMPTY_ROOT;
    insta::assert_snapshot!(lines(&[
        &StartError::JournalAhead { log: log(), journal: size(9), store: size(7) },
        &StartError::JournalFork { log: log(), size: size(7), journal: hash, store: hash },
        &StartError::UnknownOrigin { origin_hash: hash },
        &StartError::JournalMissing { heads_dir: dir() },
        &StartError::JournalLacksLog { log: log() },
        &StartError::KeysWithoutStore { keys_dir: dir() },
        &StartError::JournalWithoutStore { heads_dir: dir() },
        &StartError::Damaged { log: log(), what: Damage::Tile { level: 1, index: 2 } },
        &StartError::Damaged { log: log(), what: Damage::TileMissing { level: 1, index: 2 } },
        &StartError::Damaged { log: log(), what: Damage::EntryMissing { index: 2 } },
        &StartError::Damaged { log: log(), what: Damage::NoTime { index: 2 } },
        &StartError::Damaged { log: log(), what: Damage::Head { size: 2 } },
        &StartError::Damaged { log: log(), what: Damage::HeadMissing },
        &StartError::Damaged { log: log(), what: Damage::Archive { size: 2 } },
        &StartError::NothingSigned { log: log() },
        &StartError::WitnessAhead {
            log: log(),
            witness: "w".to_owned(),
            signed: size(9),
            store: size(7),
            evidence: "evidence/w".to_owned(),
        },
        &StartError::WitnessFork {
            log: log(),
            witness: "w".to_owned(),
            evidence: "evidence/w".to_owned(),
        },
        &StartError::WitnessClaims {
            log: log(),
            witness: "w".to_owned(),
            claimed: size(9),
            store: size(7),
        },
        &StartError::LogsMaxTooHigh { found: 16_385, max: 16_384 },
        &StartError::LimitTooLow { name: "batch_entries_max", found: 1, min: 2 },
    ]), @r#"
    log default: the journal holds a head of size 9 signed by this server, the store ends at size 7: restore newer data, or retire the log, or serve it with --read-only
    log default: at size 7 the journal holds the signed root e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 and the store has root e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855: restore the data that was signed, or retire the log, or serve it with --read-only
    the journal holds signed heads of a log that the store does not have (origin hash e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855): restore newer data, or serve it with --read-only
    the store holds logs but heads has no journal of signed heads: bring it back, or accept that a rollback could go unnoticed with --adopt-journal
    log default has entries but the journal has no head of it: bring the journal back, or use --adopt-journal
    keys are in heads but the store is empty: restore the store
    the journal in heads holds signed heads but the store is empty: restore the store
    log default: tile 1/2 does not match the level below it; run `cairn-server fsck`
    log default: tile 1/2 is missing; run `cairn-server fsck`
    log default: entry 2 is missing; run `cairn-server fsck`
    log default: entry 2 of an audit log is too short to hold a time; run `cairn-server fsck`
    log default: head row of size 2 does not match the tree; run `cairn-server fsck`
    log default: head row is missing; run `cairn-server fsck`
    log default: archived checkpoint of size 2 does not match the tree; run `cairn-server fsck`
    log default has no archived checkpoint, so nothing of it can be served read-only
    log default: the witness w holds a checkpoint of size 9 signed by this log, the store ends at size 7; the checkpoint is in evidence/w: restore newer data, or retire the log, or serve it with --read-only
    log default: the witness w holds a checkpoint signed by this log whose root the store does not have; the checkpoint is in evidence/w: restore the data that was signed, or retire the log, or serve it with --read-only
    log default: the witness w claims to hold size 9, the store ends at size 7, and it shows no checkpoint: restore newer data, or retire the log, or serve it with --read-only, or do not believe this witness with --distrust-witness w
    logs_max is 16385, it must be at most 16384: the heads of all logs must fit into one group of the head journal; lower it, or run more servers
    batch_entries_max is 1, it must be at least 2, as a call is never split
    "#);
}

#[test]
fn follow_errors() {
    use crate::follow::FollowError;
    use crate::read::ReadError;
    let start = LeafIndex::new(7).unwrap();
    let own = std::io::Error::other("no such folder");
    insta::assert_snapshot!(lines(&[
        &FollowError::Read(ReadError::NeedsDisk),
        &FollowError::Storage(StorageError::Poisoned),
        &FollowError::Own { kind: "cannot write", source: own.into() },
        &FollowError::Astray { cursor: size(7), start, end: size(9) },
    ]), @r"
    log cannot be read: read needs the disk
    an earlier write failed and its outcome is unknown: restart to recover
    cannot write: no such folder
    cursor is 7 after entries from 7 to below 9
    ");
}
