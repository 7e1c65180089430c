//! `cairn tail`: follow a log, and verify every step.

use std::path::Path;
use std::time::Duration;

use base::clock::machine::sleep;
use base::error::chain;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use formats::SignedCheckpoint;
use log_client::types::WatchEvent;
use log_client::verified::{ReadError, Tail, TailEvent, VerifiedLog};
use log_client::{Advice, Client, ClientError};
use merkle::{LeafIndex, TreeSize};
use serde::Serialize;

use super::{client, event, fork_error, trust_or_servers};
use crate::args::{Server, State};
use crate::error::{CliError, Exit};
use crate::trust::OptionalTrustArgs;
use crate::ui::Ui;

/// Pause before a lost connection is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

const AFTER_HELP: &str = "\
Prints, for each entry, its index, its leaf hash and its text, with control characters escaped;
--raw prints the bytes alone, each entry followed by a line feed. Runs until interrupted, or
with --no-follow to the size published when it started. A lost connection is tried again.

With --verify nothing is printed before it is proven: each entry is hashed into the tree, each
checkpoint must be signed by the log, continue the trusted checkpoint kept in the state folder,
and commit to just these entries. If the log shows two histories, the evidence is written to the
state folder.

Exit codes: 0 printed up to where --no-follow stops; 1 what the log has signed does not hold; 2 the
trusted checkpoint, or another input, is unusable; 3 the server could not be reached, or the
state folder not be written.

Examples:
  cairn tail default
  cairn tail default --from 0 --verify --vkey @audit.vkey
  cairn tail default --from 0 --no-follow --raw > entries";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct TailArgs {
    /// The log
    log: String,
    /// The first index to print [default: what comes next]
    #[arg(long, value_name = "N")]
    from: Option<u64>,
    /// Verify every step
    #[arg(long)]
    verify: bool,
    /// Stop at the size published when the command started
    #[arg(long)]
    no_follow: bool,
    /// Print entries as they are
    #[arg(long, conflicts_with = "json")]
    raw: bool,
    /// Print what the events of an audit log say, as `cairn event tail` does
    #[arg(long, conflicts_with_all = ["raw", "verify"])]
    events: bool,
    #[command(flatten)]
    trust: OptionalTrustArgs,
    #[command(flatten)]
    state: State,
}

/// What `--json` prints.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Document {
    Entry { index: u64, leaf_hash: String, entry_base64: String, verified: bool },
    Checkpoint { size: u64, root: String, verified: bool },
}

pub(crate) async fn run(args: TailArgs, server: &Server, ui: &Ui) -> Result<Exit, CliError> {
    if args.events {
        let TailArgs { log, from, no_follow, .. } = args;
        return event::tail(event::TailArgs { log, from, no_follow }, server, ui).await;
    }
    let client = client(server)?;
    let printer = Printer { ui, raw: args.raw, verified: args.verify };
    if args.verify {
        verified(&args, client, &printer).await
    } else {
        plain(&args, client, &printer).await
    }
}

async fn verified(
    args: &TailArgs,
    client: Client,
    printer: &Printer<'_>,
) -> Result<Exit, CliError> {
    let trust = trust_or_servers(&args.trust, &client, &args.log, printer.ui).await?;
    let folder = args.state.folder()?;
    let store = log_client::trusted::TrustedStore::open(&folder).map_err(CliError::Trusted)?;
    let witnesses = log_client::gossip::witness_urls(&trust);
    let ui = printer.ui;
    let log = match VerifiedLog::open(client, args.log.clone(), trust, store).await {
        Ok(log) => log,
        Err(error) => return Err(distrusted(error, &folder, &witnesses, ui).await),
    };
    let published = match log.update().await {
        Ok(published) => published.size(),
        Err(error) => return Err(distrusted(error, &folder, &witnesses, ui).await),
    };
    let from = args.from.unwrap_or_else(|| published.get());
    let stop_at = args.no_follow.then_some(published.get());
    let mut tail = log.tail(Some(leaf_index(from)?));
    while stop_at.is_none_or(|size| tail_position(&tail, from) < size) {
        match tail.next().await {
            Ok(TailEvent::Entries { first, entries }) => printer.entries(first.get(), &entries)?,
            Ok(TailEvent::Checkpoint(checkpoint)) => printer.checkpoint(checkpoint.signed())?,
            Err(ReadError::Client(error)) => retry(error, printer.ui).await?,
            Err(error) => return Err(distrusted(error, &folder, &witnesses, ui).await),
        }
    }
    Ok(Exit::Done)
}

/// The next index to print: all entries below the tail's position were printed, and entries before
/// `from` never are.
fn tail_position(tail: &Tail, from: u64) -> u64 {
    tail.position().max(from)
}

