//! `cairn count`: how many events of an audit log match, by a member or by time.

use clap::{Args, ValueEnum};
use evidence_file::words::shown;
use serde::{Deserialize, Serialize};

use crate::api::{self, Api};
use crate::args::Server;
use crate::error::{CliError, Exit};
use crate::filters::Filters;
use crate::ui::{Ui, counted};

const AFTER_HELP: &str = "\
Prints, for each key, how many events have it, a tab and the key. Keys beyond the first thousand are
counted together, under `other`. Stderr says how far the index of the log had come.

Exit codes: 0 counted; 2 a filter has a bad value, which is named; 3 the server could not be reached.

Examples:
  cairn count audit --by day --from 2026-03-01 --zone Europe/London
  cairn count audit --by actor --outcome denied --json";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct CountArgs {
    /// The log
    log: String,
    /// By what
    #[arg(long, value_enum)]
    by: By,
    #[command(flatten)]
    filters: Filters,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum By {
    Day,
    Hour,
    Action,
    Actor,
    Outcome,
    Source,
    Category,
}

impl By {
    fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Hour => "hour",
            Self::Action => "action",
            Self::Actor => "actor",
            Self::Outcome => "outcome",
            Self::Source => "source",
            Self::Category => "category",
        }
    }
}

/// The server's answer, and what `--json` prints.
#[derive(Deserialize, Serialize)]
struct Counts {
    #[serde(rename = "counts")]
    keys: Vec<Counted>,
    other: u64,
    indexed_to: u64,
}

#[derive(Deserialize, Serialize)]
struct Counted {
    key: String,
    count: u64,
}

pub(crate) async fn run(args: CountArgs, server: &Server, ui: &Ui) -> Result<Exit, CliError> {
    let api = Api::new(server)?;
    let path = format!("/v1/logs/{}/events/counts", api::segment(&args.log));
    let mut parameters = args.filters.parameters();
    parameters.push(("by", args.by.name()));
    let body = api.get(&api::with_query(&path, parameters)).await?;
    let counts: Counts = api::document(&body, "it is not a list of counts")?;
    if ui.is_json() {
        ui.result("", &counts)?;
        return Ok(Exit::Done);
    }
    for Counted { key, count } in &counts.keys {
        ui.text(format_args!("{count}\t{}\n", shown(key)))?;
    }
    if counts.other > 0 {
        ui.text(format_args!("{}\tother\n", counts.other))?;
    }
    let indexed = counted(counts.indexed_to, "event", "events");
    ui.note(format_args!("the index had the first {indexed} of the log"));
    Ok(Exit::Done)
}
