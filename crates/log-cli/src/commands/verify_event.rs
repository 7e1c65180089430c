//! `cairn verify-event`: one event of an audit log and its receipt, offline.

use std::path::PathBuf;

use audit_event::Instant;
use audit_event::evidence::{LINE_BYTES_MAX, Line, Report, Status, verify_event};
use base::error::chain;
use clap::Args;
use evidence_file::words::shown;
use formats::TlogProof;
use serde::Serialize;

use super::verify_export::{Found, exit_of, found, place};
use crate::error::{CliError, Exit};
use crate::files::{FORMAT_BYTES_MAX, read};
use crate::trust::TrustArgs;
use crate::ui::Ui;

const AFTER_HELP: &str = "\
Nothing is asked of any server. The event is a line of an evidence file: the leaf that the log holds,
and the exact texts of its blocks, each with the salt that its commitment in the leaf was made with.
The receipt (c2sp.org/tlog-proof) shows that the leaf stands in the log at its index. Take the key from
your own records.

Exit codes: 0 all holds; 1 both can be read, and something does not hold; 2 one of them cannot be
used.

Examples:
  cairn verify-event kept/42.event.json kept/42.tlog-proof --vkey @trail.vkey
  cairn verify-event kept/42.event.json kept/42.tlog-proof --policy policy.txt --json";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct VerifyEventArgs {
    /// The event
    #[arg(value_name = "EVENT.json")]
    event: PathBuf,
    /// The log's receipt of its leaf
    #[arg(value_name = "RECEIPT.tlog-proof")]
    receipt: PathBuf,
    #[command(flatten)]
    trust: TrustArgs,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document {
    verified: bool,
    status: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    index: Option<u64>,
    leaf_hash: Option<String>,
    received_at: Option<String>,
    shown: Vec<&'static str>,
    withheld: Vec<&'static str>,
    erased: Vec<&'static str>,
    origin: Option<String>,
    tree_size: Option<u64>,
    findings: Vec<Found>,
}

pub(crate) fn run(args: &VerifyEventArgs, ui: &Ui) -> Result<Exit, CliError> {
    let trust = args.trust.load(ui)?;
    let bytes_max = u64::try_from(LINE_BYTES_MAX).expect("it is a few million");
    let event = read(&args.event, bytes_max)?;
    let receipt = read(&args.receipt, FORMAT_BYTES_MAX)?;
    let (report, line) = verify_event(&event, &receipt, &trust);
    let document = document(&report, line.as_ref(), TlogProof::parse(&receipt).ok().as_ref());
    match (report.status(), &document.reason) {
        (Status::Holds, _) | (_, None) => ui.finding(held(&document), &document)?,
        (Status::DoesNotHold, Some(reason)) => {
            ui.result(format_args!("not verified: {reason}{}", listed(&document)), &document)?;
        }
        (Status::Unusable, Some(reason)) => {
            ui.result(format_args!("unusable: {reason}{}", listed(&document)), &document)?;
        }
    }
    Ok(exit_of(report.status()))
}

fn document(report: &Report, line: Option<&Line>, receipt: Option<&TlogProof>) -> Document {
    let status = report.status();
    let first = report.findings.iter().find(|finding| finding.status() == status);
    let index = line.map(|line| line.index.get());
    let names = |tags: Option<audit_event::Tags>| {
        tags.into_iter().flat_map(audit_event::Tags::iter).map(audit_event::Tag::name).collect()
    };
    let received = |line: &Line| Instant::from_nanos(line.leaf.received_at_ns()).to_nine_digits();
    let checkpoint = receipt.map(TlogProof::checkpoint);
    Document {
        verified: status == Status::Holds,
        status: status.code(),
        reason: first.map(|finding| shown(&chain(finding))),
        index,
        leaf_hash: line.map(|line| line.leaf_hash().to_string()),
        received_at: line.map(received),
        shown: names(line.map(Line::shown_tags)),
        withheld: names(line.map(|line| line.withheld)),
        erased: names(line.map(|line| line.erased)),
        origin: checkpoint.map(|it| it.origin().as_str().to_owned()),
        tree_size: checkpoint.map(|it| it.size().get()),
        findings: report.findings.iter().map(|it| found(it, it.line().and(index))).collect(),
    }
}

fn held(document: &Document) -> String {
    let verdict = format!(
        "verified: the event at index {} of {}, received at {}",
        document.index.unwrap_or_default(),
        document.origin.as_deref().unwrap_or_default(),
        document.received_at.as_deref().unwrap_or_default()
    );
    let lists = [("withheld", &document.withheld), ("says the maker: erased", &document.erased)];
    let stated = lists.into_iter().filter(|(_, names)| !names.is_empty());
    let stated = stated.map(|(what, names)| format!("{what}: {}", names.join(", ")));
    [verdict].into_iter().chain(stated).collect::<Vec<_>>().join("\n  ")
}

/// The findings, a line each, behind what was said before.
fn listed(document: &Document) -> String {
    let places = document.findings.iter().map(place);
    [String::new()].into_iter().chain(places).collect::<Vec<_>>().join("\n  ")
}
