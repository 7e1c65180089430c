//! What this witness knows about each log: heads it cosigned, and heads it heard of. Pure: no I/O, no
//! clock.
//!
//! For each configured log the book keeps one newest head, proven to continue the ones before it, and a
//! few heads that could not be compared with it yet. So the number of configured logs bounds the memory,
//! whatever anyone says.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::ops::{Bound, RangeBounds};
use std::time::Duration;

use base::backoff::Backoff;
use formats::{Origin, OriginHash, SignedCheckpoint};
use merkle::{Hash, TreeSize};

use super::head::Head;

/// Heads of one log that wait for a proof, beside one that was the newest head before another one was
/// cosigned. A log with one history rarely has two.
pub(super) const PENDING_MAX: usize = 4;
/// Heads of one log that are remembered as proven, 40 bytes each. Peers that are behind name them again,
/// and nobody fetches a second proof.
const SETTLED_MAX: usize = 8;
/// A head that waits for longer may never be compared here, even where no attempt has ended yet.
const STUCK_AFTER: Duration = Duration::from_secs(1);
/// The shortest and the longest pause between two attempts to compare a head.
const PAUSE_MIN: Duration = Duration::from_secs(2);
const PAUSE_MAX: Duration = Duration::from_mins(1);

/// A head as the book keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// This witness cosigned it; the store has the note.
    Held(TreeSize, Hash),
    /// It came from elsewhere.
    Heard(Head),
}

impl Kept {
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
    /// It is the newest head, or adds nothing to it.
    Known,
    /// It has to be compared with the newest head; `suspect`: nobody could for long.
    Pending { suspect: bool },
    /// Too many heads of its log wait already.
    Dropped,
    /// It contradicts itself.
    WrongEmptyRoot,
    /// It contradicts a head of its own size: the newest one, or the one that was cosigned last.
    ContradictsNewest(Kept),
    /// It contradicts a head of its own size that waits.
    ContradictsPending(Head),
    /// Its log is distrusted. The book knows nothing of that: its caller does not even ask.
    Convicted,
}

/// A head that waits for a proof, and the heads to compare it with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) origin: Origin,
    pub(super) newest: Kept,
    pub(super) head: Head,
    /// Smaller heads that wait too. If the tiles of `newest` are out of reach, those of `head` may still
    /// contradict one of these.
    pub(super) smaller: Vec<Head>,
}

#[derive(Debug)]
struct Log {
    origin: Origin,
    /// The last cosigned head that the book has seen.
    held: Option<(TreeSize, Hash)>,
    newest: Option<Kept>,
    /// In the order of their arrival; at most [`PENDING_MAX`] and one.
    pending: Vec<Pending>,
    /// Heads that the newest one continues, the oldest first.
    settled: VecDeque<(TreeSize, Hash)>,
}

#[derive(Debug)]
struct Pending {
    head: Head,
    since: Duration,
    backoff: Backoff,
    next_try: Duration,
    /// An address of the log was asked for a proof.
    asked: bool,
    suspect: bool,
}

impl Pending {
    fn new(head: Head, now: Duration) -> Self {
        let (since, next_try) = (now, now);
        let backoff = Backoff::new(PAUSE_MIN, PAUSE_MAX);
        Self { head, since, backoff, next_try, asked: false, suspect: false }
    }
}

/// What is known about all logs. Times are those of one clock that never steps back.
#[derive(Debug, Default)]
pub(super) struct Book {
    logs: BTreeMap<OriginHash, Log>,
}

/// One log as the book shows it to others.
#[derive(Debug)]
pub(super) struct Told<'b> {
    pub(super) hash: &'b OriginHash,
    pub(super) origin: &'b Origin,
    pub(super) newest: Option<&'b Kept>,
    pub(super) pending: Vec<&'b Head>,
    /// A head waits that this witness could not compare. Somebody else may be able to, and needs all
    /// heads of the log for it, the newest one included.
    pub(super) stuck: bool,
}

