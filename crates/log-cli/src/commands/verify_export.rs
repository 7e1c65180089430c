//! `cairn verify-export`: events taken out of an audit log, with all that proves them, offline.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use audit_event::evidence::{Finding, Manifest, Status, Step};
use base::clock::machine;
use base::error::chain;
use clap::Args;
use evidence_file::words::shown;
use evidence_file::{Verdict, verify};
use serde::Serialize;

use crate::error::{CliError, Exit};
use crate::trust::TrustArgs;
use crate::ui::{Ui, counted};

/// Findings that a person is shown; --json has them all.
const FINDINGS_SHOWN: usize = 20;

const AFTER_HELP: &str = "\
Nothing is asked of any server. An evidence file holds events with the exact texts that their log
committed to, a checkpoint that the log signed, and proofs that lead from each event to it. All of
it is checked: every file's hash, every text, every proof, the signature, and that the tables are
made of the events. Take the key from your own records: whoever made the file also wrote the keys.txt
that lies in it.

Whatever holds, this stays open: that the source told the truth and sent everything, and, unless the
file says that it is complete, what its filter left out.

Exit codes: 0 all holds; 1 it can be read, and something does not hold, which is named by line, block
and step; 2 it cannot be used: damaged, of another form, or a file too many or too few.

Examples:
  cairn verify-export evidence.zip --vkey @trail.vkey
  cairn verify-export evidence/ --policy policy.txt
  cairn verify-export evidence.zip --vkey @trail.vkey --json";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct VerifyExportArgs {
    /// The evidence file: a zip archive, or the folder of it
    #[arg(value_name = "FILE|DIR")]
    file: PathBuf,
    #[command(flatten)]
    trust: TrustArgs,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document<'a> {
    verified: bool,
    status: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    events: u64,
    in_full: u64,
    reduced: u64,
    erased: u64,
    origin: Option<&'a str>,
    tree_size: Option<u64>,
    complete: Option<Range>,
    withheld: Vec<&'static str>,
    says_the_maker: Option<Words<'a>>,
    checks: Vec<Check>,
    findings: Vec<Found>,
    more_findings: u64,
    not_examined: Vec<String>,
    rows_per_s: u64,
}

#[derive(Serialize)]
struct Range {
    start: u64,
    end: u64,
}

/// What nothing proves.
#[derive(Serialize)]
struct Words<'a> {
    log: &'a str,
    made_at: &'a str,
    made_by: &'a str,
    purpose: &'a str,
    filter_text: &'a str,
    time_zone: &'a str,
}

/// A step, and whether all of it holds.
#[derive(Serialize)]
pub(super) struct Check {
    step: &'static str,
    holds: bool,
}

/// One thing that is wrong.
#[derive(Serialize)]
pub(super) struct Found {
    line: Option<u64>,
    index: Option<u64>,
    block: Option<&'static str>,
    step: &'static str,
    pub(super) message: String,
}

pub(crate) fn run(args: &VerifyExportArgs, ui: &Ui) -> Result<Exit, CliError> {
    let trust = args.trust.load(ui)?;
    let started = machine::now();
    let mut bar = ui.progress("verifying", "events", 0);
    let mut total = 0;
    let verdict = verify(&args.file, &trust, |progress| {
        if progress.total != total {
            total = progress.total;
            bar.set_total(total);
        }
        bar.set(progress.done);
    });
    drop(bar);
    let verdict = verdict.map_err(CliError::EvidenceFile)?;
    let document = document(&verdict, started.elapsed());
    match (document.status, &document.reason) {
        (0, _) | (_, None) => ui.finding(held(&document), &document)?,
        (1, Some(reason)) => {
            ui.result(format_args!("not verified: {reason}{}", details(&document)), &document)?;
        }
        (_, Some(reason)) => {
            ui.result(format_args!("unusable: {reason}{}", details(&document)), &document)?;
        }
    }
    Ok(exit_of(verdict.status()))
}

pub(super) fn exit_of(status: Status) -> Exit {
    match status {
        Status::Holds => Exit::Done,
        Status::DoesNotHold => Exit::No,
        Status::Unusable => Exit::Unusable,
    }
}

fn document(verdict: &Verdict, elapsed: Duration) -> Document<'_> {
    let (report, status) = (&verdict.report, verdict.status());
    let manifest = verdict.manifest.as_ref();
    let index = |finding: &Finding| verdict.indexes.get(&finding.line()?).map(|it| it.get());
    let container = verdict.unusable.iter().map(|reason| Found {
        line: None,
        index: None,
        block: None,
        step: Step::Form.name(),
        message: shown(&chain(reason)),
    });
    let findings = report.findings.iter().map(|finding| found(finding, index(finding)));
    let findings: Vec<Found> = container.chain(findings).collect();
    let of_status = report.findings.iter().find(|finding| finding.status() == status);
    let unusable = verdict.unusable.as_ref().map(|reason| chain(reason));
    let reason = unusable.or_else(|| of_status.map(|finding| chain(finding)));
    Document {
        verified: status == Status::Holds,
        status: status.code(),
        reason: reason.map(|reason| shown(&reason)),
        events: report.lines,
        in_full: report.in_full,
        reduced: report.reduced,
        erased: report.erased,
        origin: verdict.checkpoint.as_ref().map(|signed| signed.origin().as_str()),
        tree_size: verdict.checkpoint.as_ref().map(|signed| signed.size().get()),
        complete: manifest
            .and_then(|it| it.complete.as_ref())
            .map(|range| Range { start: range.start, end: range.end }),
        withheld: manifest
            .iter()
            .flat_map(|it| it.withheld.iter())
            .map(audit_event::Tag::name)
            .collect(),
        says_the_maker: manifest.map(words),
        checks: checks(verdict),
        findings,
        more_findings: report.more,
        not_examined: not_examined(verdict),
        rows_per_s: per_second(report.lines, elapsed),
    }
}

