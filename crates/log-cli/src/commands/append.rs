//! `cairn append`: entries in, indexes and receipts out, both in the order of the input.

mod input;
mod outcome;

pub(crate) use self::input::InputError;

use std::collections::VecDeque;
use std::path::PathBuf;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use formats::trust::Trust;
use log_client::appender::{AppendError, Delivery, Pending};
use log_client::{Appender, AppenderOptions, LogInfo, NewEntry, ReceiptLevel, RetryPolicy, Wanted};
use tokio::sync::mpsc;

use self::input::{Input, InputEntry, Split};
use self::outcome::Outcomes;
use super::{client, trust_of};
use crate::args::Server;
use crate::error::{CliError, Exit};
use crate::trust::OptionalTrustArgs;
use crate::ui::{Progress, Ui};

/// Entries read ahead of the appender.
const READ_AHEAD_ENTRIES: usize = 1024;
/// Entries handed over and not printed yet; with `--out` their bytes are kept so long.
const WINDOW_ENTRIES: usize = 16_384;
const WINDOW_BYTES: usize = 32 * 1024 * 1024;

const AFTER_HELP: &str = "\
One entry per file, or with --lines per line, or with --json-array per element. Order is kept:
for each entry, in the order of the input, stdout gets its index, a tab and its leaf hash. An
entry whose line was printed is durable in the log. Once the server was reached, attempts are
repeated while it is away or busy, each entry with a key of its own, so that a retry is never a
second entry; the same line twice is two entries.

With --receipt signed (or witnessed) each receipt is verified before its line is printed: under
--vkey or --policy, else under the keys the server names. With --out the folder then holds
<index>.entry and <index>.tlog-proof, all that `cairn verify` needs.

Exit codes: 0 everything appended (and proven, if asked); 1 some entries were refused, or their
receipt is pending or does not hold; 2 an input is unusable; 3 the server could not be reached, or
--out not be written. What was appended is printed in every case, and stderr names the first entry
that was not.

Examples:
  cairn append default invoice.json
  journalctl -f -o json | cairn append default --lines
  cairn append default trail.json --json-array /Records --receipt signed --out receipts";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct AppendArgs {
    /// The log
    log: String,
    /// What to append; - for stdin, which is the default
    #[arg(value_name = "FILE", default_value = "-")]
    files: Vec<PathBuf>,
    /// One entry per line, without its line feed; nothing else is stripped
    #[arg(long, conflicts_with = "json_array")]
    lines: bool,
    /// Leave empty lines out, instead of refusing them
    #[arg(long, requires = "lines")]
    skip_empty: bool,
    /// One entry per element of the array at this JSON pointer, exactly as it stands in the file
    #[arg(long, value_name = "POINTER", value_parser = input::parse_pointer)]
    json_array: Option<input::Pointer>,
    /// What to wait for
    #[arg(long, value_enum, default_value_t = Receipt::Index)]
    receipt: Receipt,
    /// Folder for entries and receipts; made if absent
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Attempts in a row before giving up, once the server was reached; pauses grow to 10 s
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    attempts: u32,
    #[command(flatten)]
    trust: OptionalTrustArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Receipt {
    /// Durable, and the index final
    Index,
    /// Also covered by a head the log signed; gives a receipt
    Signed,
    /// Also cosigned as the log's witness policy asks; gives a receipt
    Witnessed,
}

impl Receipt {
    fn level(self) -> ReceiptLevel {
        match self {
            Self::Index => ReceiptLevel::Index,
            Self::Signed => ReceiptLevel::Signed,
            Self::Witnessed => ReceiptLevel::Witnessed,
        }
    }
}

pub(crate) async fn run(args: AppendArgs, server: &Server, ui: &Ui) -> Result<Exit, CliError> {
    let client = client(server)?;
    let log = client.log(&args.log).await?;
    let level = args.receipt.level();
    let trust = match level {
        ReceiptLevel::Index => None,
        ReceiptLevel::Signed | ReceiptLevel::Witnessed => Some(trust_of(&args.trust, &log, ui)?),
    };
    if level == ReceiptLevel::Signed && trust.as_ref().is_some_and(Trust::needs_witnesses) {
        return Err(CliError::ReceiptBelowPolicy);
    }
    let outcomes = Outcomes::new(ui, &args.log, level, trust, args.out.clone())?;
    let appender = Appender::start(client, args.log.clone(), options(&args, &log))
        .map_err(|source| CliError::Appender { source })?;
    let input = Input { files: args.files.clone(), split: split(&args) };
    let mut progress = ui.progress("appending", "entries", 0);
    let mut run = Run { waiting: VecDeque::new(), waiting_bytes: 0, outcomes };
    let read = run.append_all(&appender, input, &mut progress).await;
    drop(progress);
    ui.flush()?;
    let summary = run.outcomes.finish(read)?;
    let _counts = appender.close().await;
    Ok(summary)
}

