//! What this witness knows of each log, its own cosigned head or heard of. Pure: no I/O and no clock.
//!
//! For each log that is configured there is at most one newest head, proven to continue the ones before
//! it, and a few that could not be compared with it yet. Whatever is said, the memory is bounded by the
//! number of configured logs.

use std::collections::{BTreeMap, HashSet};
use std::ops::{Bound, RangeBounds};
use std::time::Duration;

use formats::{Origin, SignedCheckpoint};
use merkle::{Hash, TreeSize};

use super::head::Head;
use crate::witness::{OriginHash, origin_hash};

/// Heads of one log that wait for a proof. A log that keeps to one history rarely has two.
pub(super) const PENDING_MAX: usize = 4;
/// The longest pause between two attempts to compare a head.
const PAUSE_MAX: Duration = Duration::from_mins(1);

/// The newest head of a log that is believed to be of its one history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Newest {
    /// What this witness cosigned; the store has the note.
    Held(TreeSize, Hash),
    /// A newer one, heard of, and proven by the log's tiles.
    Heard(Head),
}

impl Newest {
    pub(super) fn size(&self) -> TreeSize {
        match self {
            Self::Held(size, _) => *size,
            Self::Heard(head) => head.size(),
        }
    }

    pub(super) fn root(&self) -> &Hash {
        match self {
            Self::Held(_, root) => root,
            Self::Heard(head) => head.root(),
        }
    }
}

/// What became of a head that was offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Offered {
    /// No log of that name is configured.
    UnknownLog,
    /// It is the newest one, or says nothing.
    Known,
    /// It must be compared with the newest one; `suspect`: that has failed for long.
    Pending { suspect: bool },
    /// Too many of its log wait already.
    Dropped,
    /// It contradicts itself.
    WrongEmptyRoot,
    /// It contradicts the newest one, or the one cosigned last, at one size.
    ContradictsNewest(Newest),
    /// It contradicts another that waits, at one size.
    ContradictsPending(Head),
    /// There is evidence against its log already.
    Convicted,
}

/// A head that waits for a proof, and what to compare it with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) origin: Origin,
    pub(super) newest: Newest,
    pub(super) head: Head,
}

#[derive(Debug)]
struct Log {
    origin: Origin,
    /// The last cosigned head that was taken over.
    held: Option<(TreeSize, Hash)>,
    newest: Option<Newest>,
    pending: Vec<Pending>,
    /// There is evidence against it, whether it is trusted again or not.
    has_evidence: bool,
    distrusted: bool,
}

#[derive(Debug)]
struct Pending {
    head: Head,
    since: Duration,
    tries: u32,
    next_try: Duration,
    suspect: bool,
}

/// What is known of all logs. Times are those of one clock that never steps back.
#[derive(Debug, Default)]
pub(super) struct Book {
    logs: BTreeMap<OriginHash, Log>,
}

/// One log as others are told of it.
#[derive(Debug)]
pub(super) struct Told<'b> {
    pub(super) hash: &'b OriginHash,
    pub(super) origin: &'b Origin,
    pub(super) newest: Option<&'b Newest>,
    pub(super) pending: Vec<&'b Head>,
    pub(super) has_evidence: bool,
}

impl Book {
    /// Follows the configuration: other logs are forgotten, new ones are known without a head.
    pub(super) fn keep(&mut self, origins: Vec<Origin>) {
        let known: HashSet<&Origin> = origins.iter().collect();
        self.logs.retain(|_, log| known.contains(&log.origin));
        if self.logs.len() == origins.len() {
            return;
        }
        for origin in origins {
            self.logs.entry(origin_hash(&origin)).or_insert_with(|| Log::new(origin));
        }
    }

    /// Takes over what was cosigned. `None` if the book has it, or if it follows from what the book had;
    /// else the head must be offered, as one from elsewhere.
    pub(super) fn held(&mut self, origin: &Origin, size: TreeSize, root: Hash) -> Option<()> {
        let log = self.logs.get_mut(&origin_hash(origin))?;
        if log.held.replace((size, root)) == Some((size, root)) {
            return None;
        }
        match &log.newest {
            Some(Newest::Heard(heard)) if heard.is(size, &root) => {}
            // Heard of by others, and not what was cosigned just now.
            Some(Newest::Heard(_)) => return Some(()),
            Some(Newest::Held(..)) | None => {}
        }
        log.newest = Some(Newest::Held(size, root));
        log.pending.retain(|pending| !pending.head.is(size, &root));
        // One that waits with another root for this size needs no proof any more.
        for pending in log.pending.iter_mut().filter(|pending| pending.head.size() == size) {
            pending.next_try = Duration::ZERO;
        }
        None
    }

