//! Events into an audit log, and out of it: `cairn.audit.v1.AuditService`.
//!
//! Each call makes one attempt, but [`AuditClient::record_all`], which tries until the server has said
//! that the events are durable. Events are sent as bytes and stay what they were made.

use std::ops::Range;

use bytes::Bytes;
pub use log_proto::audit_v1::AuditEvent;
use log_proto::audit_v1::{self as proto, audit_service_client::AuditServiceClient};
use log_proto::events;
use merkle::{Hash, LeafIndex, TreeSize};
use prost::Message as _;
use tonic::transport::Channel;

use base::clock::machine::sleep;

use crate::{
    backoff::{Backoff, Jitter},
    client::{Client, MESSAGE_BYTES_MAX, checked},
    convert,
    error::{Advice, AnswerError, ClientError},
    types::{RangeReceipt, ReceiptLevel, Wanted},
};

pub use log_proto::audit_v1 as event;

/// The most events one call takes.
pub const EVENTS_MAX: usize = 1_000;
/// The most bytes of events one call takes.
pub const EVENTS_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The audit logs of a server. Clones are cheap and share the connections.
#[derive(Clone, Debug)]
pub struct AuditClient {
    client: Client,
}

/// An event that stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Where.
    pub index: LeafIndex,
    /// The leaf hash of the log's entry.
    pub leaf_hash: Hash,
    /// Its id.
    pub id: String,
    /// RFC 3339 with nine digits of a second: when the log took it.
    pub received_at: String,
    /// It was there before this call, or earlier in it.
    pub duplicate: bool,
    /// The numbers of fields that the server does not know, as pointers from the event.
    pub unknown_fields: Vec<String>,
}

/// Why an event was not recorded. No value of the event is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event refused: {message} [{reason}]")]
pub struct EventRefusal {
    /// The stable reason, as `BAD_FIELD` or `ID_TAKEN`.
    pub reason: String,
    /// The member at fault; empty if it is none of one.
    pub field: String,
    /// One sentence for a person, from the server.
    pub message: String,
}

/// The answer to one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordAnswer {
    /// Where it stands.
    pub recorded: Recorded,
    /// The committed size, which covers it.
    pub tree_size: TreeSize,
    /// The level that was reached.
    pub reached: ReceiptLevel,
    /// The bytes of a c2sp.org/tlog-proof, from [`ReceiptLevel::Signed`] on. Not verified.
    pub tlog_proof: Option<Bytes>,
}

/// The answer to many events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordsAnswer {
    /// One result for each event, in order.
    pub results: Vec<Result<Recorded, EventRefusal>>,
    /// The committed size.
    pub tree_size: TreeSize,
    /// The level that was reached.
    pub reached: ReceiptLevel,
    /// Proves every index among the results, from [`ReceiptLevel::Signed`] on. Not verified.
    pub receipt: Option<RangeReceipt>,
}

/// An event as it stands in the log, as the server gave it: not verified, but for the leaf's hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its place.
    pub index: LeafIndex,
    /// RFC 3339 with nine digits of a second: when the log took it.
    pub received_at: String,
    /// The log's entry.
    pub leaf: Bytes,
    /// The hash of `leaf`.
    pub leaf_hash: Hash,
    /// What the event says, in one sentence. Not escaped for a terminal.
    pub sentence: String,
    /// The blocks that are there, with their salts.
    pub blocks: Vec<EventBlock>,
    /// Names of blocks that are kept back.
    pub withheld: Vec<String>,
    /// Names of blocks that were erased.
    pub erased: Vec<String>,
    /// Names of blocks that are damaged.
    pub damaged: Vec<String>,
    /// The members of the blocks as JSON.
    pub event_json: String,
}

/// A block of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventBlock {
    /// core, actor, origin, target, changes, detail or raw.
    pub name: String,
    /// What its commitment was made with.
    pub salt: Bytes,
    /// Its text; of raw the item as it was received.
    pub content: Bytes,
}

impl AuditClient {
    /// The audit logs of a server.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Records one event and waits for the receipt it wants. One attempt: give the event an id, so that
    /// another is no second event.
    pub async fn record_event(
        &self,
        log: &str,
        event: &AuditEvent,
        wanted: Wanted,
    ) -> Result<RecordAnswer, ClientError> {
        let request = events::RecordEventRequest {
            log: log.to_owned(),
            event: event.encode_to_vec().into(),
            receipt: convert::level(wanted.level),
            receipt_wait: convert::wait(wanted.wait),
        };
        let answer = self.service().record_event(self.client.request(request)).await;
        checked("RecordEvent", answer, one)
    }