pub(super) fn found(finding: &Finding, index: Option<u64>) -> Found {
    Found {
        line: finding.line(),
        index,
        block: finding.block().map(audit_event::Tag::name),
        step: finding.step().name(),
        message: shown(&chain(finding)),
    }
}

fn words(manifest: &Manifest) -> Words<'_> {
    Words {
        log: &manifest.log,
        made_at: &manifest.made_at,
        made_by: &manifest.made_by,
        purpose: &manifest.purpose,
        filter_text: &manifest.filter_text,
        time_zone: &manifest.time_zone,
    }
}

/// The steps that this file has, and whether they hold. Of a file that cannot be used the steps that
/// were not finished are left out.
fn checks(verdict: &Verdict) -> Vec<Check> {
    let findings = &verdict.report.findings;
    let is_unusable = verdict.status() == Status::Unusable;
    let manifest = verdict.manifest.as_ref();
    let is_complete = manifest.is_some_and(|it| it.complete.is_some());
    let has_views = manifest.is_some_and(has_views);
    let applies = |step: &Step| match step {
        Step::Complete => is_complete,
        Step::Filter => is_complete && verdict.report.decided,
        Step::View => has_views,
        _ => true,
    };
    let check = |step: Step| {
        let of_container = step == Step::Form && verdict.unusable.is_some();
        let holds = !of_container && findings.iter().all(|finding| finding.step() != step);
        Check { step: step.name(), holds }
    };
    let all = Step::ALL.into_iter().filter(applies).map(check);
    all.filter(|check| !is_unusable || !check.holds).collect()
}

fn has_views(manifest: &Manifest) -> bool {
    audit_event::evidence::manifest::VIEWS.iter().any(|name| manifest.files.contains_key(*name))
}

/// What cannot be seen in the file, or was not looked at.
fn not_examined(verdict: &Verdict) -> Vec<String> {
    let (Some(manifest), true) = (&verdict.manifest, verdict.unusable.is_none()) else {
        return Vec::new();
    };
    let mut open = Vec::new();
    if manifest.complete.is_none() {
        open.push("what the filter left out of this file cannot be known".to_owned());
    } else if !verdict.report.decided {
        open.push("whether the reduced lines match cannot be seen here".to_owned());
    }
    if verdict.report.unjudged > 0 {
        let lines = counted(verdict.report.unjudged, "line", "lines");
        open.push(format!("{lines} could not be judged, as core is erased"));
    }
    if has_views(manifest) {
        open.push("the column sentence of the tables".to_owned());
    }
    open
}

fn per_second(rows: u64, elapsed: Duration) -> u64 {
    let micros = elapsed.as_micros().max(1);
    u64::try_from(u128::from(rows) * 1_000_000 / micros).unwrap_or(u64::MAX)
}

fn held(document: &Document<'_>) -> String {
    let size = document.tree_size.unwrap_or_default();
    format!(
        "verified: {} of {}, in its tree of {}{}",
        counted(document.events, "event", "events"),
        document.origin.unwrap_or_default(),
        counted(size, "entry", "entries"),
        details(document)
    )
}

/// The lines below the verdict.
fn details(document: &Document<'_>) -> String {
    let mut out = String::new();
    let mut line = |text: String| {
        write!(out, "\n  {text}").expect("writing to a string cannot fail");
    };
    for found in document.findings.iter().take(FINDINGS_SHOWN) {
        line(place(found));
    }
    let shown_findings = u64::try_from(document.findings.len().min(FINDINGS_SHOWN)).unwrap_or(0);
    let all = u64::try_from(document.findings.len()).unwrap_or(0) + document.more_findings;
    if all > shown_findings {
        line(format!("and {} more", all - shown_findings));
    }
    if let Some(range) = &document.complete {
        let Range { start, end } = range;
        let (full, reduced) = (document.in_full, document.reduced);
        line(format!(
            "says that it holds every event of [{start}, {end}): {full} in full, {reduced} reduced"
        ));
    }
    if !document.withheld.is_empty() {
        line(format!("withheld from every event: {}", document.withheld.join(", ")));
    }
    if document.erased > 0 {
        let events = counted(document.erased, "event", "events");
        line(format!("says the maker: something was erased from {events}"));
    }
    if let Some(words) = &document.says_the_maker {
        said(words).into_iter().for_each(&mut line);
    }
    for open in &document.not_examined {
        line(format!("not examined: {open}"));
    }
    out
}

fn said(words: &Words<'_>) -> Vec<String> {
    let all = [
        ("log", words.log),
        ("made by", words.made_by),
        ("made at", words.made_at),
        ("purpose", words.purpose),
        ("asked for", words.filter_text),
        ("time zone", words.time_zone),
    ];
    let stated = all.into_iter().filter(|(_, text)| !text.is_empty());
    stated.map(|(name, text)| format!("says the maker: {name}: {}", shown(text))).collect()
}

/// Where it is, what the step is, and what is wrong.
pub(super) fn place(found: &Found) -> String {
    let line = found.line.map(|line| format!("line {line}"));
    let index = found.index.map(|index| format!("index {index}"));
    let block = found.block.map(|block| format!("block {block}"));
    let step = Some(format!("step {}", found.step));
    let place: Vec<String> = [line, index, block, step].into_iter().flatten().collect();
    format!("{}: {}", place.join(", "), found.message)
}