    /// Whether there is evidence against a log, and whether its keys are out of use.
    pub(super) fn convict(&mut self, origin: &Origin, distrusted: bool) {
        if let Some(log) = self.logs.get_mut(&origin_hash(origin)) {
            (log.has_evidence, log.distrusted) = (true, distrusted);
            if distrusted {
                log.pending.clear();
            }
        }
    }

    /// Compares a head, its signature verified, with what is known.
    pub(super) fn offer(&mut self, origin: &Origin, head: Head, now: Duration) -> Offered {
        let Some(log) = self.logs.get_mut(&origin_hash(origin)) else {
            return Offered::UnknownLog;
        };
        if log.distrusted {
            return Offered::Convicted;
        }
        if head.size() == TreeSize::ZERO {
            let empty = *head.root() == Hash::EMPTY_ROOT;
            return if empty { Offered::Known } else { Offered::WrongEmptyRoot };
        }
        log.offer(head, now)
    }

    /// The heads whose next attempt is due.
    pub(super) fn due(&self, now: Duration) -> Vec<Due> {
        let due = self.logs.values().flat_map(|log| {
            let pending = log.pending.iter().filter(move |pending| pending.next_try <= now);
            let newest = log.newest.iter();
            pending
                .flat_map(move |pending| newest.clone().map(move |newest| (log, newest, pending)))
        });
        due.map(|(log, newest, pending)| Due {
            origin: log.origin.clone(),
            newest: newest.clone(),
            head: pending.head.clone(),
        })
        .collect()
    }

    /// A head and the newest one it was compared with are of one history: the larger is the newest.
    pub(super) fn consistent(&mut self, due: Due) {
        let Some(log) = self.logs.get_mut(&origin_hash(&due.origin)) else { return };
        // Another became the newest meanwhile: the comparison is made again.
        if log.newest.as_ref() != Some(&due.newest) {
            return;
        }
        log.pending.retain(|pending| pending.head != due.head);
        if due.head.size() > due.newest.size() {
            log.newest = Some(match log.held {
                Some((size, root)) if due.head.is(size, &root) => Newest::Held(size, root),
                _ => Newest::Heard(due.head),
            });
        }
    }

    /// A head could not be compared. `true` if its log is a suspect from now on. Without `suspect_after`
    /// nobody could be asked, and nobody is one.
    pub(super) fn unproven(
        &mut self,
        due: &Due,
        now: Duration,
        suspect_after: Option<Duration>,
    ) -> bool {
        let log = self.logs.get_mut(&origin_hash(&due.origin));
        let pending =
            log.and_then(|log| log.pending.iter_mut().find(|pending| pending.head == due.head));
        let Some(pending) = pending else { return false };
        pending.tries = pending.tries.saturating_add(1);
        let pause = Duration::from_secs(1) * (1 << pending.tries.min(6));
        pending.next_try = now + pause.min(PAUSE_MAX);
        let waited = now.saturating_sub(pending.since);
        let becomes = !pending.suspect && suspect_after.is_some_and(|after| waited >= after);
        pending.suspect |= becomes;
        becomes
    }

    /// What is known of the logs whose hashes lie in a range, in their order.
    pub(super) fn told(
        &self,
        range: impl RangeBounds<OriginHash>,
    ) -> impl Iterator<Item = Told<'_>> {
        self.logs.range(range).map(|(hash, log)| log.told(hash))
    }

    /// What is known of one log.
    pub(super) fn log(&self, hash: &OriginHash) -> Option<Told<'_>> {
        self.logs.get_key_value(hash).map(|(hash, log)| log.told(hash))
    }

    /// Heads that wait, and logs that are suspects.
    pub(super) fn counts(&self) -> (usize, usize) {
        let pending = self.logs.values().map(|log| log.pending.len()).sum();
        let suspect = |log: &&Log| log.pending.iter().any(|pending| pending.suspect);
        (pending, self.logs.values().filter(suspect).count())
    }
}

/// The hashes from `start` up to `end`; `None` is the beginning, or the end.
pub(super) fn range(
    start: Option<OriginHash>,
    end: Option<OriginHash>,
) -> (Bound<OriginHash>, Bound<OriginHash>) {
    (start.map_or(Bound::Unbounded, Bound::Included), end.map_or(Bound::Unbounded, Bound::Excluded))
}

impl Log {
    fn new(origin: Origin) -> Self {
        let (held, newest, pending) = (None, None, Vec::new());
        Self { origin, held, newest, pending, has_evidence: false, distrusted: false }
    }

