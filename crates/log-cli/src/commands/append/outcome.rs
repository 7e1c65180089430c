//! What became of each entry: printed, verified, written, counted.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use checkpoint::trust::Trust;
use log_client::ReceiptLevel;
use log_client::appender::{AppendError, Appended};
use log_client::receipt::BatchReceipt;
use log_client::verify::VerifiedCheckpoints;
use serde::Serialize;

use super::input::InputEntry;
use crate::error::{CliError, Exit};
use crate::files;
use crate::ui::{Ui, chain, complain};

/// Checkpoints remembered as verified: consecutive batches often share one.
const CHECKPOINTS_MAX: NonZeroUsize = NonZeroUsize::new(64).expect("it is not zero");

/// Takes outcomes in the order of the input.
#[derive(Debug)]
pub(super) struct Outcomes<'a> {
    ui: &'a Ui,
    wanted: ReceiptLevel,
    trust: Option<VerifiedCheckpoints>,
    out: Option<PathBuf>,
    batch: Option<Batch>,
    counts: Counts,
    /// What failed first, and where it was read.
    first_failure: Option<String>,
    /// An error after which nothing more can be appended.
    stopped: bool,
}

/// The receipts of the batch that is being settled, verified; or why they do not hold.
#[derive(Debug)]
struct Batch {
    receipt: Arc<BatchReceipt>,
    proofs: Result<BTreeMap<u64, Vec<u8>>, String>,
}

#[derive(Debug, Default)]
struct Counts {
    appended: u64,
    proven: u64,
    failed: u64,
}

/// What `--json` prints for each entry.
#[derive(Serialize)]
struct EntryDocument<'a> {
    place: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leaf_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicate: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

impl<'a> Outcomes<'a> {
    pub(super) fn new(
        ui: &'a Ui,
        wanted: ReceiptLevel,
        trust: Option<Trust>,
        out: Option<PathBuf>,
    ) -> Result<Self, CliError> {
        if let Some(folder) = &out {
            files::create_folder(folder)?;
        }
        let trust = trust.map(|trust| VerifiedCheckpoints::new(trust, CHECKPOINTS_MAX));
        let counts = Counts::default();
        Ok(Self {
            ui,
            wanted,
            trust,
            out,
            batch: None,
            counts,
            first_failure: None,
            stopped: false,
        })
    }

    /// Entries settled so far.
    pub(super) fn settled(&self) -> u64 {
        self.counts.appended + self.counts.failed
    }

    pub(super) fn must_stop(&self) -> bool {
        self.stopped
    }

    pub(super) fn flush(&self) -> Result<(), CliError> {
        self.ui.flush()
    }

    /// An entry that is in the log. Its files are written before its line.
    pub(super) fn appended(
        &mut self,
        entry: &InputEntry,
        appended: &Appended,
    ) -> Result<(), CliError> {
        self.counts.appended += 1;
        let index = appended.index.get();
        let proof = self.proof(index, appended);
        if let Some(folder) = &self.out {
            files::write(&folder.join(format!("{index}.entry")), &entry.bytes)?;
            if let Ok(Some(proof)) = &proof {
                files::write(&folder.join(format!("{index}.tlog-proof")), proof)?;
            }
        }
        let error = proof.err();
        if let Some(error) = &error {
            self.unproven(entry, index, error);
        } else {
            self.counts.proven += 1;
        }
        let document = EntryDocument {
            place: entry.place.to_string(),
            index: Some(index),
            leaf_hash: Some(appended.leaf_hash.to_string()),
            duplicate: Some(appended.duplicate),
            receipt: error.is_none().then_some(word(appended.reached.min(self.wanted))),
            error: error.as_deref(),
        };
        self.ui.result(format_args!("{index}\t{}", appended.leaf_hash), &document)
    }

    /// An entry that is not in the log, as far as is known.
    pub(super) fn failed(&mut self, entry: &InputEntry, error: &AppendError) {
        self.counts.failed += 1;
        self.stopped |= !matches!(error, AppendError::Refused(_) | AppendError::Length { .. });
        let text = chain(error);
        let said = format!("{} was not appended: {text}", entry.place);
        // One line says what ended the run; each refusal says what is wrong with its own entry.
        if !self.stopped || self.first_failure.is_none() {
            complain(&said);
        }
        self.first_failure.get_or_insert(said);
    }

    /// Sums up. `read` is the error that ended the input early.
    pub(super) fn finish(&self, read: Result<(), CliError>) -> Result<Exit, CliError> {
        let Counts { appended, proven, failed } = self.counts;
        let receipts = match self.wanted {
            ReceiptLevel::Index => String::new(),
            level => format!(", {proven} with a {} receipt that holds", word(level)),
        };
        self.ui.note(format_args!("{appended} entries appended{receipts}; {failed} not"));
        read?;
        if self.stopped {
            let first = self.first_failure.clone().unwrap_or_default();
            return Err(CliError::AppendStopped { first, appended });
        }
        Ok(if failed == 0 && proven == appended { Exit::Done } else { Exit::No })
    }

    /// The entry's receipt, verified; `None` where none was asked for.
    fn proof(&mut self, index: u64, appended: &Appended) -> Result<Option<Vec<u8>>, String> {
        let Some(trust) = &self.trust else { return Ok(None) };
        if appended.reached < self.wanted {
            return Err(format!("only {} was reached in time", word(appended.reached)));
        }
        let receipt = appended.receipt.as_ref().ok_or("the answer carries no receipt")?;
        if self.batch.as_ref().is_none_or(|batch| !Arc::ptr_eq(&batch.receipt, receipt)) {
            let expanded = receipt.expand(trust).map_err(|error| chain(&error));
            let by_index = |proofs: Vec<(merkle::LeafIndex, Vec<u8>)>| {
                proofs.into_iter().map(|(index, proof)| (index.get(), proof)).collect()
            };
            let proofs = expanded.map(by_index);
            self.batch = Some(Batch { receipt: Arc::clone(receipt), proofs });
        }
        let batch = self.batch.as_mut().expect("it was just put there");
        let proofs = batch.proofs.as_ref().map_err(Clone::clone)?;
        let proof = proofs.get(&index).ok_or("the receipt leaves this entry out")?;
        Ok(Some(proof.clone()))
    }

    fn unproven(&mut self, entry: &InputEntry, index: u64, error: &str) {
        let said =
            format!("{} is at index {index}, and its receipt does not hold: {error}", entry.place);
        complain(&said);
        self.first_failure.get_or_insert(said);
    }
}

fn word(level: ReceiptLevel) -> &'static str {
    match level {
        ReceiptLevel::Index => "index",
        ReceiptLevel::Signed => "signed",
        ReceiptLevel::Witnessed => "witnessed",
    }
}
