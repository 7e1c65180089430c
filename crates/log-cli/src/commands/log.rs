//! `cairn log`: create, list, show and freeze logs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand, ValueEnum};
use log_client::types::Published;
use log_client::{Client, LogInfo, LogKind, NewLog};
use serde::Serialize;

use super::client;
use crate::args::Server;
use crate::error::{CliError, Exit};
use crate::ui::Ui;

/// Logs of one page.
const PAGE_SIZE: u32 = 1000;

const CREATE_HELP: &str = "\
The server makes the log's keys and signs its empty tree at once. The verifier keys that are
printed are what auditors will trust: give them to them by another way than this server.

Examples:
  cairn log create payments
  cairn log create invoices --origin example.com/invoices --json
  cairn log create receipts --deduplicate-entries
  cairn log create trail --kind audit";

const LIST_HELP: &str = "\
Examples:
  cairn log list
  cairn --server https://log.example log list | cut -f 1,3   # names and sizes";

const SHOW_HELP: &str = "\
Keys come from the server here: before you trust them, compare them with what the log's operator
gave you. The published checkpoint is printed by --json, and by `cairn checkpoint`.

Examples:
  cairn log show default
  cairn log show default --vkeys > default.vkey
  cairn log show default --json";

const FREEZE_HELP: &str = "\
The log takes no entry any more, and nobody can undo that; its proofs go on. Keep the final
checkpoint, which goes to stdout: it shows that nothing was added since.

Examples:
  cairn log freeze payments-2025 > payments-2025.checkpoint
  cairn log freeze invoices-2025 --json";

/// Longest verifier key that is shown whole; the keys of ML-DSA-44 fill a screen.
const VKEY_SHOWN_MAX: usize = 200;

#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Create a log with keys of its own
    #[command(after_help = CREATE_HELP)]
    Create(CreateArgs),
    /// List the server's logs: name, state, size, origin, kind
    #[command(after_help = LIST_HELP)]
    List,
    /// Show one log: origin, size, head and verifier keys
    #[command(after_help = SHOW_HELP)]
    Show(ShowArgs),
    /// Freeze a log for good, and print its final checkpoint
    #[command(after_help = FREEZE_HELP)]
    Freeze(NameArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// 1 to 64 characters of [a-z0-9-], starting with a letter or digit
    name: String,
    /// First line of every checkpoint, fixed for good; by default one that is like no other
    #[arg(long, default_value = "", hide_default_value = true)]
    origin: String,
    /// What the log takes, for good: any bytes, or audit events alone
    #[arg(long, value_enum, default_value_t = Kind::Plain)]
    kind: Kind,
    /// Append the same bytes again, and get the first index
    #[arg(long)]
    deduplicate_entries: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Plain,
    Audit,
}

impl From<Kind> for LogKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Plain => Self::Plain,
            Kind::Audit => Self::Audit,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct NameArgs {
    /// The log
    name: String,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The log
    name: String,
    /// Print the verifier keys alone, one a line, as --vkey @FILE takes them
    #[arg(long, conflicts_with = "json")]
    vkeys: bool,
}

/// What `--json` prints of a log.
#[derive(Serialize)]
struct LogDocument<'a> {
    name: &'a str,
    origin: &'a str,
    kind: &'static str,
    state: &'static str,
    size: u64,
    /// Hexadecimal, of the committed size.
    root: String,
    /// The published checkpoint; it may be of a smaller size than `size`.
    checkpoint: String,
    vkeys: &'a [String],
    deduplicate_entries: bool,
    created_unix_ms: Option<u64>,
}

pub(crate) async fn run(command: LogCommand, server: &Server, ui: &Ui) -> Result<Exit, CliError> {
    let client = client(server)?;
    match command {
        LogCommand::Create(args) => {
            let CreateArgs { name, origin, kind, deduplicate_entries } = args;
            let new = NewLog { name, origin, kind: kind.into(), deduplicate_entries };
            show(&client.create_log(new).await?, ui)?;
        }
        LogCommand::List => list(&client, ui).await?,
        LogCommand::Show(args) => {
            let log = client.log(&args.name).await?;
            if args.vkeys {
                ui.result(log.vkeys.join("\n"), &document(&log))?;
            } else {
                show(&log, ui)?;
            }
        }
        LogCommand::Freeze(args) => {
            let (log, last) = client.freeze_log(&args.name).await?;
            ui.note(format_args!("{} is frozen: it takes no entry any more", log.name));
            frozen(&log, &last, ui)?;
        }
    }
    Ok(Exit::Done)
}

async fn list(client: &Client, ui: &Ui) -> Result<(), CliError> {
    let mut page = None;
    loop {
        let logs = client.logs(PAGE_SIZE, page).await?;
        for log in &logs.items {
            let (name, state, size, origin) =
                (&log.name, log.state.as_str(), log.tree_size.get(), &log.origin);
            let kind = log.kind.as_str();
            let line = format_args!("{name}\t{state}\t{size}\t{origin}\t{kind}");
            ui.result(line, &document(log))?;
        }
        page = logs.next;
        if page.is_none() {
            return Ok(());
        }
    }
}

fn show(log: &LogInfo, ui: &Ui) -> Result<(), CliError> {
    let mut lines = vec![
        format!("name    {}", log.name),
        format!("origin  {}", log.origin),
        format!("kind    {}", log.kind.as_str()),
        format!("state   {}", log.state.as_str()),
        format!("size    {}", log.tree_size.get()),
        format!("root    {}", STANDARD.encode(log.root.as_bytes())),
    ];
    lines.extend(log.vkeys.iter().map(|vkey| format!("vkey    {}", shortened(vkey))));
    ui.result(lines.join("\n"), &document(log))
}

fn shortened(vkey: &str) -> String {
    if vkey.len() <= VKEY_SHOWN_MAX {
        return vkey.to_owned();
    }
    let start: String = vkey.chars().take(VKEY_SHOWN_MAX / 2).collect();
    format!("{start}... (--vkeys prints it whole)")
}

/// The final checkpoint alone, byte for byte, so that it can be kept as a file.
fn frozen(log: &LogInfo, last: &Published, ui: &Ui) -> Result<(), CliError> {
    let checkpoint = String::from_utf8_lossy(&last.checkpoint);
    let document = LogDocument { checkpoint: checkpoint.to_string(), ..document(log) };
    ui.result(checkpoint.strip_suffix('\n').unwrap_or(&checkpoint), &document)
}

fn document(log: &LogInfo) -> LogDocument<'_> {
    LogDocument {
        name: &log.name,
        origin: &log.origin,
        kind: log.kind.as_str(),
        state: log.state.as_str(),
        size: log.tree_size.get(),
        root: log.root.to_string(),
        checkpoint: String::from_utf8_lossy(&log.checkpoint).into_owned(),
        vkeys: &log.vkeys,
        deduplicate_entries: log.deduplicate_entries,
        created_unix_ms: log.created_ms,
    }
}