impl Book {
    /// Follows the configuration: forgets logs that are gone, and adds new ones without a head.
    pub(super) fn keep(&mut self, origins: Vec<Origin>) {
        let known: HashSet<&Origin> = origins.iter().collect();
        self.logs.retain(|_, log| known.contains(&log.origin));
        if self.logs.len() == origins.len() {
            return;
        }
        for origin in origins {
            self.logs.entry(origin.sha256()).or_insert_with(|| Log::new(origin));
        }
    }

    /// Takes over the head that was cosigned last.
    pub(super) fn held(&mut self, origin: &Origin, size: TreeSize, root: Hash, now: Duration) {
        if let Some(log) = self.logs.get_mut(&origin.sha256()) {
            log.held(size, root, now);
        }
    }

    /// Forgets the heads of a log that wait: it was convicted.
    pub(super) fn stop_waiting(&mut self, origin: &Origin) {
        if let Some(log) = self.logs.get_mut(&origin.sha256()) {
            log.pending.clear();
        }
    }

    /// Compares a head, whose signature is verified, with what is known.
    pub(super) fn offer(&mut self, origin: &Origin, head: Head, now: Duration) -> Offered {
        let Some(log) = self.logs.get_mut(&origin.sha256()) else {
            return Offered::UnknownLog;
        };
        if head.size() == TreeSize::ZERO {
            let empty = *head.root() == Hash::EMPTY_ROOT;
            return if empty { Offered::Known } else { Offered::WrongEmptyRoot };
        }
        log.offer(head, now)
    }

    /// The heads whose next attempt is due, of at most `room` logs that are not `busy`.
    pub(super) fn due(
        &self,
        now: Duration,
        busy: &HashSet<Origin>,
        room: usize,
    ) -> Vec<(Origin, Vec<Due>)> {
        let idle = self.logs.values().filter(|log| !busy.contains(&log.origin));
        let due = idle.map(|log| (log, log.due(now))).filter(|(_, due)| !due.is_empty());
        due.map(|(log, due)| (log.origin.clone(), due)).take(room).collect()
    }

    /// A head and the newest one it was compared with are of one history: the larger is the newest.
    pub(super) fn consistent(&mut self, due: Due) {
        if let Some(log) = self.logs.get_mut(&due.origin.sha256()) {
            log.consistent(&due.newest, due.head);
        }
    }

    /// A head could not be compared; `asked`: with an address of its log, which gave no proof. `true` if
    /// the log is a suspect from now on.
    ///
    /// Without an address only a head that is larger than the newest one makes a suspect. A smaller one may
    /// just be an old head that nobody here ever saw.
    pub(super) fn unproven(
        &mut self,
        due: &Due,
        now: Duration,
        suspect_after: Duration,
        asked: bool,
    ) -> bool {
        let log = self.logs.get_mut(&due.origin.sha256());
        let pending =
            log.and_then(|log| log.pending.iter_mut().find(|pending| pending.head == due.head));
        let Some(pending) = pending else { return false };
        pending.asked |= asked;
        pending.next_try = now + pending.backoff.failed();
        let waited = now.saturating_sub(pending.since);
        let counts = asked || due.head.size() > due.newest.size();
        let becomes = !pending.suspect && counts && waited >= suspect_after;
        pending.suspect |= becomes;
        becomes
    }

