//! Answers in JSON.

use audit_event::value::Object;
use audit_event::{Value, text};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serve::body::{Body, full};
use serve::refusal::Refusal;

use audit_trail::Taken;

use crate::refusal::EventRefusal;
use crate::shown::{number, object};

/// An answer that nobody may store.
pub fn json(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(full(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let sniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, sniff);
    response
}

/// An object as an answer.
pub fn members(status: StatusCode, members: &Object) -> Response<Body> {
    json(status, format!("{}\n", text::write(members)))
}

/// A refusal of the whole request: its status and headers are those of every refusal.
pub fn refusal(refusal: Refusal) -> Response<Body> {
    let mut error = object([
        ("message", Value::from(&*refusal.message)),
        ("reason", Value::from(refusal.reason.unwrap_or("UNKNOWN"))),
    ]);
    error.extend(refusal.field.as_deref().map(|field| ("field".to_owned(), Value::from(field))));
    let body = object([("error", Value::Object(error))]);
    let (head, _) = refusal.into_http().into_parts();
    let mut response = members(head.status, &body);
    for name in [header::RETRY_AFTER, header::CONNECTION, header::ACCEPT_ENCODING] {
        if let Some(value) = head.headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

/// What is said of an event that stands in the log.
pub fn taken_members(taken: Taken, receipt: Option<Bytes>) -> Object {
    let Taken { id, index, leaf_hash, received_at, duplicate } = taken;
    let mut members = object([
        ("duplicate", Value::Bool(duplicate)),
        ("id", Value::Text(id)),
        ("index", number(index.get())),
        ("leaf_hash", Value::Text(leaf_hash.to_string())),
        ("received_at", Value::Text(received_at.to_nine_digits())),
    ]);
    let receipt = receipt.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
    members.extend(receipt.map(|text| ("receipt".to_owned(), Value::Text(text))));
    members
}

/// What is said of an event that was refused, and that begins in this line of the body.
pub fn error_members(refusal: EventRefusal, line: usize) -> Object {
    let EventRefusal { reason, field, message, .. } = refusal;
    let line = u64::try_from(line).unwrap_or(u64::MAX);
    let mut members = object([
        ("line", number(line)),
        ("message", Value::Text(message)),
        ("reason", Value::from(reason)),
    ]);
    members.extend(field.map(|field| ("field".to_owned(), Value::Text(field))));
    members
}