    fn offer(&mut self, head: Head, now: Duration) -> Offered {
        let Some(newest) = &self.newest else {
            self.newest = Some(Newest::Heard(head));
            return Offered::Known;
        };
        if head.is(newest.size(), newest.root()) {
            return Offered::Known;
        }
        if head.size() == newest.size() {
            return Offered::ContradictsNewest(newest.clone());
        }
        // What was cosigned may itself wait for a proof, or find no room to.
        if let Some((size, root)) = self.held
            && head.size() == size
            && *head.root() != root
        {
            return Offered::ContradictsNewest(Newest::Held(size, root));
        }
        if newest.size() == TreeSize::ZERO {
            // Everything continues the empty tree.
            self.newest = Some(Newest::Heard(head));
            return Offered::Known;
        }
        let same_size = self.pending.iter().find(|found| found.head.size() == head.size());
        if let Some(found) = same_size {
            if found.head.root() == head.root() {
                return Offered::Pending { suspect: found.suspect };
            }
            return Offered::ContradictsPending(found.head.clone());
        }
        if self.pending.len() >= PENDING_MAX {
            return Offered::Dropped;
        }
        let (since, next_try) = (now, now);
        self.pending.push(Pending { head, since, tries: 0, next_try, suspect: false });
        Offered::Pending { suspect: false }
    }

    fn told<'b>(&'b self, hash: &'b OriginHash) -> Told<'b> {
        Told {
            hash,
            origin: &self.origin,
            newest: self.newest.as_ref(),
            pending: self.pending.iter().map(|pending| &pending.head).collect(),
            has_evidence: self.has_evidence,
        }
    }
}

/// Whether evidence says more than what the operator knew when they trusted a log again: it has a head
/// larger than all of the evidence held.
pub(super) fn says_more(found: &formats::Evidence, forgiven: &formats::Evidence) -> bool {
    let largest = |evidence: &formats::Evidence| {
        evidence.second().map_or_else(|| evidence.first().size(), SignedCheckpoint::size)
    };
    largest(found) > largest(forgiven)
}

#[cfg(test)]
mod tests {
    use formats::{Checkpoint, KeyName, PrivateKey, Timestamp, sign};

    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn origin() -> Origin {
        Origin::new("example.com/log").unwrap()
    }

    fn size(size: u64) -> TreeSize {
        TreeSize::new(size).unwrap()
    }

    fn root(text: &str) -> Hash {
        merkle::leaf_hash(text.as_bytes())
    }

    fn head(at: u64, root: Hash) -> Head {
        let key = PrivateKey::ed25519(KeyName::new("example.com/log").unwrap(), &[1; 32]);
        let head = Checkpoint::new(origin(), size(at), root);
        let note = sign(&head, &[&key], Timestamp::ZERO).unwrap();
        let signed = SignedCheckpoint::parse(&note).unwrap();
        Head::of(&signed.verify(&[key.verifier_key()]).unwrap())
    }

    /// A book of one log, of which size 9 was cosigned.
    fn book() -> Book {
        let mut book = Book::default();
        book.keep(vec![origin()]);
        assert_eq!(book.held(&origin(), size(9), root("9")), None);
        book
    }

    fn newest(book: &Book) -> Newest {
        book.log(&origin_hash(&origin())).unwrap().newest.cloned().unwrap()
    }

    #[test]
    fn what_is_known_says_nothing_and_another_root_contradicts() {
        let mut book = book();
        assert_eq!(book.offer(&origin(), head(9, root("9")), NOW), Offered::Known);
        let held = Newest::Held(size(9), root("9"));
        let contradicts = book.offer(&origin(), head(9, root("other")), NOW);
        assert_eq!(contradicts, Offered::ContradictsNewest(held));
        assert_eq!(book.offer(&origin(), head(0, Hash::EMPTY_ROOT), NOW), Offered::Known);
        assert_eq!(book.offer(&origin(), head(0, root("x")), NOW), Offered::WrongEmptyRoot);
        let other = Origin::new("example.com/other").unwrap();
        assert_eq!(book.offer(&other, head(9, root("9")), NOW), Offered::UnknownLog);
    }

