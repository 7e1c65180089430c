//! What became of each entry: printed, verified, written, counted.

use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use base::error::chain;
use formats::trust::Trust;
use log_client::appender::{AppendError, Appended};
use log_client::receipt::BatchReceipt;
use log_client::verify::VerifiedCheckpoints;
use log_client::{Advice, ReceiptLevel};
use serde::Serialize;

use super::input::InputEntry;
use crate::error::{CliError, Exit};
use crate::files;
use crate::ui::{Ui, complain, counted};

/// How many verified checkpoints are remembered. Consecutive batches often share one.
const CHECKPOINTS_MAX: NonZeroUsize = NonZeroUsize::new(64).expect("it is not zero");

/// Takes outcomes in the order of the input.
#[derive(Debug)]
pub(super) struct Outcomes<'a> {
    ui: &'a Ui,
    log: &'a str,
    wanted: ReceiptLevel,
    trust: Option<VerifiedCheckpoints>,
    out: Option<PathBuf>,
    batch: Option<Batch>,
    counts: Counts,
    /// The first failure, and where its entry was read.
    first_failure: Option<String>,
    /// An error after which nothing more can be appended: what to do about it.
    stopped: Option<&'static str>,
    /// The first file that could not be written. After it no more entries are handed over, and
    /// those on their way are settled and printed.
    unwritten: Option<(PathBuf, io::Error)>,
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
    /// In the log, with a receipt of a lower level so far.
    pending: u64,
    /// Not in the log.
    failed: u64,
    /// Nobody here knows whether the entry is in the log.
    unknown: u64,
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
        log: &'a str,
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
            log,
            wanted,
            trust,
            out,
            batch: None,
            counts,
            first_failure: None,
            stopped: None,
            unwritten: None,
        })
    }

    /// Entries settled so far.
    pub(super) fn settled(&self) -> u64 {
        self.counts.appended + self.counts.failed + self.counts.unknown
    }

    pub(super) fn must_stop(&self) -> bool {
        self.stopped.is_some() || self.unwritten.is_some()
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
        self.keep(index, &entry.bytes, proof.as_ref().ok().and_then(Option::as_deref));
        let error = proof.err();
        if self.trust.is_some() && appended.reached < self.wanted {
            self.pending(entry, index, appended.reached);
        } else if let Some(error) = &error {
            complain(format_args!(
                "{} is at index {index}, and its receipt does not hold: {error}",
                entry.place
            ));
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
        let refused = matches!(error, AppendError::Refused(_) | AppendError::Length { .. });
        let (place, text) = (&entry.place, chain(error));
        let said = if error.outcome_is_unknown() {
            self.counts.unknown += 1;
            format!("whether {place} was appended is not known: {text}")
        } else {
            self.counts.failed += 1;
            format!("{place} was not appended: {text}")
        };
        // A refusal says what is wrong with its own entry. An error that ends the run is said once,
        // at the end.
        if refused && self.stopped.is_none() {
            complain(&said);
        }
        if !refused && !self.must_stop() {
            self.stopped = Some(way_on(error));
            self.first_failure = Some(said);
        }
    }

    /// Sums up. `read` is the error that ended the input early.
    pub(super) fn finish(&mut self, read: Result<(), CliError>) -> Result<Exit, CliError> {
        let Counts { appended, proven, failed, unknown, .. } = self.counts;
        self.ui.note(self.counts.said(self.wanted));
        if let Some((path, source)) = self.unwritten.take() {
            return Err(CliError::AppendUnkept { path, appended, source });
        }
        let first = || self.first_failure.clone().unwrap_or_default();
        if self.stopped.is_some() && read.is_err() {
            complain(first());
        }
        read?;
        if let Some(hint) = self.stopped {
            return Err(CliError::AppendStopped { first: first(), appended, hint });
        }
        Ok(if failed + unknown == 0 && proven == appended { Exit::Done } else { Exit::No })
    }

    /// Writes the entry and its receipt down, until a file cannot be written.
    fn keep(&mut self, index: u64, entry: &[u8], proof: Option<&[u8]>) {
        let (Some(folder), None) = (&self.out, &self.unwritten) else { return };
        let files =
            [(format!("{index}.entry"), Some(entry)), (format!("{index}.tlog-proof"), proof)];
        for (name, bytes) in files {
            let path = folder.join(name);
            if let Some(Err(source)) = bytes.map(|bytes| files::write(&path, bytes)) {
                self.unwritten = Some((path, source));
                return;
            }
        }
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

    fn pending(&mut self, entry: &InputEntry, index: u64, reached: ReceiptLevel) {
        self.counts.pending += 1;
        let (log, wanted, reached) = (self.log, word(self.wanted), word(reached));
        let policy = if self.wanted == ReceiptLevel::Witnessed { " --policy FILE" } else { "" };
        complain(format_args!(
            "{} is at index {index}, and its {wanted} receipt is pending: only {reached} was reached in time; \
             fetch it later: cairn prove {log} --index {index} --out {index}.tlog-proof{policy}",
            entry.place
        ));
    }
}

impl Counts {
    /// One sentence whose numbers add up.
    fn said(&self, wanted: ReceiptLevel) -> String {
        let Self { appended, proven, pending, failed, unknown } = *self;
        let entries = counted(appended, "entry", "entries");
        let doubt = match unknown {
            0 => String::new(),
            unknown => format!("; of {unknown} it is not known"),
        };
        if wanted == ReceiptLevel::Index {
            return format!("{entries} appended; {failed} not appended{doubt}");
        }
        let wrong = appended - proven - pending;
        let wrong = if wrong == 0 {
            String::new()
        } else {
            format!(", {wrong} with one that does not hold")
        };
        let level = word(wanted);
        format!(
            "{entries} appended: {proven} with a {level} receipt that holds, {pending} with one \
             pending{wrong}; {failed} not appended{doubt}"
        )
    }
}

/// What to do about the error that ended the run.
fn way_on(error: &AppendError) -> &'static str {
    match error {
        AppendError::Call { source, .. } if source.advice() != Advice::Retry => source.hint(),
        _ => "append the rest once the server is well; what was printed is in the log",
    }
}

