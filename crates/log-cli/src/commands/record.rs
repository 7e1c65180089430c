//! `cairn record`: an event of a shell or a CI job into an audit log.

mod event;
mod input;
mod recorder;
mod waiting;

pub(crate) use self::event::EventArgs;
pub(crate) use self::waiting::SpoolError;

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use self::input::Input;
use self::recorder::Recorder;
use super::{client, trust_of};
use crate::api::Api;
use crate::args::{Server, log_name};
use crate::error::{CliError, Exit};
use crate::events::{Draft, random_id};
use crate::trust::OptionalTrustArgs;
use crate::ui::Ui;

const AFTER_HELP: &str = "\
Without --source the event comes from urn:host:HOSTNAME, without --actor the Unix user did it, and it
happened now and with success. Category and operation are known of common actions; of another the last
word says what it did (`deleted` is delete), and its category is system.

Stdout gets, for each event, its index, a tab, its leaf hash, a tab and its id. An event whose line was
printed is durable in the log. With --receipt signed (or witnessed) or --out its receipt is verified
first: under --vkey or --policy, else under the keys the server names. With --out the folder then holds
<index>.event.json and <index>.tlog-proof, all that `cairn verify-event` needs.

With - or --stdin events are read from stdin: one AuditEvent as JSON, or one a line. Every event is sent
with an id, so that a retry is never a second event.

With --spool an event is kept in DIR while the server is away or busy, durably, and the exit code is 0.
The next `cairn record --spool DIR`, or `cairn record --flush --spool DIR`, sends first what waits there.

Exit codes: 0 everything recorded, or kept in --spool; 1 an event was refused, or its receipt is pending
or does not hold; 2 an argument breaks a rule, which is named; 3 the server could not be reached.

Examples:
  cairn record deploy.finished --actor service:ci --target app:shop --meta commit=4f2a9c1
  cairn record invoice.updated --target invoice:4711 --change 'amount=100:120' --receipt signed
  cairn record backup.finished --outcome failure --spool spool --json
  cairn record - --receipt signed --out recorded < events.ndjson";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct RecordArgs {
    #[command(flatten)]
    event: EventArgs,
    /// Read events from stdin, as with - in place of ACTION
    #[arg(long)]
    stdin: bool,
    /// The log
    #[arg(long, value_name = "LOG", default_value = "audit", value_parser = log_name)]
    log: String,
    /// What to wait for
    #[arg(long, value_enum, default_value_t = Receipt::Index)]
    receipt: Receipt,
    /// Folder for events and receipts; made if absent
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Folder where events wait while the server is away; made if absent
    #[arg(long, value_name = "DIR")]
    spool: Option<PathBuf>,
    /// Send what waits in --spool, and nothing else
    #[arg(long, requires = "spool", conflicts_with_all = ["action", "stdin"])]
    flush: bool,
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
    fn name(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Signed => "signed",
            Self::Witnessed => "witnessed",
        }
    }
}

/// Where the events come from.
enum From {
    Arguments(Draft),
    Stdin,
    Spool,
}

pub(crate) async fn run(args: RecordArgs, server: &Server, ui: &Ui) -> Result<Exit, CliError> {
    let from = match args.event.action.as_deref() {
        _ if args.flush => From::Spool,
        Some("-") | None if args.stdin || args.event.action.is_some() => From::Stdin,
        None => return Err(CliError::NothingToRecord),
        Some(_) if args.stdin => return Err(CliError::EventTwice),
        Some(action) => From::Arguments(args.event.draft(action, random_id()?)?),
    };
    if matches!(from, From::Stdin | From::Spool) && args.event.says_something() {
        return Err(CliError::EventTwice);
    }
    let api = Api::new(server)?;
    let waiting = args.spool.as_deref().map(waiting::Waiting::open).transpose()?;
    let wants_proof = args.receipt != Receipt::Index || args.out.is_some();
    let trust = match args.trust.load(ui)? {
        given @ Some(_) => given,
        None if !wants_proof => None,
        None => match client(server)?.log(&args.log).await {
            Ok(log) => Some(trust_of(&args.trust, &log, ui)?),
            // The event waits in the folder, and its receipt is asked for later.
            Err(error) if waiting.is_some() && error.advice() == log_client::Advice::Retry => None,
            Err(error) => return Err(error.into()),
        },
    };
    let trust = trust.filter(|_| wants_proof);
    let log = args.log.clone();
    let mut recorder = Recorder {
        api,
        log,
        level: args.receipt.name(),
        trust,
        out: args.out.clone(),
        waiting,
        ui,
        missed: 0,
    };
    match from {
        From::Spool => recorder.flush().await?,
        From::Arguments(draft) => recorder.record(vec![draft]).await?,
        From::Stdin => {
            let mut input = Input::stdin();
            while let Some(batch) = input.next().await? {
                for (place, error) in &batch.unusable {
                    recorder.unusable(*place, error);
                }
                recorder.record(batch.drafts).await?;
                ui.flush()?;
            }
        }
    }
    Ok(if recorder.missed == 0 { Exit::Done } else { Exit::No })
}
