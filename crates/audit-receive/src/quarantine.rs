//! What cannot be taken is kept: one `source.malformed` a request, beside the bytes of what was refused.

use audit_api::refusal::EventRefusal;
use audit_event::event::Outcome;
use audit_event::{Integer, Value};
use audit_trail::{OwnEvent, Trail};
use log_core::Log;
use serve::refusal::Refusal;

use crate::receive::{Receive, refused};

/// Items that are named.
const NAMED_MAX: usize = 100;
/// Bytes that say one item: its index and what is wrong with it.
const NAME_BYTES_MAX: usize = 200;
/// Bytes of one detail of an event.
const DETAIL_BYTES_MAX: usize = 1_024;

/// The refused items of a request that are about one log.
#[derive(Debug, Default)]
pub(crate) struct Malformed {
    names: Vec<String>,
    count: u64,
    bytes: Vec<u8>,
    source: String,
}

/// The request that they were in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    /// The receiver.
    pub(crate) receiver: &'static str,
    /// What its items are.
    pub(crate) content_type: &'static str,
    /// Its body.
    pub(crate) body: &'a [u8],
}

impl Malformed {
    /// The whole request, which could not be cut into items.
    pub(crate) fn whole(source: &str, body: &[u8], refusal: &EventRefusal) -> Self {
        let name = format!("request: {}", said(refusal));
        Self { names: vec![name], count: 1, bytes: body.to_vec(), source: source.to_owned() }
    }

    /// Adds an item at its place in the request, from 0.
    pub(crate) fn add(&mut self, at: usize, source: &str, bytes: &[u8], refusal: &EventRefusal) {
        if self.count == 0 {
            source.clone_into(&mut self.source);
        }
        self.count += 1;
        self.bytes.extend_from_slice(bytes);
        if self.names.len() < NAMED_MAX {
            self.names.push(format!("{at}: {}", said(refusal)));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The event. `digest` is a keyed one of the request.
    fn event(self, origin: Origin<'_>, owner: Option<&str>, digest: String) -> OwnEvent {
        let bytes = u64::try_from(origin.body.len()).unwrap_or(u64::MAX);
        let mut event = OwnEvent::new("source.malformed")
            .outcome(Outcome::Failure)
            .target("source", &self.source)
            .detail("receiver", origin.receiver)
            .detail("request_digest", &digest)
            .value("request_bytes", number(bytes))
            .value("refused", number(self.count))
            .once_as(digest);
        for (at, line) in lines(&self.names).into_iter().enumerate() {
            let name = if at == 0 { "items".to_owned() } else { format!("items_{}", at + 1) };
            event = event.detail(&name, &line);
        }
        if let Some(owner) = owner {
            event = event.detail("owner", owner);
        }
        if self.bytes.is_empty() { event } else { event.with_raw(self.bytes, origin.content_type) }
    }
}

/// The sentence about an item, which begins with the field.
fn said(refusal: &EventRefusal) -> &str {
    &refusal.message[..refusal.message.floor_char_boundary(NAME_BYTES_MAX)]
}

/// The names, as many as fit into a detail one after the other.
fn lines(names: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for name in names {
        match lines.last_mut() {
            Some(line) if line.len() + 2 + name.len() <= DETAIL_BYTES_MAX => {
                line.push_str("; ");
                line.push_str(name);
            }
            _ => lines.push(name.clone()),
        }
    }
    lines
}

fn number(value: u64) -> Value {
    let integer = i64::try_from(value).ok().and_then(Integer::new);
    integer.map_or_else(|| Value::Text(value.to_string()), Value::Integer)
}

impl Receive {
    /// Keeps what was refused, once for the same request, and waits until it is durable.
    pub(crate) async fn quarantine(
        &self,
        log: &Log,
        origin: Origin<'_>,
        malformed: Malformed,
    ) -> Result<(), Refusal> {
        let sort = format!("{} {}", origin.receiver, malformed.source);
        let digest = Trail::keyed_digest(log, &sort, origin.body).map_err(refused)?;
        let owner = self.sources().of(&malformed.source).owner.clone();
        tracing::warn!(
            log = log.name().as_str(),
            receiver = origin.receiver,
            items = malformed.count,
            "items that cannot be read are quarantined"
        );
        self.say(log, malformed.event(origin, owner.as_deref(), digest)).await
    }

    /// Says that a body was refused for its size; nothing of it is kept.
    pub(crate) async fn report_too_large(
        &self,
        log: &Log,
        origin: Origin<'_>,
        source: &str,
        bytes: Option<u64>,
        bytes_max: usize,
    ) -> Result<(), Refusal> {
        let size = bytes.map_or_else(|| "more".to_owned(), |bytes| bytes.to_string());
        let seen = format!("{bytes_max} {size}");
        let sort = format!("{} {source} too large", origin.receiver);
        let digest = Trail::keyed_digest(log, &sort, seen.as_bytes()).map_err(refused)?;
        let limit = number(u64::try_from(bytes_max).unwrap_or(u64::MAX));
        let mut event = OwnEvent::new("source.malformed")
            .outcome(Outcome::Failure)
            .target("source", source)
            .detail("receiver", origin.receiver)
            .detail("items", "request: body is longer than the limit")
            .value("limit_bytes", limit)
            .once_as(digest);
        if let Some(bytes) = bytes {
            event = event.value("request_bytes", number(bytes));
        }
        self.say(log, event).await
    }

    async fn say(&self, log: &Log, event: OwnEvent) -> Result<(), Refusal> {
        match self.trail().record_own(log, event).await {
            Ok(_) => Ok(()),
            Err(audit_trail::own::OwnError::Record(error)) => Err(refused(error)),
            Err(error @ audit_trail::own::OwnError::Refused(_)) => {
                tracing::error!(%error, "an event of the server's own breaks a rule");
                Err(Refusal::internal())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serve::refusal::Kind;

    use super::*;

    fn refusal(message: &str) -> EventRefusal {
        let message = message.to_owned();
        EventRefusal { kind: Kind::Invalid, reason: "BAD_FIELD", field: None, message }
    }

    #[test]
    fn a_hundred_items_are_named_and_all_bytes_are_kept() {
        let mut malformed = Malformed::default();
        for at in 0..150 {
            malformed.add(at, "/gate", b"xy", &refusal(&"é".repeat(150)));
        }
        assert_eq!((malformed.names.len(), malformed.count), (100, 150));
        assert_eq!((malformed.bytes.len(), malformed.source.as_str()), (300, "/gate"));
        assert_eq!(malformed.names[7], format!("7: {}", "é".repeat(100)));
        let lines = lines(&malformed.names);
        assert!(lines.len() <= 25 && lines.iter().all(|line| line.len() <= DETAIL_BYTES_MAX));
        assert!(lines[0].starts_with("0: é") && lines[0].contains("; 1: é"));
    }
}
