//! What is sent to an audit log, or asked of it; made ready before the clock starts.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use audit_event::Instant;
use base::clock::{Clock as _, SystemClock};
use log_proto::events::RecordEventsRequest;
use log_proto::log_v1::Receipt;
use prost::Message as _;
use serde_json::{Map, Value};

use super::run::random_run;
use super::{BenchArgs, Level, Mode};
use crate::api::{segment, with_query};
use crate::args::Server;
use crate::bench::builtin;
use crate::bench::http::{Authority, Counted, Prepared};
use crate::bench::items::{self, Form, Framing, ItemsError};
use crate::bench::template::Template;
use crate::error::CliError;
use crate::files;

/// Bytes of a file of events.
const EVENTS_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Events whose members become filters.
const FILTERED_EVENTS_MAX: usize = 16;
const NANOS_PER_MS: u64 = 1_000_000;

const JSON: Option<&str> = Some("application/json");

/// The calls of a run, in turn.
#[derive(Debug)]
pub(super) enum AuditLoad {
    /// Bodies of `RecordEvents`.
    Messages(Arc<[Arc<Template>]>),
    /// Requests over HTTP, and what their answers stand for.
    Requests { requests: Arc<[Prepared]>, counted: Counted },
}

impl AuditLoad {
    pub(super) fn prepare(args: &BenchArgs, server: &Server) -> Result<Self, CliError> {
        let log = segment(&args.log);
        if args.mode == Mode::Events {
            let framing = messages(&args.log, args.receipt);
            let templates = templates(args, Form::Message, &framing)?;
            return Ok(Self::Messages(templates.into_iter().map(Arc::new).collect()));
        }
        let authority = Authority::of(&server.server)?;
        let posts = |path: &str, form, framing| {
            let bodies = templates(args, form, &framing)?;
            let post = |body| Prepared::post(&authority, path, JSON, body);
            let requests = bodies.into_iter().map(post).collect();
            Ok(Self::Requests { requests, counted: Counted::Sent })
        };
        match args.mode {
            Mode::EventsJson => {
                let path = format!("/v1/logs/{log}/events");
                let path = with_query(&path, [("receipt", level(args.receipt))]);
                posts(&path, Form::Json, bare())
            }
            Mode::K8s => posts("/v1/k8s/bench/audit", Form::Kubernetes, event_list()),
            Mode::Otlp => posts("/v1/logs", Form::Otlp, export_request()),
            Mode::Counts => {
                let path = format!("/v1/logs/{log}/events/counts?by=day");
                let requests = [Prepared::get(&authority, &path)].into();
                Ok(Self::Requests { requests, counted: Counted::Counts })
            }
            Mode::Search
            | Mode::Events
            | Mode::Unary
            | Mode::Batch
            | Mode::Stream
            | Mode::Http
            | Mode::Read => {
                let path = format!("/v1/logs/{log}/events");
                let paths = queries(&given(args, Form::Json)?);
                let get = |query: &Query| {
                    let query = query.iter().map(|(name, value)| (*name, value.as_str()));
                    Prepared::get(&authority, &with_query(&path, query))
                };
                let requests = paths.iter().map(get).collect();
                Ok(Self::Requests { requests, counted: Counted::Page })
            }
        }
    }
}

/// The items of the file, or those that are built in.
fn given(args: &BenchArgs, form: Form) -> Result<Vec<Map<String, Value>>, CliError> {
    if let Some(path) = &args.events {
        let bytes = files::read(path, EVENTS_BYTES_MAX)?;
        return items::lines(&bytes).map_err(|source| unsendable(path, source));
    }
    let now = Instant::from_nanos(SystemClock::new().unix_ms().saturating_mul(NANOS_PER_MS));
    Ok(match form {
        Form::Message | Form::Json => builtin::events(&now.to_string()),
        Form::Kubernetes => builtin::kubernetes(&now.to_string()),
        Form::Otlp => builtin::records(&now.nanos().to_string()),
    })
}

fn unsendable(path: &Path, source: ItemsError) -> CliError {
    CliError::BenchItems { path: path.to_owned(), source }
}

/// Requests that have every item once, and as many more as make the last one full.
fn templates(args: &BenchArgs, form: Form, framing: &Framing) -> Result<Vec<Template>, CliError> {
    let path = args.events.as_deref().unwrap_or_else(|| Path::new("what is built in"));
    let items = items::items(given(args, form)?, form).map_err(|it| unsendable(path, it))?;
    let batch = usize::try_from(args.batch().unwrap_or(1)).unwrap_or(usize::MAX);
    let run = random_run()?;
    let request = |number| {
        let items = items.iter().cycle().skip(number * batch % items.len()).take(batch);
        Template::items(items, framing, run)
    };
    Ok((0..items.len().div_ceil(batch)).map(request).collect())
}

/// What is around the events of a `RecordEventsRequest`.
fn messages(log: &str, receipt: Level) -> Framing {
    let fields = |log: String, receipt| {
        RecordEventsRequest { log, receipt, ..RecordEventsRequest::default() }.encode_to_vec()
    };
    let before = fields(log.to_owned(), 0);
    let after = fields(String::new(), Receipt::from(receipt).into());
    Framing { before, between: b"", after }
}

fn bare() -> Framing {
    Framing { before: Vec::new(), between: b"", after: Vec::new() }
}

fn event_list() -> Framing {
    let before = br#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":["#;
    Framing { before: before.to_vec(), between: b",", after: b"]}\n".to_vec() }
}

fn export_request() -> Framing {
    let service = r#"{"key":"service.name","value":{"stringValue":"cairn-bench"}}"#;
    let before = format!(
        r#"{{"resourceLogs":[{{"resource":{{"attributes":[{service}]}},"scopeLogs":[{{"logRecords":["#
    );
    Framing { before: before.into_bytes(), between: b",", after: b"]}]}]}".to_vec() }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Index => "index",
        Level::Signed => "signed",
        Level::Witnessed => "witnessed",
    }
}

/// Names and values of a query.
type Query = Vec<(&'static str, String)>;

/// Different queries, by what the events say; the first asks for everything.
fn queries(events: &[Map<String, Value>]) -> Vec<Query> {
    let mut queries = BTreeSet::from([Query::new()]);
    let step = events.len().div_ceil(FILTERED_EVENTS_MAX).max(1);
    for event in events.iter().step_by(step) {
        let event = Value::Object(event.clone());
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
        let word = text("/description").and_then(|it| it.split_whitespace().next_back());
        let filters = [
            ("action", text("/action")),
            ("actor", text("/actor/id")),
            ("target", text("/targets/0/id")),
            ("outcome", text("/outcome")),
            ("text", word),
        ];
        let filters: Query = filters
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?.to_owned())))
            .collect();
        queries.extend(filters.iter().map(|filter| vec![filter.clone()]));
        queries.extend(filters.windows(2).map(<[_]>::to_vec));
    }
    queries.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn queries_are_different_and_of_what_the_events_say() {
        assert_eq!(queries(&[]), [Query::new()]);
        let event = json!({"action": "a.b", "actor": {"id": "u-1"}, "outcome": 7});
        let event = event.as_object().unwrap().clone();
        let filter = |name, value: &str| (name, value.to_owned());
        let (action, actor) = (filter("action", "a.b"), filter("actor", "u-1"));
        let expected =
            [Query::new(), vec![action.clone()], vec![action.clone(), actor.clone()], vec![actor]];
        assert_eq!(queries(&[event.clone(), event]), expected);
        assert!(queries(&builtin::events("2026-03-04T09:10:11Z")).len() > 20);
    }
}
