//! The one place that writes to the terminal: results on stdout, everything else on stderr.
//!
//! With `--json` stdout carries JSON documents alone, one a line. Without it stdout carries the plain
//! form, made for `cut` and `awk`. Progress is a bar on a terminal and a line every few seconds
//! elsewhere, so that a log file of a long run stays readable.

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::clock::machine;
use base::error::chain;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tokio::time::Instant;

use crate::error::CliError;

/// Time between two progress lines if stderr is no terminal.
const PLAIN_PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// Where a command writes.
#[derive(Debug)]
pub(crate) struct Ui {
    json: bool,
    quiet: bool,
    stderr_is_terminal: bool,
    out: Mutex<BufWriter<Stdout>>,
}

impl Ui {
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        Self {
            json,
            quiet,
            stderr_is_terminal: io::stderr().is_terminal(),
            out: Mutex::new(BufWriter::with_capacity(64 * 1024, io::stdout())),
        }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// One result: `json` with `--json`, else `plain` and a line end. Buffered until [`Ui::flush`].
    pub(crate) fn result(
        &self,
        plain: impl Display,
        json: &impl Serialize,
    ) -> Result<(), CliError> {
        let mut out = self.lock();
        let written =
            if self.json { write_json(&mut *out, json) } else { writeln!(out, "{plain}") };
        written.map_err(|source| CliError::Stdout { source })
    }

    /// Hands everything written so far to the reader.
    pub(crate) fn flush(&self) -> Result<(), CliError> {
        self.lock().flush().map_err(|source| CliError::Stdout { source })
    }

    /// A whole file as it is; with `--json` the document `json`, which holds the file.
    pub(crate) fn whole(&self, bytes: &[u8], json: &impl Serialize) -> Result<(), CliError> {
        let mut out = self.lock();
        let written = if self.json { write_json(&mut *out, json) } else { out.write_all(bytes) };
        written.map_err(|source| CliError::Stdout { source })
    }

    /// Bytes as they are, and a line end.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<(), CliError> {
        let mut out = self.lock();
        out.write_all(bytes)
            .and_then(|()| out.write_all(b"\n"))
            .map_err(|source| CliError::Stdout { source })
    }

    /// A part of the output as it is.
    pub(crate) fn text(&self, text: impl Display) -> Result<(), CliError> {
        write!(self.lock(), "{text}").map_err(|source| CliError::Stdout { source })
    }

    /// The verdict of a verification: why it failed, or `held`, which `--quiet` leaves out.
    pub(crate) fn verdict(
        &self,
        refused: Option<&str>,
        held: impl Display,
        json: &impl Serialize,
    ) -> Result<(), CliError> {
        match refused {
            Some(reason) => self.result(format_args!("not verified: {reason}"), json),
            None => self.finding(held, json),
        }
    }

    /// A verification that holds. `--quiet` leaves it out, because the exit code says the same.
    pub(crate) fn finding(
        &self,
        held: impl Display,
        json: &impl Serialize,
    ) -> Result<(), CliError> {
        if self.quiet && !self.json { Ok(()) } else { self.result(held, json) }
    }

    /// A sentence for a person, on stderr; `--quiet` leaves it out.
    pub(crate) fn note(&self, text: impl Display) {
        if !self.quiet {
            complain(text);
        }
    }

    /// The error a command ends with: text on stderr, and with `--json` also a document on stdout, so
    /// that a program always finds one there.
    pub(crate) fn error(&self, error: &CliError) {
        let text = chain(error);
        let hint = error.hint();
        complain(format_args!("error: {text}"));
        if let Some(hint) = hint {
            complain(format_args!("  try: {hint}"));
        }
        if self.json {
            let document = ErrorDocument { error: text, hint, exit_code: error.exit().code() };
            let mut out = self.lock();
            let _lost = write_json(&mut *out, &document).and_then(|()| out.flush());
        }
    }

    /// Progress of long work; `total` of 0 means unknown.
    pub(crate) fn progress(&self, doing: &'static str, unit: &'static str, total: u64) -> Progress {
        let shown = self.stderr_is_terminal && !self.quiet;
        let plain = !self.stderr_is_terminal && !self.quiet;
        let bar = if shown { bar(doing, unit, total) } else { ProgressBar::hidden() };
        let now = machine::now();
        Progress { bar, plain, doing, unit, total, started: now, said: now }
    }

    fn lock(&self) -> MutexGuard<'_, BufWriter<Stdout>> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A bar, or lines, on stderr. Gone when dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    plain: bool,
    doing: &'static str,
    unit: &'static str,
    total: u64,
    started: Instant,
    said: Instant,
}

impl Progress {
    pub(crate) fn set(&mut self, position: u64) {
        self.bar.set_position(position);
        if self.plain && self.said.elapsed() >= PLAIN_PROGRESS_INTERVAL {
            self.said = machine::now();
            let line =
                plain_progress(self.doing, self.unit, position, self.total, self.started.elapsed());
            complain(line);
        }
    }

    pub(crate) fn set_total(&mut self, total: u64) {
        self.total = total;
        self.bar.set_length(total);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// What went wrong with a part of the work, on stderr; `--quiet` does not leave it out.
pub(crate) fn complain(text: impl Display) {
    // If stderr is gone, we can do nothing and tell nobody.
    let _lost = writeln!(io::stderr().lock(), "{text}");
}

#[derive(Serialize)]
struct ErrorDocument {
    error: String,
    hint: Option<&'static str>,
    exit_code: u8,
}

/// A count and what is counted, in the number that grammar asks for.
pub(crate) fn counted(count: u64, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
}

fn write_json(out: &mut impl Write, document: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, document)?;
    out.write_all(b"\n")
}

fn bar(doing: &'static str, unit: &'static str, total: u64) -> ProgressBar {
    let template = if total == 0 {
        format!("{doing} {{pos}} {unit} in {{elapsed}}")
    } else {
        format!("{doing} [{{bar:30}}] {{pos}} of {{len}} {unit}, {{eta}} left")
    };
    let style =
        ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total).with_style(style)
}

fn plain_progress(doing: &str, unit: &str, position: u64, total: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    let rate = position.checked_div(seconds).unwrap_or(position);
    match (u128::from(position) * 100).checked_div(u128::from(total)) {
        Some(percent) => format!("{doing}: {position} of {total} {unit} ({percent} %), {rate}/s"),
        None => format!("{doing}: {position} {unit}, {rate}/s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_progress_names_share_and_rate() {
        let line = |position, total| {
            plain_progress("auditing", "entries", position, total, Duration::from_secs(2))
        };
        insta::assert_snapshot!(line(50, 200), @"auditing: 50 of 200 entries (25 %), 25/s");
        insta::assert_snapshot!(line(50, 0), @"auditing: 50 entries, 25/s");
    }

    #[test]
    fn one_is_not_many() {
        let said = [0, 1, 2].map(|count| counted(count, "entry", "entries"));
        assert_eq!(said, ["0 entries", "1 entry", "2 entries"]);
    }
}
