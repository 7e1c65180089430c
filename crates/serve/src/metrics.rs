//! Requests counted by route and code, for Prometheus.
//!
//! Both labels come out of fixed lists. Counting a request costs one array access and one atomic
//! addition; nothing is looked up by text on that path.

use std::sync::OnceLock;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// The routes requests are counted by.
#[derive(Clone, Copy, Debug)]
pub struct Routes {
    /// Their names, as the label says them. The first stands for every path without a name of its own.
    pub names: &'static [&'static str],
    /// The route of a request path, as a position in the names. Called for every request.
    pub of: fn(&str) -> usize,
}

/// A position among the names of [`Routes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route(usize);

/// How a request ended, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome(usize);

/// gRPC codes by number, then the HTTP statuses these servers answer with.
const OUTCOMES: [&str; 33] = [
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

    /// Its name, as the label says it.
    pub fn name(self) -> &'static str {
        OUTCOMES[self.0]
    }
}

type Labels = [(&'static str, &'static str); 2];

/// The requests of one process. Shared, and cheap to call from any thread.
#[derive(Debug)]
pub struct Requests {
    routes: Routes,
    counts: Family<Labels, Counter>,
    cells: Box<[OnceLock<Counter>]>,
    panics: Counter,
}

impl Requests {
    /// None so far.
    pub fn new(routes: &Routes) -> Self {
        let cells = routes.names.len() * OUTCOMES.len();
        Self {
            routes: *routes,
            counts: Family::default(),
            cells: (0..cells).map(|_| OnceLock::new()).collect(),
            panics: Counter::default(),
        }
    }

    /// Makes the counts part of what `registry` is scraped for.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("requests", "Requests by route and code", self.counts.clone());
        registry.register("panics", "Requests that ended in a panic", self.panics.clone());
    }

    /// The route of a request path.
    pub fn route(&self, path: &str) -> Route {
        Route((self.routes.of)(path).min(self.routes.names.len() - 1))
    }

    /// One request ended.
    pub fn ended(&self, route: Route, outcome: Outcome) {
        let cell = &self.cells[route.0 * OUTCOMES.len() + outcome.0];
        cell.get_or_init(|| {
            let labels = [("route", self.routes.names[route.0]), ("code", outcome.name())];
            self.counts.get_or_create(&labels).clone()
        })
        .inc();
    }

    /// One request panicked and was answered for.
    pub fn panicked(&self) {
        self.panics.inc();
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const ROUTES: Routes = Routes {
        names: &["other", "a", "b"],
        of: |path| match path {
            "/a" => 1,
            "/b" => 2,
            _ => 0,
        },
    };

    pub(crate) fn scrape(requests: &Requests) -> String {
        let mut registry = Registry::default();
        requests.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text
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
