//! The one way into an audit log.
//!
//! A call's events are checked, sealed and appended together. What breaks a rule is refused by
//! itself; the others are taken. Nothing is answered before it is durable.

use std::borrow::Cow;

use audit_event::validate::Fill;
use audit_event::{FieldError, Instant, LogSecret, ValidEvent, Writer};
use futures_util::future;
use log_core::{
    AppendError, CALL_BYTES_MAX, CALL_ENTRIES_MAX, EntryRefusal, Log, NewLeaf, Repeats, StampedLeaf,
};
use merkle::{Hash, LeafIndex, TreeSize};
use storage::LogKind;

use crate::own::OwnEvent;
use crate::seal::{Random, seal};
use crate::{Draft, SYSTEM_LOG, Trail, ids};

/// What became of the events of a call, once they are durable.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// One for each event of the call, in its order.
    pub results: Vec<Result<Taken, Refused>>,
    /// The committed size, which covers every index in `results`.
    pub tree_size: TreeSize,
}

/// An event that stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Its id: the sender's, or the one that the server gave.
    pub id: String,
    /// Its place.
    pub index: LeafIndex,
    /// The hash of its leaf.
    pub leaf_hash: Hash,
    /// When the log took it.
    pub received_at: Instant,
    /// It was there before this call, or earlier in it.
    pub duplicate: bool,
}

/// Why one event was not taken. The others of the call were.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A member breaks a rule.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The source has given this id to an event with another content.
    #[error("id is known with other content, at index {index}")]
    IdTaken {
        /// Where the first event with this id stands.
        index: LeafIndex,
    },
    /// The log does not take the leaf.
    #[error(transparent)]
    Leaf(#[from] EntryRefusal),
}

/// Why no event of a call was answered as taken.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RecordError {
    /// The log takes entries, not events.
    #[error("log {log} is not an audit log: it takes no events")]
    NotAudit {
        /// Its name.
        log: String,
    },
    /// Only the server writes to this log.
    #[error("only the server writes to the log {SYSTEM_LOG}")]
    Reserved,
    /// The log took nothing, or it is not known whether it did.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The operating system gave no random bytes.
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
}

/// An event that is checked and waits to be sealed.
struct Ready<'d, 'a> {
    /// Its place in the call.
    at: usize,
    draft: &'d Draft<'a>,
    event: ValidEvent,
    /// What the event is known by, and what tells its content from another.
    once: ([u8; 32], [u8; 32]),
}

impl<'d, 'a> Ready<'d, 'a> {
    fn new(at: usize, draft: &'d Draft<'a>, event: ValidEvent, secret: &LogSecret) -> Self {
        let once = (secret.event_key(&event).0, draft.digest(&event, secret).0);
        Self { at, draft, event, once }
    }

    /// The same foreign item under an id made of its content.
    fn renamed(self, secret: &LogSecret) -> Self {
        let Self { at, draft, event, .. } = self;
        let raw = draft.foreign().map_or(Cow::Borrowed(&[][..]), |mapped| mapped.raw.clone());
        let id = secret.id_of_reused(event.id(), &raw);
        Self::new(at, draft, event.under_new_id(id), secret)
    }

    /// The same for the same content under the same id, so that a conflict is reported once.
    fn conflict_id(&self, secret: &LogSecret) -> String {
        secret.id_of_item(&[self.once.0, self.once.1].concat())
    }
}

impl Trail {
    /// Records events, in their order, and waits until they are durable. `writer` is who sent them.
    ///
    /// Cost: about ten keyed hashes an event in the caller's task, and a share of one sync.
    pub async fn record(
        &self,
        log: &Log,
        mut drafts: Vec<Draft<'_>>,
        writer: Option<&Writer>,
    ) -> Result<Recorded, RecordError> {
        if log.name().as_str() == SYSTEM_LOG {
            return Err(RecordError::Reserved);
        }
        let secret = secret(log)?;
        for draft in &mut drafts {
            draft.set_content_id(&secret);
        }
        let mut random = Random::for_events(2 * drafts.len()).map_err(RecordError::Random)?;
        let mut results = vec![Ok(None); drafts.len()];
        let mut ready = Vec::with_capacity(drafts.len());
        for (at, draft) in drafts.iter().enumerate() {
            match self.check(draft, &mut random) {
                Ok(event) => ready.push(Ready::new(at, draft, event, &secret)),
                Err(error) => results[at] = Err(Refused::Field(error)),
            }
        }
        let sealed = sealed(&ready, writer, &mut random);
        let (mut tree_size, outcomes) = append(log, sealed).await?;
        let mut reused = Vec::new();
        for (ready, outcome) in ready.into_iter().zip(outcomes) {
            let at = ready.at;
            match answered(&ready, outcome) {
                Err(Refused::IdTaken { index }) if ready.draft.foreign().is_some() => {
                    reused.push((ready.renamed(&secret), index));
                }
                Err(Refused::IdTaken { index }) => {
                    self.report_reuse(log, index, None, ready.conflict_id(&secret)).await;
                    results[at] = Err(Refused::IdTaken { index });
                }
                answer => results[at] = answer.map(Some),
            }
        }
        if !reused.is_empty() {
            tree_size = self.take_reused(log, reused, writer, &secret, &mut results).await?;
        }
        let results = results
            .into_iter()
            .map(|result| result.map(|taken| taken.expect("every event is taken or refused")));
        Ok(Recorded { results: results.collect(), tree_size })
    }

