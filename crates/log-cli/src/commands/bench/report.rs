//! What a bench run says.

use serde::Serialize;

use super::{BenchArgs, Level, Mode};
use crate::bench::load::{Measured, float};
use crate::error::{CliError, Exit};

/// The rate of empty calls around a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Floor {
    pub(super) before_per_s: f64,
    pub(super) after_per_s: f64,
}

/// All that was measured.
#[derive(Debug)]
pub(super) struct Results {
    pub(super) measured: Measured,
    pub(super) floor: Option<Floor>,
    pub(super) fdatasync_per_s: f64,
    pub(super) server_cpu_us_per_call: Option<f64>,
    pub(super) size_before: u64,
    pub(super) size_after: u64,
}

/// What `--json` prints; rates and latencies are of the measured window.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    log: String,
    mode: Mode,
    connections: u16,
    in_flight: u16,
    batch: Option<u64>,
    size: Option<u16>,
    duration_s: f64,
    receipt: Level,
    verify: bool,
    dedup: bool,
    until_published: bool,
    rate: Option<f64>,
    leaves_per_s: f64,
    calls_per_s: f64,
    /// Events of an audit log: new ones, or those that were found or counted.
    events_per_s: Option<f64>,
    /// Of the events that were sent, as JSON, or of the answers with those that were found.
    bytes_per_event: Option<f64>,
    p50_ms: f64,
    p90_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    max_ms: f64,
    calls: u64,
    leaves: u64,
    duplicates: u64,
    shed: u64,
    errors: u64,
    first_error: Option<String>,
    floor_before_calls_per_s: Option<f64>,
    floor_after_calls_per_s: Option<f64>,
    /// The higher of the two.
    floor_calls_per_s: Option<f64>,
    /// `calls_per_s` over `floor_calls_per_s`.
    ratio: Option<f64>,
    fdatasync_per_s: f64,
    server_cpu_us_per_call: Option<f64>,
    tree_size_before: u64,
    tree_size_after: u64,
    /// New leaves the server acknowledged in the whole run, warm-up included.
    leaves_acknowledged: u64,
}

impl Report {
    pub(super) fn new(args: &BenchArgs, results: Results) -> Self {
        let Results { measured, floor, fdatasync_per_s, server_cpu_us_per_call, .. } = results;
        let duration_s = args.duration.as_secs_f64();
        let events = measured.leaves + measured.found;
        let calls_per_s = float(measured.calls) / duration_s;
        let floor_calls_per_s = floor.map(|floor| floor.before_per_s.max(floor.after_per_s));
        Self {
            log: args.log.clone(),
            mode: args.mode,
            connections: args.connections(),
            in_flight: args.in_flight(),
            batch: args.batch(),
            size: (!args.mode.is_audit()).then_some(args.size),
            duration_s,
            receipt: args.receipt,
            verify: args.verify || args.mode == Mode::Read,
            dedup: args.dedup,
            until_published: args.until_published,
            rate: args.rate,
            leaves_per_s: float(measured.leaves) / duration_s,
            calls_per_s,
            events_per_s: args.mode.is_audit().then(|| float(events) / duration_s),
            bytes_per_event: (events > 0 && args.mode.is_audit())
                .then(|| float(measured.bytes) / float(events)),
            p50_ms: measured.quantile_ms(0.5),
            p90_ms: measured.quantile_ms(0.9),
            p95_ms: measured.quantile_ms(0.95),
            p99_ms: measured.quantile_ms(0.99),
            p999_ms: measured.quantile_ms(0.999),
            max_ms: measured.max_ms(),
            calls: measured.calls,
            leaves: measured.leaves,
            duplicates: measured.duplicates,
            shed: measured.shed,
            errors: measured.errors,
            first_error: measured.first_error,
            floor_before_calls_per_s: floor.map(|floor| floor.before_per_s),
            floor_after_calls_per_s: floor.map(|floor| floor.after_per_s),
            floor_calls_per_s,
            ratio: floor_calls_per_s.map(|floor| calls_per_s / floor),
            fdatasync_per_s,
            server_cpu_us_per_call,
            tree_size_before: results.size_before,
            tree_size_after: results.size_after,
            leaves_acknowledged: measured.leaves_whole_run,
        }
    }

    /// Fails if the log grew by less than was acknowledged, or nothing succeeded.
    pub(super) fn check(&self) -> Result<Exit, CliError> {
        let grew = self.tree_size_after.saturating_sub(self.tree_size_before);
        if grew < self.leaves_acknowledged {
            return Err(CliError::GrewLess { grew, acknowledged: self.leaves_acknowledged });
        }
        if self.calls == 0 {
            let first_error = self.first_error.clone();
            return Err(CliError::NoCallSucceeded { first_error: first_error.unwrap_or_default() });
        }
        Ok(if self.errors == 0 { Exit::Done } else { Exit::No })
    }

    /// The same for people.
    pub(super) fn table(&self) -> String {
        let mut rows = vec![
            ("leaves/s", format!("{:.0}", self.leaves_per_s)),
            ("calls/s", format!("{:.0}", self.calls_per_s)),
            ("latency ms", self.latencies()),
            ("floor calls/s", self.floor_text()),
            ("ratio", self.ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.3}"))),
            ("fdatasync/s", format!("{:.0}", self.fdatasync_per_s)),
        ];
        if let Some(events_per_s) = self.events_per_s {
            rows.insert(0, ("events/s", format!("{events_per_s:.0}")));
        }
        if let Some(bytes) = self.bytes_per_event {
            rows.insert(1, ("bytes/event", format!("{bytes:.0}")));
        }
        if let Some(cpu) = self.server_cpu_us_per_call {
            rows.push(("server CPU", format!("{cpu:.1} us a call")));
        }
        rows.push(("shed", self.shed.to_string()));
        rows.push(("errors", self.errors_text()));
        rows.push(("tree", format!("{} -> {}", self.tree_size_before, self.tree_size_after)));
        let line = |(name, value): &(&str, String)| format!("{name:<14}{value}");
        rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    fn latencies(&self) -> String {
        let Self { p50_ms, p90_ms, p95_ms, p99_ms, p999_ms, max_ms, .. } = self;
        format!(
            "p50 {p50_ms:.3}  p90 {p90_ms:.3}  p95 {p95_ms:.3}  p99 {p99_ms:.3}  p99.9 {p999_ms:.3}  max {max_ms:.3}"
        )
    }

    fn floor_text(&self) -> String {
        match (self.floor_before_calls_per_s, self.floor_after_calls_per_s) {
            (Some(before), Some(after)) => format!("{before:.0} before, {after:.0} after"),
            _ => "not measured".to_owned(),
        }
    }

    fn errors_text(&self) -> String {
        match &self.first_error {
            Some(first) => format!("{} (first: {first})", self.errors),
            None => self.errors.to_string(),
        }
    }
}
