//! `cairn prove`: receipts of entries already in the log, and proofs that it only grew.

use std::path::PathBuf;

use bytes::Bytes;
use clap::Args;
use formats::trust::Trust;
use formats::witness::AddCheckpoint;
use formats::{SignedCheckpoint, TlogProof};
use log_client::{Client, EntryRef, RangeReceipt};
use merkle::LeafIndex;
use serde::Serialize;

use super::verify_consistency::{checkpoint_of, verify as verify_growth};
use super::{client, trust_or_servers};
use crate::args::Server;
use crate::error::{CliError, Exit};
use crate::files::{self, ENTRY_BYTES_MAX};
use crate::range_receipt::{self, RANGE_ENTRIES_MAX};
use crate::trust::OptionalTrustArgs;
use crate::ui::{Ui, counted};

const AFTER_HELP: &str = "\
Everything fetched is verified before it is written: under --vkey or --policy, else under the
keys the server itself names. Where the policy needs witnesses, proofs are under the published
checkpoint, which they have cosigned. One index gives a receipt (c2sp.org/tlog-proof) for `cairn
verify`; several, or a range, give one receipt of many entries for `cairn verify-batch`;
--consistency gives a consistency proof for `cairn verify-consistency`. With --out - the proof goes to
stdout, and with --json into the document.

