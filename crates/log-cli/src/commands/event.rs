//! `cairn event`: one event with what proves it, and events as they come.

mod tell;

use std::path::PathBuf;
use std::time::Duration;

use base::clock::machine::sleep;
use bytes::Bytes;
use clap::{Args, Subcommand};
use http::Method;
use serde::Deserialize;

use super::search::listed;
use super::{client, trust_of};
use crate::api::{self, ANSWER_BYTES_MAX, Api, ApiError};
use crate::args::Server;
use crate::error::{CliError, Exit};
use crate::kept::{self, Fetched};
use crate::trust::OptionalTrustArgs;
use crate::ui::Ui;

/// Pause before a lost connection is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How long nothing may come before a connection is given up and made anew.
const SILENCE_MAX: Duration = Duration::from_hours(1);

const SHOW_HELP: &str = "\
Prints what the event says, in one sentence, then who, what, when and where, and what has become of each
of its blocks: shown, withheld, erased or damaged. Control characters are written out.

With --out the folder then holds <index>.event.json, which is a line of an evidence file, and
<index>.tlog-proof, the log's receipt: all that `cairn verify-event` needs, now or in ten years. Both
are verified before they are written: under --vkey or --policy, else under the keys the server names.

Exit codes: 0 shown; 1 the event or its receipt does not hold; 2 a file is there already; 3 the server
could not be reached, or has no such event.

Examples:
  cairn event show audit 42
  cairn event show audit 42 --out shown
  cairn event show audit 42 --json";

const TAIL_HELP: &str = "\
Prints each event as it is committed: its index, a tab, the time it happened in UTC, a tab and what it
says in one sentence; with --json the event. Runs until interrupted, or with --no-follow up to the size
that the log had when it started. A lost connection is made again, and nothing is left out.

Nothing here is verified: `cairn tail --verify` verifies that the log only grows.

Exit codes: 0 printed up to where --no-follow stops; 3 the server could not be reached.

Examples:
  cairn event tail audit
  cairn event tail audit --from 0 --no-follow --json";

#[derive(Debug, Subcommand)]
pub(crate) enum EventCommand {
    /// Show one event, and keep it with its receipt
    #[command(after_help = SHOW_HELP)]
    Show(ShowArgs),
    /// Follow the events of a log
    #[command(after_help = TAIL_HELP)]
    Tail(TailArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The log
    log: String,
    /// The event's place in the log
    index: u64,
    /// Folder for the event and its receipt; made if absent
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    trust: OptionalTrustArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TailArgs {
    /// The log
    pub(super) log: String,
    /// The first index to print [default: what comes next]
    #[arg(long, value_name = "N")]
    pub(super) from: Option<u64>,
    /// Stop at the size that the log has now
    #[arg(long)]
    pub(super) no_follow: bool,
}

pub(crate) async fn run(command: EventCommand, server: &Server, ui: &Ui) -> Result<Exit, CliError> {
    match command {
        EventCommand::Show(args) => show(args, server, ui).await,
        EventCommand::Tail(args) => tail(args, server, ui).await,
    }
}

async fn show(args: ShowArgs, server: &Server, ui: &Ui) -> Result<Exit, CliError> {
    let api = Api::new(server)?;
    let fetched = Fetched::of(&api, &args.log, args.index).await?;
    let mut exit = Exit::Done;
    if let Some(folder) = &args.out {
        let trust = match args.trust.load(ui)? {
            Some(trust) => trust,
            None => trust_of(&args.trust, &client(server)?.log(&args.log).await?, ui)?,
        };
        let receipt = kept::receipt(&api, &args.log, args.index).await?;
        if let Some(why) = fetched.refused(&receipt, &trust) {
            ui.note(format_args!("not verified: {why}"));
            exit = Exit::No;
        }
        // What does not hold is kept all the same: it is what there is to show.
        fetched.write(folder, &receipt)?;
    }
    ui.result(tell::plain(&args.log, &fetched), &tell::document(&fetched))?;
    Ok(exit)
}

/// The size of a log.
#[derive(Deserialize)]
struct Size {
    tree_size: u64,
}

/// Follows the events of a log.
pub(crate) async fn tail(args: TailArgs, server: &Server, ui: &Ui) -> Result<Exit, CliError> {
    let api = Api::new(server)?;
    let path = format!("/v1/logs/{}/events", api::segment(&args.log));
    let size = api.get(&api::with_query(&path, [("limit", "1")])).await?;
    let Size { tree_size } = api::document(&size, "it says no size of the log")?;
    let stop_at = args.no_follow.then_some(tree_size);
    let mut next = args.from.unwrap_or(tree_size);
    while stop_at.is_none_or(|size| next < size) {
        match follow(&api, &path, &mut next, stop_at, ui).await {
            Ok(()) => sleep(RETRY_PAUSE).await,
            Err(CliError::Api(error)) if error.is_passing() => {
                ui.note(format_args!("{error}; trying again"));
                sleep(RETRY_PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Exit::Done)
}

/// The place of an event.
#[derive(Deserialize)]
struct Place {
    index: u64,
}

/// Follows until the server ends the answer, or `stop_at`.
async fn follow(
    api: &Api,
    path: &str,
    next: &mut u64,
    stop_at: Option<u64>,
    ui: &Ui,
) -> Result<(), CliError> {
    let path = api::with_query(&format!("{path}/tail"), [("from", next.to_string().as_str())]);
    let request = api.request(Method::GET, &path).body(Bytes::new());
    let mut answer = api.ask(api::built(request)).await?;
    if !answer.status().is_success() {
        let refused = answer.whole(ANSWER_BYTES_MAX).await.map_err(|it| api.no_answer(it))?;
        return Err(api::refused(&refused).into());
    }
    let mut text = Vec::new();
    while let Some(part) = answer.part(SILENCE_MAX).await.map_err(|it| api.no_answer(it))? {
        text.extend_from_slice(&part);
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        for line in text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let Place { index } = api::document(line, "it is not an event")?;
            let line = String::from_utf8_lossy(line);
            let line = if ui.is_json() { line.into_owned() } else { listed(&line)? };
            ui.text(format_args!("{line}\n"))?;
            *next = index.saturating_add(1);
            if stop_at.is_some_and(|size| *next >= size) {
                return ui.flush();
            }
        }
        text.drain(..whole);
        if text.len() > ANSWER_BYTES_MAX {
            return Err(ApiError::BadAnswer { what: "an event is too long" }.into());
        }
        ui.flush()?;
    }
    Ok(())
}
