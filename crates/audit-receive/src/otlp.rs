//! OTLP logs, over HTTP (`POST /v1/logs`) and over gRPC (`LogsService/Export`).
//!
//! A sender must not repeat a request that was taken in part, so only records that can never be taken
//! are rejected, and those are kept. A request of which nothing can be taken is bad data.

pub(crate) mod grpc;
pub(crate) mod http;

use std::borrow::Cow;
use std::fmt::Write as _;

use audit_api::refusal::EventRefusal;
use audit_event::mapping::otlp::{self, Record};
use serve::refusal::Refusal;

use crate::receive::{Asked, Receive, Sender, bad_body, of_whole};
use crate::take::{Item, Outcome};

/// The source of a record whose resource names no service.
const SOURCE: &str = "otlp:unknown";
/// Rejected records that a sender is told one by one.
const NAMED_MAX: usize = 10;

/// How a request is written, and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Json,
    Protobuf,
}

impl Encoding {
    const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/x-protobuf",
        }
    }

    const fn sender(self) -> Sender<'static> {
        let content_type = self.media_type();
        Sender { receiver: "otlp", content_type, source: SOURCE, log: None }
    }
}

/// What a sender is told of a request that was taken: nothing where all of it was.
#[derive(Debug, Default, PartialEq, Eq)]
struct Exported {
    rejected: u64,
    message: String,
}

/// Takes the records of a request.
async fn export(
    receive: &Receive,
    asked: &Asked<'_>,
    encoding: Encoding,
    body: &[u8],
) -> Result<Exported, Refusal> {
    let sender = encoding.sender();
    let records = match encoding {
        Encoding::Json => otlp::split_json(body),
        Encoding::Protobuf => otlp::split_protobuf(body),
    };
    let records = match records {
        Ok(records) => records,
        Err(error) => {
            let refusal = EventRefusal::from(&error);
            receive.keep_whole(&sender, body, &refusal).await?;
            return Err(of_whole(refusal));
        }
    };
    if records.is_empty() && encoding == Encoding::Json && !may_be_empty(body) {
        let refusal = bad_body("no log records were found: resourceLogs is missing");
        receive.keep_whole(&sender, body, &refusal).await?;
        return Ok(Exported { rejected: 0, message: refusal.message });
    }
    let batch = receive.batch(asked, &sender, body);
    let places = records.into_iter().enumerate().map(|(at, record)| Item {
        at,
        bytes: record.bytes(),
        source: record.source().map_or(Cow::Borrowed(SOURCE), Cow::Owned),
        with: record,
    });
    let outcome = receive
        .take(&batch, places, |item: &Item<'_, Record<'_>>, intake| otlp::map(&item.with, intake));
    let outcome = outcome.await?;
    if outcome.refused == 0 {
        return Ok(Exported::default());
    }
    let message = message(&outcome);
    match outcome.first_refused {
        Some((_, refusal)) if outcome.taken == 0 => {
            Err(of_whole(EventRefusal { message, ..refusal }))
        }
        _ => Ok(Exported { rejected: outcome.refused, message }),
    }
}

/// Whether a body without records is an empty request, and not one of another form whose members were
/// all passed over.
fn may_be_empty(body: &[u8]) -> bool {
    let written: Vec<u8> =
        body.iter().copied().filter(|it| !it.is_ascii_whitespace()).take(3).collect();
    written == b"{}" || audit_event::mapping::items::Items::of_member(body, "resourceLogs").is_ok()
}

/// Which records were rejected and why.
fn message(outcome: &Outcome) -> String {
    let mut message = format!("{} log records were rejected", outcome.refused);
    let refused =
        outcome.results.iter().filter_map(|(at, result)| Some((at, result.as_ref().err()?)));
    for (place, (at, refusal)) in refused.take(NAMED_MAX).enumerate() {
        let before = if place == 0 { ": " } else { "; " };
        write!(message, "{before}record {at}: {}", refusal.message)
            .expect("writing to a string cannot fail");
    }
    message
}

/// Fields of protobuf messages, as far as answers have them.
mod protobuf {
    fn varint(mut value: u64, out: &mut Vec<u8>) {
        while value >= 0x80 {
            out.push(u8::try_from(value & 0x7f).expect("seven bits") | 0x80);
            value >>= 7;
        }
        out.push(u8::try_from(value).expect("seven bits"));
    }

    /// A number; 0 is not written.
    pub(super) fn number(field: u64, value: u64, out: &mut Vec<u8>) {
        if value != 0 {
            varint(field << 3, out);
            varint(value, out);
        }
    }

    /// A text or a message.
    pub(super) fn bytes(field: u64, bytes: &[u8], out: &mut Vec<u8>) {
        if !bytes.is_empty() {
            varint(field << 3 | 2, out);
            varint(u64::try_from(bytes.len()).unwrap_or(u64::MAX), out);
            out.extend_from_slice(bytes);
        }
    }
}

impl Exported {
    /// `ExportLogsServiceResponse`: `partial_success` (1) of `rejected_log_records` (1) and
    /// `error_message` (2), and nothing of it where all was taken.
    fn protobuf(&self) -> Vec<u8> {
        let (mut partial, mut response) = (Vec::new(), Vec::new());
        protobuf::number(1, self.rejected, &mut partial);
        protobuf::bytes(2, self.message.as_bytes(), &mut partial);
        protobuf::bytes(1, &partial, &mut response);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_nothing_of_what_was_taken() {
        assert_eq!(Exported::default().protobuf(), [0_u8; 0]);
        let partial = Exported { rejected: 300, message: "x".to_owned() };
        assert_eq!(partial.protobuf(), [0x0a, 6, 0x08, 0xac, 2, 0x12, 1, b'x']);
    }

    #[test]
    fn an_object_of_another_form_is_not_an_empty_request() {
        assert!(may_be_empty(b" { } ") && may_be_empty(br#"{"resourceLogs":[],"x":1}"#));
        for other in [r#"{"message":"x"}"#, r#"{"resource_logs":[]}"#, r#"{"resourceLogs":{}}"#] {
            assert!(!may_be_empty(other.as_bytes()), "{other}");
        }
    }
}
