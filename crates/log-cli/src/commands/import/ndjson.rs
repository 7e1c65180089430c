//! `cairn import ndjson`: audit events, one a line.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use clap::Args;
use evidence_file::words::shown;
use serde::Serialize;
use serde_json::{Map, Value};

use super::given;
use crate::api::Api;
use crate::args::log_name;
use crate::error::{CliError, Exit};
use crate::events::{self, BATCH_BYTES_MAX, BATCH_EVENTS_MAX, Draft, Outcome, random_id};
use crate::files::is_stdio;
use crate::lines::Lines;
use crate::ui::{Progress, Ui, complain};

pub(super) const AFTER_HELP: &str = "\
Each line is an AuditEvent as JSON, of events' own ids each once: importing a file again adds nothing
where its events have ids. Of a folder the files named .ndjson and .jsonl are read; - is stdin. A line
that is refused is named with its file, and the others are recorded. At the end the log itself records
what the import came to, as import.finished.

Exit codes: 0 everything recorded; 1 lines were refused; 2 a file cannot be used; 3 the server could not
be reached, and what was recorded stays.

Examples:
  cairn import ndjson events.ndjson
  cairn import ndjson events/ --json";

#[derive(Debug, Args)]
pub(crate) struct NdjsonArgs {
    /// Files and folders
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// The log
    #[arg(long, value_name = "LOG", default_value = "audit", value_parser = log_name)]
    log: String,
}

/// What an import came to, and what `--json` prints.
#[derive(Debug, Default, Serialize)]
struct Counts {
    files: u64,
    events: u64,
    duplicates: u64,
    refused: u64,
}

pub(super) async fn run(args: NdjsonArgs, api: &Api, ui: &Ui) -> Result<Exit, CliError> {
    let (stdin, paths): (Vec<_>, Vec<_>) = args.paths.into_iter().partition(|it| is_stdio(it));
    let mut files = stdin;
    if !paths.is_empty() {
        files.extend(given::files(&paths, &[".ndjson", ".jsonl"])?);
    }
    let progress = ui.progress("importing", "events", 0);
    let mut import = Import { api, log: args.log, counts: Counts::default(), progress };
    for path in &files {
        import.file(path).await?;
    }
    let Import { log, counts, progress, .. } = import;
    drop(progress);
    let Counts { files, events, duplicates, refused } = &counts;
    let outcome = if *refused == 0 { "success" } else { "failure" };
    let numbers =
        [("files", files), ("events", events), ("duplicates", duplicates), ("refused", refused)];
    let mut members: Map<String, Value> =
        numbers.into_iter().map(|(name, count)| (name.to_owned(), (*count).into())).collect();
    members.insert("kind".to_owned(), "ndjson".into());
    members.insert("outcome".to_owned(), outcome.into());
    super::finished(api, &log, members).await?;
    ui.result(
        format_args!("{events} recorded, {duplicates} were there before, {refused} refused"),
        &counts,
    )?;
    Ok(if *refused == 0 { Exit::Done } else { Exit::No })
}

struct Import<'a> {
    api: &'a Api,
    log: String,
    counts: Counts,
    progress: Progress,
}

/// Events that are sent together, each with the number of its line.
#[derive(Default)]
struct Batch {
    drafts: Vec<Draft>,
    lines: Vec<u64>,
    bytes: usize,
}

impl Import<'_> {
    async fn file(&mut self, path: &Path) -> Result<(), CliError> {
        let unread = |source| CliError::Read { path: path.to_owned(), source };
        let reader: Box<dyn BufRead> = if is_stdio(path) {
            Box::new(BufReader::new(io::stdin()))
        } else {
            Box::new(BufReader::with_capacity(1 << 18, File::open(path).map_err(unread)?))
        };
        let mut lines = Lines::of(reader);
        let mut batch = Batch::default();
        while let Some(line) = lines.next().map_err(unread)? {
            let Some(text) = line.text else {
                self.refused(path, line.number, "the line is longer than any event");
                continue;
            };
            let id = random_id()?;
            match Draft::new(&text, || id) {
                Ok(draft) => batch.push(draft, line.number),
                Err(error) => self.refused(path, line.number, &error.to_string()),
            }
            if batch.is_full() {
                self.send(path, std::mem::take(&mut batch)).await?;
            }
        }
        self.counts.files += 1;
        self.send(path, batch).await
    }

    async fn send(&mut self, path: &Path, batch: Batch) -> Result<(), CliError> {
        if batch.drafts.is_empty() {
            return Ok(());
        }
        let outcomes = events::post(self.api, &self.log, "index", &batch.drafts).await?;
        for (line, outcome) in batch.lines.iter().zip(outcomes) {
            match outcome {
                Outcome::Taken(taken) if taken.duplicate => self.counts.duplicates += 1,
                Outcome::Taken(_) => self.counts.events += 1,
                Outcome::Refused { error } => self.refused(path, *line, &error.message),
            }
        }
        let Counts { events, duplicates, refused, .. } = self.counts;
        self.progress.set(events + duplicates + refused);
        Ok(())
    }

    fn refused(&mut self, path: &Path, line: u64, why: &str) {
        self.counts.refused += 1;
        let path = shown(&path.display().to_string());
        complain(format_args!("refused: {path}:{line}: {}", shown(why)));
    }
}

impl Batch {
    fn push(&mut self, draft: Draft, line: u64) {
        self.bytes += draft.text().len();
        self.drafts.push(draft);
        self.lines.push(line);
    }

    fn is_full(&self) -> bool {
        self.drafts.len() >= BATCH_EVENTS_MAX || self.bytes >= BATCH_BYTES_MAX
    }
}
