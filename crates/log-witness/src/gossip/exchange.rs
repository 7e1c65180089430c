//! What the messages of a round carry: made of the book, answered from it. Pure.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use formats::{Origin, OriginHash};
use log_proto::gossip_v1 as pb;
use merkle::{Hash, TreeSize};

use super::book::{Book, Kept, Told, range};
use super::head::Head;

/// Bytes of a message.
pub(crate) const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Heads in one `Pull`.
pub(super) const HEADS_MAX: usize = 1_000;
/// Checkpoints, and wanted logs, of one message.
pub(super) const CHECKPOINTS_MAX: usize = 256;
/// Files of evidence in one message. With the limit on checkpoints they fit [`MESSAGE_BYTES_MAX`].
pub(super) const EVIDENCE_MAX: usize = 8;
/// Bytes of checkpoints in one message.
pub(super) const CHECKPOINT_BYTES_MAX: usize = 1024 * 1024;
/// A peer is handed the same head again after this time.
const HAND_AGAIN_AFTER: Duration = Duration::from_mins(1);

/// The heads that a caller of `Pull` knows, checked.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) heads: HashMap<OriginHash, KnownHead>,
    pub(super) start: Option<OriginHash>,
    pub(super) end: Option<OriginHash>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct KnownHead {
    size: TreeSize,
    root: Hash,
    evidence: bool,
}

/// A field of a message that breaks the rules of `gossip.proto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is not {expected}")]
pub(super) struct BadField {
    pub(super) field: &'static str,
    pub(super) expected: &'static str,
}

/// Reads a `Pull`.
pub(super) fn known(request: &pb::PullRequest) -> Result<Known, BadField> {
    let pb::PullRequest { heads, start, end } = request;
    if heads.len() > HEADS_MAX {
        return Err(BadField { field: "heads", expected: "at most 1,000 heads" });
    }
    let ascending = heads.windows(2).all(|pair| pair[0].origin_hash < pair[1].origin_hash);
    if !ascending {
        let expected = "ascending by origin hash, each once";
        return Err(BadField { field: "heads", expected });
    }
    let bound = |field, bytes: &Bytes| {
        if bytes.is_empty() { Ok(None) } else { origin_hash(field, bytes).map(Some) }
    };
    let (start, end) = (bound("start", start)?, bound("end", end)?);
    if start.zip(end).is_some_and(|(start, end)| start > end) {
        return Err(BadField { field: "end", expected: "at or after start" });
    }
    let heads = heads.iter().map(known_head).collect::<Result<_, _>>()?;
    Ok(Known { heads, start, end })
}

/// 32 bytes.
pub(super) fn origin_hash(field: &'static str, bytes: &[u8]) -> Result<OriginHash, BadField> {
    OriginHash::try_from(bytes).map_err(|_| BadField { field, expected: "32 bytes" })
}

fn known_head(head: &pb::KnownHead) -> Result<(OriginHash, KnownHead), BadField> {
    let pb::KnownHead { origin_hash: hash, size, root, evidence } = head;
    let root = Hash::try_from(&root[..])
        .map_err(|_| BadField { field: "heads.root", expected: "32 bytes" })?;
    let size = TreeSize::new(*size)
        .map_err(|_| BadField { field: "heads.size", expected: "below 2^63" })?;
    let head = KnownHead { size, root, evidence: *evidence };
    Ok((origin_hash("heads.origin_hash", hash)?, head))
}

/// A log's head, as one side gives it to the other.
pub(super) type Given = (Origin, Kept);

/// The parts of an answer to a `Pull`.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Newer heads than the caller's, heads of its size with another root, and all heads of a log that
    /// cannot be compared here.
    pub(super) heads: Vec<Given>,
    /// Logs with evidence that the caller does not have.
    pub(super) convicted: Vec<Origin>,
    /// Logs of which the caller knows a newer head.
    pub(super) wanted: Vec<OriginHash>,
}

/// The logs with evidence against them, and whether they are distrusted.
pub(super) type Accused = HashMap<Origin, bool>;

/// What a witness knows, cut into calls of `Pull` that cover all logs.
pub(super) fn pulls(book: &Book, accused: &Accused, now: Duration) -> Vec<pb::PullRequest> {
    let known = book.told(.., now).map(|told| as_known(&told, accused.contains_key(told.origin)));
    let heads: Vec<pb::KnownHead> = known.collect();
    if heads.is_empty() {
        return Vec::new();
    }
    let starts = heads.iter().step_by(HEADS_MAX).skip(1).map(|head| head.origin_hash.clone());
    let ends: Vec<Bytes> = starts.chain([Bytes::new()]).collect();
    let mut start = Bytes::new();
    let chunks = heads.chunks(HEADS_MAX).zip(ends).map(|(heads, end)| {
        let from = std::mem::replace(&mut start, end.clone());
        pb::PullRequest { heads: heads.to_vec(), start: from, end }
    });
    chunks.collect()
}

