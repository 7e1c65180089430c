//! What a call must pass before it may wait: limits, then leaf hashes, in the caller's own task.

use merkle::leaf_hashes;
use tokio::sync::oneshot;

use super::Append;
use super::queue::{Call, PreparedEntry, Ticket};
use crate::error::{AppendError, EntryRefusal};
use crate::types::{
    CALL_BYTES_MAX, CALL_ENTRIES_MAX, Committed, DEDUP_KEY_BYTES_MAX, ENTRY_BYTES_MAX, NewEntry,
    Submission,
};
use storage::{DedupId, StoredEntry, check_attachments};

impl Append {
    /// Queues a call and waits until it is durable.
    pub(crate) async fn append(&self, submission: Submission) -> Result<Committed, AppendError> {
        self.may_append_plain()?;
        let bytes = check_call(&submission.entries)?;
        let entries = prepare(submission.entries, self.line.record.deduplicate_entries);
        let (answer, answered) = oneshot::channel();
        let producer = submission.producer;
        self.submit(Ticket::Append(Call { entries, bytes, producer, answer }))?;
        // The committer answers every ticket. It drops one only when the process ends.
        answered.await.unwrap_or(Err(AppendError::OutcomeUnknown))
    }
}

pub(super) fn check_count(entries: usize) -> Result<(), AppendError> {
    match entries {
        0 => Err(AppendError::EmptyBatch),
        1..=CALL_ENTRIES_MAX => Ok(()),
        _ => Err(AppendError::TooManyEntries { entries }),
    }
}

/// The bytes of a call within its limits.
fn check_call(entries: &[NewEntry]) -> Result<usize, AppendError> {
    check_count(entries.len())?;
    let bytes = entries.iter().map(NewEntry::bytes).sum();
    // If the call has one entry and that is too long, the entry is refused, not the call.
    let is_lone = entries.len() == 1 && entries[0].attachments.is_empty();
    if !is_lone && bytes > CALL_BYTES_MAX {
        return Err(AppendError::TooManyBytes { bytes });
    }
    Ok(bytes)
}

fn prepare(
    entries: Vec<NewEntry>,
    deduplicate_entries: bool,
) -> Vec<Result<PreparedEntry, EntryRefusal>> {
    let data: Vec<&[u8]> = entries.iter().map(hashable).collect();
    let leaves = leaf_hashes(&data);
    let prepare = |(new, leaf): (NewEntry, merkle::Hash)| {
        check_entry(&new, deduplicate_entries)?;
        let dedup = match &new.dedup {
            Some(key) => Some(key.id()),
            None => deduplicate_entries.then(|| DedupId::of_leaf(&leaf)),
        };
        let NewEntry { data, dedup: key, digest, attachments } = new;
        let entry = StoredEntry { dedup: key, data, attachments };
        Ok(PreparedEntry { entry, leaf, dedup, digest })
    };
    entries.into_iter().zip(leaves).map(prepare).collect()
}

/// An entry that will be refused is not hashed.
fn hashable(entry: &NewEntry) -> &[u8] {
    if entry.data.len() > ENTRY_BYTES_MAX { &[] } else { &entry.data }
}

