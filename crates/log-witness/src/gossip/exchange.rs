//! The messages of a round: made of the book, answered from it, within their limits.

use std::collections::HashMap;

use bytes::Bytes;
use log_proto::gossip_v1 as pb;
use merkle::{Hash, TreeSize};

use super::book::{Newest, Told, range};
use super::{Gossip, lock};
use crate::witness::OriginHash;

/// Bytes of a message.
pub(crate) const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Heads named in one `Pull`.
pub(super) const HEADS_MAX: usize = 1_000;
/// Checkpoints, and wanted logs, of one message.
pub(super) const CHECKPOINTS_MAX: usize = 256;
/// Evidence of one message: at the limits of both lists it stays within [`MESSAGE_BYTES_MAX`].
pub(super) const EVIDENCE_MAX: usize = 8;
/// Bytes of checkpoints in one message.
const CHECKPOINT_BYTES_MAX: usize = 1024 * 1024;

/// What a caller of `Pull` knows, checked.
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

/// A field of a message that is not what the reference says.
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
    bytes.try_into().map_err(|_| BadField { field, expected: "32 bytes" })
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

/// What a message carries, until it is full.
#[derive(Default)]
struct Filling {
    checkpoints: Vec<Bytes>,
    bytes: usize,
}

impl Filling {
    fn push(&mut self, note: Bytes) {
        if self.checkpoints.len() < CHECKPOINTS_MAX
            && self.bytes + note.len() <= CHECKPOINT_BYTES_MAX
        {
            self.bytes += note.len();
            self.checkpoints.push(note);
        }
    }
}

impl Gossip {
    /// What this witness knows, cut into calls of `Pull` that cover all logs.
    pub(super) fn pulls(&self) -> Vec<pb::PullRequest> {
        let book = lock(&self.inner.book);
        let heads: Vec<pb::KnownHead> = book.told(..).map(|told| as_known(&told)).collect();
        drop(book);
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

    /// The answer to a `Pull`. Reads notes and evidence from the store: blocks.
    pub(super) fn answer(&self, known: &Known) -> pb::PullResponse {
        let (mut newest, mut pending) = (Vec::new(), Vec::new());
        let (mut convicted, mut wanted) = (Vec::new(), Vec::new());
        let book = lock(&self.inner.book);
        for told in book.told(range(known.start, known.end)) {
            let Some(theirs) = known.heads.get(told.hash) else { continue };
            if told.has_evidence && !theirs.evidence {
                convicted.push(told.origin.clone());
            }
            let (size, root) = told.newest.map_or((TreeSize::ZERO, Hash::EMPTY_ROOT), head_of);
            if size < theirs.size {
                wanted.push(Bytes::copy_from_slice(told.hash));
            } else if let Some(ours) = told.newest
                && (size, root) != (theirs.size, theirs.root)
            {
                newest.push((told.origin.clone(), ours.clone()));
            }
            let unknown = told.pending.iter().filter(|head| !head.is(theirs.size, &theirs.root));
            pending.extend(unknown.map(|head| head.note().clone()));
        }
        drop(book);
        wanted.truncate(CHECKPOINTS_MAX);
        let mut filling = Filling::default();
        for (origin, head) in newest.into_iter().take(CHECKPOINTS_MAX) {
            if let Some(signed) = self.signed(&origin, &head) {
                filling.push(Bytes::copy_from_slice(signed.as_bytes()));
            }
        }
        for note in pending {
            filling.push(note);
        }
        let evidence = convicted.iter().filter_map(|origin| self.evidence(origin));
        let evidence = evidence.take(EVIDENCE_MAX).collect();
        pb::PullResponse { checkpoints: filling.checkpoints, evidence, wanted }
    }

    /// The heads of logs that a peer asked for: the newest, and those that wait. Blocks.
    pub(super) fn asked_for(&self, wanted: &[Bytes]) -> Vec<Bytes> {
        let mut heads = Vec::new();
        let mut filling = Filling::default();
        for bytes in wanted.iter().take(CHECKPOINTS_MAX) {
            let Ok(hash) = origin_hash("wanted", bytes) else { continue };
            let book = lock(&self.inner.book);
            let Some(told) = book.log(&hash) else { continue };
            heads.extend(told.newest.map(|newest| (told.origin.clone(), newest.clone())));
            for head in told.pending {
                filling.push(head.note().clone());
            }
        }
        for (origin, head) in heads {
            if let Some(signed) = self.signed(&origin, &head) {
                filling.push(Bytes::copy_from_slice(signed.as_bytes()));
            }
        }
        filling.checkpoints
    }
}

fn head_of(newest: &Newest) -> (TreeSize, Hash) {
    (newest.size(), *newest.root())
}

fn as_known(told: &Told<'_>) -> pb::KnownHead {
    let (size, root) = told.newest.map_or((TreeSize::ZERO, Hash::EMPTY_ROOT), head_of);
    pb::KnownHead {
        origin_hash: Bytes::copy_from_slice(told.hash),
        size: size.get(),
        root: Bytes::copy_from_slice(root.as_bytes()),
        evidence: told.has_evidence,
    }
}
