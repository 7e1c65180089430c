//! Every route and call of a log server, one row each.

use log_core::ENTRY_BYTES_MAX;
use serve::ops::Target as Asked;
use serve::route::Action::{AppendToLog, ManageLogs, Operate, Probe, ReadLog};
use serve::route::{Action, Call, Load, Pattern, Route, RouteTable};

use crate::http::Target;
use crate::service::MESSAGE_BYTES_MAX;

/// The largest message of the standard services, in bytes: what tonic takes by itself.
const STANDARD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What answers a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    Log,
    Health,
    Reflection,
    Http(Target),
}

/// The rows as a table, for a server that has no others.
pub fn table() -> RouteTable<To> {
    RouteTable::new(&ROWS)
}

/// The rows. Of those whose patterns begin alike, the most called stands first.
pub const ROWS: [(Route, To); 27] = [
    call("Append", "/cairn.log.v1.LogService/Append", AppendToLog),
    call("AppendBatch", "/cairn.log.v1.LogService/AppendBatch", AppendToLog),
    streaming(call("AppendStream", "/cairn.log.v1.LogService/AppendStream", AppendToLog)),
    call("GetReceipt", "/cairn.log.v1.LogService/GetReceipt", ReadLog),
    call("GetCheckpoint", "/cairn.log.v1.LogService/GetCheckpoint", ReadLog),
    call("ListCheckpoints", "/cairn.log.v1.LogService/ListCheckpoints", ReadLog),
    call("WatchCheckpoints", "/cairn.log.v1.LogService/WatchCheckpoints", ReadLog),
    call("GetInclusionProof", "/cairn.log.v1.LogService/GetInclusionProof", ReadLog),
    call("GetConsistencyProof", "/cairn.log.v1.LogService/GetConsistencyProof", ReadLog),
    call("GetBatchInclusionProof", "/cairn.log.v1.LogService/GetBatchInclusionProof", ReadLog),
    call("GetEntries", "/cairn.log.v1.LogService/GetEntries", ReadLog),
    call("LookupEntry", "/cairn.log.v1.LogService/LookupEntry", ReadLog),
    call("CreateLog", "/cairn.log.v1.LogService/CreateLog", ManageLogs),
    call("GetLog", "/cairn.log.v1.LogService/GetLog", ReadLog),
    call("ListLogs", "/cairn.log.v1.LogService/ListLogs", ReadLog),
    call("FreezeLog", "/cairn.log.v1.LogService/FreezeLog", ManageLogs),
    health("/grpc.health.v1.Health/Check"),
    health("/grpc.health.v1.Health/Watch"),
    streaming(reflection("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")),
    post("http_add", "/logs/{log}/add", AppendToLog, Target::Add),
    get("http_checkpoint", "/logs/{log}/checkpoint", ReadLog, Target::Checkpoint),
    get("http_bundle", "/logs/{log}/tile/entries/{rest..}", ReadLog, Target::Bundle),
    get("http_tile", "/logs/{log}/tile/{rest..}", ReadLog, Target::Tile),
    always(get("http_healthz", Asked::Healthz.path(), Probe, Target::Ops(Asked::Healthz))),
    // The floor that load generators measure `/add` against.
    always(post("http_healthz", Asked::Healthz.path(), Probe, Target::Discard)),
    always(get("http_readyz", Asked::Readyz.path(), Probe, Target::Ops(Asked::Readyz))),
    always(get("http_metrics", Asked::Metrics.path(), Operate, Target::Ops(Asked::Metrics))),
];

const fn row(name: &'static str, call: Call, pattern: &'static str, action: Action) -> Route {
    let body_bytes_max = match call {
        Call::Unary | Call::Streaming => MESSAGE_BYTES_MAX,
        // The body of a GET request is not read, but it has a bound too.
        Call::Get | Call::Post | Call::Delete | Call::Options => ENTRY_BYTES_MAX,
    };
    let pattern = Pattern::new(pattern);
    Route { name, call, pattern, body_bytes_max, load: Load::Shed, action }
}

const fn call(name: &'static str, pattern: &'static str, action: Action) -> (Route, To) {
    (row(name, Call::Unary, pattern, action), To::Log)
}

const fn health(pattern: &'static str) -> (Route, To) {
    let route = row("Health", Call::Unary, pattern, Probe);
    (Route { body_bytes_max: STANDARD_BYTES_MAX, load: Load::Always, ..route }, To::Health)
}

const fn reflection(pattern: &'static str) -> (Route, To) {
    let route = row("Reflection", Call::Unary, pattern, Probe);
    (Route { body_bytes_max: STANDARD_BYTES_MAX, ..route }, To::Reflection)
}

const fn streaming((route, to): (Route, To)) -> (Route, To) {
    (Route { call: Call::Streaming, ..route }, to)
}

const fn get(
    name: &'static str,
    pattern: &'static str,
    action: Action,
    target: Target,
) -> (Route, To) {
    (row(name, Call::Get, pattern, action), To::Http(target))
}

const fn post(
    name: &'static str,
    pattern: &'static str,
    action: Action,
    target: Target,
) -> (Route, To) {
    (row(name, Call::Post, pattern, action), To::Http(target))
}

const fn always((route, to): (Route, To)) -> (Route, To) {
    (Route { load: Load::Always, ..route }, to)
}