    fn check(&self, draft: &Draft<'_>, random: &mut Random) -> Result<ValidEvent, FieldError> {
        let unix_ms = self.clock.unix_ms();
        let now = Instant::from_nanos(unix_ms.saturating_mul(1_000_000));
        draft.check(Fill { now, id: &ids::ulid(unix_ms, random.take()) })
    }

    /// Takes foreign items whose ids are known with other content, under ids made of their content.
    async fn take_reused(
        &self,
        log: &Log,
        reused: Vec<(Ready<'_, '_>, LeafIndex)>,
        writer: Option<&Writer>,
        secret: &LogSecret,
        results: &mut [Result<Option<Taken>, Refused>],
    ) -> Result<TreeSize, RecordError> {
        let mut random = Random::for_events(reused.len()).map_err(RecordError::Random)?;
        let (ready, firsts): (Vec<_>, Vec<_>) = reused.into_iter().unzip();
        let sealed = sealed(&ready, writer, &mut random);
        let (tree_size, outcomes) = append(log, sealed).await?;
        for ((ready, outcome), first) in ready.iter().zip(outcomes).zip(firsts) {
            let answer = answered(ready, outcome);
            if let Ok(Taken { index, duplicate: false, .. }) = &answer {
                self.report_reuse(log, first, Some(*index), ready.conflict_id(secret)).await;
            }
            results[ready.at] = answer.map(Some);
        }
        Ok(tree_size)
    }

    /// Says in the log `system` that an id came with another content. The event is about places and
    /// repeats no value.
    async fn report_reuse(
        &self,
        log: &Log,
        first: LeafIndex,
        taken: Option<LeafIndex>,
        id: String,
    ) {
        let Some(system) = self.system() else { return };
        let name = log.name().as_str();
        let mut event = OwnEvent::new("security.id_reused")
            .once_as(id)
            .target("event", &format!("{name}/{first}"))
            .detail("log", name)
            .detail("first_index", &first.to_string());
        if let Some(taken) = taken {
            event = event.detail("taken_as", &taken.to_string());
        }
        if let Err(error) = self.record_own(&system, event).await {
            tracing::error!(log = name, %error, "a reused id could not be recorded");
        }
    }
}

/// The keys of a log's events.
pub(crate) fn secret(log: &Log) -> Result<LogSecret, RecordError> {
    if log.record().kind != LogKind::Audit {
        return Err(RecordError::NotAudit { log: log.name().as_str().to_owned() });
    }
    let secret = log.secret().ok_or(AppendError::AuditSecretMissing)?;
    Ok(LogSecret::from(*secret.as_bytes()))
}

fn sealed(ready: &[Ready<'_, '_>], writer: Option<&Writer>, random: &mut Random) -> Vec<NewLeaf> {
    let one = |Ready { draft, event, once, .. }: &Ready<'_, '_>| {
        seal(event, draft.raw(), writer.cloned(), *once, random)
    };
    ready.iter().map(one).collect()
}

fn answered(
    ready: &Ready<'_, '_>,
    outcome: Result<StampedLeaf, EntryRefusal>,
) -> Result<Taken, Refused> {
    let StampedLeaf { index, leaf_hash, time_ns, repeats } = outcome?;
    if repeats == Repeats::Other {
        return Err(Refused::IdTaken { index });
    }
    Ok(Taken {
        id: ready.event.id().to_owned(),
        index,
        leaf_hash,
        received_at: Instant::from_nanos(time_ns),
        duplicate: repeats != Repeats::No,
    })
}

type Outcomes = Vec<Result<StampedLeaf, EntryRefusal>>;

/// Appends leaves in calls of the size that the log takes, in their order. If a later call is refused,
/// the earlier ones are committed all the same, and a repetition finds them.
pub(crate) async fn append(
    log: &Log,
    leaves: Vec<NewLeaf>,
) -> Result<(TreeSize, Outcomes), RecordError> {
    let mut calls: Vec<(usize, Vec<NewLeaf>)> = Vec::new();
    for leaf in leaves {
        let bytes = leaf.bytes();
        match calls.last_mut() {
            Some((filled, call))
                if *filled + bytes <= CALL_BYTES_MAX && call.len() < CALL_ENTRIES_MAX =>
            {
                *filled += bytes;
                call.push(leaf);
            }
            _ => calls.push((bytes, vec![leaf])),
        }
    }
    let mut tree_size = log.tree().head.size;
    let mut outcomes = Vec::new();
    // All calls are queued when they are first polled, in this order.
    let calls = calls.into_iter().map(|(_, leaves)| log.append_stamped(leaves));
    for committed in future::join_all(calls).await {
        let committed = committed?;
        tree_size = tree_size.max(committed.tree_size);
        outcomes.extend(committed.outcomes);
    }
    Ok((tree_size, outcomes))
}
