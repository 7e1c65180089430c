//! Every route of the receivers, one row each.
//!
//! Each receiver bounds the bodies of its requests itself, by its own setting, because it refuses a body
//! that is too large in the words of its protocol.

use serve::route::Action::{Probe, RecordEvents};
use serve::route::{Action, Call, Load, Pattern, Route};

/// What answers a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// The audit webhook of a kube-apiserver.
    Kubernetes,
    /// A log file of CloudTrail.
    CloudTrail,
    /// What an import of files came to.
    Import,
    /// CloudEvents over HTTP.
    CloudEvents,
    /// OTLP logs over HTTP.
    OtlpHttp,
    /// OTLP logs over gRPC.
    OtlpGrpc,
    /// The HTTP Event Collector.
    Hec(Hec),
}

/// What is asked of the HTTP Event Collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hec {
    /// Envelopes, each with an event.
    Events,
    /// A line an event.
    Raw,
    /// Whether what was sent before is durable.
    Acks,
    /// Whether events are taken.
    Health,
    /// What may be sent.
    Options,
    /// What a collector is not.
    Unknown,
}

const EVENT: &str = "/services/collector/event";
const EVENT_1: &str = "/services/collector/event/1.0";
const COLLECTOR: &str = "/services/collector";
const RAW: &str = "/services/collector/raw";
const RAW_1: &str = "/services/collector/raw/1.0";

/// The rows. Of those whose patterns begin alike, the most called stands first.
pub const ROWS: [(Route, To); 21] = [
    post("http_k8s", "/v1/k8s/{cluster}/audit", To::Kubernetes),
    post("http_cloudtrail", "/v1/cloudtrail", To::CloudTrail),
    post("http_cloudevents", "/v1/cloudevents", To::CloudEvents),
    post("http_otlp_logs", "/v1/logs", To::OtlpHttp),
    post("http_import", "/v1/logs/{log}/imports", To::Import),
    call("OtlpLogs", "/opentelemetry.proto.collector.logs.v1.LogsService/Export", To::OtlpGrpc),
    post("http_hec", COLLECTOR, To::Hec(Hec::Events)),
    post("http_hec", EVENT, To::Hec(Hec::Events)),
    post("http_hec", EVENT_1, To::Hec(Hec::Events)),
    post("http_hec", RAW, To::Hec(Hec::Raw)),
    post("http_hec", RAW_1, To::Hec(Hec::Raw)),
    post("http_hec_ack", "/services/collector/ack", To::Hec(Hec::Acks)),
    probe(Call::Get, "/services/collector/health", Hec::Health),
    probe(Call::Get, "/services/collector/health/1.0", Hec::Health),
    probe(Call::Options, COLLECTOR, Hec::Options),
    probe(Call::Options, EVENT, Hec::Options),
    probe(Call::Options, EVENT_1, Hec::Options),
    probe(Call::Options, RAW, Hec::Options),
    probe(Call::Options, RAW_1, Hec::Options),
    probe(Call::Get, "/services/server/info", Hec::Unknown),
    probe(Call::Get, "/services/server/info/server-info", Hec::Unknown),
];

const fn row(name: &'static str, call: Call, pattern: &'static str, action: Action) -> Route {
    let (pattern, body_bytes_max) = (Pattern::new(pattern), usize::MAX);
    Route { name, call, pattern, body_bytes_max, load: Load::Shed, action }
}

const fn post(name: &'static str, pattern: &'static str, to: To) -> (Route, To) {
    (row(name, Call::Post, pattern, RecordEvents), to)
}

const fn call(name: &'static str, pattern: &'static str, to: To) -> (Route, To) {
    (row(name, Call::Unary, pattern, RecordEvents), to)
}

const fn probe(call: Call, pattern: &'static str, asked: Hec) -> (Route, To) {
    let route = row("http_hec_probe", call, pattern, Probe);
    (Route { load: Load::Always, ..route }, To::Hec(asked))
}
