//! Events on their way to an audit log, and what became of each.

use audit_event::Value;
use audit_event::json::{self, EVENT_BYTES_MAX, JsonError, Numbers};
use bytes::Bytes;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::api::{self, Api, ApiError, LINES};
use crate::cloudtrail::to_hex;
use crate::error::CliError;

/// Events of one call: what the server takes.
pub(crate) const BATCH_EVENTS_MAX: usize = 1_000;
/// Bytes of one call, half of what the server takes.
pub(crate) const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Why a text is not sent. No value of the event is in it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DraftError {
    #[error(transparent)]
    Json(#[from] JsonError),
    #[error("the event is not an object")]
    NotObject,
    #[error("the event has more than {EVENT_BYTES_MAX} bytes")]
    TooLarge,
}

/// An event as it is sent. It has an id, so that sending it twice records it once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Draft {
    text: Vec<u8>,
    id: String,
}

impl Draft {
    /// One event as JSON on one line. Where it has no id, `id` is put in front of what it says; the rest
    /// stays as it is, byte for byte, but for line ends between members.
    pub(crate) fn new(text: &[u8], id: impl FnOnce() -> String) -> Result<Self, DraftError> {
        let text = text.trim_ascii();
        if text.len() > EVENT_BYTES_MAX {
            return Err(DraftError::TooLarge);
        }
        let Value::Object(members) = json::parse(text, Numbers::Own)?.value else {
            return Err(DraftError::NotObject);
        };
        // JSON has line ends between its members alone.
        let mut line: Vec<u8> = text
            .iter()
            .map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte })
            .collect();
        let id = match members.get("id") {
            Some(Value::Text(id)) => id.clone(),
            // The server says what is wrong with it.
            Some(_) => String::new(),
            None => {
                let id = id();
                let comma = if members.is_empty() { "" } else { "," };
                line.splice(1..1, format!("\"id\":\"{id}\"{comma}").into_bytes());
                id
            }
        };
        Ok(Self { text: line, id })
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The event on one line, without a line end.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }
}

/// An id that nobody else gives: 128 random bits.
pub(crate) fn random_id() -> Result<String, CliError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|source| CliError::Random { source })?;
    Ok(to_hex(&bytes))
}

/// What became of an event.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Outcome {
    Refused { error: Refused },
    Taken(Taken),
}

/// An event that stands in the log.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Taken {
    pub(crate) index: u64,
    pub(crate) leaf_hash: String,
    pub(crate) id: String,
    pub(crate) received_at: String,
    pub(crate) duplicate: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) receipt: Option<String>,
}

/// Why an event was not recorded, in the server's words.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Refused {
    pub(crate) reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) field: Option<String>,
    pub(crate) message: String,
}

#[derive(Deserialize)]
struct Answer {
    results: Vec<Outcome>,
}

/// Sends up to [`BATCH_EVENTS_MAX`] events, and again while the server is busy: they have ids. Gives what
/// became of each, in their order. `level` is `index`, `signed` or `witnessed`.
pub(crate) async fn post(
    api: &Api,
    log: &str,
    level: &str,
    drafts: &[Draft],
) -> Result<Vec<Outcome>, ApiError> {
    let path = format!("/v1/logs/{}/events", api::segment(log));
    let path = api::with_query(&path, [("receipt", level)]);
    let body: Vec<&[u8]> = drafts.iter().map(Draft::text).collect();
    let answer = api.post(&path, LINES, Bytes::from(body.join(&b'\n'))).await?;
    let of_events = matches!(
        answer.status(),
        StatusCode::OK
            | StatusCode::BAD_REQUEST
            | StatusCode::CONFLICT
            | StatusCode::PAYLOAD_TOO_LARGE
    );
    match serde_json::from_slice::<Answer>(answer.body()) {
        Ok(Answer { results }) if of_events => {
            let what = "it does not say what became of each event";
            if results.len() == drafts.len() {
                Ok(results)
            } else {
                Err(ApiError::BadAnswer { what })
            }
        }
        _ if answer.status().is_success() => {
            Err(ApiError::BadAnswer { what: "it does not say what became of the events" })
        }
        _ => Err(api::refused(&answer)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(text: &str) -> Result<String, String> {
        let draft = Draft::new(text.as_bytes(), || "new".to_owned());
        let draft = draft.map_err(|error| error.to_string())?;
        assert!(!draft.id().is_empty());
        Ok(String::from_utf8(draft.text().to_vec()).unwrap())
    }

    #[test]
    fn an_event_without_an_id_gets_one_and_nothing_else_changes() {
        for (text, sent) in [
            (r#"{"a":1.50}"#, r#"{"id":"new","a":1.50}"#),
            (" {}\r\n", r#"{"id":"new"}"#),
            ("{\n\"id\":\"7\"\n}", r#"{ "id":"7" }"#),
        ] {
            assert_eq!(draft(text).as_deref(), Ok(sent));
        }
        let odd = Draft::new(br#"{"id":7}"#, || unreachable!("there is one")).unwrap();
        assert_eq!((odd.text(), odd.id()), (&br#"{"id":7}"#[..], ""));
    }

    #[test]
    fn what_is_no_event_is_not_sent() {
        assert_eq!(draft("[]").unwrap_err(), "the event is not an object");
        assert!(draft(r#"{"a":1,"a":2}"#).is_err());
        assert!(draft("{").is_err() && draft("").is_err());
        let of = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
        assert!(draft(&of(EVENT_BYTES_MAX)).is_ok());
        assert!(draft(&of(EVENT_BYTES_MAX + 1)).unwrap_err().contains("more than"));
    }
}
