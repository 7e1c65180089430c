//! `cairn verify-evidence`: whether a file shows that a log contradicted itself, offline.

use std::path::PathBuf;

use base::error::chain;
use clap::Args;
use formats::evidence::EVIDENCE_BYTES_MAX;
use formats::{Contradiction, Evidence, VerifierKey};
use serde::Serialize;

use crate::error::{CliError, Exit};
use crate::files::read;
use crate::trust::{self, TrustArgs};
use crate::ui::Ui;

const AFTER_HELP: &str = "\
Nothing is asked of any server. Evidence holds what a log signed, and what shows that it cannot all
be true: two roots for one size, a tree that does not continue an older one, or an empty tree with
a root of its own. It is checked under the log's keys alone, so whoever made the file need not be
trusted, and it cannot be made of a log that kept to one history.

`cairn tail --verify` and `cairn audit` write evidence when a log contradicts what they remember;
witnesses serve it at GET /<origin hash>/evidence.

Exit codes: 0 the log did misbehave; 1 this does not show it; 2 an input is empty or cannot be
parsed.

Examples:
  cairn verify-evidence fork-6-8.evidence --vkey @audit.vkey
  curl -s http://127.0.0.1:6963/HASH/evidence | cairn verify-evidence - --policy policy.txt --json";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct VerifyEvidenceArgs {
    /// The evidence; - for stdin
    file: PathBuf,
    #[command(flatten)]
    trust: TrustArgs,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Verdict<'a> {
    misbehaved: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    claim: &'static str,
    origin: &'a str,
    sizes: Vec<u64>,
    roots: Vec<String>,
}

pub(crate) fn run(args: &VerifyEvidenceArgs, ui: &Ui) -> Result<Exit, CliError> {
    let keys = trust::log_keys(args.trust.load(ui)?);
    let bytes_max = u64::try_from(EVIDENCE_BYTES_MAX).expect("it is a few hundred thousand");
    let bytes = read(&args.file, bytes_max)?;
    let evidence = Evidence::parse(&bytes).map_err(|source| {
        let malformed = CliError::Evidence { path: args.file.clone(), source };
        CliError::of_form(&args.file, "evidence", &bytes, malformed)
    })?;
    if verify(&evidence, &keys, ui)? { Ok(Exit::Done) } else { Ok(Exit::No) }
}

/// Whether the log misbehaved; said on stdout.
fn verify(evidence: &Evidence, keys: &[VerifierKey], ui: &Ui) -> Result<bool, CliError> {
    let shown = evidence.verify(keys);
    let heads = || core::iter::once(evidence.first()).chain(evidence.second());
    let verdict = Verdict {
        misbehaved: shown.is_ok(),
        reason: shown.as_ref().err().map(|reason| chain(reason)),
        claim: claim(evidence.claim()),
        origin: evidence.origin().as_str(),
        sizes: heads().map(|head| head.size().get()).collect(),
        roots: heads().map(|head| head.root().to_string()).collect(),
    };
    match &shown {
        Ok(misbehaviour) => ui.finding(format_args!("misbehaved: {misbehaviour}"), &verdict)?,
        Err(reason) => ui.result(format_args!("not shown: {}", chain(reason)), &verdict)?,
    }
    Ok(verdict.misbehaved)
}

fn claim(contradiction: Contradiction) -> &'static str {
    match contradiction {
        Contradiction::EmptyRoot => "empty-root",
        Contradiction::TwoRoots => "two-roots",
        Contradiction::NotContinued => "not-continued",
    }
}
