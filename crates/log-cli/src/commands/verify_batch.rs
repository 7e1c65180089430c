//! `cairn verify-batch`: one receipt of many entries, offline.

use std::path::{Path, PathBuf};

use base::error::chain;
use clap::Args;
use log_client::RangeReceipt;
use merkle::{Hash, LeafIndex};
use serde::Serialize;

use crate::error::{CliError, Exit};
use crate::files::{ENTRY_BYTES_MAX, FORMAT_BYTES_MAX, read};
use crate::range_receipt;
use crate::trust::TrustArgs;
use crate::ui::Ui;

const AFTER_HELP: &str = "\
The receipt is the file `cairn prove LOG --range A..B --out FILE` writes: the proven indexes,
one de-duplicated set of hashes, and a signed checkpoint. Entries are given with --entry, once
for each index in ascending order, or with --entries as a folder of files named <index>.entry,
the way `cairn append --out` leaves them. Every entry must hold, or nothing does.

Exit codes: 0 verified; 1 well-formed, and does not hold; 2 an input is empty or cannot be
parsed.

Examples:
  cairn verify-batch 100-200.range-receipt --entries receipts --vkey @audit.vkey
  cairn verify-batch two.range-receipt --entry a.json --entry b.json --policy policy.txt";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct VerifyBatchArgs {
    /// The receipt of many entries
    #[arg(value_name = "FILE.range-receipt")]
    receipt: PathBuf,
    /// An entry, exactly as it was appended; once for each proven index, in ascending order
    #[arg(long = "entry", value_name = "FILE", required_unless_present = "folder")]
    entries: Vec<PathBuf>,
    /// A folder that holds <index>.entry for each proven index
    #[arg(long = "entries", value_name = "DIR", conflicts_with = "entries")]
    folder: Option<PathBuf>,
    #[command(flatten)]
    trust: TrustArgs,
}

/// Each proven index with the leaf hash of the entry that was given for it.
type Leaves = Vec<(LeafIndex, Hash)>;

#[derive(Serialize)]
struct Verdict<'a> {
    verified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    entries: u64,
    ranges: Vec<[u64; 2]>,
}

pub(crate) fn run(args: &VerifyBatchArgs, ui: &Ui) -> Result<Exit, CliError> {
    let trust = args.trust.load(ui)?;
    let bytes = read(&args.receipt, FORMAT_BYTES_MAX)?;
    let receipt = receipt_of(&args.receipt, &bytes)?;
    let leaves = match &args.folder {
        Some(folder) => leaves_of_folder(folder, &receipt)?,
        None => leaves_of_files(&args.entries, &receipt)?,
    };
    let refused = log_client::verify::range_receipt(&receipt, &leaves, &trust).err();
    let refused = refused.map(|error| chain(&error));
    let verdict = Verdict {
        verified: refused.is_none(),
        reason: refused.as_deref(),
        entries: receipt.entries(),
        ranges: receipt.indexes.iter().map(|range| [range.start, range.end]).collect(),
    };
    ui.verdict(verdict.reason, format_args!("verified: {} entries", verdict.entries), &verdict)?;
    Ok(if verdict.verified { Exit::Done } else { Exit::No })
}

/// The receipt of many entries that a file is.
pub(crate) fn receipt_of(path: &Path, bytes: &[u8]) -> Result<RangeReceipt, CliError> {
    range_receipt::parse(bytes).map_err(|source| {
        let malformed = CliError::RangeReceipt { path: path.to_owned(), source };
        CliError::of_form(path, "receipt of many entries", bytes, malformed)
    })
}

fn leaves_of_files(files: &[PathBuf], receipt: &RangeReceipt) -> Result<Leaves, CliError> {
    let entries = u64::try_from(files.len()).expect("a command line is shorter than that");
    let proven = receipt.entries();
    if entries != proven {
        return Err(CliError::EntryCount { entries, proven });
    }
    indexes(receipt).zip(files).map(|(index, file)| leaf(index, file)).collect()
}

fn leaves_of_folder(folder: &Path, receipt: &RangeReceipt) -> Result<Leaves, CliError> {
    let file = |index: u64| folder.join(format!("{index}.entry"));
    indexes(receipt).map(|index| leaf(index, &file(index))).collect()
}

fn indexes(receipt: &RangeReceipt) -> impl Iterator<Item = u64> {
    receipt.indexes.iter().flat_map(Clone::clone)
}

fn leaf(index: u64, path: &Path) -> Result<(LeafIndex, Hash), CliError> {
    let index = LeafIndex::new(index).map_err(|source| CliError::Index { index, source })?;
    let entry = read(path, ENTRY_BYTES_MAX)?;
    if entry.is_empty() {
        return Err(CliError::EmptyEntry { path: path.to_owned() });
    }
    Ok((index, merkle::leaf_hash(&entry)))
}