fn check_entry(entry: &NewEntry, deduplicate_entries: bool) -> Result<(), EntryRefusal> {
    let bytes = entry.data.len();
    if bytes == 0 {
        return Err(EntryRefusal::Empty);
    }
    if bytes > ENTRY_BYTES_MAX {
        return Err(EntryRefusal::TooLarge { bytes });
    }
    check_attachments(&entry.attachments)?;
    let Some(key) = &entry.dedup else {
        return if entry.digest.is_some() { Err(EntryRefusal::DigestWithoutKey) } else { Ok(()) };
    };
    if deduplicate_entries {
        return Err(EntryRefusal::DedupKeyNotTaken);
    }
    let bytes = key.key.len();
    if bytes == 0 || bytes > DEDUP_KEY_BYTES_MAX {
        return Err(EntryRefusal::BadDedupKey { bytes });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use storage::{Attachment, BadAttachments, ContentDigest, DedupKey, Scope};

    fn entry(bytes: usize, key: Option<usize>) -> NewEntry {
        let key = key.map(|len| DedupKey { scope: Scope::ANONYMOUS, key: vec![7; len].into() });
        NewEntry::new(Bytes::from(vec![1; bytes]), key)
    }

    fn attached(lens: &[usize]) -> NewEntry {
        let attachment =
            |(kind, len): (u8, &usize)| Attachment { kind, key_id: 0, bytes: vec![2; *len].into() };
        NewEntry { attachments: (0..).zip(lens).map(attachment).collect(), ..entry(1, None) }
    }

    #[test]
    fn calls_are_bounded_by_entries_and_bytes() {
        assert!(matches!(check_call(&[]), Err(AppendError::EmptyBatch)));
        let mut entries = vec![entry(1, None); CALL_ENTRIES_MAX];
        assert_eq!(check_call(&entries).unwrap(), CALL_ENTRIES_MAX);
        entries.push(entry(1, None));
        assert!(matches!(check_call(&entries), Err(AppendError::TooManyEntries { .. })));
        let mut entries = vec![entry(CALL_BYTES_MAX / 256, None); 256];
        assert_eq!(check_call(&entries).unwrap(), CALL_BYTES_MAX);
        entries.push(entry(1, None));
        assert!(matches!(check_call(&entries), Err(AppendError::TooManyBytes { .. })));
    }

    #[test]
    fn attachments_count_as_bytes_of_a_call() {
        assert_eq!(check_call(&[attached(&[10, 20]), entry(5, None)]).unwrap(), 36);
        let half = CALL_BYTES_MAX / 2;
        assert_eq!(check_call(&[attached(&[half, half - 1])]).unwrap(), CALL_BYTES_MAX);
        let over = check_call(&[attached(&[half, half])]);
        assert!(matches!(over, Err(AppendError::TooManyBytes { .. })), "{over:?}");
    }

    #[test]
    fn attachments_are_bounded_and_refused_with_their_entry_alone() {
        let longest = Attachment::LEN_MAX;
        let digest = Some(ContentDigest([1; 32]));
        let entries = vec![
            attached(&[longest]),
            attached(&[longest + 1]),
            attached(&[1; Attachment::COUNT_MAX]),
            attached(&[1; Attachment::COUNT_MAX + 1]),
            NewEntry { digest, ..entry(1, Some(1)) },
            NewEntry { digest, ..entry(1, None) },
        ];
        let refusals: Vec<_> = prepare(entries, false).into_iter().map(Result::err).collect();
        let count = Attachment::COUNT_MAX + 1;
        let expected = [
            None,
            Some(BadAttachments::Length { kind: 0, bytes: longest + 1 }.into()),
            None,
            Some(BadAttachments::TooMany { count }.into()),
            None,
            Some(EntryRefusal::DigestWithoutKey),
        ];
        assert_eq!(refusals, expected);
    }

    #[test]
    fn entries_are_bounded_and_refused_one_by_one() {
        let entries = vec![
            entry(1, None),
            entry(0, None),
            entry(ENTRY_BYTES_MAX, Some(DEDUP_KEY_BYTES_MAX)),
            entry(ENTRY_BYTES_MAX + 1, None),
            entry(1, Some(0)),
            entry(1, Some(DEDUP_KEY_BYTES_MAX + 1)),
        ];
        let refusals: Vec<_> = prepare(entries, false).into_iter().map(Result::err).collect();
        let expected = [
            None,
            Some(EntryRefusal::Empty),
            None,
            Some(EntryRefusal::TooLarge { bytes: ENTRY_BYTES_MAX + 1 }),
            Some(EntryRefusal::BadDedupKey { bytes: 0 }),
            Some(EntryRefusal::BadDedupKey { bytes: DEDUP_KEY_BYTES_MAX + 1 }),
        ];
        assert_eq!(refusals, expected);
    }

    #[test]
    fn a_deduplicating_log_takes_the_leaf_hash_as_key_and_no_other() {
        let prepared = prepare(vec![entry(3, None), entry(3, Some(1))], true);
        let first = prepared[0].as_ref().unwrap();
        assert_eq!(first.dedup, Some(DedupId::of_leaf(&merkle::leaf_hash(&[1; 3]))));
        assert_eq!(prepared[1].as_ref().unwrap_err(), &EntryRefusal::DedupKeyNotTaken);
    }
}