fn word(level: ReceiptLevel) -> &'static str {
    match level {
        ReceiptLevel::Index => "index",
        ReceiptLevel::Signed => "signed",
        ReceiptLevel::Witnessed => "witnessed",
    }
}

#[cfg(test)]
mod tests {
    use log_client::ClientError;
    use log_client::error::{Code, ErrorReason, ServerError};

    use super::*;

    fn ended_by(code: Code, reason: ErrorReason) -> CliError {
        let message = "told to".to_owned();
        let error = Box::new(ServerError { code, reason, message, field: None, retry_after: None });
        let source = match code {
            Code::FailedPrecondition => ClientError::Refused(error),
            _ => ClientError::Busy(error),
        };
        CliError::AppendStopped {
            first: String::new(),
            appended: 0,
            hint: way_on(&AppendError::Call { attempts: 1, source: Arc::new(source) }),
        }
    }

    #[test]
    fn what_ends_a_run_says_whether_waiting_helps() {
        let hint = |reason| ended_by(Code::FailedPrecondition, reason).hint().unwrap();
        assert!(hint(ErrorReason::LogFrozen).contains("append to another one"));
        assert!(hint(ErrorReason::ReadOnly).contains("only reads work"));
        assert!(hint(ErrorReason::NoWitnessPolicy).contains("ask for a signed receipt"));
        let away = ended_by(Code::Unavailable, ErrorReason::ShuttingDown);
        assert!(away.hint().unwrap().contains("once the server is well"));
    }

    #[test]
    fn the_numbers_of_the_summary_add_up() {
        let said = |[appended, proven, pending, failed, unknown]: [u64; 5], wanted| {
            Counts { appended, proven, pending, failed, unknown }.said(wanted)
        };
        let lines = [
            said([50, 0, 50, 0, 0], ReceiptLevel::Witnessed),
            said([50, 40, 7, 2, 0], ReceiptLevel::Signed),
            said([1, 1, 0, 0, 0], ReceiptLevel::Index),
            said([5, 5, 0, 1, 2], ReceiptLevel::Index),
        ];
        insta::assert_snapshot!(lines.join("\n"), @r"
        50 entries appended: 0 with a witnessed receipt that holds, 50 with one pending; 0 not appended
        50 entries appended: 40 with a signed receipt that holds, 7 with one pending, 3 with one that does not hold; 2 not appended
        1 entry appended; 0 not appended
        5 entries appended; 1 not appended; of 2 it is not known
        ");
    }
}
