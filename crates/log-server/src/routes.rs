//! Every route of a log server: those of logs, of audit logs, of receivers, of destinations, and what
//! describes them.

use serve::route::{Action, Call, Load, Pattern, Route, RouteTable};

/// What answers a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// The interface of logs.
    Log(log_api::routes::To),
    /// The interface of audit logs.
    Audit(audit_api::routes::To),
    /// The receivers.
    Receive(audit_receive::routes::To),
    /// Destinations.
    Stream(audit_stream::routes::To),
    /// What the routes are.
    OpenApi,
}

const LOG: usize = log_api::routes::ROWS.len();
const AUDIT: usize = audit_api::routes::ROWS.len();
const RECEIVE: usize = audit_receive::routes::ROWS.len();
const STREAM: usize = audit_stream::routes::ROWS.len();

/// The document that describes the routes of plain HTTP, as `OpenAPI` 3.1.
pub const OPENAPI: &str = include_str!("openapi.json");

const OPENAPI_ROUTE: Route = Route {
    name: "http_openapi",
    call: Call::Get,
    pattern: Pattern::new("/v1/openapi.json"),
    body_bytes_max: 0,
    load: Load::Shed,
    action: Action::Probe,
};

static ROWS: [(Route, To); LOG + AUDIT + RECEIVE + STREAM + 1] = {
    let mut rows = [(OPENAPI_ROUTE, To::OpenApi); LOG + AUDIT + RECEIVE + STREAM + 1];
    let mut at = 0;
    while at < LOG {
        let (route, to) = log_api::routes::ROWS[at];
        rows[at] = (route, To::Log(to));
        at += 1;
    }
    while at < LOG + AUDIT {
        let (route, to) = audit_api::routes::ROWS[at - LOG];
        rows[at] = (route, To::Audit(to));
        at += 1;
    }
    while at < LOG + AUDIT + RECEIVE {
        let (route, to) = audit_receive::routes::ROWS[at - LOG - AUDIT];
        rows[at] = (route, To::Receive(to));
        at += 1;
    }
    while at < LOG + AUDIT + RECEIVE + STREAM {
        let (route, to) = audit_stream::routes::ROWS[at - LOG - AUDIT - RECEIVE];
        rows[at] = (route, To::Stream(to));
        at += 1;
    }
    rows
};

/// The rows as a table.
pub fn table() -> RouteTable<To> {
    RouteTable::new(&ROWS)
}
