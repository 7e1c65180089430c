//! Every route of a log server: those of logs, then those of audit logs, then those of receivers.

use serve::route::{Route, RouteTable};

/// What answers a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// The interface of logs.
    Log(log_api::routes::To),
    /// The interface of audit logs.
    Audit(audit_api::routes::To),
    /// The receivers.
    Receive(audit_receive::routes::To),
}

const LOG: usize = log_api::routes::ROWS.len();
const AUDIT: usize = audit_api::routes::ROWS.len();
const RECEIVE: usize = audit_receive::routes::ROWS.len();

static ROWS: [(Route, To); LOG + AUDIT + RECEIVE] = {
    let (route, to) = log_api::routes::ROWS[0];
    let mut rows = [(route, To::Log(to)); LOG + AUDIT + RECEIVE];
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
    rows
};

/// The rows as a table.
pub fn table() -> RouteTable<To> {
    RouteTable::new(&ROWS)
}
