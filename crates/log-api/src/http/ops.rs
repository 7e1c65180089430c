//! What the logs tell an operator: whether they can do their work, and gauges.

use std::borrow::Cow;
use std::sync::{Arc, Weak};
use std::time::Duration;

use base::clock::boot_ms;
use base::clock::checked::CheckedClock;

use crate::metrics::{LogGauge, LogGauges};
use log_core::read::Reads;
use log_core::{Registry, WeakRegistry};

/// How long the store or the head journal may fail before the server is not ready.
const STALLED_AFTER: Duration = Duration::from_secs(5);
/// How an operator accepts the clock.
const CLOCK_ACCEPT: &str = "cairn-server clock accept";

/// Says what is wrong, unless every log can commit and journal and the clock is believed.
pub fn readiness(registry: &Registry) -> Result<(), Cow<'static, str>> {
    if registry.is_read_only() {
        return Ok(());
    }
    if !registry.can_commit() {
        return Err("nothing can be committed until a restart".into());
    }
    if !registry.can_sign() {
        return Err("the head journal cannot be written".into());
    }
    if registry.is_disk_low() {
        return Err("the disk is nearly full: appends are refused until there is more room".into());
    }
    if registry.commits_stalled_for() >= STALLED_AFTER {
        return Err("no commit has succeeded for 5 seconds".into());
    }
    if registry.journal_stalled_for() >= STALLED_AFTER {
        return Err("the head journal could not be written for 5 seconds".into());
    }
    if let Some(trouble) = registry.clock().reading().trouble(CLOCK_ACCEPT) {
        return Err(trouble.into());
    }
    match registry.without_secret().first() {
        Some(log) => Err(format!(
            "the secret of audit log {log} is missing, or another one is there: it takes no events until \
             keys/{log}.audit is brought back"
        )
        .into()),
        None => Ok(()),
    }
}

/// The logs' gauges, read at each scrape. They hold the logs weakly, because the logs hold the
/// metrics, and the metrics hold these.
#[derive(Debug)]
pub struct RegistryGauges {
    pub registry: WeakRegistry,
    pub reads: Weak<Reads>,
    pub clock: Arc<CheckedClock>,
}

impl LogGauges for RegistryGauges {
    fn log_gauges(&self) -> Vec<LogGauge> {
        let (Some(registry), Some(reads)) = (self.registry.upgrade(), self.reads.upgrade()) else {
            return Vec::new();
        };
        let now_ms = boot_ms(&*self.clock);
        let logs = registry.list(None, usize::MAX);
        let gauge = |log: &log_core::Log| {
            let published = log.published();
            let age_ms = now_ms.saturating_sub(published.published_boot_ms);
            let age = Duration::from_millis(u64::try_from(age_ms).unwrap_or(0));
            let indexed = reads.engine().leaf_indexed_to(log.id());
            LogGauge {
                name: log.name().as_str().to_owned(),
                tree_size: log.tree().head.size.get(),
                published_size: published.head.size.get(),
                published_age_seconds: age.as_secs_f64(),
                indexed_size: indexed.map_or(0, merkle::TreeSize::get),
            }
        };
        logs.iter().map(gauge).collect()
    }

    fn queued(&self) -> (u64, u64) {
        let queued = self.registry.upgrade().map(|registry| registry.queued());
        let (entries, bytes) = queued.unwrap_or_default();
        let of = |count| u64::try_from(count).unwrap_or(u64::MAX);
        (of(entries), of(bytes))
    }

    fn free_bytes(&self) -> Option<u64> {
        self.registry.upgrade()?.free_bytes()
    }

    fn clock_offset_seconds(&self) -> f64 {
        self.clock.offset_seconds()
    }
}
