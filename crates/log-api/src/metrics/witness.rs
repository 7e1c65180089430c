//! The witnesses in a scrape. Labels are bounded: log names by `logs_max`, witnesses by their policies,
//! kinds of trouble by a fixed list.

use std::fmt::Error;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use log_core::WeakRegistry;
use log_core::witness::{TROUBLES, WitnessStatus, WitnessingStatus};

/// Reads the witnessing of all logs at each scrape. Holds the logs weakly, because they hold the
/// metrics.
#[derive(Debug)]
pub struct WitnessCollector {
    registry: WeakRegistry,
}

impl WitnessCollector {
    pub fn new(registry: WeakRegistry) -> Self {
        Self { registry }
    }

    fn statuses(&self) -> Vec<(String, WitnessingStatus)> {
        let logs = self.registry.upgrade().map(|registry| registry.list(None, usize::MAX));
        let logs = logs.unwrap_or_default();
        let of = |log: &log_core::Log| Some((log.name().to_string(), log.witnessing()?));
        logs.iter().filter_map(of).collect()
    }
}

impl Collector for WitnessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let statuses = self.statuses();
        for (name, help, value) in LOG_GAUGES {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (log, status) in &statuses {
                let labels = [("log", log.as_str())];
                ConstGauge::new(value(status)).encode(metric.encode_family(&labels)?)?;
            }
        }
        let (name, help) =
            ("log_published_unwitnessed", "Checkpoints published without a quorum of witnesses");
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (log, status) in &statuses {
            let labels = [("log", log.as_str())];
            let count = ConstCounter::new(status.published_unwitnessed);
            count.encode(metric.encode_family(&labels)?)?;
        }
        for (name, help, value) in WITNESS_GAUGES {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (log, witness) in each(&statuses) {
                let labels = [("log", log), ("witness", witness.name.as_str())];
                ConstGauge::new(value(witness)).encode(metric.encode_family(&labels)?)?;
            }
        }
        submissions(&mut encoder, &statuses)
    }
}

type LogGauge = (&'static str, &'static str, fn(&WitnessingStatus) -> f64);

const LOG_GAUGES: [LogGauge; 4] = [
    ("log_witnessed_size", "Leaves under the newest head with a quorum of cosignatures", |log| {
        number(log.witnessed_size)
    }),
    ("log_quorum_lost", "1 while the witnesses form no quorum in time", |log| {
        truth(log.quorum_lost)
    }),
    ("log_witnesses_pending", "1 while too few witnesses have said what they hold", |log| {
        truth(log.start_pending)
    }),
    ("log_rolled_back", "1 once a witness holds a newer head of this log", |log| {
        truth(log.rolled_back)
    }),
];

type WitnessGauge = (&'static str, &'static str, fn(&WitnessStatus) -> f64);

const WITNESS_GAUGES: [WitnessGauge; 4] = [
    ("witness_cosigned_size", "The size a witness cosigned last", |witness| {
        number(witness.cosigned_size)
    }),
    ("witness_latency_seconds", "How long its last cosignature took", |witness| {
        witness.latency.as_secs_f64()
    }),
    ("witness_resting", "1 while it is not asked after a failure", |witness| {
        truth(witness.resting)
    }),
    ("witness_quarantined", "1 while it is left alone for contradicting the log or itself", |w| {
        truth(w.quarantined)
    }),
];

/// Submissions by what came of them; those of a kind that never came are left out.
fn submissions(
    encoder: &mut DescriptorEncoder<'_>,
    statuses: &[(String, WitnessingStatus)],
) -> Result<(), Error> {
    let (name, help) = ("witness_submissions", "Submissions to a witness by what came of them");
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (log, witness) in each(statuses) {
        let troubles = TROUBLES.into_iter().zip(witness.troubles);
        let troubles = troubles.filter(|(_, count)| *count > 0);
        for (result, count) in std::iter::once(("cosigned", witness.cosigned)).chain(troubles) {
            let labels = [("log", log), ("witness", witness.name.as_str()), ("result", result)];
            ConstCounter::new(count).encode(metric.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn each(statuses: &[(String, WitnessingStatus)]) -> impl Iterator<Item = (&str, &WitnessStatus)> {
    statuses.iter().flat_map(|(log, status)| {
        status.witnesses.iter().map(move |witness| (log.as_str(), witness))
    })
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float, and 2^53 leaves are enough")]
fn number(value: u64) -> f64 {
    value as f64
}

fn truth(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}
