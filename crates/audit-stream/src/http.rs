//! Destinations over plain HTTP, as JSON.

use std::collections::BTreeSet;
use std::sync::Arc;

use audit_api::http::answer;
use audit_api::shown::{number, object};
use audit_event::value::Object;
use audit_event::{Instant, Value};
use base::clock::rfc3339;
use base::tasks::blocking;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use serve::body::{self, Body, Unread};
use serve::refusal::{Kind, Refusal};
use serve::route::Route;

use crate::lane::{Lane, Shown, State};
use crate::routes::To;
use crate::state::{DEAD_MAX, Dead, StateError};
use crate::streams::{Destinations, Which};

/// Dead letters that a list shows of one log.
const SHOWN_MAX: usize = 1_000;

/// What a caller wishes.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wish {
    log: Option<String>,
    indexes: Option<BTreeSet<u64>>,
    /// Where to go on from: everything behind it is sent again.
    from: Option<u64>,
}

impl Destinations {
    /// Answers one request, which is of this route.
    pub async fn answer<B>(&self, request: Request<B>, route: &Route, to: To) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send,
    {
        let (parts, body) = request.into_parts();
        let answer = match (parts.uri.query(), to) {
            (Some(_), _) => Err(bad("query", "left out")),
            (None, To::List) => self.list().await,
            (None, To::Retry) => self.retry(parts.uri.path(), body, route.body_bytes_max).await,
            (None, To::Skip) => self.skip(parts.uri.path(), body, route.body_bytes_max).await,
        };
        let mut response = answer.unwrap_or_else(answer::refusal);
        if parts.method == Method::HEAD {
            *response.body_mut() = Body::empty();
        }
        response
    }

    async fn list(&self) -> Result<Response<Body>, Refusal> {
        let destinations = self.clone();
        let listed = blocking(move || destinations.listed()).await.map_err(of_state)?;
        let members = object([("destinations", Value::List(listed))]);
        Ok(answer::members(StatusCode::OK, &members))
    }

    /// Blocks.
    fn listed(&self) -> Result<Vec<Value>, StateError> {
        let mut listed = Vec::new();
        for (destination, lanes) in self.all() {
            let mut logs = Vec::new();
            for lane in lanes {
                logs.push(Value::Object(self.lane(lane)?));
            }
            listed.push(Value::Object(object([
                ("name", Value::from(&*destination.name)),
                ("kind", Value::from(destination.kind.name())),
                ("url", Value::Text(destination.shown_url())),
                ("logs", Value::List(logs)),
            ])));
        }
        Ok(listed)
    }

    fn lane(&self, lane: &Lane) -> Result<Object, StateError> {
        let Shown { state, since_ms, next, oldest_ms, sent, refused, failed_calls, is_unconfirmed } =
            lane.shown();
        let log = self.trail().registry().log(&lane.log);
        let size = log.map_or(0, |log| log.tree().head.size.get());
        let dead = lane.dead()?;
        let letters = dead.iter().take(SHOWN_MAX).map(|(index, dead)| letter(*index, dead));
        let mut members = object([
            ("log", Value::from(&*lane.log)),
            ("state", Value::from(state_name(state))),
            ("since", Value::Text(rfc3339::format(since_ms))),
            ("next", number(next)),
            ("tree_size", number(size)),
            ("lag", number(size.saturating_sub(next))),
            ("sent", number(sent)),
            ("refused", number(refused)),
            ("failed_calls", number(failed_calls)),
            ("confirmed", Value::Bool(!is_unconfirmed)),
            ("dead_letters_total", number(u64::try_from(dead.len()).unwrap_or(u64::MAX))),
            ("dead_letters", Value::List(letters.collect())),
        ]);
        let oldest = oldest_ms.map(|ms| Instant::from_nanos(ms.saturating_mul(1_000_000)));
        let oldest = oldest.map(|it| ("oldest_unsent_at".to_owned(), Value::Text(it.to_string())));
        let says = says(state, is_unconfirmed);
        members.extend(oldest);
        members.extend(says.map(|says| ("says".to_owned(), Value::Text(says))));
        Ok(members)
    }

