//! What the server counts, in Prometheus' text form at `/metrics`.
//!
//! Every label has a bounded set of values: routes and codes are fixed lists, invariants have numbers,
//! and log names are bounded by `logs_max`. Requests are counted by the rows of [`crate::routes`].

pub mod followers;
pub mod witness;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::tasks::Supervisor;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use serve::metrics::Requests;
use serve::route::RouteTable;

use log_core::invariants::Invariant;
use log_core::observe::Observer;

type OneLabel = [(&'static str, &'static str); 1];

/// The counters of one process. Shared, and cheap to call from any thread.
#[derive(Debug)]
pub struct Metrics {
    /// Behind a lock that only scrapes and registrations take.
    registry: Mutex<Registry>,
    requests: Arc<Requests>,
    refusals: Family<OneLabel, Counter>,
    appends: Counter,
    entries: Counter,
    commit_seconds: Histogram,
    commit_entries: Histogram,
    journal_sync_seconds: Histogram,
    invariant_violations: Family<OneLabel, Counter>,
}

impl Metrics {
    /// A fresh set, all at zero. Every invariant is present, so that alerts can name it.
    /// Requests are counted by the rows of `routes`; `supervisor` counts the panics.
    pub fn new<T: Copy>(routes: &RouteTable<T>, supervisor: Supervisor) -> Self {
        let mut registry = Registry::with_prefix("cairn");
        let requests = Arc::new(Requests::new(routes, supervisor));
        requests.register(&mut registry);
        let refusals = Family::default();
        let invariant_violations = Family::<OneLabel, Counter>::default();
        // All of them are present from the start, so that alerts can name them.
        for invariant in Invariant::ALL {
            drop(invariant_violations.get_or_create(&[("id", invariant.id())]));
        }
        let appends = Counter::default();
        let entries = Counter::default();
        let seconds = || Histogram::new(exponential_buckets(0.000_1, 2.0, 16));
        let (commit_seconds, journal_sync_seconds) = (seconds(), seconds());
        let commit_entries = Histogram::new(exponential_buckets(1.0, 4.0, 9));
        registry.register("refusals", "Refused requests by reason", refusals.clone());
        registry.register("appends", "Append calls answered", appends.clone());
        registry.register("entries", "Entries committed", entries.clone());
        registry.register_with_unit(
            "commit",
            "Time of one synced write",
            Unit::Seconds,
            commit_seconds.clone(),
        );
        registry.register("commit_entries", "Entries in one synced write", commit_entries.clone());
        registry.register_with_unit(
            "journal_sync",
            "Time of one sync of the head journal",
            Unit::Seconds,
            journal_sync_seconds.clone(),
        );
        registry.register(
            "invariant_violations",
            "Checks of the documented invariants that failed",
            invariant_violations.clone(),
        );
        Self {
            registry: Mutex::new(registry),
            requests,
            refusals,
            appends,
            entries,
            commit_seconds,
            commit_entries,
            journal_sync_seconds,
            invariant_violations,
        }
    }

    /// Watches over the tasks of the server.
    pub fn supervisor(&self) -> &Supervisor {
        self.requests.supervisor()
    }

    /// Where the middleware counts requests.
    pub fn requests(&self) -> &Arc<Requests> {
        &self.requests
    }

    /// One request was refused for `reason`, a name from the API's fixed list.
    pub fn refused(&self, reason: &'static str) {
        self.refusals.get_or_create(&[("reason", reason)]).inc();
    }

    /// One append call was answered, with a receipt of any level.
    pub fn appended(&self) {
        self.appends.inc();
    }

    /// One synced write of the committer, over all its logs.
    pub fn committed(&self, took: Duration, entries: u32) {
        self.entries.inc_by(u64::from(entries));
        self.commit_seconds.observe(took.as_secs_f64());
        self.commit_entries.observe(f64::from(entries));
    }

    /// One sync of the head journal.
    pub fn journal_synced(&self, took: Duration) {
        self.journal_sync_seconds.observe(took.as_secs_f64());
    }

    /// Adds a collector that is read at each scrape.
    pub fn collect(&self, source: impl prometheus_client::collector::Collector) {
        let mut registry = self.registry.lock().expect("no holder of the registry panics");
        registry.register_collector(Box::new(source));
    }

    /// Adds gauges that are read at each scrape.
    pub fn collect_logs(&self, source: Arc<dyn LogGauges>) {
        let mut registry = self.registry.lock().expect("no holder of the registry panics");
        registry.register_collector(Box::new(LogCollector { source }));
    }

    /// The text of a scrape.
    pub fn encode(&self) -> String {
        let registry = self.registry.lock().expect("no holder of the registry panics");
        let mut text = String::with_capacity(16 * 1024);
        if prometheus_client::encoding::text::encode(&mut text, &registry).is_err() {
            text.clear();
            text.push_str("# encoding failed\n");
        }
        text
    }
}

/// The state of one log at a scrape.
#[derive(Clone, Debug)]
pub struct LogGauge {
    pub name: String,
    pub tree_size: u64,
    pub published_size: u64,
    pub published_age_seconds: f64,
    pub indexed_size: u64,
}

/// Gives the gauges of the logs. Called once for each scrape; must not block.
pub trait LogGauges: Send + Sync + std::fmt::Debug + 'static {
    fn log_gauges(&self) -> Vec<LogGauge>;

    /// Entries and entry bytes that wait for a commit, over all logs.
    fn queued(&self) -> (u64, u64);

    /// Bytes free on the store's disk, once they are known.
    fn free_bytes(&self) -> Option<u64>;

    /// The wall clock less the log's time.
    fn clock_offset_seconds(&self) -> f64;
}

