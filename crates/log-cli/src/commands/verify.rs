//! `cairn verify`: the receipt of one entry, offline.

use std::path::PathBuf;

use checkpoint::TlogProof;
use clap::Args;
use serde::Serialize;

use crate::error::{CliError, Exit};
use crate::files::{ENTRY_BYTES_MAX, FORMAT_BYTES_MAX, read};
use crate::trust::TrustArgs;
use crate::ui::{Ui, chain};

const AFTER_HELP: &str = "\
Nothing is asked of any server. The receipt (c2sp.org/tlog-proof) names an index and carries a signed
checkpoint; the entry's hash must stand at that index in the tree the checkpoint commits to, and the
checkpoint must be signed by a key of its log, or satisfy the policy.

Exit codes: 0 verified; 1 well-formed, and does not hold; 2 an input is empty or cannot be parsed.

Examples:
  cairn verify 42.tlog-proof --entry 42.entry --vkey @audit.vkey
  cairn verify 42.tlog-proof --entry 42.entry --policy policy.txt --json
  cat 42.entry | cairn verify 42.tlog-proof --entry - --vkey example.com/log+5a21c5d4+AXk...";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct VerifyArgs {
    /// The receipt
    #[arg(value_name = "FILE.tlog-proof")]
    receipt: PathBuf,
    /// The entry, exactly as it was appended; - for stdin
    #[arg(long, value_name = "FILE")]
    entry: PathBuf,
    #[command(flatten)]
    trust: TrustArgs,
}

/// What `--json` prints; the fields that were not verified are absent.
#[derive(Serialize)]
struct Verdict<'a> {
    verified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    index: u64,
    leaf_hash: String,
    origin: &'a str,
    size: u64,
    root: String,
}

pub(crate) fn run(args: &VerifyArgs, ui: &Ui) -> Result<Exit, CliError> {
    let trust = args.trust.load()?;
    let bytes = read(&args.receipt, FORMAT_BYTES_MAX)?;
    let receipt = TlogProof::parse(&bytes)
        .map_err(|source| CliError::Receipt { path: args.receipt.clone(), source })?;
    let entry = read(&args.entry, ENTRY_BYTES_MAX)?;
    if entry.is_empty() {
        return Err(CliError::EmptyEntry { path: args.entry.clone() });
    }
    let leaf = merkle::leaf_hash(&entry);
    let refused = receipt.verify(&leaf, &trust).err().map(|error| chain(&error));
    let claimed = receipt.checkpoint();
    let verdict = Verdict {
        verified: refused.is_none(),
        reason: refused.as_deref(),
        index: receipt.index().get(),
        leaf_hash: leaf.to_string(),
        origin: claimed.origin().as_str(),
        size: claimed.size().get(),
        root: claimed.root().to_string(),
    };
    match &refused {
        None => ui.result(held(&verdict), &verdict)?,
        Some(reason) => ui.result(format_args!("REFUSED: {reason}"), &verdict)?,
    }
    Ok(if verdict.verified { Exit::Done } else { Exit::No })
}

fn held(verdict: &Verdict<'_>) -> String {
    let Verdict { index, leaf_hash, origin, size, .. } = verdict;
    format!("verified: entry {leaf_hash} is at index {index} of {origin}, in its tree of {size} entries")
}
