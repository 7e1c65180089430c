//! What the witness counts, in Prometheus' text form at `/metrics`.
//!
//! Every label has a bounded set of values: routes, codes and reasons are fixed lists, and logs are those
//! that the operator configured.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::clock::boot_ms;
use base::clock::checked::CheckedClock;
use base::tasks::Supervisor;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use serve::metrics::Requests;

use crate::roster::Roster;
use crate::witness::{Held, Public};

type RefusalLabels = [(&'static str, String); 2];

/// The counters of one process. Shared, and cheap to call from any thread.
#[derive(Debug)]
pub struct Metrics {
    /// Behind a lock that only scrapes and registrations take.
    registry: Mutex<Registry>,
    requests: Arc<Requests>,
    refusals: Family<RefusalLabels, Counter>,
    commit_seconds: Histogram,
    commit_rows: Histogram,
    bad_log_files: Gauge,
    gossip_rounds: Family<[(&'static str, String); 2], Counter>,
    gossip_pending: Gauge,
    logs_suspect: Gauge,
}

impl Metrics {
    /// A fresh set, all at zero. Panics are counted by `supervisor`.
    pub fn new(supervisor: Supervisor) -> Self {
        let mut registry = Registry::with_prefix("cairn_witness");
        let requests = Arc::new(Requests::new(&crate::routes::table(), supervisor));
        requests.register(&mut registry);
        let refusals = Family::default();
        let commit_seconds = Histogram::new(exponential_buckets(0.000_1, 2.0, 16));
        let commit_rows = Histogram::new(exponential_buckets(1.0, 4.0, 7));
        let bad_log_files = Gauge::default();
        let text = "Refused submissions by log, empty where it is not known, and reason";
        registry.register("refusals", text, refusals.clone());
        let text = "Time of one synced write";
        registry.register_with_unit("commit", text, Unit::Seconds, commit_seconds.clone());
        registry.register("commit_rows", "Rows in one synced write", commit_rows.clone());
        let text = "Files of logs that are not used as they are";
        registry.register("bad_log_files", text, bad_log_files.clone());
        let gossip_rounds = Family::default();
        let text = "Rounds of gossip, by peer and result";
        registry.register("gossip_rounds", text, gossip_rounds.clone());
        let gossip_pending = Gauge::default();
        let text = "Heads that wait for a proof of their log";
        registry.register("gossip_pending_heads", text, gossip_pending.clone());
        let logs_suspect = Gauge::default();
        let text = "Logs that signed two heads and give no proof that they are of one history";
        registry.register("logs_suspect", text, logs_suspect.clone());
        let registry = Mutex::new(registry);
        Self {
            registry,
            requests,
            refusals,
            commit_seconds,
            commit_rows,
            bad_log_files,
            gossip_rounds,
            gossip_pending,
            logs_suspect,
        }
    }

    /// Watches over the tasks of the witness.
    pub fn supervisor(&self) -> &Supervisor {
        self.requests.supervisor()
    }

    /// Where the middleware counts requests.
    pub fn requests(&self) -> &Arc<Requests> {
        &self.requests
    }

    /// One submission was refused. `log` is empty where it is not known.
    pub fn refused(&self, log: &str, reason: &'static str) {
        let labels = [("log", log.to_owned()), ("reason", reason.to_owned())];
        self.refusals.get_or_create(&labels).inc();
    }

    /// One synced write.
    pub fn committed(&self, took: Duration, rows: usize) {
        self.commit_seconds.observe(took.as_secs_f64());
        self.commit_rows.observe(f64::from(u32::try_from(rows).unwrap_or(u32::MAX)));
    }

    /// How many files of logs are not used as they are.
    pub fn bad_log_files(&self, files: usize) {
        self.bad_log_files.set(i64::try_from(files).unwrap_or(i64::MAX));
    }

    /// One round with one peer, of which there are few.
    pub fn gossip_round(&self, peer: &str, ok: bool) {
        let result = if ok { "ok" } else { "failed" };
        let labels = [("result", result.to_owned()), ("peer", peer.to_owned())];
        self.gossip_rounds.get_or_create(&labels).inc();
    }

    /// What gossip waits for.
    pub fn gossip(&self, pending: usize, suspects: usize) {
        self.gossip_pending.set(i64::try_from(pending).unwrap_or(i64::MAX));
        self.logs_suspect.set(i64::try_from(suspects).unwrap_or(i64::MAX));
    }

    /// Adds gauges that are read at each scrape.
    pub fn collect_logs(&self, logs: LogGauges) {
        let mut registry = self.registry.lock().expect("no holder of the registry panics");
        registry.register_collector(Box::new(logs));
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

/// The state of each log at a scrape.
#[derive(Debug)]
pub struct LogGauges {
    pub public: Arc<Public>,
    pub roster: Arc<Roster>,
    pub clock: Arc<CheckedClock>,
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float, and 2^53 leaves are enough")]
fn gauge_value(value: u64) -> f64 {
    value as f64
}

impl Collector for LogGauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let heads = self.public.heads_with_age(boot_ms(&*self.clock));
        let mut family = |name: &str, help: &str, value: &dyn Fn(&Held, u64) -> u64| {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (origin, held, age_s) in &heads {
                let labels = [("log", origin.as_str())];
                let gauge = ConstGauge::new(gauge_value(value(held, *age_s)));
                gauge.encode(metric.encode_family(&labels)?)?;
            }
            Ok::<(), std::fmt::Error>(())
        };
        family("log_size", "Leaves of the last cosigned checkpoint", &|held, _| held.size.get())?;
        family("log_age_seconds", "Time since the last cosignature", &|_, age_s| age_s)?;
        let mut total = |name: &str, help: &str, value: f64| {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(metric)
        };
        let count = |value: usize| gauge_value(u64::try_from(value).unwrap_or(u64::MAX));
        total("logs", "Logs that are witnessed", count(self.roster.len()))?;
        let text = "Logs with evidence against them that are not trusted";
        total("logs_distrusted", text, count(self.public.distrusted()))?;
        let text = "The wall clock less the time that signatures state; 0 while it is believed";
        total("clock_offset_seconds", text, self.clock.offset_seconds())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_shows_what_was_counted() {
        let metrics = Metrics::new(Supervisor::new());
        metrics.refused("a\"b", "proof");
        metrics.refused("", "malformed");
        metrics.committed(Duration::from_millis(1), 3);
        metrics.bad_log_files(2);
        let text = metrics.encode();
        for line in [
            r#"cairn_witness_refusals_total{log="a\"b",reason="proof"} 1"#,
            r#"cairn_witness_refusals_total{log="",reason="malformed"} 1"#,
            "cairn_witness_commit_seconds_count 1",
            "cairn_witness_bad_log_files 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
