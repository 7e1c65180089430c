//! Requests counted by route and code, connections that were not served, and panics by task, for
//! Prometheus.
//!
//! The labels come from fixed lists. Counting a request costs one array access and one atomic
//! addition, because the row of the request is known by then and nothing is looked up by text.

use std::fmt;
use std::sync::OnceLock;

use base::tasks::Supervisor;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::route::{RouteTable, RowAt};

/// The route of every request that has no row.
const OTHER: &str = "other";

/// How a request ended, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome(usize);

/// gRPC codes by number, then the HTTP statuses these servers answer with.
const OUTCOMES: [&str; 35] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
    "other",
    "200",
    "400",
    "404",
    "405",
    "408",
    "409",
    "413",
    "429",
    "431",
    "500",
    "503",
    "504",
    "412",
    "403",
    "422",
    "415",
    "204",
];
const HTTP_FIRST: usize = 18;
const OUTCOME_OTHER: usize = 17;

impl Outcome {
    /// A gRPC status code.
    pub fn grpc(code: tonic::Code) -> Self {
        Self(usize::try_from(i32::from(code)).unwrap_or(OUTCOME_OTHER).min(OUTCOME_OTHER))
    }

    /// An HTTP status.
    pub fn http(status: http::StatusCode) -> Self {
        let at = OUTCOMES[HTTP_FIRST..].iter().position(|name| *name == status.as_str());
        Self(at.map_or(OUTCOME_OTHER, |at| at + HTTP_FIRST))
    }

    /// The name in the label.
    pub fn name(self) -> &'static str {
        OUTCOMES[self.0]
    }
}

/// Why a connection was not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unserved {
    /// As many connections are open as `connections_max` allows.
    Total,
    /// As many connections of its address are open as `connections_per_address_max` allows.
    Address,
    /// The system did not hand it over.
    NotAccepted,
}

impl Unserved {
    const ALL: [Self; 3] = [Self::Total, Self::Address, Self::NotAccepted];

    fn name(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Address => "address",
            Self::NotAccepted => "not_accepted",
        }
    }
}

type Labels = [(&'static str, &'static str); 2];

/// The requests of one process. Shared, and cheap to call from any thread.
#[derive(Debug)]
pub struct Requests {
    /// First [`OTHER`], then the name of each row.
    names: Box<[&'static str]>,
    counts: Family<Labels, Counter>,
    cells: Box<[OnceLock<Counter>]>,
    unserved: Family<[(&'static str, &'static str); 1], Counter>,
    supervisor: Supervisor,
}

impl Requests {
    /// Counts by the rows of `routes`, from zero; `supervisor` counts the panics.
    pub fn new<T: Copy>(routes: &RouteTable<T>, supervisor: Supervisor) -> Self {
        let names = routes.routes().map(|route| route.name);
        let names: Box<[_]> = std::iter::once(OTHER).chain(names).collect();
        let cells = names.len() * OUTCOMES.len();
        let unserved = Family::<[(&'static str, &'static str); 1], Counter>::default();
        // All of them are shown from the start, so that alerts can name them.
        for reason in Unserved::ALL {
            drop(unserved.get_or_create(&[("reason", reason.name())]));
        }
        Self {
            names,
            counts: Family::default(),
            cells: (0..cells).map(|_| OnceLock::new()).collect(),
            unserved,
            supervisor,
        }
    }

    /// Makes the counts part of what `registry` is scraped for.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("requests", "Requests by route and code", self.counts.clone());
        let text = "Connections closed at once or not accepted, by reason";
        registry.register("connections_refused", text, self.unserved.clone());
        registry.register_collector(Box::new(Panics(self.supervisor.clone())));
    }

    /// The supervisor, which counts the panics.
    pub fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    /// A request ended, of this row or without one.
    pub fn ended(&self, row: Option<RowAt>, outcome: Outcome) {
        let name = row.map_or(0, |at| at.0 + 1);
        let cell = &self.cells[name * OUTCOMES.len() + outcome.0];
        cell.get_or_init(|| {
            let labels = [("route", self.names[name]), ("code", outcome.name())];
            self.counts.get_or_create(&labels).clone()
        })
        .inc();
    }

    /// One connection was not served.
    pub fn unserved(&self, reason: Unserved) {
        self.unserved.get_or_create(&[("reason", reason.name())]).inc();
    }

    /// A request panicked, and an answer was given for it.
    pub fn panicked(&self) {
        self.supervisor.panicked("request");
    }
}

/// The panics of all tasks and requests, and the helpers that are down after one.
#[derive(Debug)]
struct Panics(Supervisor);

impl Collector for Panics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (panics, down) = (self.0.panics(), self.0.down());
        let text = "Panics of requests, tasks and threads";
        let metric = encoder.encode_descriptor("panics", text, None, MetricType::Counter)?;
        ConstCounter::new(panics.values().sum::<u64>()).encode(metric)?;
        let text = "Panics by task, requests among them";
        let mut metric =
            encoder.encode_descriptor("task_panics", text, None, MetricType::Counter)?;
        for (name, count) in panics {
            let labels = [("task", name)];
            ConstCounter::new(count).encode(metric.encode_family(&labels)?)?;
        }
        let text = "Tasks that panicked and wait to be started again";
        let mut metric = encoder.encode_descriptor("task_down", text, None, MetricType::Gauge)?;
        for name in down {
            ConstGauge::new(1_i64).encode(metric.encode_family(&[("task", name)])?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn requests() -> Requests {
        Requests::new(&RouteTable::new(&crate::route::tests::ROWS), Supervisor::new())
    }

    pub(crate) fn scrape(requests: &Requests) -> String {
        let mut registry = Registry::default();
        requests.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text
    }

    /// Rows that share a name share its count.
    #[test]
    fn a_request_is_counted_under_the_name_of_its_row() {
        let requests = requests();
        for row in [Some(RowAt(5)), Some(RowAt(6)), Some(RowAt(0)), None] {
            requests.ended(row, Outcome::grpc(tonic::Code::Ok));
        }
        let text = scrape(&requests);
        for line in [
            r#"requests_total{route="health",code="OK"} 2"#,
            r#"requests_total{route="call",code="OK"} 1"#,
            r#"requests_total{route="other",code="OK"} 1"#,
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }

    #[tokio::test]
    async fn panics_are_counted_in_all_and_by_task() {
        let requests = requests();
        let supervisor = requests.supervisor().clone();
        let before = scrape(&requests);
        assert!(before.contains("\npanics_total 0\n") && !before.contains("task="), "{before}");
        requests.panicked();
        let task = supervisor.helper("backup", || async { panic!("on purpose") });
        while supervisor.down().is_empty() {
            tokio::task::yield_now().await;
        }
        let text = scrape(&requests);
        task.abort();
        for line in [
            "panics_total 2",
            "task_panics_total{task=\"backup\"} 1",
            "task_panics_total{task=\"request\"} 1",
            "task_down{task=\"backup\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    #[test]
    fn outcomes_cover_every_code() {
        for number in 0..=16 {
            let outcome = Outcome::grpc(tonic::Code::from_i32(number));
            assert_ne!(outcome.name(), "other", "{number}");
        }
        assert_eq!(Outcome::http(http::StatusCode::NOT_FOUND).name(), "404");
        assert_eq!(Outcome::http(http::StatusCode::IM_A_TEAPOT).name(), "other");
    }
}
