//! Events into a log, or into the folder where they wait for it.

use std::path::PathBuf;

use evidence_file::words::shown;
use formats::trust::Trust;
use serde::Serialize;

use super::waiting::Waiting;
use crate::api::Api;
use crate::error::CliError;
use crate::events::{self, BATCH_EVENTS_MAX, Draft, DraftError, Outcome, Refused, Taken};
use crate::kept::{self, Fetched};
use crate::ui::{Ui, complain, counted};

/// What `--json` prints of an event that waits.
#[derive(Serialize)]
struct Spooled<'a> {
    id: &'a str,
    spooled: bool,
}

/// What `--json` prints of an event that was refused.
#[derive(Serialize)]
struct RefusedDocument<'a> {
    id: &'a str,
    error: &'a Refused,
}

/// Sends, verifies and prints.
pub(super) struct Recorder<'a> {
    pub(super) api: Api,
    pub(super) log: String,
    pub(super) level: &'static str,
    /// Whom to believe, where receipts are wanted.
    pub(super) trust: Option<Trust>,
    pub(super) out: Option<PathBuf>,
    pub(super) waiting: Option<Waiting>,
    pub(super) ui: &'a Ui,
    /// Events that were refused, or whose receipt is pending or does not hold.
    pub(super) missed: u64,
}

impl Recorder<'_> {
    /// Sends what waits, oldest first.
    pub(super) async fn flush(&mut self) -> Result<(), CliError> {
        let Some(waiting) = &self.waiting else { return Ok(()) };
        while let Some(mut batch) = waiting.oldest()? {
            let log = batch.log.clone();
            let outcomes = events::post(&self.api, &log, "index", &batch.drafts).await?;
            let mut refused = Vec::new();
            for ((draft, path), outcome) in batch.drafts.iter().zip(&batch.paths).zip(&outcomes) {
                match outcome {
                    Outcome::Taken(taken) => print_taken(self.ui, taken)?,
                    Outcome::Refused { error } => {
                        print_refused(self.ui, draft.id(), error)?;
                        refused.push(path.clone());
                        self.missed += 1;
                    }
                }
            }
            // What was printed is durable in the log, so that it need not wait any more.
            self.ui.flush()?;
            batch.settle(&refused)?;
        }
        Ok(())
    }

    /// Sends events, at most [`BATCH_EVENTS_MAX`] of them, behind those that wait.
    pub(super) async fn record(&mut self, drafts: Vec<Draft>) -> Result<(), CliError> {
        assert!(drafts.len() <= BATCH_EVENTS_MAX, "one call takes no more");
        if drafts.is_empty() {
            return Ok(());
        }
        match self.flush().await {
            Err(CliError::Api(error)) if error.is_passing() => return self.spool(&drafts),
            flushed => flushed?,
        }
        match events::post(&self.api, &self.log, self.level, &drafts).await {
            Err(error) if error.is_passing() && self.waiting.is_some() => self.spool(&drafts),
            Err(error) => Err(error.into()),
            Ok(outcomes) => {
                for (draft, outcome) in drafts.iter().zip(outcomes) {
                    self.settle(draft, outcome).await?;
                }
                Ok(())
            }
        }
    }

    /// A line of the input that is no event.
    pub(super) fn unusable(&mut self, line: u64, error: &DraftError) {
        complain(format_args!("refused: line {line}: {error}"));
        self.missed += 1;
    }

    fn spool(&mut self, drafts: &[Draft]) -> Result<(), CliError> {
        let Some(waiting) = &self.waiting else { return Ok(()) };
        for draft in drafts {
            waiting.push(&self.log, draft)?;
            if self.ui.is_json() {
                self.ui.result("", &Spooled { id: draft.id(), spooled: true })?;
            }
        }
        let count = u64::try_from(drafts.len()).unwrap_or(u64::MAX);
        self.ui.note(format_args!(
            "note: the server is away or busy; {} in {} for the next `cairn record --spool`",
            counted(count, "event waits", "events wait"),
            waiting.folder().display()
        ));
        Ok(())
    }

    async fn settle(&mut self, draft: &Draft, outcome: Outcome) -> Result<(), CliError> {
        let taken = match outcome {
            Outcome::Taken(taken) => taken,
            Outcome::Refused { error } => {
                self.missed += 1;
                return print_refused(self.ui, draft.id(), &error);
            }
        };
        if let Some(why) = self.proven(&taken).await? {
            self.missed += 1;
            complain(format_args!("the event at index {} is recorded, but {why}", taken.index));
        }
        print_taken(self.ui, &taken)
    }

    /// Verifies and keeps the receipt, where one is wanted. Gives what is wrong.
    async fn proven(&self, taken: &Taken) -> Result<Option<String>, CliError> {
        let Some(trust) = &self.trust else { return Ok(None) };
        let receipt = match &taken.receipt {
            Some(receipt) => receipt.clone().into_bytes(),
            None if self.level == "index" => {
                kept::receipt(&self.api, &self.log, taken.index).await?.to_vec()
            }
            None => return Ok(Some("its receipt is pending".to_owned())),
        };
        let fetched = Fetched::of(&self.api, &self.log, taken.index).await?;
        if let Some(why) = fetched.refused(&receipt, trust) {
            return Ok(Some(format!("its receipt does not hold: {why}")));
        }
        if let Some(folder) = &self.out {
            fetched.write(folder, &receipt)?;
        }
        Ok(None)
    }
}

fn print_taken(ui: &Ui, taken: &Taken) -> Result<(), CliError> {
    let plain = format!("{}\t{}\t{}", taken.index, shown(&taken.leaf_hash), shown(&taken.id));
    ui.result(plain, taken)
}

fn print_refused(ui: &Ui, id: &str, error: &Refused) -> Result<(), CliError> {
    let field = error.field.as_deref().map(|field| format!(" (field {})", shown(field)));
    complain(format_args!(
        "refused: {}{} [{}]",
        shown(&error.message),
        field.unwrap_or_default(),
        shown(&error.reason)
    ));
    if ui.is_json() { ui.result("", &RefusedDocument { id, error }) } else { Ok(()) }
}