    #[test]
    fn another_size_waits_within_bounds_until_it_is_compared() {
        let mut book = book();
        for at in 10..14 {
            let offered = book.offer(&origin(), head(at, root("x")), NOW);
            assert_eq!(offered, Offered::Pending { suspect: false });
        }
        assert_eq!(book.offer(&origin(), head(14, root("x")), NOW), Offered::Dropped);
        let contradicts = book.offer(&origin(), head(12, root("y")), NOW);
        assert_eq!(contradicts, Offered::ContradictsPending(head(12, root("x"))));
        let due = book.due(NOW);
        assert_eq!((due.len(), book.counts()), (PENDING_MAX, (PENDING_MAX, 0)));
        book.consistent(due[3].clone());
        assert_eq!(newest(&book), Newest::Heard(head(13, root("x"))));
        // What was compared with the one before is compared again.
        book.consistent(due[0].clone());
        assert_eq!(book.counts(), (3, 0));
        for due in book.due(NOW) {
            book.consistent(due);
        }
        assert_eq!((newest(&book).size(), book.counts()), (size(13), (0, 0)));
    }

    #[test]
    fn a_log_that_proves_nothing_becomes_a_suspect_once() {
        let mut book = book();
        book.offer(&origin(), head(12, root("x")), NOW);
        let due = book.due(NOW).remove(0);
        let after = Some(Duration::from_mins(1));
        assert!(!book.unproven(&due, NOW + Duration::from_secs(59), after));
        assert!(book.due(NOW + Duration::from_secs(59)).is_empty(), "the next attempt waits");
        // Where nobody could be asked, nobody is a suspect.
        assert!(!book.unproven(&due, NOW + Duration::from_mins(10), None));
        assert!(book.unproven(&due, NOW + Duration::from_mins(1), after));
        assert!(!book.unproven(&due, NOW + Duration::from_secs(61), after));
        let again = book.offer(&origin(), head(12, root("x")), NOW);
        assert_eq!((again, book.counts()), (Offered::Pending { suspect: true }, (1, 1)));
        let held = book.held(&origin(), size(10), root("10"));
        assert_eq!((held, newest(&book).size()), (None, size(10)), "nothing is frozen");
    }

    #[test]
    fn what_is_cosigned_after_something_newer_was_heard_is_compared_too() {
        let mut book = book();
        book.offer(&origin(), head(12, root("x")), NOW);
        let due = book.due(NOW).remove(0);
        book.consistent(due);
        assert_eq!(book.held(&origin(), size(12), root("x")), None);
        assert_eq!(newest(&book), Newest::Held(size(12), root("x")));
        book.offer(&origin(), head(20, root("y")), NOW);
        let due = book.due(NOW).remove(0);
        book.consistent(due);
        assert_eq!(book.held(&origin(), size(22), root("z")), Some(()));
    }

    #[test]
    fn another_root_for_what_was_cosigned_last_contradicts_whatever_is_the_newest() {
        let mut book = Book::default();
        book.keep(vec![origin()]);
        // Heard of before anything was cosigned, and nothing of it is proven.
        assert_eq!(book.offer(&origin(), head(100, root("100")), NOW), Offered::Known);
        for at in 101..105 {
            book.offer(&origin(), head(at, root("x")), NOW);
        }
        assert_eq!(book.held(&origin(), size(10), root("10")), Some(()));
        assert_eq!(book.offer(&origin(), head(10, root("10")), NOW), Offered::Dropped);
        let held = Newest::Held(size(10), root("10"));
        let contradicts = book.offer(&origin(), head(10, root("other")), NOW);
        assert_eq!(contradicts, Offered::ContradictsNewest(held));
    }

    #[test]
    fn what_waits_is_due_when_another_root_of_its_size_is_cosigned() {
        let mut book = book();
        book.offer(&origin(), head(10, root("other")), NOW);
        book.offer(&origin(), head(11, root("11")), NOW);
        for due in book.due(NOW) {
            book.unproven(&due, NOW, None);
        }
        assert_eq!(book.due(NOW), []);
        assert_eq!(book.held(&origin(), size(10), root("10")), None);
        let held = Newest::Held(size(10), root("10"));
        let due = Due { origin: origin(), newest: held, head: head(10, root("other")) };
        assert_eq!(book.due(NOW), [due]);
    }

    #[test]
    fn a_convicted_log_waits_for_nothing_and_a_forgotten_one_is_gone() {
        let mut book = book();
        book.offer(&origin(), head(12, root("x")), NOW);
        book.convict(&origin(), true);
        assert_eq!(book.counts(), (0, 0));
        assert_eq!(book.offer(&origin(), head(13, root("x")), NOW), Offered::Convicted);
        book.convict(&origin(), false);
        let trusted_again = book.offer(&origin(), head(13, root("x")), NOW);
        assert_eq!(trusted_again, Offered::Pending { suspect: false });
        book.keep(Vec::new());
        assert_eq!(book.told(..).count(), 0);
    }
}