    /// What is known about the logs whose hashes lie in a range, in their order.
    pub(super) fn told(
        &self,
        range: impl RangeBounds<OriginHash>,
        now: Duration,
    ) -> impl Iterator<Item = Told<'_>> {
        self.logs.range(range).map(move |(hash, log)| log.told(hash, now))
    }

    /// What is known about one log.
    pub(super) fn log(&self, hash: &OriginHash, now: Duration) -> Option<Told<'_>> {
        self.logs.get_key_value(hash).map(|(hash, log)| log.told(hash, now))
    }

    /// The number of heads that wait, and of logs that are suspects.
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
        Self { origin, held: None, newest: None, pending: Vec::new(), settled: VecDeque::new() }
    }

    /// What was cosigned continues what was cosigned before it, and is the newest head. A head from
    /// elsewhere that was the newest one waits until it is compared with it.
    fn held(&mut self, size: TreeSize, root: Hash, now: Duration) {
        if self.held.replace((size, root)) == Some((size, root)) {
            return;
        }
        let heard = match &self.newest {
            Some(Kept::Heard(heard)) if !heard.is(size, &root) => Some(heard.clone()),
            Some(_) | None => None,
        };
        self.advance(Kept::Held(size, root));
        if let Some(heard) = heard {
            // Nothing says that they are of one history, nor what continues the other one.
            self.settled.clear();
            self.pending.push(Pending::new(heard, now));
        }
    }

    fn offer(&mut self, head: Head, now: Duration) -> Offered {
        let Some(newest) = &self.newest else {
            self.newest = Some(Kept::Heard(head));
            return Offered::Known;
        };
        if self.is_settled(head.size(), head.root()) {
            return Offered::Known;
        }
        if head.size() == newest.size() {
            return Offered::ContradictsNewest(newest.clone());
        }
        if let Some((size, root)) = self.held
            && head.size() == size
            && *head.root() != root
        {
            return Offered::ContradictsNewest(Kept::Held(size, root));
        }
        if newest.size() == TreeSize::ZERO {
            // Everything continues the empty tree.
            self.newest = Some(Kept::Heard(head));
            return Offered::Known;
        }
        let same_size = self.pending.iter().find(|found| found.head.size() == head.size());
        if let Some(found) = same_size {
            if found.head.root() == head.root() {
                return Offered::Pending { suspect: found.suspect };
            }
            return Offered::ContradictsPending(found.head.clone());
        }
        if !self.has_room() {
            return Offered::Dropped;
        }
        self.pending.push(Pending::new(head, now));
        Offered::Pending { suspect: false }
    }

    /// Whether one more head can wait. A head that nobody here can be asked about makes room: our peers
    /// were told of it, and a newer head says more. The last head that makes the log a suspect stays.
    fn has_room(&mut self) -> bool {
        if self.pending.len() < PENDING_MAX {
            return true;
        }
        let suspects = self.pending.iter().filter(|pending| pending.suspect).count();
        let hopeless = self.pending.iter().enumerate().filter(|(_, pending)| {
            let needed = pending.suspect && suspects == 1;
            pending.backoff.failures() > 0 && !pending.asked && !needed
        });
        let found = hopeless.min_by_key(|(_, pending)| pending.suspect).map(|(at, _)| at);
        found.map(|at| drop(self.pending.remove(at))).is_some()
    }

    fn due(&self, now: Duration) -> Vec<Due> {
        let Some(newest) = &self.newest else { return Vec::new() };
        let due = self.pending.iter().filter(|pending| pending.next_try <= now);
        due.map(|pending| self.due_of(newest, &pending.head)).collect()
    }

    fn due_of(&self, newest: &Kept, head: &Head) -> Due {
        let others = self.pending.iter().map(|pending| &pending.head);
        let smaller = others.filter(|other| other.size() < head.size()).cloned();
        // Where the newest one is the smaller, the tiles of `head` decide, or are out of reach for all.
        let smaller = if newest.size() > head.size() { smaller.collect() } else { Vec::new() };
        Due { origin: self.origin.clone(), newest: newest.clone(), head: head.clone(), smaller }
    }

    fn consistent(&mut self, newest: &Kept, head: Head) {
        if head.size() < newest.size() && self.is_settled(newest.size(), newest.root()) {
            self.pending.retain(|pending| pending.head != head);
            self.settle(head.size(), *head.root());
        } else if self.newest.as_ref() == Some(newest) {
            self.advance(Kept::Heard(head));
        }
        // Else another head became the newest meanwhile, and the comparison is made again.
    }

    /// Replaces the newest head by one that continues it.
    fn advance(&mut self, newest: Kept) {
        let (size, root) = (newest.size(), *newest.root());
        let before = self.newest.replace(newest);
        self.pending.retain(|pending| !pending.head.is(size, &root));
        let from = before.as_ref().map_or(TreeSize::ZERO, Kept::size);
        // Other tiles decide about heads that were larger than the newest one, and are not any more.
        for pending in &mut self.pending {
            if pending.head.size() > from && pending.head.size() <= size {
                pending.next_try = Duration::ZERO;
            }
        }
        if let Some(before) = before {
            self.settle(before.size(), *before.root());
        }
    }

    fn settle(&mut self, size: TreeSize, root: Hash) {
        if self.is_settled(size, &root) {
            return;
        }
        if self.settled.len() >= SETTLED_MAX {
            self.settled.pop_front();
        }
        self.settled.push_back((size, root));
    }

    /// Whether a head is the newest one, or remembered as one that the newest one continues.
    fn is_settled(&self, size: TreeSize, root: &Hash) -> bool {
        let newest = self.newest.as_ref();
        newest.is_some_and(|newest| newest.size() == size && newest.root() == root)
            || self.held == Some((size, *root))
            || self.settled.contains(&(size, *root))
    }

    fn told<'b>(&'b self, hash: &'b OriginHash, now: Duration) -> Told<'b> {
        let stuck = |pending: &Pending| {
            pending.backoff.failures() > 0 || now.saturating_sub(pending.since) >= STUCK_AFTER
        };
        Told {
            hash,
            origin: &self.origin,
            newest: self.newest.as_ref(),
            pending: self.pending.iter().map(|pending| &pending.head).collect(),
            stuck: self.pending.iter().any(stuck),
        }
    }
}

