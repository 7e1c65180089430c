//! Answers in JSON.

use audit_event::value::Object;
use audit_event::{Value, text};
use http::{HeaderValue, Response, StatusCode, header};
use serve::body::{Body, full};
use serve::refusal::Refusal;

use crate::shown::object;

/// An answer that nobody may store.
pub(crate) fn json(status: StatusCode, text: String) -> Response<Body> {
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
pub(crate) fn members(status: StatusCode, members: &Object) -> Response<Body> {
    json(status, format!("{}\n", text::write(members)))
}

/// A refusal of the whole request: its status and headers are those of every refusal.
pub(crate) fn refusal(refusal: Refusal) -> Response<Body> {
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
