//! Every route and call of a witness, one row each.

use serve::ops::Target as Asked;
use serve::route::Action::{AskWitness, Operate, Probe, ReadWitness};
use serve::route::{Action, Call, Load, Pattern, Route, RouteTable};

use crate::gossip::MESSAGE_BYTES_MAX;
use crate::http::Target;

/// The largest plain HTTP body, in bytes.
pub const BODY_BYTES_MAX: usize = 128 * 1024;

/// What answers a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    Gossip,
    Http(Target),
}

/// The rows as a table.
pub fn table() -> RouteTable<To> {
    RouteTable::new(&ROWS)
}

static ROWS: [(Route, To); 11] = [
    http("add_checkpoint", Call::Post, "/add-checkpoint", AskWitness, Target::AddCheckpoint),
    http("sign_subtree", Call::Post, "/sign-subtree", AskWitness, Target::SignSubtree),
    always(http("healthz", Call::Get, Asked::Healthz.path(), Probe, Target::Ops(Asked::Healthz))),
    always(http("readyz", Call::Get, Asked::Readyz.path(), Probe, Target::Ops(Asked::Readyz))),
    always(http("metrics", Call::Get, Asked::Metrics.path(), Operate, Target::Ops(Asked::Metrics))),
    http("checkpoint", Call::Get, "/{origin}/checkpoint", ReadWitness, Target::Checkpoint),
    http("evidence", Call::Get, "/{origin}/evidence", ReadWitness, Target::Evidence),
    gossip("/cairn.gossip.v1.GossipService/Pull"),
    gossip("/cairn.gossip.v1.GossipService/Push"),
    gossip("/cairn.gossip.v1.GossipService/ReportCheckpoint"),
    gossip("/cairn.gossip.v1.GossipService/GetEvidence"),
];

const fn http(
    name: &'static str,
    call: Call,
    pattern: &'static str,
    action: Action,
    target: Target,
) -> (Route, To) {
    let (pattern, load) = (Pattern::new(pattern), Load::Shed);
    // Bodies of GET requests are not read, and are bounded all the same.
    let body_bytes_max = BODY_BYTES_MAX;
    (Route { name, call, pattern, body_bytes_max, load, action }, To::Http(target))
}

const fn always((route, to): (Route, To)) -> (Route, To) {
    (Route { load: Load::Always, ..route }, to)
}

const fn gossip(pattern: &'static str) -> (Route, To) {
    let route = Route {
        name: "gossip",
        call: Call::Unary,
        pattern: Pattern::new(pattern),
        body_bytes_max: MESSAGE_BYTES_MAX,
        load: Load::Shed,
        action: Action::Gossip,
    };
    (route, To::Gossip)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message as _;

    /// The calls of the table are those of the API, with its number of request messages.
    #[test]
    fn every_call_of_the_api_has_its_row() {
        let files = log_proto::GOSSIP_DESCRIPTOR_SET;
        let files = prost_types::FileDescriptorSet::decode(files).unwrap();
        let calls: std::collections::BTreeSet<_> = files.file.iter().flat_map(calls_of).collect();
        let table = table();
        let rows = table.routes().filter(|route| route.call.is_grpc());
        let row = |route: &Route| (route.pattern.text().to_owned(), route.call == Call::Streaming);
        assert_eq!(rows.map(row).collect::<std::collections::BTreeSet<_>>(), calls);
        assert!(!calls.is_empty());
    }

    fn calls_of(file: &prost_types::FileDescriptorProto) -> Vec<(String, bool)> {
        let of = |service: &prost_types::ServiceDescriptorProto| {
            let path = format!("/{}.{}/", file.package(), service.name());
            let call = |method: &prost_types::MethodDescriptorProto| {
                (format!("{path}{}", method.name()), method.client_streaming())
            };
            service.method.iter().map(call).collect::<Vec<_>>()
        };
        file.service.iter().flat_map(of).collect()
    }
}