    /// Records up to [`EVENTS_MAX`] events in one commit. One attempt: as [`AuditClient::record_event`].
    pub async fn record_events(
        &self,
        log: &str,
        events: &[AuditEvent],
        wanted: Wanted,
    ) -> Result<RecordsAnswer, ClientError> {
        let request = events::RecordEventsRequest {
            log: log.to_owned(),
            events: events.iter().map(|event| event.encode_to_vec().into()).collect(),
            receipt: convert::level(wanted.level),
            receipt_wait: convert::wait(wanted.wait),
        };
        let answer = self.service().record_events(self.client.request(request)).await;
        checked("RecordEvents", answer, |message| many(message, events.len()))
    }

    /// As [`AuditClient::record_events`], again and again while another attempt may help, with pauses by
    /// `policy`. Events without an id get one first, so that each is recorded once.
    pub async fn record_all(
        &self,
        log: &str,
        events: &mut [AuditEvent],
        wanted: Wanted,
        policy: &crate::RetryPolicy,
    ) -> Result<RecordsAnswer, ClientError> {
        for event in events.iter_mut().filter(|event| event.id.is_none()) {
            event.id = Some(random_id());
        }
        let mut backoff = Backoff::new(policy, Jitter::of(&random()));
        loop {
            let error = match self.record_events(log, events, wanted).await {
                Err(error) if error.advice() == Advice::Retry => error,
                settled => return settled,
            };
            match backoff.failed(error.retry_after()) {
                Some(pause) => sleep(pause).await,
                None => return Err(error),
            }
        }
    }

    /// One event with its blocks and salts.
    pub async fn get_event(&self, log: &str, index: LeafIndex) -> Result<StoredEvent, ClientError> {
        let request = proto::GetEventRequest { log: log.to_owned(), index: index.get() };
        let answer = self.service().get_event(self.client.request(request)).await;
        checked("GetEvent", answer, |message| stored(message, index))
    }

    /// The receipt of one event: the bytes of a c2sp.org/tlog-proof against the newest signed head. Not
    /// verified.
    pub async fn get_event_receipt(
        &self,
        log: &str,
        index: LeafIndex,
    ) -> Result<Bytes, ClientError> {
        let request = proto::GetEventRequest { log: log.to_owned(), index: index.get() };
        let answer = self.service().get_event_receipt(self.client.request(request)).await;
        checked("GetEventReceipt", answer, |message| {
            let proto::GetEventReceiptResponse { tlog_proof } = message;
            if tlog_proof.is_empty() {
                return Err(AnswerError::Missing { field: "tlog_proof" });
            }
            Ok(tlog_proof)
        })
    }

    fn service(&self) -> AuditServiceClient<Channel> {
        AuditServiceClient::new(self.client.channel())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }
}

/// An id that nobody else gives: 128 random bits as hex digits.
pub fn random_id() -> String {
    let bytes = random();
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system has random numbers");
    bytes
}

fn one(message: proto::RecordEventResponse) -> Result<RecordAnswer, AnswerError> {
    let proto::RecordEventResponse { recorded, tree_size, receipt_reached, tlog_proof } = message;
    let recorded = recorded.ok_or(AnswerError::Missing { field: "recorded" })?;
    let tree_size = convert::size("tree_size", tree_size)?;
    let reached = convert::reached(receipt_reached)?;
    let tlog_proof = convert::proven(reached, convert::optional(tlog_proof), "tlog_proof")?;
    Ok(RecordAnswer { recorded: placed(recorded, tree_size)?, tree_size, reached, tlog_proof })
}

fn many(message: proto::RecordEventsResponse, sent: usize) -> Result<RecordsAnswer, AnswerError> {
    let proto::RecordEventsResponse { results, tree_size, receipt_reached, range_receipt } =
        message;
    if results.len() != sent {
        let found = results.len();
        return Err(AnswerError::Count { field: "results", expected: sent, found });
    }
    let tree_size = convert::size("tree_size", tree_size)?;
    let results = results.into_iter().map(|result| outcome(result, tree_size));
    let results = results.collect::<Result<Vec<_>, _>>()?;
    let reached = convert::reached(receipt_reached)?;
    let receipt = range_receipt.map(convert::range_receipt).transpose()?;
    if results.iter().any(Result::is_ok) {
        convert::proven(reached, receipt.as_ref(), "range_receipt")?;
    }
    Ok(RecordsAnswer { results, tree_size, reached, receipt })
}

fn outcome(
    message: proto::RecordResult,
    tree_size: TreeSize,
) -> Result<Result<Recorded, EventRefusal>, AnswerError> {
    let proto::RecordResult { result } = message;
    match result.ok_or(AnswerError::Missing { field: "result" })? {
        proto::record_result::Result::Recorded(recorded) => placed(recorded, tree_size).map(Ok),
        proto::record_result::Result::Refused(refused) => {
            let proto::EventRefused { code: _, reason, field, message } = refused;
            Ok(Err(EventRefusal { reason, field, message }))
        }
    }
}