fn options(args: &AppendArgs, log: &LogInfo) -> AppenderOptions {
    AppenderOptions {
        wanted: Wanted::from(args.receipt.level()),
        retry: RetryPolicy { attempts_max: Some(args.attempts), ..RetryPolicy::default() },
        ..AppenderOptions::for_log(log)
    }
}

fn split(args: &AppendArgs) -> Split {
    match (&args.json_array, args.lines) {
        (Some(pointer), _) => Split::JsonArray { pointer: pointer.clone() },
        (None, true) => Split::Lines { skip_empty: args.skip_empty },
        (None, false) => Split::Whole,
    }
}

/// An entry handed to the appender.
#[derive(Debug)]
struct Waiting {
    entry: InputEntry,
    pending: Pending,
}

/// The entries on their way, oldest first.
struct Run<'a> {
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    outcomes: Outcomes<'a>,
}

impl Run<'_> {
    /// Reads every entry, hands it over and settles it, in order. If an error ends the input early,
    /// the entries read before are settled first; then this gives the error.
    async fn append_all(
        &mut self,
        appender: &Appender,
        input: Input,
        progress: &mut Progress,
    ) -> Result<(), CliError> {
        let mut entries = read_ahead(input);
        let mut ended = None;
        while ended.is_none() || !self.waiting.is_empty() {
            let room = self.waiting.len() < WINDOW_ENTRIES && self.waiting_bytes < WINDOW_BYTES;
            let more = room && ended.is_none();
            let waits = !self.waiting.is_empty();
            let oldest = self.waiting.front_mut().map(|waiting| &mut waiting.pending);
            tokio::select! {
                biased;
                delivered = async { oldest.expect("one waits").await }, if waits => {
                    self.settle(delivered)?;
                    progress.set(self.outcomes.settled());
                }
                entry = entries.recv(), if more => match entry {
                    Some(Ok(entry)) => self.hand_over(appender, entry).await,
                    Some(Err(error)) => ended = Some(Err(error)),
                    None => ended = Some(Ok(())),
                }
            }
            if self.outcomes.must_stop() {
                // Entries that are still queued would only meet the same failure again.
                appender.stopper().cancel();
                ended.get_or_insert(Ok(()));
            }
        }
        ended.unwrap_or(Ok(()))
    }

    async fn hand_over(&mut self, appender: &Appender, entry: InputEntry) {
        match appender.append(NewEntry::new(entry.bytes.clone())).await {
            Ok(pending) => {
                self.waiting_bytes += entry.bytes.len();
                self.waiting.push_back(Waiting { entry, pending });
            }
            Err(error) => self.outcomes.failed(&entry, &error),
        }
    }

    fn settle(&mut self, delivered: Result<Delivery, AppendError>) -> Result<(), CliError> {
        let Waiting { entry, .. } =
            self.waiting.pop_front().expect("the oldest was just waited for");
        self.waiting_bytes -= entry.bytes.len();
        match delivered {
            Ok(Delivery::Appended(appended)) => self.outcomes.appended(&entry, &appended)?,
            Ok(Delivery::Spooled) => unreachable!("no spool is configured"),
            Err(error) => self.outcomes.failed(&entry, &error),
        }
        if self.waiting.is_empty() { self.outcomes.flush() } else { Ok(()) }
    }
}

/// Reads on a thread of its own, as stdin may block for long while entries are on their way.
fn read_ahead(input: Input) -> mpsc::Receiver<Result<InputEntry, CliError>> {
    let (sender, receiver) = mpsc::channel(READ_AHEAD_ENTRIES);
    std::thread::spawn(move || {
        let failed = input.read(|entry| sender.blocking_send(Ok(entry)).is_ok());
        if let Err(error) = failed {
            // If this fails, nobody waits any more.
            let _unheard = sender.blocking_send(Err(error));
        }
    });
    receiver
}

/// Bytes kept without copying while they are sent, printed and written.
type EntryBytes = Bytes;