/// The answer to a `Pull`. It begins with the log at `turn`, so that every log has its turn where a
/// message has no room for all.
pub(super) fn answer(
    book: &Book,
    accused: &Accused,
    known: &Known,
    now: Duration,
    turn: usize,
) -> Answer {
    let mut answer = Answer::default();
    let mut logs: Vec<Told<'_>> = book.told(range(known.start, known.end), now).collect();
    let turn = turn.checked_rem(logs.len()).unwrap_or_default();
    logs.rotate_left(turn);
    for told in logs {
        let Some(theirs) = known.heads.get(told.hash) else { continue };
        let distrusted = accused.get(told.origin);
        if distrusted.is_some() && !theirs.evidence {
            answer.convicted.push(told.origin.clone());
        }
        // About a distrusted log we tell the evidence alone.
        if distrusted != Some(&true) {
            answer.compare(&told, theirs);
        }
    }
    answer
}

impl Answer {
    fn compare(&mut self, told: &Told<'_>, theirs: &KnownHead) {
        let (size, root) = told.newest.map_or((TreeSize::ZERO, Hash::EMPTY_ROOT), head_of);
        let behind = size < theirs.size;
        if behind && !told.pending.iter().any(|head| head.is(theirs.size, &theirs.root)) {
            self.wanted.push(*told.hash);
        }
        // The caller may be able to compare what is stuck here, and needs both heads for it.
        let told_anyway = told.stuck || !behind;
        if let Some(ours) = told.newest.filter(|_| told_anyway)
            && (size, root) != (theirs.size, theirs.root)
        {
            self.heads.push((told.origin.clone(), ours.clone()));
        }
        let pending = told.pending.iter().filter(|head| !head.is(theirs.size, &theirs.root));
        let given = |head: &&Head| (told.origin.clone(), Kept::Heard((**head).clone()));
        self.heads.extend(pending.map(given));
    }
}

/// All heads of the logs that a peer asked for.
pub(super) fn asked_for(book: &Book, wanted: &[OriginHash], now: Duration) -> Vec<Given> {
    wanted.iter().filter_map(|hash| book.log(hash, now)).flat_map(|told| all_heads(&told)).collect()
}

/// All heads of the logs with a head that cannot be compared here. Every peer is told of them, as it may
/// reach tiles that this witness does not.
pub(super) fn stuck(book: &Book, now: Duration) -> Vec<Given> {
    let stuck = book.told(.., now).filter(|told| told.stuck);
    stuck.flat_map(|told| all_heads(&told)).collect()
}

fn all_heads(told: &Told<'_>) -> Vec<Given> {
    let pending = told.pending.iter().map(|head| Kept::Heard((*head).clone()));
    let heads = told.newest.cloned().into_iter().chain(pending);
    heads.map(|head| (told.origin.clone(), head)).collect()
}

fn head_of(newest: &Kept) -> (TreeSize, Hash) {
    (newest.size(), *newest.root())
}

fn as_known(told: &Told<'_>, evidence: bool) -> pb::KnownHead {
    let (size, root) = told.newest.map_or((TreeSize::ZERO, Hash::EMPTY_ROOT), head_of);
    pb::KnownHead {
        origin_hash: Bytes::copy_from_slice(told.hash.as_bytes()),
        size: size.get(),
        root: Bytes::copy_from_slice(root.as_bytes()),
        evidence,
    }
}

/// The heads that one peer was handed, so that it gets each of them once; and again after a while, as it
/// may have started anew or had no room. Bounded by the heads that are stuck.
#[derive(Clone, Debug, Default)]
pub(super) struct Handed {
    heads: HashSet<(Origin, TreeSize, Hash)>,
    since: Duration,
}

impl Handed {
    /// Those of the stuck heads that the peer was not handed yet.
    pub(super) fn untold(&mut self, mut stuck: Vec<Given>, now: Duration) -> Vec<Given> {
        if now.saturating_sub(self.since) >= HAND_AGAIN_AFTER {
            (self.heads, self.since) = (HashSet::new(), now);
        }
        let all: HashSet<_> = stuck.iter().map(id).collect();
        self.heads.retain(|head| all.contains(head));
        stuck.retain(|given| !self.heads.contains(&id(given)));
        stuck
    }

    /// The peer has these now.
    pub(super) fn told(&mut self, given: &[Given]) {
        self.heads.extend(given.iter().map(id));
    }

    /// The peer may have forgotten everything.
    pub(super) fn forget(&mut self) {
        self.heads.clear();
    }
}

fn id((origin, head): &Given) -> (Origin, TreeSize, Hash) {
    (origin.clone(), head.size(), *head.root())
}