#[derive(Debug)]
struct LogCollector {
    source: Arc<dyn LogGauges>,
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float, and 2^53 leaves are enough")]
fn gauge_value(value: u64) -> f64 {
    value as f64
}

impl prometheus_client::collector::Collector for LogCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let gauges = self.source.log_gauges();
        let mut family = |name: &str, help: &str, value: &dyn Fn(&LogGauge) -> f64| {
            let kind = prometheus_client::metrics::MetricType::Gauge;
            let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
            for log in &gauges {
                let labels = [("log", log.name.as_str())];
                ConstGauge::new(value(log)).encode(metric.encode_family(&labels)?)?;
            }
            Ok::<(), std::fmt::Error>(())
        };
        family("log_tree_size", "Committed leaves", &|log| gauge_value(log.tree_size))?;
        family("log_published_size", "Leaves under the published checkpoint", &|log| {
            gauge_value(log.published_size)
        })?;
        family("log_published_age_seconds", "Age of the published checkpoint", &|log| {
            log.published_age_seconds
        })?;
        family("log_indexed_size", "Leaves in the leaf-hash index", &|log| {
            gauge_value(log.indexed_size)
        })?;
        let (entries, bytes) = self.source.queued();
        let mut total = |name: &str, help: &str, value: f64| {
            let kind = prometheus_client::metrics::MetricType::Gauge;
            let metric = encoder.encode_descriptor(name, help, None, kind)?;
            ConstGauge::new(value).encode(metric)
        };
        let text = "Entries waiting for a commit, over all logs";
        total("queue_entries", text, gauge_value(entries))?;
        let text = "Entry bytes waiting for a commit, over all logs";
        total("queue_bytes", text, gauge_value(bytes))?;
        let text = "The wall clock less the time that signatures state; 0 while it is believed";
        total("clock_offset_seconds", text, self.source.clock_offset_seconds())?;
        match self.source.free_bytes() {
            Some(free) => {
                total("free_bytes", "Bytes free on the disk of the store", gauge_value(free))
            }
            None => Ok(()),
        }
    }
}

impl Observer for Metrics {
    fn committed(&self, _logs: usize, entries: usize, _bytes: usize, took: Duration) {
        Self::committed(self, took, u32::try_from(entries).unwrap_or(u32::MAX));
    }

    fn commit_failed(&self, ambiguous: bool) {
        self.refused(if ambiguous { "OUTCOME_UNKNOWN" } else { "NOT_COMMITTED" });
    }

    fn journaled(&self, _heads: usize, took: Duration) {
        self.journal_synced(took);
    }

    fn journal_failed(&self) {
        self.refused("JOURNAL_UNAVAILABLE");
    }

    fn invariant_violated(&self, invariant: Invariant) {
        let id = invariant.id();
        self.invariant_violations.get_or_create(&[("id", id)]).inc();
        tracing::error!(invariant = id, "an invariant does not hold");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serve::metrics::Outcome;

    #[test]
    fn a_scrape_shows_what_was_counted() {
        #[derive(Debug)]
        struct Two;
        impl LogGauges for Two {
            fn log_gauges(&self) -> Vec<LogGauge> {
                ["a", "b"]
                    .map(|name| LogGauge {
                        name: name.to_owned(),
                        tree_size: 7,
                        published_size: 5,
                        published_age_seconds: 0.5,
                        indexed_size: 3,
                    })
                    .to_vec()
            }

            fn queued(&self) -> (u64, u64) {
                (2, 400)
            }

            fn free_bytes(&self) -> Option<u64> {
                Some(9)
            }

            fn clock_offset_seconds(&self) -> f64 {
                -1.5
            }
        }
        let metrics = Metrics::new(&crate::routes::table(), Supervisor::new());
        metrics.collect_logs(Arc::new(Two));
        metrics.requests().ended(None, Outcome::http(http::StatusCode::OK));
        metrics.refused("QUEUE_FULL");
        metrics.committed(Duration::from_millis(1), 3);
        metrics.invariant_violated(Invariant::OnlyGrows);
        let text = metrics.encode();
        for line in [
            r#"cairn_requests_total{route="other",code="200"} 1"#,
            r#"cairn_refusals_total{reason="QUEUE_FULL"} 1"#,
            "cairn_entries_total 3",
            "cairn_commit_seconds_count 1",
            r#"cairn_invariant_violations_total{id="L-5"} 1"#,
            r#"cairn_invariant_violations_total{id="L-1"} 0"#,
            r#"cairn_log_tree_size{log="b"} 7"#,
            "cairn_queue_entries 2",
            "cairn_free_bytes 9",
            "cairn_clock_offset_seconds -1.5",
        ] {
            assert!(text.lines().any(|found| found.starts_with(line)), "{line}\n{text}");
        }
    }

    #[test]
    fn every_invariant_is_there_from_the_start_and_is_counted() {
        let metrics = Metrics::new(&crate::routes::table(), Supervisor::new());
        let line = |id, count| format!(r#"cairn_invariant_violations_total{{id="{id}"}} {count}"#);
        for invariant in Invariant::ALL {
            assert!(metrics.encode().contains(&line(invariant.id(), 0)), "{invariant:?}");
            Observer::invariant_violated(&metrics, *invariant);
            assert!(metrics.encode().contains(&line(invariant.id(), 1)), "{invariant:?}");
        }
        let counted = metrics.encode().matches("cairn_invariant_violations_total{").count();
        assert_eq!(counted, Invariant::ALL.len());
    }
}
