//! Every route of audit logs, one row each. `/v1/events` is the log `audit`.

use log_api::service::MESSAGE_BYTES_MAX;
use serve::route::Action::{ExportEvents, ReadEvents, RecordEvents};
use serve::route::{Action, Call, Load, Pattern, Route};

/// Bytes of a body of events: what one call of the log takes.
pub const BODY_BYTES_MAX: usize = log_core::CALL_BYTES_MAX;

/// Bytes of a request whose body is not read.
const QUERY_BYTES_MAX: usize = 64 * 1024;

/// What answers a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// A call of `AuditService`.
    Call,
    /// Events to record.
    Record,
    /// Events that match.
    List,
    /// How many events match.
    Counts,
    /// Events as they are committed.
    Tail,
    /// An evidence file to make.
    Export,
    /// An evidence file: how far it is, its archive, its end.
    Exported,
    /// One event, or its receipt.
    Event,
}

/// The rows. Of those whose patterns begin alike, the most called stands first.
pub const ROWS: [(Route, To); 23] = [
    call("RecordEvent", "/cairn.audit.v1.AuditService/RecordEvent", RecordEvents),
    call("RecordEvents", "/cairn.audit.v1.AuditService/RecordEvents", RecordEvents),
    streaming(call("RecordStream", "/cairn.audit.v1.AuditService/RecordStream", RecordEvents)),
    call("GetEvent", "/cairn.audit.v1.AuditService/GetEvent", ReadEvents),
    call("GetEventReceipt", "/cairn.audit.v1.AuditService/GetEventReceipt", ReadEvents),
    call("SearchEvents", "/cairn.audit.v1.AuditService/SearchEvents", ReadEvents),
    call("CountEvents", "/cairn.audit.v1.AuditService/CountEvents", ReadEvents),
    call("TailEvents", "/cairn.audit.v1.AuditService/TailEvents", ReadEvents),
    call("ExportEvents", "/cairn.audit.v1.AuditService/ExportEvents", ExportEvents),
    post("http_record_events", "/v1/logs/{log}/events", RecordEvents, To::Record),
    post("http_record_events", "/v1/events", RecordEvents, To::Record),
    get("http_events", "/v1/logs/{log}/events", ReadEvents, To::List),
    get("http_events", "/v1/events", ReadEvents, To::List),
    get("http_event_counts", "/v1/logs/{log}/events/counts", ReadEvents, To::Counts),
    get("http_event_counts", "/v1/events/counts", ReadEvents, To::Counts),
    get("http_event_tail", "/v1/logs/{log}/events/tail", ReadEvents, To::Tail),
    get("http_event_tail", "/v1/events/tail", ReadEvents, To::Tail),
    post("http_export", "/v1/logs/{log}/exports", ExportEvents, To::Export),
    get("http_exported", "/v1/logs/{log}/exports/{rest..}", ExportEvents, To::Exported),
    delete("http_exported", "/v1/logs/{log}/exports/{rest..}", ExportEvents, To::Exported),
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

const fn call(name: &'static str, pattern: &'static str, action: Action) -> (Route, To) {
    (row(name, Call::Unary, pattern, action, MESSAGE_BYTES_MAX), To::Call)
}

const fn streaming((route, to): (Route, To)) -> (Route, To) {
    (Route { call: Call::Streaming, ..route }, to)
}

const fn get(name: &'static str, pattern: &'static str, action: Action, to: To) -> (Route, To) {
    (row(name, Call::Get, pattern, action, QUERY_BYTES_MAX), to)
}

const fn delete(name: &'static str, pattern: &'static str, action: Action, to: To) -> (Route, To) {
    (row(name, Call::Delete, pattern, action, QUERY_BYTES_MAX), to)
}

/// The handler bounds the body itself, because it refuses one that is too large in JSON.
const fn post(name: &'static str, pattern: &'static str, action: Action, to: To) -> (Route, To) {
    (row(name, Call::Post, pattern, action, usize::MAX), to)
}