fn placed(message: proto::Recorded, tree_size: TreeSize) -> Result<Recorded, AnswerError> {
    let proto::Recorded { index, leaf_hash, id, received_at, duplicate, unknown_fields } = message;
    let index = convert::index("index", index)?;
    convert::covers(tree_size, index)?;
    let leaf_hash = convert::hash("leaf_hash", &leaf_hash)?;
    Ok(Recorded { index, leaf_hash, id, received_at, duplicate, unknown_fields })
}

fn stored(message: proto::StoredEvent, asked: LeafIndex) -> Result<StoredEvent, AnswerError> {
    let proto::StoredEvent {
        index,
        received_at,
        leaf,
        leaf_hash,
        sentence,
        blocks,
        withheld,
        erased,
        damaged,
        event_json,
    } = message;
    if index != asked.get() {
        let (expected, found) = (asked.get(), index);
        return Err(AnswerError::Other { field: "index", expected, found });
    }
    let leaf_hash = convert::hash("leaf_hash", &leaf_hash)?;
    if merkle::leaf_hash(&leaf) != leaf_hash {
        return Err(AnswerError::LeafHash);
    }
    let block = |block: proto::stored_event::Block| {
        let proto::stored_event::Block { name, salt, content } = block;
        EventBlock { name, salt, content }
    };
    Ok(StoredEvent {
        index: asked,
        received_at,
        leaf,
        leaf_hash,
        sentence,
        blocks: blocks.into_iter().map(block).collect(),
        withheld,
        erased,
        damaged,
        event_json,
    })
}

/// The indexes that were given to the events of an answer, as ranges, for a receipt of them.
impl RecordsAnswer {
    /// The places of the events that stand in the log now, ascending, none twice.
    pub fn indexes(&self) -> Vec<Range<u64>> {
        let mut indexes: Vec<u64> =
            self.results.iter().flatten().map(|recorded| recorded.index.get()).collect();
        indexes.sort_unstable();
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for index in indexes {
            match ranges.last_mut() {
                Some(last) if index < last.end => {}
                Some(last) if index == last.end => last.end += 1,
                _ => ranges.push(index..index + 1),
            }
        }
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(index: u64) -> proto::RecordResult {
        let recorded = proto::Recorded {
            index,
            leaf_hash: vec![7; 32].into(),
            id: "i".to_owned(),
            ..Default::default()
        };
        proto::RecordResult { result: Some(proto::record_result::Result::Recorded(recorded)) }
    }

    fn answer(results: Vec<proto::RecordResult>) -> proto::RecordEventsResponse {
        proto::RecordEventsResponse { results, tree_size: 9, ..Default::default() }
    }

    #[test]
    fn an_answer_has_a_result_for_each_event() {
        let refused = proto::EventRefused { reason: "BAD_FIELD".to_owned(), ..Default::default() };
        let refused = proto::record_result::Result::Refused(refused);
        let refused = proto::RecordResult { result: Some(refused) };
        let results = vec![recorded(8), refused, recorded(3), recorded(4), recorded(3)];
        let good = many(answer(results.clone()), 5).unwrap();
        assert_eq!(good.indexes(), [3..5, 8..9]);
        assert_eq!(
            good.results[1].as_ref().unwrap_err().to_string(),
            "event refused:  [BAD_FIELD]"
        );
        assert!(matches!(many(answer(results), 4), Err(AnswerError::Count { .. })));
        let beyond = many(answer(vec![recorded(9)]), 1);
        assert!(matches!(beyond, Err(AnswerError::OutOfRange { .. })), "{beyond:?}");
        let none = many(answer(vec![proto::RecordResult { result: None }]), 1);
        assert!(matches!(none, Err(AnswerError::Missing { .. })), "{none:?}");
        let unproven = proto::RecordEventsResponse {
            receipt_reached: log_proto::log_v1::Receipt::Signed.into(),
            ..answer(vec![recorded(1)])
        };
        assert!(matches!(many(unproven, 1), Err(AnswerError::Missing { .. })));
    }

    #[test]
    fn a_stored_event_is_the_one_that_was_asked_for_and_has_its_hash() {
        let leaf = Bytes::from_static(b"leaf");
        let hash = merkle::leaf_hash(&leaf).as_bytes().to_vec().into();
        let message = proto::StoredEvent { index: 4, leaf, leaf_hash: hash, ..Default::default() };
        let index = |index| LeafIndex::new(index).unwrap();
        assert!(stored(message.clone(), index(4)).is_ok());
        let other = stored(message.clone(), index(5));
        assert!(matches!(other, Err(AnswerError::Other { .. })), "{other:?}");
        let altered = proto::StoredEvent { leaf: Bytes::from_static(b"other"), ..message };
        assert_eq!(stored(altered, index(4)), Err(AnswerError::LeafHash));
    }

    #[test]
    fn ids_are_random() {
        let (one, other) = (random_id(), random_id());
        assert!(one.len() == 32 && one != other);
    }
}