async fn plain(args: &TailArgs, client: Client, printer: &Printer<'_>) -> Result<Exit, CliError> {
    let published = parse(&client.checkpoint(&args.log).await?.checkpoint)?.size().get();
    let mut next = args.from.unwrap_or(published);
    let stop_at = args.no_follow.then_some(published);
    let open = |next| follow(&client, &args.log, next, stop_at, printer);
    while stop_at.is_none_or(|size| next < size) {
        let (reached, ended) = open(next).await;
        next = reached;
        match ended {
            Ok(()) => sleep(RETRY_PAUSE).await,
            Err(CliError::Client(error)) => retry(error, printer.ui).await?,
            Err(error) => return Err(error),
        }
    }
    Ok(Exit::Done)
}

/// Follows until the stream ends, or `stop_at`; gives the next index, and why it ended.
async fn follow(
    client: &Client,
    log: &str,
    from: u64,
    stop_at: Option<u64>,
    printer: &Printer<'_>,
) -> (u64, Result<(), CliError>) {
    let mut next = from;
    let ended = follow_into(client, log, &mut next, stop_at, printer).await;
    (next, ended)
}

async fn follow_into(
    client: &Client,
    log: &str,
    next: &mut u64,
    stop_at: Option<u64>,
    printer: &Printer<'_>,
) -> Result<(), CliError> {
    let size = TreeSize::new(*next).map_err(|source| CliError::Index { index: *next, source })?;
    let mut watch = client.watch(log, size, true).await?;
    while stop_at.is_none_or(|stop| *next < stop) {
        match watch.next().await? {
            Some(WatchEvent::Entries(range)) => {
                printer.entries(range.first.get(), &range.entries)?;
                let count = u64::try_from(range.entries.len()).expect("a count fits 64 bits");
                *next = range.first.get().saturating_add(count);
            }
            Some(WatchEvent::Checkpoint { checkpoint, .. }) => {
                printer.checkpoint(&parse(&checkpoint)?)?;
            }
            None => break,
        }
    }
    Ok(())
}

/// If another attempt may help, pauses. If not, gives the error back.
async fn retry(error: ClientError, ui: &Ui) -> Result<(), CliError> {
    if error.advice() != Advice::Retry {
        return Err(error.into());
    }
    ui.note(format_args!("{}; trying again", chain(&error)));
    sleep(error.retry_after().unwrap_or(RETRY_PAUSE).max(RETRY_PAUSE)).await;
    Ok(())
}

/// Writes evidence down before it is reported.
async fn distrusted(error: ReadError, folder: &Path, witnesses: &[String], ui: &Ui) -> CliError {
    let fork = match error {
        ReadError::Fork(fork) => fork,
        ReadError::Client(error) => return error.into(),
        ReadError::Trusted(error) if error.is_local() => return CliError::Trusted(error),
        error => return CliError::Distrusted { source: Box::new(error) },
    };
    fork_error(&fork, folder, witnesses, ui).await
}

fn parse(checkpoint: &[u8]) -> Result<SignedCheckpoint, CliError> {
    SignedCheckpoint::parse(checkpoint).map_err(|source| CliError::ServedCheckpoint { source })
}

fn leaf_index(index: u64) -> Result<LeafIndex, CliError> {
    LeafIndex::new(index).map_err(|source| CliError::Index { index, source })
}

struct Printer<'a> {
    ui: &'a Ui,
    raw: bool,
    verified: bool,
}

impl Printer<'_> {
    fn entries(&self, first: u64, entries: &[bytes::Bytes]) -> Result<(), CliError> {
        for (entry, index) in entries.iter().zip(first..) {
            if self.raw {
                self.ui.bytes(entry)?;
                continue;
            }
            let leaf_hash = merkle::leaf_hash(entry).to_string();
            let plain = format!("{index}\t{leaf_hash}\t{}", printable(entry));
            let entry_base64 = STANDARD.encode(entry);
            let verified = self.verified;
            self.ui.result(plain, &Document::Entry { index, leaf_hash, entry_base64, verified })?;
        }
        self.ui.flush()
    }

    fn checkpoint(&self, checkpoint: &SignedCheckpoint) -> Result<(), CliError> {
        let (size, root) = (checkpoint.size().get(), checkpoint.root().to_string());
        if self.ui.is_json() {
            let document = Document::Checkpoint { size, root, verified: self.verified };
            self.ui.result("", &document)?;
            return self.ui.flush();
        }
        let verified = if self.verified { ", verified" } else { "" };
        self.ui.note(format_args!("checkpoint of {size} entries{verified}"));
        Ok(())
    }
}

/// The text, with escapes for characters that would disturb a terminal or the lines of the output.
fn printable(entry: &[u8]) -> String {
    let mut text = String::with_capacity(entry.len());
    for character in String::from_utf8_lossy(entry).chars() {
        if character.is_control() {
            text.extend(character.escape_default());
        } else {
            text.push(character);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_stay_on_their_line() {
        assert_eq!(printable("a\tb\r\n\u{1b}[2Jé".as_bytes()), r"a\tb\r\n\u{1b}[2Jé");
        assert_eq!(printable(b"\xff"), "\u{fffd}");
    }
}
