//! `cairn verify-consistency`: a later checkpoint extends an earlier one, offline.

use std::path::{Path, PathBuf};

use base::error::chain;
use clap::Args;
use formats::SignedCheckpoint;
use formats::trust::Trust;
use formats::witness::AddCheckpoint;
use serde::Serialize;

use super::{verify as receipts, verify_batch};
use crate::error::{CliError, Exit};
use crate::files::{FORMAT_BYTES_MAX, read};
use crate::trust::TrustArgs;
use crate::ui::Ui;

const AFTER_HELP: &str = "\
OLD is what you kept: a checkpoint, or a receipt, whose checkpoint then counts. PROOF is what
`cairn prove LOG --consistency OLD --out PROOF` fetched: the old size, the hashes of the
consistency proof, and the newer checkpoint, in the form witnesses are asked in (add-checkpoint
of c2sp.org/tlog-witness). Both checkpoints must be signed by the log, or satisfy the policy.

Exit codes: 0 verified; 1 well-formed, and does not hold; 2 an input is empty or cannot be
parsed.

Examples:
  cairn verify-consistency 42.tlog-proof now.consistency --vkey @audit.vkey
  cairn verify-consistency yesterday.checkpoint now.consistency --policy policy.txt --json";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct VerifyConsistencyArgs {
    /// The earlier checkpoint, or a receipt under it
    old: PathBuf,
    /// The later checkpoint with its consistency proof
    proof: PathBuf,
    #[command(flatten)]
    trust: TrustArgs,
}

#[derive(Serialize)]
struct Verdict<'a> {
    verified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    origin: &'a str,
    from_size: u64,
    to_size: u64,
    root: String,
}

/// Why two well-formed checkpoints are not shown to be of one growing tree.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the earlier checkpoint is not trusted")]
    Old { source: formats::trust::TrustError },
    #[error("the later checkpoint is not trusted")]
    New { source: formats::trust::TrustError },
    #[error("the checkpoints are of two logs, {old} and {new}")]
    Origins { old: String, new: String },
    #[error("the proof starts at size {proof} and the earlier checkpoint has size {old}")]
    FromSize { proof: u64, old: u64 },
    #[error("the tree of {new} entries is not shown to extend the tree of {old}")]
    Inconsistent { old: u64, new: u64, source: merkle::ProofError },
}

pub(crate) fn run(args: &VerifyConsistencyArgs, ui: &Ui) -> Result<Exit, CliError> {
    let trust = args.trust.load(ui)?;
    let old = checkpoint_of(&args.old)?;
    let bytes = read(&args.proof, FORMAT_BYTES_MAX)?;
    let proof = AddCheckpoint::parse(&bytes).map_err(|source| {
        let malformed = CliError::Consistency { path: args.proof.clone(), source };
        CliError::of_form(&args.proof, "consistency proof", &bytes, malformed)
    })?;
    let new = proof.checkpoint();
    let refused = verify(&old, &proof, &trust).err().map(|error| chain(&error));
    let verdict = Verdict {
        verified: refused.is_none(),
        reason: refused.as_deref(),
        origin: new.origin().as_str(),
        from_size: old.size().get(),
        to_size: new.size().get(),
        root: new.root().to_string(),
    };
    ui.verdict(verdict.reason, held(&verdict), &verdict)?;
    Ok(if verdict.verified { Exit::Done } else { Exit::No })
}

fn held(verdict: &Verdict<'_>) -> String {
    let Verdict { origin, from_size, to_size, .. } = verdict;
    format!("verified: {origin} of {to_size} entries extends its tree of {from_size}")
}

/// The checkpoint a file is, or ends with.
pub(crate) fn checkpoint_of(path: &Path) -> Result<SignedCheckpoint, CliError> {
    let bytes = read(path, FORMAT_BYTES_MAX)?;
    if bytes.starts_with(b"c2sp.org/tlog-proof@") {
        return Ok(receipts::receipt_of(path, &bytes)?.checkpoint().clone());
    }
    let bytes = if bytes.starts_with(b"cairn/range-receipt@") {
        verify_batch::receipt_of(path, &bytes)?.checkpoint.to_vec()
    } else {
        bytes
    };
    SignedCheckpoint::parse(&bytes).map_err(|source| {
        let malformed = CliError::Checkpoint { path: path.to_owned(), source };
        CliError::of_form(path, "checkpoint", &bytes, malformed)
    })
}

/// Verifies that the checkpoint of `proof` extends `old`, both trusted.
pub(crate) fn verify(
    old: &SignedCheckpoint,
    proof: &AddCheckpoint,
    trust: &Trust,
) -> Result<(), Refusal> {
    let old = trust.verify(old).map_err(|source| Refusal::Old { source })?;
    let new = trust.verify(proof.checkpoint()).map_err(|source| Refusal::New { source })?;
    if old.origin() != new.origin() {
        let (old, new) = (old.origin().to_string(), new.origin().to_string());
        return Err(Refusal::Origins { old, new });
    }
    if proof.old() != old.size() {
        return Err(Refusal::FromSize { proof: proof.old().get(), old: old.size().get() });
    }
    merkle::verify_consistency(old.size(), new.size(), old.root(), new.root(), proof.proof())
        .map_err(|source| Refusal::Inconsistent {
            old: old.size().get(),
            new: new.size().get(),
            source,
        })
}
