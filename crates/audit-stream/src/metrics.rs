//! Destinations in a scrape.

use std::fmt::Error;
use std::sync::Arc;

use base::clock::Clock as _;
use base::clock::checked::CheckedClock;
use log_core::WeakRegistry;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::lane::{Lane, Shown, State};

/// Reads every lane at each scrape. It holds the logs weakly, because they outlive no server.
#[derive(Debug)]
pub struct DestinationCollector {
    lanes: Vec<Arc<Lane>>,
    registry: WeakRegistry,
    clock: Arc<CheckedClock>,
}

/// A lane as it is at one moment.
struct Read {
    destination: String,
    log: String,
    shown: Shown,
    lag: u64,
    oldest_seconds: u64,
    dead: usize,
}

impl DestinationCollector {
    pub(crate) fn new(
        lanes: Vec<Arc<Lane>>,
        registry: WeakRegistry,
        clock: Arc<CheckedClock>,
    ) -> Self {
        Self { lanes, registry, clock }
    }

    fn read(&self, lane: &Lane) -> Read {
        let shown = lane.shown();
        let log = self.registry.upgrade().and_then(|registry| registry.log(&lane.log));
        let size = log.map_or(shown.next, |log| log.tree().head.size.get());
        let oldest = shown.oldest_ms.map(|oldest| self.clock.unix_ms().saturating_sub(oldest));
        Read {
            destination: lane.destination.name.clone(),
            log: lane.log.clone(),
            lag: size.saturating_sub(shown.next),
            oldest_seconds: oldest.unwrap_or(0) / 1_000,
            dead: lane.dead_count(),
            shown,
        }
    }
}

/// A count as a scrape has it.
fn gauge(value: u64) -> ConstGauge<i64> {
    ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX))
}

type Value = fn(&Read) -> u64;

const GAUGES: [(&str, &str, Value); 4] = [
    ("destination_lag_events", "Events that the destination does not have yet", |it| it.lag),
    (
        "destination_oldest_unsent_seconds",
        "Age of the oldest event that the destination does not have yet",
        |it| it.oldest_seconds,
    ),
    ("destination_dead_letters", "Events that the destination does not take", |it| {
        u64::try_from(it.dead).unwrap_or(u64::MAX)
    }),
    ("destination_stopped", "1 while an operator has to act before anything is sent", |it| {
        u64::from(matches!(it.shown.state, State::Stopped(_)))
    }),
];

const COUNTERS: [(&str, &str, Value); 3] = [
    ("destination_sent_events", "Events that the destination has taken", |it| it.shown.sent),
    ("destination_refused_events", "Events that became dead letters", |it| it.shown.refused),
    ("destination_failed_calls", "Calls after which events were sent again", |it| {
        it.shown.failed_calls
    }),
];

impl Collector for DestinationCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let lanes: Vec<Read> = self.lanes.iter().map(|lane| self.read(lane)).collect();
        for (name, help, value) in GAUGES {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for lane in &lanes {
                let labels = [("destination", &*lane.destination), ("log", &*lane.log)];
                gauge(value(lane)).encode(metric.encode_family(&labels)?)?;
            }
        }
        for (name, help, value) in COUNTERS {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for lane in &lanes {
                let labels = [("destination", &*lane.destination), ("log", &*lane.log)];
                ConstCounter::new(value(lane)).encode(metric.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
