//! What an import of CloudTrail came to: counted, recorded, told.

use audit_event::Instant;
use evidence_file::words::shown;
use serde_json::{Map, Value, json};

use super::read::Given;
use crate::cloudtrail::chain::{Gap, LogVerdict, Report};
use crate::error::{CliError, Exit};
use crate::ui::{Ui, complain, counted};

/// Bytes of a text that the log takes.
const TEXT_BYTES_MAX: usize = 1_024;

/// Counts of an import.
#[derive(Debug, Default)]
pub(super) struct Totals {
    files: u64,
    pub(super) events: u64,
    pub(super) duplicates: u64,
    pub(super) quarantined: u64,
    pub(super) unusable: u64,
    digests: u64,
    digests_valid: u64,
    digests_invalid: u64,
    digests_unverified: u64,
    logs_valid: u64,
    logs_invalid: u64,
    logs_unverified: u64,
    logs_not_covered: u64,
    logs_missing: u64,
    restarts: u64,
    gaps: u64,
    missing_hours: Vec<String>,
}

impl Totals {
    pub(super) fn new(given: &Given) -> Self {
        Self {
            files: super::count(given.logs.len()),
            digests: super::count(given.digests.len()),
            unusable: super::count(given.unusable.len()),
            ..Self::default()
        }
    }

    /// Whether the trail said anything of its log files.
    pub(super) fn has_digests(&self) -> bool {
        self.digests > 0
    }

    pub(super) fn add_log(&mut self, verdict: LogVerdict) {
        *match verdict {
            LogVerdict::Valid => &mut self.logs_valid,
            LogVerdict::Invalid => &mut self.logs_invalid,
            LogVerdict::Unverified => &mut self.logs_unverified,
            LogVerdict::NotCovered => &mut self.logs_not_covered,
        } += 1;
    }

    pub(super) fn add_report(&mut self, report: &Report) {
        self.digests_valid = report.digests_valid;
        for (_, fault) in &report.digest_faults {
            let open = fault.is_open();
            *(if open { &mut self.digests_unverified } else { &mut self.digests_invalid }) += 1;
        }
        self.logs_missing = super::count(report.missing_logs.len());
        self.restarts = super::count(report.restarts.len());
        self.gaps = super::count(report.gaps.len());
        self.missing_hours = report.gaps.iter().flat_map(|gap| gap.hours()).map(hour).collect();
    }

    fn numbers(&self) -> [(&'static str, u64); 17] {
        [
            ("files", self.files),
            ("events", self.events),
            ("duplicates", self.duplicates),
            ("quarantined", self.quarantined),
            ("unusable", self.unusable),
            ("digests", self.digests),
            ("digests_valid", self.digests_valid),
            ("digests_invalid", self.digests_invalid),
            ("digests_unverified", self.digests_unverified),
            ("logs_valid", self.logs_valid),
            ("logs_invalid", self.logs_invalid),
            ("logs_unverified", self.logs_unverified),
            ("logs_not_covered", self.logs_not_covered),
            ("logs_missing", self.logs_missing),
            ("restarts", self.restarts),
            ("gaps", self.gaps),
            ("missing_hours", super::count(self.missing_hours.len())),
        ]
    }

    /// What the log records: numbers, and the hours as far as a text has room.
    pub(super) fn members(&self) -> Map<String, Value> {
        let numbers = self.numbers().into_iter();
        let numbers = numbers.map(|(name, count)| (name.to_owned(), count.into()));
        let mut members: Map<String, Value> = numbers.collect();
        members.insert("kind".to_owned(), "cloudtrail".into());
        let outcome = if self.exit() == Exit::Done { "success" } else { "failure" };
        members.insert("outcome".to_owned(), outcome.into());
        if !self.missing_hours.is_empty() {
            members.insert("missing".to_owned(), listed(&self.missing_hours).into());
        }
        members
    }

    pub(super) fn tell(&self, report: &Report, ui: &Ui) -> Result<(), CliError> {
        for (key, fault) in &report.digest_faults {
            complain(format_args!("not verified: digest {}: {fault}", shown(key)));
        }
        for gap in &report.gaps {
            tell_gap(*gap);
        }
        for key in &report.restarts {
            complain(format_args!(
                "a chain begins anew with {}: logging, or the validation of log files, was off",
                shown(key)
            ));
        }
        for name in &report.missing_logs {
            complain(format_args!("missing: the log file {} that a digest states", shown(name)));
        }
        let mut document: Map<String, Value> =
            self.numbers().into_iter().map(|(name, it)| (name.to_owned(), it.into())).collect();
        let missing = json!(self.missing_hours);
        document.insert("missing".to_owned(), missing);
        ui.result(self.plain(), &document)
    }

    fn plain(&self) -> String {
        let Self { events, duplicates, quarantined, .. } = self;
        let files = counted(self.files, "log file", "log files");
        let plain = format!(
            "{files}: {events} recorded, {duplicates} were there before, {quarantined} quarantined"
        );
        if self.digests > 0 {
            let digests = counted(self.digests, "digest", "digests");
            return format!(
                "{plain}\n{digests}, {} valid; {} of the log files valid; {} without a digest between \
                 them",
                self.digests_valid,
                self.logs_valid,
                counted(super::count(self.missing_hours.len()), "hour", "hours")
            );
        }
        plain
    }

    pub(super) fn exit(&self) -> Exit {
        let doubts = [
            self.quarantined,
            self.digests_invalid,
            self.digests_unverified,
            self.logs_invalid,
            self.logs_unverified,
            self.logs_not_covered,
            self.logs_missing,
            self.restarts,
            self.gaps,
        ];
        match () {
            () if self.unusable > 0 => Exit::Unusable,
            () if doubts.iter().any(|count| *count > 0) => Exit::No,
            () => Exit::Done,
        }
    }
}

fn tell_gap(gap: Gap) {
    let hours = gap.hours();
    if hours.is_empty() {
        let (from, to) = (gap.from, gap.to);
        complain(format_args!(
            "missing: a digest between the one up to {from} and that from {to} on"
        ));
    }
    for (from, to) in hours {
        complain(format_args!("missing: the digest from {from} to {to}"));
    }
}

fn hour((from, to): (Instant, Instant)) -> String {
    format!("{from}/{to}")
}

/// As many as fit, and how many do not.
fn listed(hours: &[String]) -> String {
    let mut text = String::new();
    for (hour, at) in hours.iter().zip(0..) {
        if text.len() + hour.len() + 32 > TEXT_BYTES_MAX {
            return format!("{text}, and {} more", hours.len() - at);
        }
        if at > 0 {
            text.push_str(", ");
        }
        text.push_str(hour);
    }
    text
}
