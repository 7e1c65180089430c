//! `cairn audit`: replay a whole log from its tiles, and compare everything.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use log_client::audit::{
    AuditError, AuditOptions, AuditState, Audited, Auditor, Progress, StateError,
};
use log_client::tiles::{DirSource, HttpSource, Source};
use serde::Serialize;

use super::fork_error;
use crate::args::State;
use crate::error::{CliError, Exit};
use crate::trust::TrustArgs;
use crate::ui::{Ui, counted};

const AFTER_HELP: &str = "\
Reads nothing but the log's public files (c2sp.org/tlog-tiles), over HTTP or from a folder:
every entry is hashed and compared with its leaf hash, every tile with the tiles below it, and
the root with the signed checkpoint. With --resume the state is kept in a file, saved as the
audit goes: the next run goes on from there, and refuses a log that does not continue what was
audited before. For each file one redirect is followed, within the same scheme, host and port.

Exit codes: 0 everything holds; 1 something does not, and stderr names the first of it; 2 an
input is unusable: the keys, the state, or a folder without a checkpoint; 3 the log could not be
read, or the state not be saved.

Examples:
  cairn audit http://127.0.0.1:6962/logs/default --vkey @audit.vkey
  cairn audit https://log.example/logs/audit --vkey @audit.vkey --resume audit.state
  cairn audit ./mirror --vkey @audit.vkey --json";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct AuditArgs {
    /// The log's prefix, which `checkpoint` and `tile/` lie under: a URL or a folder
    #[arg(value_name = "URL|DIR")]
    source: String,
    /// Keep the state in this file, and go on from it
    #[arg(long, value_name = "STATE")]
    resume: Option<PathBuf>,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    state: State,
}

/// What `--json` prints.
#[derive(Serialize)]
struct AuditDocument<'a> {
    verified: bool,
    origin: &'a str,
    size: u64,
    root: String,
    /// Hashed and compared in this run.
    entries: u64,
    tiles: u64,
    checkpoint: String,
}

pub(crate) async fn run(args: AuditArgs, ui: &Ui) -> Result<Exit, CliError> {
    let is_url = args.source.starts_with("http://") || args.source.starts_with("https://");
    let (audited, saved) = if is_url {
        let source = HttpSource::new(&args.source).map_err(|error| CliError::Audit {
            source: Box::new(error.into()),
            of_folder: false,
        })?;
        audit(source, false, &args, ui).await?
    } else if Path::new(&args.source).is_dir() {
        audit(DirSource::new(&args.source), true, &args, ui).await?
    } else {
        return Err(CliError::AuditSource { given: args.source });
    };
    let checkpoint = &audited.checkpoint;
    let (origin, size) = (checkpoint.origin().as_str(), checkpoint.size().get());
    let Audited { entries, tiles, .. } = audited;
    let document = AuditDocument {
        verified: true,
        origin,
        size,
        root: checkpoint.root().to_string(),
        entries,
        tiles,
        checkpoint: String::from_utf8_lossy(checkpoint.as_bytes()).into_owned(),
    };
    let of = |count| counted(count, "entry", "entries");
    let held = format!(
        "verified: {origin} of {}; {} and {} hashed and compared",
        of(size),
        of(entries),
        counted(tiles, "tile", "tiles")
    );
    // The verdict comes first: it holds even if the state cannot be saved.
    ui.verdict(None, held, &document)?;
    saved.map(|()| Exit::Done)
}

/// What the audit found, and separately whether the state was saved.
async fn audit<S: Source>(
    source: S,
    of_folder: bool,
    args: &AuditArgs,
    ui: &Ui,
) -> Result<(Audited, Result<(), CliError>), CliError> {
    let resume = resumed(args.resume.as_deref())?;
    let trust = args.trust.load(ui)?;
    let witnesses = log_client::gossip::witness_urls(&trust);
    let auditor = Auditor::new(source, trust, AuditOptions::default());
    let mut shown = ui.progress("auditing", "entries", 0);
    let mut saving = Saving { file: args.resume.as_deref(), saved_at: 0, failed: None };
    let audited = auditor.run(resume.as_ref(), |progress| {
        shown.set_total(progress.target.get());
        shown.set(progress.audited.get());
        saving.now_and_then(progress);
    });
    let audited = audited.await;
    drop(shown);
    let audited = match audited {
        Ok(audited) => audited,
        Err(error) => return Err(failed(error, of_folder, args, &witnesses, ui).await),
    };
    let saved = match (&args.resume, saving.failed) {
        (_, Some(error)) => Err(error),
        (Some(file), None) => save(&audited.state, file),
        (None, None) => Ok(()),
    };
    Ok((audited, saved))
}

/// Saves the state as the audit goes.
struct Saving<'a> {
    file: Option<&'a Path>,
    saved_at: u64,
    failed: Option<CliError>,
}

impl Saving<'_> {
    /// Entries between two saves: some seconds of work.
    const INTERVAL_ENTRIES: u64 = 4_000_000;

    fn now_and_then(&mut self, progress: &Progress<'_>) {
        let Some(file) = self.file else { return };
        let audited = progress.audited.get();
        if self.failed.is_none() && audited - self.saved_at >= Self::INTERVAL_ENTRIES {
            self.saved_at = audited;
            self.failed = save(&progress.state(), file).err();
        }
    }
}

/// The state of an earlier run; `None` if there was none.
fn resumed(file: Option<&Path>) -> Result<Option<AuditState>, CliError> {
    let Some(file) = file else { return Ok(None) };
    match AuditState::load(file) {
        Err(StateError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        loaded => loaded
            .map(Some)
            .map_err(|source| CliError::AuditState { path: file.to_owned(), source }),
    }
}

fn save(state: &AuditState, file: &Path) -> Result<(), CliError> {
    let unsaved =
        |source: StateError| CliError::AuditStateUnsaved { path: file.to_owned(), source };
    state.save(file).map_err(unsaved)
}

/// Writes evidence down before it is reported.
async fn failed(
    error: AuditError,
    of_folder: bool,
    args: &AuditArgs,
    witnesses: &[String],
    ui: &Ui,
) -> CliError {
    match (error, &args.resume) {
        (AuditError::Fork(fork), _) => {
            let here = |_| PathBuf::from(".");
            let folder = args.state.folder().unwrap_or_else(here);
            fork_error(&fork, &folder, witnesses, ui).await
        }
        (error @ (AuditError::State(_) | AuditError::OtherLog { .. }), Some(path)) => {
            CliError::AuditResume { path: path.clone(), source: Box::new(error) }
        }
        (error, _) => CliError::Audit { source: Box::new(error), of_folder },
    }
}