    async fn retry<B>(&self, path: &str, body: B, max: usize) -> Result<Response<Body>, Refusal>
    where
        B: http_body::Body<Data = Bytes> + Send,
    {
        let Wish { log, indexes, from } = wish(body, max).await?;
        if from.is_some() && log.is_none() {
            return Err(bad("log", "given with from"));
        }
        let lanes = self.meant(path, &Which { log, indexes: indexes.clone() })?;
        let retried = blocking(move || {
            let each = lanes.iter().map(|lane| lane.retry(indexes.as_ref(), from));
            each.sum::<Result<usize, StateError>>()
        });
        counted("retried", retried.await)
    }

    async fn skip<B>(&self, path: &str, body: B, max: usize) -> Result<Response<Body>, Refusal>
    where
        B: http_body::Body<Data = Bytes> + Send,
    {
        let Wish { log, indexes, from } = wish(body, max).await?;
        if from.is_some() {
            return Err(bad("from", "left out"));
        }
        let lanes = self.meant(path, &Which { log, indexes: indexes.clone() })?;
        let skipped = blocking(move || {
            let each = lanes.iter().map(|lane| lane.skip(indexes.as_ref()));
            each.sum::<Result<usize, StateError>>()
        });
        counted("skipped", skipped.await)
    }

    fn meant(&self, path: &str, which: &Which) -> Result<Vec<Arc<Lane>>, Refusal> {
        if self.trail().registry().is_read_only() {
            return Err(Refusal::new(Kind::Precondition, "READ_ONLY").says("server is read-only"));
        }
        let name = path.strip_prefix("/v1/destinations/").and_then(|rest| rest.split('/').next());
        let lanes = self.named(name.unwrap_or_default(), which);
        lanes.ok_or_else(|| {
            Refusal::new(Kind::NotFound, "DESTINATION_NOT_FOUND")
                .says("server has no such destination, or it gets no events of that log")
        })
    }
}

fn counted(
    name: &'static str,
    count: Result<usize, StateError>,
) -> Result<Response<Body>, Refusal> {
    let count = u64::try_from(count.map_err(of_state)?).unwrap_or(u64::MAX);
    Ok(answer::members(StatusCode::OK, &object([(name, number(count))])))
}

fn letter(index: u64, dead: &Dead) -> Value {
    Value::Object(object([
        ("index", number(index)),
        ("at", Value::Text(rfc3339::format(dead.at_ms))),
        ("reason", Value::Text(dead.reason.to_string())),
    ]))
}

fn state_name(state: State) -> &'static str {
    match state {
        State::Off => "off",
        State::Idle => "idle",
        State::Sending => "sending",
        State::Waiting(_) => "waiting",
        State::Stopped(_) => "stopped",
    }
}

/// What a person should know of it.
fn says(state: State, is_unconfirmed: bool) -> Option<String> {
    match state {
        State::Waiting(trouble) => Some(trouble.to_string()),
        State::Stopped(set_up) => Some(set_up.to_string()),
        State::Off | State::Idle | State::Sending => {
            is_unconfirmed.then(|| "accepted, not confirmed".to_owned())
        }
    }
}

/// A wish; no body wishes for everything.
async fn wish<B>(body: B, bytes_max: usize) -> Result<Wish, Refusal>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    let body = body::read(body, bytes_max).await.map_err(|unread| match unread {
        Unread::CutShort => bad("body", "sent to its end"),
        Unread::TooLarge { bytes } => {
            Refusal::body_too_large(u64::try_from(bytes).unwrap_or(u64::MAX), bytes_max)
        }
    })?;
    if body.trim_ascii().is_empty() {
        return Ok(Wish::default());
    }
    let wish = serde_json::from_slice::<Wish>(&body).ok();
    let fits = |wish: &Wish| wish.indexes.as_ref().is_none_or(|it| it.len() <= DEAD_MAX);
    wish.filter(fits).ok_or_else(|| bad("body", "an object of log, indexes and from"))
}

fn bad(field: &'static str, expected: &str) -> Refusal {
    Refusal::new(Kind::Invalid, "BAD_FIELD")
        .field(field)
        .says(format!("{field} must be {expected}"))
}

fn of_state(error: StateError) -> Refusal {
    tracing::error!(%error, "what a destination remembers cannot be read or written");
    drop(error);
    Refusal::internal()
}