Examples:
  cairn prove default --index 42 --out 42.tlog-proof
  cairn prove default --leaf invoice.json --out invoice.tlog-proof --vkey @audit.vkey
  cairn prove default --range 100..200 --out 100-200.range-receipt
  cairn prove default --consistency 42.tlog-proof --out now.consistency
  cairn prove default --index 42 --out - | gzip > 42.tlog-proof.gz";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ProveArgs {
    /// The log
    log: String,
    #[command(flatten)]
    what: WhatArgs,
    /// Where to write the proof; never overwrites; - for stdout
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    trust: OptionalTrustArgs,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct WhatArgs {
    /// The entry at this index; repeat for one receipt of many entries
    #[arg(long = "index", value_name = "N")]
    indexes: Vec<u64>,
    /// The entries from A up to, but not including, B
    #[arg(long, value_name = "A..B", value_parser = parse_range)]
    range: Option<std::ops::Range<u64>>,
    /// The entry with the bytes of this file; the lowest index, where it stands more than once
    #[arg(long, value_name = "FILE")]
    leaf: Option<PathBuf>,
    /// That the log extends the checkpoint in this file, or under the receipt in it
    #[arg(long, value_name = "FILE")]
    consistency: Option<PathBuf>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Proved {
    file: String,
    origin: String,
    size: u64,
    root: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ranges: Vec<[u64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_size: Option<u64>,
    /// The proof itself, where it is in no file.
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<String>,
}

pub(crate) async fn run(args: ProveArgs, server: &Server, ui: &Ui) -> Result<Exit, CliError> {
    let stdout = files::is_stdio(&args.out);
    if !stdout && args.out.exists() {
        return Err(CliError::Exists { path: args.out });
    }
    let client = client(server)?;
    let trust = trust_or_servers(&args.trust, &client, &args.log, ui).await?;
    let asked = Asked { client, log: args.log, trust };
    let what = args.what;
    let (bytes, proved) = match (what.leaf, what.consistency, what.range, what.indexes.as_slice()) {
        (Some(leaf), ..) => {
            let entry = files::read(&leaf, ENTRY_BYTES_MAX)?;
            asked.entry(EntryRef::LeafHash(merkle::leaf_hash(&entry))).await?
        }
        (_, Some(old), ..) => asked.growth(checkpoint_of(&old)?).await?,
        (_, _, Some(range), _) => asked.entries(range.collect()).await?,
        (.., &[index]) => asked.entry(EntryRef::Index(leaf_index(index)?)).await?,
        (.., indexes) => asked.entries(indexes.to_vec()).await?,
    };
    if stdout {
        let proof = Some(String::from_utf8_lossy(&bytes).into_owned());
        let proved = Proved { file: "-".to_owned(), proof, ..proved };
        ui.note(said(&proved));
        ui.whole(&bytes, &proved)?;
    } else {
        files::create(&args.out, &bytes, 0o644)?;
        let proved = Proved { file: args.out.display().to_string(), ..proved };
        ui.result(said(&proved), &proved)?;
    }
    Ok(Exit::Done)
}

/// A log, and whom to believe about it.
struct Asked {
    client: Client,
    log: String,
    trust: Trust,
}

impl Asked {
    /// The checkpoint to prove under if the policy needs witnesses. They cosign only published
    /// checkpoints, not every head that is signed.
    async fn published(&self) -> Result<Option<SignedCheckpoint>, CliError> {
        if !self.trust.needs_witnesses() {
            return Ok(None);
        }
        let published = self.client.checkpoint(&self.log).await?;
        signed(Some(published.checkpoint)).map(Some)
    }

    async fn entry(&self, entry: EntryRef) -> Result<(Vec<u8>, Proved), CliError> {
        let published = self.published().await?;
        let size = published.as_ref().map(SignedCheckpoint::size);
        let proof = self.client.inclusion_proof(&self.log, entry, size).await?;
        let signed = published.map_or_else(|| signed(proof.checkpoint), Ok)?;
        let receipt = TlogProof::new(proof.index, proof.hashes, signed.clone())
            .and_then(|receipt| receipt.verify(&proof.leaf_hash, &self.trust).map(|_| receipt))
            .map_err(|source| CliError::ProofRefused { source })?;
        let ranges = vec![[proof.index.get(), proof.index.get().saturating_add(1)]];
        Ok((receipt.format(), proved(&signed, ranges, None)))
    }

    async fn entries(&self, mut indexes: Vec<u64>) -> Result<(Vec<u8>, Proved), CliError> {
        indexes.sort_unstable();
        indexes.dedup();
        let given = u64::try_from(indexes.len()).expect("a count in memory fits 64 bits");
        if given > RANGE_ENTRIES_MAX {
            return Err(CliError::TooManyEntries { given });
        }
        let ranges = range_receipt::ranges(indexes.iter().copied());
        let leaves = indexes.into_iter().map(leaf_index).collect::<Result<Vec<_>, _>>()?;
        let published = self.published().await?;
        let size = published.as_ref().map(SignedCheckpoint::size);
        let proof = self.client.batch_inclusion_proof(&self.log, &leaves, size).await?;
        let signed = published.map_or_else(|| signed(proof.checkpoint), Ok)?;
        let checkpoint = Bytes::copy_from_slice(signed.as_bytes());
        let receipt = RangeReceipt { checkpoint, indexes: ranges, hashes: proof.hashes };
        let pairs = leaves.into_iter().zip(proof.leaf_hashes).collect::<Vec<_>>();
        log_client::verify::range_receipt(&receipt, &pairs, &self.trust)
            .map_err(|source| CliError::RangeProofRefused { source })?;
        let ranges = receipt.indexes.iter().map(|range| [range.start, range.end]).collect();
        Ok((range_receipt::format(&receipt), proved(&signed, ranges, None)))
    }

    async fn growth(&self, old: SignedCheckpoint) -> Result<(Vec<u8>, Proved), CliError> {
        let published = self.published().await?;
        let size = published.as_ref().map(SignedCheckpoint::size);
        let proof = self.client.consistency_proof(&self.log, old.size(), size).await?;
        let new = published.map_or_else(|| signed(proof.checkpoint), Ok)?;
        let body = AddCheckpoint::new(old.size(), proof.hashes, new.clone())
            .map_err(|source| CliError::GrowthForm { source })?;
        verify_growth(&old, &body, &self.trust).map_err(|source| CliError::NotGrown { source })?;
        Ok((body.format(), proved(&new, Vec::new(), Some(old.size().get()))))
    }
}

fn signed(checkpoint: Option<Bytes>) -> Result<SignedCheckpoint, CliError> {
    let bytes = checkpoint.ok_or(CliError::NoCheckpoint)?;
    SignedCheckpoint::parse(&bytes).map_err(|source| CliError::ServedCheckpoint { source })
}

fn proved(signed: &SignedCheckpoint, ranges: Vec<[u64; 2]>, from_size: Option<u64>) -> Proved {
    Proved {
        file: String::new(),
        origin: signed.origin().as_str().to_owned(),
        size: signed.size().get(),
        root: signed.root().to_string(),
        ranges,
        from_size,
        proof: None,
    }
}

fn said(proved: &Proved) -> String {
    let Proved { file, origin, size, ranges, from_size, .. } = proved;
    let what = match (from_size, ranges.as_slice()) {
        (Some(from), _) => format!("extends its tree of {from}"),
        (None, [[start, end]]) if start + 1 == *end => format!("index {start}"),
        (None, ranges) => {
            let entries: u64 = ranges.iter().map(|[start, end]| end - start).sum();
            counted(entries, "entry", "entries")
        }
    };
    format!("{file}: {what}, {origin} of {}", counted(*size, "entry", "entries"))
}

fn leaf_index(index: u64) -> Result<LeafIndex, CliError> {
    LeafIndex::new(index).map_err(|source| CliError::Index { index, source })
}

/// `A..B`, not empty.
fn parse_range(text: &str) -> Result<std::ops::Range<u64>, String> {
    let (start, end) = text.split_once("..").ok_or("give it as A..B, for example 100..200")?;
    let number =
        |digits: &str| digits.parse::<u64>().map_err(|error| format!("{digits:?}: {error}"));
    let range = number(start)?..number(end)?;
    if range.is_empty() {
        return Err("the range is empty: the end is not part of it".to_owned());
    }
    if range.end - range.start > RANGE_ENTRIES_MAX {
        return Err(format!("one receipt proves at most {RANGE_ENTRIES_MAX} entries"));
    }
    Ok(range)
}
