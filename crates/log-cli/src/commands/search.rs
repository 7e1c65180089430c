//! `cairn search`: the events of an audit log that match, a sentence each.

use clap::{Args, ValueEnum};
use evidence_file::words::shown;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::api::{self, Api, ApiError};
use crate::args::Server;
use crate::error::{CliError, Exit};
use crate::filters::Filters;
use crate::ui::{Ui, counted};

/// Events of one answer: what the server gives at most.
const PAGE_EVENTS_MAX: u64 = 1_000;

const AFTER_HELP: &str = "\
Prints, for each event, its index, a tab, the time it happened in UTC, a tab and what it says in one
sentence; characters that would disturb a terminal are written out. Stderr says at the end how many of
how many were printed, and how far the index of the log had come: what is newer was read from the log
itself. With --json one document holds all events and these numbers, with --ndjson each line is an event.

Nothing here is verified: `cairn event show` and `cairn export` give what can be.

Exit codes: 0 searched, also if nothing was found; 2 a filter has a bad value, which is named; 3 the
server could not be reached.

Examples:
  cairn search audit --operation delete --from 2026-03-01
  cairn search audit --actor ana@example.com --outcome denied --outcome failure --limit 20
  cairn search audit --text 'invoice 4711' --all --ndjson > found.ndjson";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct SearchArgs {
    /// The log
    log: String,
    #[command(flatten)]
    filters: Filters,
    /// Which come first
    #[arg(long, value_enum, default_value_t = Order::Newest)]
    order: Order,
    /// Print at most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// Print all that match
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Print each event as JSON on a line of its own
    #[arg(long, conflicts_with = "json")]
    ndjson: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Order {
    /// By when the log received them, the last first
    Newest,
    /// The first first
    Oldest,
}

impl Order {
    fn name(self) -> &'static str {
        match self {
            Self::Newest => "newest",
            Self::Oldest => "oldest",
        }
    }
}

/// A page of the server's answer.
#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
    next: Option<String>,
    count: Count,
    indexed_to: u64,
    tree_size: u64,
}

/// How many match; at least so many, if not exactly.
#[derive(Clone, Copy, Deserialize)]
struct Count {
    value: u64,
    exact: bool,
}

/// What is said at the end.
struct Totals {
    count: Count,
    indexed_to: u64,
    tree_size: u64,
    next: Option<String>,
}

/// What a line for people needs of an event.
#[derive(Deserialize)]
struct Listed {
    index: u64,
    time: Option<String>,
    received_at: Option<String>,
    sentence: Option<String>,
}

pub(crate) async fn run(args: SearchArgs, server: &Server, ui: &Ui) -> Result<Exit, CliError> {
    let api = Api::new(server)?;
    let path = format!("/v1/logs/{}/events", api::segment(&args.log));
    let mut left = if args.all { u64::MAX } else { args.limit };
    let (mut printed, mut cursor) = (0, None);
    if ui.is_json() {
        ui.text("{\"events\":[")?;
    }
    let totals = loop {
        let limit = left.min(PAGE_EVENTS_MAX).to_string();
        let mut parameters = args.filters.parameters();
        parameters.extend([("order", args.order.name()), ("limit", &limit)]);
        parameters.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let body = match api.get(&api::with_query(&path, parameters)).await {
            Ok(body) => body,
            Err(error) => return Err(ended(ui, error)),
        };
        let page: Page<'_> = api::document(&body, "it is not a page of events")?;
        for event in &page.events {
            print(ui, event, printed > 0, args.ndjson)?;
            printed += 1;
            left = left.saturating_sub(1);
        }
        ui.flush()?;
        let (count, indexed_to, tree_size) = (page.count, page.indexed_to, page.tree_size);
        let is_last = page.next.is_none() || left == 0;
        cursor.clone_from(&page.next);
        if is_last {
            break Totals { count, indexed_to, tree_size, next: page.next };
        }
    };
    finish(ui, &totals, printed)?;
    Ok(Exit::Done)
}

/// The error that ends a search. The document that was begun is ended, so that it can be read.
fn ended(ui: &Ui, error: ApiError) -> CliError {
    let ended = if ui.is_json() { ui.text("]}\n") } else { Ok(()) };
    ended.err().unwrap_or_else(|| error.into())
}

fn print(ui: &Ui, event: &RawValue, is_later: bool, as_lines: bool) -> Result<(), CliError> {
    if ui.is_json() {
        return ui.text(format_args!("{}{event}", if is_later { "," } else { "" }));
    }
    let line = if as_lines { event.get().to_owned() } else { listed(event.get())? };
    ui.text(format_args!("{line}\n"))
}

/// An event as a line for people, and for `cut` and `awk`.
pub(crate) fn listed(event: &str) -> Result<String, CliError> {
    let event: Listed = api::document(event.as_bytes(), "it is not an event")?;
    let time = event.time.or(event.received_at).unwrap_or_default();
    let sentence = event.sentence.unwrap_or_default();
    Ok(format!("{}\t{}\t{}", event.index, shown(&time), shown(&sentence)))
}

fn finish(ui: &Ui, totals: &Totals, printed: u64) -> Result<(), CliError> {
    let Totals { count: Count { value, exact }, indexed_to, tree_size, next } = totals;
    if ui.is_json() {
        let next = serde_json::Value::from(next.as_deref());
        return ui.text(format_args!(
            "],\"next\":{next},\"count\":{{\"value\":{value},\"exact\":{exact}}},\
             \"indexed_to\":{indexed_to},\"tree_size\":{tree_size}}}\n"
        ));
    }
    let of = if *exact { "" } else { "at least " };
    ui.note(format_args!(
        "{printed} of {of}{}; the index had the first {indexed_to} of {}",
        counted(*value, "event that matches", "events that match"),
        counted(*tree_size, "event", "events")
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_of_a_terminal() {
        let event = r#"{"index":7,"received_at":"r","time":"t","sentence":"a\n\u001b[2Jb"}"#;
        assert_eq!(listed(event).unwrap(), "7\tt\ta\\ua\\u1b[2Jb");
        assert_eq!(listed(r#"{"index":7,"received_at":"r"}"#).unwrap(), "7\tr\t");
        assert!(listed("{}").is_err());
    }
}
