//! Events of the server itself. Their source is `cairn:` and the origin of the log they stand in.

use std::collections::BTreeSet;

use audit_event::event::{Actor, ActorKind, AuditEvent, Outcome, Target};
use audit_event::json::ReadEvent;
use audit_event::validate::Fill;
use audit_event::{Flags, Instant, Raw, ValidEvent, Value};
use log_core::{AppendError, Log, NewLeaf, Repeats};

use crate::record::{RecordError, Refused, Taken, append, secret};
use crate::seal::{Random, seal};
use crate::{Trail, ids};

/// Bytes of a detail's value.
const DETAIL_BYTES_MAX: usize = 1_024;

/// What the server says, as it is put together.
#[derive(Debug, Clone)]
pub struct OwnEvent {
    event: AuditEvent,
    raw: Option<(Vec<u8>, &'static str)>,
}

/// Why an event of the server was not recorded.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OwnError {
    /// The log took nothing.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The event breaks a rule: a defect of ours.
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl OwnError {
    /// Whether the same event may be taken later.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Record(RecordError::Append(
                AppendError::WitnessesPending { .. }
                    | AppendError::QueueFull { .. }
                    | AppendError::DiskLow { .. }
            ))
        )
    }
}

impl OwnEvent {
    /// An act that the server did, successfully.
    pub fn new(action: &str) -> Self {
        let event = AuditEvent {
            action: Some(action.to_owned()),
            outcome: Some(Outcome::Success),
            actor: Some(Actor::new(ActorKind::System, "cairn")),
            ..AuditEvent::default()
        };
        Self { event, raw: None }
    }

    /// Who caused it, if it was not the server.
    #[must_use]
    pub fn actor(mut self, actor: Actor) -> Self {
        self.event.actor = Some(actor);
        self
    }

    /// How it ended.
    #[must_use]
    pub fn outcome(mut self, outcome: Outcome) -> Self {
        self.event.outcome = Some(outcome);
        self
    }

    /// Adds an item that it was done to.
    #[must_use]
    pub fn target(mut self, kind: &str, id: &str) -> Self {
        let (kind, id) = (kind.to_owned(), id.to_owned());
        self.event.targets.push(Target { kind, id, ..Target::default() });
        self
    }

    /// Adds an item with its name.
    #[must_use]
    pub fn named_target(mut self, kind: &str, id: &str, name: &str) -> Self {
        let (kind, id, name) = (kind.to_owned(), id.to_owned(), Some(name.to_owned()));
        self.event.targets.push(Target { kind, id, name, ..Target::default() });
        self
    }

    /// Adds a detail, cut at 1,024 bytes.
    #[must_use]
    pub fn detail(mut self, name: &str, value: &str) -> Self {
        let value = &value[..value.floor_char_boundary(DETAIL_BYTES_MAX)];
        self.event.metadata.insert(name.to_owned(), Value::from(value));
        self
    }

    /// Adds a detail that is a number, or a truth value; a text is cut as by [`Self::detail`].
    #[must_use]
    pub fn value(mut self, name: &str, value: Value) -> Self {
        match value {
            Value::Text(text) => self.detail(name, &text),
            other => {
                self.event.metadata.insert(name.to_owned(), other);
                self
            }
        }
    }

    /// Says it in one sentence.
    #[must_use]
    pub fn described(mut self, sentence: &str) -> Self {
        self.event.description = Some(sentence.to_owned());
        self
    }

    /// Gives it an id under which it is recorded once.
    #[must_use]
    pub fn once_as(mut self, id: String) -> Self {
        self.event.id = Some(id);
        self
    }

    /// Keeps bytes beside it.
    #[must_use]
    pub fn with_raw(mut self, bytes: Vec<u8>, content_type: &'static str) -> Self {
        self.raw = Some((bytes, content_type));
        self
    }
}

impl Trail {
    /// A keyed digest of bytes that somebody sent: the same for the same bytes of the same sort, and of
    /// no use to who guesses at them without the log's secret. It may be an event's id.
    pub fn keyed_digest(log: &Log, sort: &str, bytes: &[u8]) -> Result<String, RecordError> {
        let message = [sort.as_bytes(), b"\0", bytes].concat();
        Ok(secret(log)?.id_of_item(&message))
    }

    /// Records an event of the server itself.
    pub async fn record_own(&self, log: &Log, own: OwnEvent) -> Result<Taken, OwnError> {
        let (id, leaf) = self.sealed(log, own)?;
        let (_, outcomes) = append(log, vec![leaf]).await?;
        let outcome = outcomes.into_iter().next().expect("one leaf has one outcome");
        let stamped = outcome.map_err(Refused::Leaf)?;
        Ok(Taken {
            id,
            index: stamped.index,
            leaf_hash: stamped.leaf_hash,
            received_at: Instant::from_nanos(stamped.time_ns),
            duplicate: stamped.repeats != Repeats::No,
        })
    }

    /// The leaf of an event of the server itself, for a caller that appends it in its own way.
    pub fn own_leaf(&self, log: &Log, own: OwnEvent) -> Result<NewLeaf, OwnError> {
        self.sealed(log, own).map(|(_, leaf)| leaf)
    }

    fn sealed(&self, log: &Log, own: OwnEvent) -> Result<(String, NewLeaf), OwnError> {
        let secret = secret(log)?;
        let mut random = Random::for_events(2).map_err(RecordError::Random)?;
        let unix_ms = self.clock.unix_ms();
        let now = Instant::from_nanos(unix_ms.saturating_mul(1_000_000));
        let OwnEvent { mut event, raw } = own;
        event.time.get_or_insert(now);
        let read = ReadEvent {
            event: event.clone(),
            flags: Flags::new(),
            unknown: Vec::new(),
            unknown_numbers: BTreeSet::new(),
        };
        let fill = Fill { now, id: &ids::ulid(unix_ms, random.take()) };
        let event = ValidEvent::of_server(event, log.origin().as_str(), fill);
        let event = event.map_err(Refused::Field)?;
        let once = (secret.event_key(&event).0, secret.digest_of_own(&read).0);
        let raw = raw.map(|(bytes, content_type)| Raw::new(bytes, Some(content_type)));
        let leaf = seal(&event, raw, None, once, &mut random);
        Ok((event.id().to_owned(), leaf))
    }
}