/// Whether evidence says more than what the operator knew when they trusted a log again: it has a head
/// that is larger than all heads of the forgiven evidence.
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
    const MINUTE: Duration = Duration::from_mins(1);

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
        book.held(&origin(), size(9), root("9"), NOW);
        book
    }

    fn due(book: &Book, now: Duration) -> Vec<Due> {
        let due = book.due(now, &HashSet::new(), usize::MAX);
        due.into_iter().flat_map(|(_, due)| due).collect()
    }

    /// The sizes of the heads that wait.
    fn waiting(book: &Book) -> Vec<u64> {
        let told = book.log(&origin().sha256(), NOW).unwrap();
        told.pending.iter().map(|head| head.size().get()).collect()
    }

    fn newest(book: &Book) -> Kept {
        book.log(&origin().sha256(), NOW).unwrap().newest.cloned().unwrap()
    }

    #[test]
    fn what_is_known_says_nothing_and_another_root_contradicts() {
        let mut book = book();
        assert_eq!(book.offer(&origin(), head(9, root("9")), NOW), Offered::Known);
        let held = Kept::Held(size(9), root("9"));
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
        let found = due(&book, NOW);
        assert_eq!((found.len(), book.counts()), (PENDING_MAX, (PENDING_MAX, 0)));
        book.consistent(found[3].clone());
        assert_eq!(newest(&book), Kept::Heard(head(13, root("x"))));
        // A head that was compared with the newest one before is compared again.
        book.consistent(found[0].clone());
        assert_eq!(book.counts(), (3, 0));
        for found in due(&book, NOW) {
            book.consistent(found);
        }
        assert_eq!((newest(&book).size(), book.counts()), (size(13), (0, 0)));
    }

    #[test]
    fn heads_that_were_compared_are_known_until_there_are_many() {
        let mut book = book();
        let sizes = 10..12 + u64::try_from(SETTLED_MAX).unwrap();
        for at in sizes.clone() {
            let offered = book.offer(&origin(), head(at, root("x")), NOW);
            assert_eq!(offered, Offered::Pending { suspect: false });
            let found = due(&book, NOW).remove(0);
            book.consistent(found);
        }
        let known: Vec<u64> = sizes
            .filter(|at| book.offer(&origin(), head(*at, root("x")), NOW) == Offered::Known)
            .collect();
        assert_eq!(known, (11..12 + u64::try_from(SETTLED_MAX).unwrap()).collect::<Vec<u64>>());
        // Not with another root.
        let offered = book.offer(&origin(), head(12, root("y")), NOW);
        assert_eq!(offered, Offered::Pending { suspect: false });
    }

    #[test]
    fn a_log_that_proves_nothing_becomes_a_suspect_once() {
        let mut book = book();
        book.offer(&origin(), head(12, root("x")), NOW);
        let found = due(&book, NOW).remove(0);
        assert!(!book.unproven(&found, NOW + Duration::from_secs(59), MINUTE, true));
        assert!(due(&book, NOW + Duration::from_secs(59)).is_empty(), "the next attempt waits");
        assert!(book.unproven(&found, NOW + MINUTE, MINUTE, true));
        assert!(!book.unproven(&found, NOW + Duration::from_secs(61), MINUTE, true));
        let again = book.offer(&origin(), head(12, root("x")), NOW);
        assert_eq!((again, book.counts()), (Offered::Pending { suspect: true }, (1, 1)));
        book.held(&origin(), size(10), root("10"), NOW);
        assert_eq!(newest(&book).size(), size(10), "nothing is frozen");
    }

    #[test]
    fn without_an_address_only_a_larger_head_makes_a_suspect() {
        let mut book = book();
        book.offer(&origin(), head(8, root("x")), NOW);
        book.offer(&origin(), head(12, root("x")), NOW);
        let found = due(&book, NOW);
        let becomes: Vec<bool> =
            found.iter().map(|found| book.unproven(found, NOW + MINUTE, MINUTE, false)).collect();
        assert_eq!((becomes, book.counts()), (vec![false, true], (2, 1)));
    }

    #[test]
    fn a_head_that_nobody_can_be_asked_about_makes_room() {
        let mut book = book();
        for at in 10..14 {
            book.offer(&origin(), head(at, root("x")), NOW);
        }
        for (at, found) in due(&book, NOW).iter().enumerate() {
            // The first one was asked about, the second one makes a suspect.
            let after = if at == 1 { Duration::ZERO } else { MINUTE };
            book.unproven(found, NOW, after, at == 0);
        }
        for at in 14..20 {
            let offered = book.offer(&origin(), head(at, root("x")), NOW);
            let room = if at < 16 { Offered::Pending { suspect: false } } else { Offered::Dropped };
            assert_eq!(offered, room, "{at}");
        }
        assert_eq!(waiting(&book), [10, 11, 14, 15]);
        assert_eq!(book.counts(), (PENDING_MAX, 1));
    }

    #[test]
    fn a_log_is_stuck_once_a_head_was_not_compared_or_waits_for_long() {
        let stuck = |book: &Book, now| book.log(&origin().sha256(), now).unwrap().stuck;
        let mut book = book();
        assert!(!stuck(&book, NOW + MINUTE));
        book.offer(&origin(), head(12, root("x")), NOW);
        assert!(!stuck(&book, NOW) && stuck(&book, NOW + STUCK_AFTER));
        let found = due(&book, NOW).remove(0);
        book.unproven(&found, NOW, MINUTE, false);
        assert!(stuck(&book, NOW));
        book.consistent(found);
        assert!(!stuck(&book, NOW + MINUTE));
    }

    #[test]
    fn a_head_is_compared_with_smaller_ones_where_the_newest_one_is_larger() {
        let mut book = book();
        for at in [5, 7, 12] {
            book.offer(&origin(), head(at, root("x")), NOW);
        }
        let smaller = |found: &Due| -> Vec<u64> {
            found.smaller.iter().map(|head| head.size().get()).collect()
        };
        let found: Vec<Vec<u64>> = due(&book, NOW).iter().map(smaller).collect();
        assert_eq!(found, [vec![], vec![5], vec![]]);
    }

    #[test]
    fn what_is_cosigned_is_the_newest_head_and_a_heard_one_is_compared_with_it() {
        let mut book = book();
        book.offer(&origin(), head(12, root("x")), NOW);
        let found = due(&book, NOW).remove(0);
        book.consistent(found);
        book.held(&origin(), size(12), root("x"), NOW);
        assert_eq!(newest(&book), Kept::Held(size(12), root("x")));
        book.offer(&origin(), head(20, root("y")), NOW);
        let found = due(&book, NOW).remove(0);
        book.consistent(found);
        assert_eq!(newest(&book), Kept::Heard(head(20, root("y"))));
        // Neither what is larger nor what is smaller is proven to be of its history.
        for (at, name) in [(15, "15"), (22, "22")] {
            book.held(&origin(), size(at), root(name), NOW);
            assert_eq!(newest(&book), Kept::Held(size(at), root(name)));
            assert_eq!(waiting(&book), [20]);
        }
        let found = due(&book, NOW).remove(0);
        book.consistent(found);
        assert_eq!((newest(&book).size(), waiting(&book)), (size(22), vec![]));
    }

    #[test]
    fn a_heard_head_finds_room_when_another_one_is_cosigned() {
        let mut book = Book::default();
        book.keep(vec![origin()]);
        for at in 100..105 {
            book.offer(&origin(), head(at, root("x")), NOW);
        }
        for at in [10, 11] {
            book.held(&origin(), size(at), root("own"), NOW);
            assert_eq!(waiting(&book), [101, 102, 103, 104, 100]);
        }
        let dropped = book.offer(&origin(), head(12, root("x")), NOW);
        assert_eq!(dropped, Offered::Dropped);
    }

    #[test]
    fn another_root_for_what_was_cosigned_last_contradicts_whatever_is_the_newest() {
        let mut book = book();
        book.offer(&origin(), head(12, root("x")), NOW);
        let found = due(&book, NOW).remove(0);
        book.consistent(found);
        let contradicts = book.offer(&origin(), head(9, root("other")), NOW);
        assert_eq!(contradicts, Offered::ContradictsNewest(Kept::Held(size(9), root("9"))));
    }

    #[test]
    fn what_waits_is_due_when_another_root_of_its_size_is_cosigned() {
        let mut book = book();
        book.offer(&origin(), head(10, root("other")), NOW);
        book.offer(&origin(), head(11, root("11")), NOW);
        for found in due(&book, NOW) {
            book.unproven(&found, NOW, MINUTE, false);
        }
        assert_eq!(due(&book, NOW), []);
        book.held(&origin(), size(10), root("10"), NOW);
        let found = due(&book, NOW);
        assert_eq!((found.len(), &found[0].head), (1, &head(10, root("other"))));
        assert_eq!(found[0].newest, Kept::Held(size(10), root("10")));
        // The newest one has passed 11 now, so other tiles decide about it.
        book.held(&origin(), size(12), root("12"), NOW);
        assert_eq!(due(&book, NOW).len(), 2);
    }

    #[test]
    fn a_convicted_log_waits_for_nothing_and_a_forgotten_one_is_gone() {
        let mut book = book();
        book.offer(&origin(), head(12, root("x")), NOW);
        book.stop_waiting(&origin());
        assert_eq!(book.counts(), (0, 0));
        let trusted_again = book.offer(&origin(), head(13, root("x")), NOW);
        assert_eq!(trusted_again, Offered::Pending { suspect: false });
        book.keep(Vec::new());
        assert_eq!(book.told(.., NOW).count(), 0);
    }
}
