//! `cairn verify`: receipts of single entries, offline.

use std::path::{Path, PathBuf};

use base::error::chain;
use clap::Args;
use formats::TlogProof;
use log_client::verify::{CheckpointVerifier, VerifiedCheckpoints};
use merkle::Hash;
use serde::Serialize;

use crate::error::{CliError, Exit};
use crate::files::{ENTRY_BYTES_MAX, FORMAT_BYTES_MAX, read};
use crate::trust::TrustArgs;
use crate::ui::Ui;

/// Checkpoints remembered as verified: receipts of one batch share theirs.
const CHECKPOINTS_MAX: std::num::NonZeroUsize =
    std::num::NonZeroUsize::new(256).expect("it is not zero");

const AFTER_HELP: &str = "\
Nothing is asked of any server. A receipt (c2sp.org/tlog-proof) names an index and carries a
signed checkpoint; the entry's hash must stand at that index in the tree the checkpoint commits
to, and the checkpoint must be signed by a key of its log, or satisfy the policy.

With --entries, each receipt <index>.tlog-proof is checked against DIR/<index>.entry, the way
`cairn append --out` leaves them.

Exit codes: 0 verified; 1 well-formed, and does not hold; 2 an input is empty or cannot be
parsed.

Examples:
  cairn verify 42.tlog-proof --entry 42.entry --vkey @audit.vkey
  cairn verify receipts/*.tlog-proof --entries receipts --vkey @audit.vkey --quiet
  cat 42.entry | cairn verify 42.tlog-proof --entry - --policy policy.txt --json";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct VerifyArgs {
    /// The receipt, or several with --entries
    #[arg(value_name = "FILE.tlog-proof", required = true)]
    receipts: Vec<PathBuf>,
    #[command(flatten)]
    entries: EntryArgs,
    #[command(flatten)]
    trust: TrustArgs,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct EntryArgs {
    /// The entry, exactly as it was appended; - for stdin
    #[arg(long, value_name = "FILE")]
    entry: Option<PathBuf>,
    /// A folder that holds <index>.entry for each receipt
    #[arg(long, value_name = "DIR")]
    entries: Option<PathBuf>,
}

/// What `--json` prints for each receipt.
#[derive(Serialize)]
struct Verdict<'a> {
    file: String,
    verified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    index: u64,
    leaf_hash: String,
    origin: &'a str,
    size: u64,
    root: String,
}

pub(crate) fn run(args: &VerifyArgs, ui: &Ui) -> Result<Exit, CliError> {
    if args.entries.entry.is_some() && args.receipts.len() > 1 {
        return Err(CliError::OneEntryManyReceipts);
    }
    let trust = VerifiedCheckpoints::new(args.trust.load(ui)?, CHECKPOINTS_MAX);
    let mut exit = Exit::Done;
    for path in &args.receipts {
        if !verify_one(path, &args.entries, &trust, ui)? {
            exit = Exit::No;
        }
    }
    Ok(exit)
}

/// Whether the receipt holds; said on stdout.
fn verify_one(
    path: &Path,
    entries: &EntryArgs,
    trust: &VerifiedCheckpoints,
    ui: &Ui,
) -> Result<bool, CliError> {
    let bytes = read(path, FORMAT_BYTES_MAX)?;
    let receipt = receipt_of(path, &bytes)?;
    let leaf = leaf_of(entries, receipt.index().get())?;
    let refused = verify(&receipt, &leaf, trust).err();
    let claimed = receipt.checkpoint();
    let verdict = Verdict {
        file: path.display().to_string(),
        verified: refused.is_none(),
        reason: refused,
        index: receipt.index().get(),
        leaf_hash: leaf.to_string(),
        origin: claimed.origin().as_str(),
        size: claimed.size().get(),
        root: claimed.root().to_string(),
    };
    ui.verdict(verdict.reason.as_deref(), held(&verdict), &verdict)?;
    Ok(verdict.verified)
}

/// The receipt that a file is.
pub(crate) fn receipt_of(path: &Path, bytes: &[u8]) -> Result<TlogProof, CliError> {
    TlogProof::parse(bytes).map_err(|source| {
        let malformed = CliError::Receipt { path: path.to_owned(), source };
        CliError::of_form(path, "receipt", bytes, malformed)
    })
}

fn verify(receipt: &TlogProof, leaf: &Hash, trust: &VerifiedCheckpoints) -> Result<(), String> {
    let checkpoint = trust.verify_signed(receipt.checkpoint()).map_err(|error| chain(&error))?;
    receipt.verify_under(leaf, &checkpoint).map(|_| ()).map_err(|error| chain(&error))
}

fn leaf_of(entries: &EntryArgs, index: u64) -> Result<Hash, CliError> {
    let path = match (&entries.entry, &entries.entries) {
        (Some(entry), _) => entry.clone(),
        (None, folder) => {
            folder.as_deref().unwrap_or_else(|| Path::new(".")).join(format!("{index}.entry"))
        }
    };
    let entry = read(&path, ENTRY_BYTES_MAX)?;
    if entry.is_empty() {
        return Err(CliError::EmptyEntry { path });
    }
    Ok(merkle::leaf_hash(&entry))
}

fn held(verdict: &Verdict<'_>) -> String {
    let Verdict { leaf_hash, index, origin, size, .. } = verdict;
    format!(
        "verified: entry {leaf_hash} is at index {index} of {origin}, in its tree of {size} entries"
    )
}
