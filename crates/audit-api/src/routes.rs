//! Every route of audit logs, one row each. `/v1/events` is the log `audit`.

use serve::route::Action::{ReadEvents, RecordEvents};
use serve::route::{Action, Call, Load, Pattern, Route};

/// Bytes of a body of events: what one call of the log takes.
pub const BODY_BYTES_MAX: usize = log_core::CALL_BYTES_MAX;

/// Bytes of a request whose body is not read.
const QUERY_BYTES_MAX: usize = 64 * 1024;

/// What answers a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// Events to record.
    Record,
    /// One event, or its receipt.
    Event,
}

/// The rows. Of those whose patterns begin alike, the most called stands first.
pub const ROWS: [(Route, To); 5] = [
    post("http_record_events", "/v1/logs/{log}/events", RecordEvents, To::Record),
    post("http_record_events", "/v1/events", RecordEvents, To::Record),
    get("http_event", "/v1/logs/{log}/events/{rest..}", ReadEvents, To::Event),
    get("http_event", "/v1/events/{index}", ReadEvents, To::Event),
    get("http_event", "/v1/events/{index}/receipt", ReadEvents, To::Event),
];

const fn row(
    name: &'static str,
    call: Call,
    pattern: &'static str,
    action: Action,
    body_bytes_max: usize,
) -> Route {
    let pattern = Pattern::new(pattern);
    Route { name, call, pattern, body_bytes_max, load: Load::Shed, action }
}

const fn get(name: &'static str, pattern: &'static str, action: Action, to: To) -> (Route, To) {
    (row(name, Call::Get, pattern, action, QUERY_BYTES_MAX), to)
}

const fn post(name: &'static str, pattern: &'static str, action: Action, to: To) -> (Route, To) {
    (row(name, Call::Post, pattern, action, BODY_BYTES_MAX), to)
}
