//! The followers in a scrape.

use std::fmt::Error;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use log_core::follow::FollowerHandle;

use super::gauge_value;

/// Reads the lag of each follower at each scrape.
#[derive(Debug)]
pub struct FollowerCollector {
    followers: Vec<FollowerHandle>,
}

impl FollowerCollector {
    /// All followers of the process.
    pub fn new(followers: Vec<FollowerHandle>) -> Self {
        Self { followers }
    }
}

impl Collector for FollowerCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let (name, help) =
            ("follower_lag_entries", "Committed entries not taken yet, over all logs");
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for follower in &self.followers {
            let labels = [("follower", follower.name())];
            let lag = ConstGauge::new(gauge_value(follower.lag_entries()));
            lag.encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
