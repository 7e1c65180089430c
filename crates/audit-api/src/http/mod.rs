//! Plain HTTP: JSON in, JSON out.

pub mod answer;

mod body;
mod event;
pub(crate) mod exports;
pub(crate) mod list;
mod query;
mod record;
mod tail;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use serve::body::Body;
use serve::middleware::deadline::Deadline;
use serve::principal::Principal;
use serve::refusal::Refusal;

use crate::audit::Audit;
use crate::routes::To;
use audit_trail::AUDIT_LOG;
pub(crate) use body::EVENTS_MAX;
use query::Parameters;

/// What a handler knows of a request besides its body.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    /// The log's name.
    pub(crate) log: &'a str,
    /// What follows `events/` in the path.
    pub(crate) rest: &'a str,
    pub(crate) parameters: Parameters<'a>,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) principal: Principal,
    pub(crate) deadline: Option<Deadline>,
}

impl Audit {
    /// Answers one request, whose route is that of `to`.
    pub async fn answer<B>(&self, request: Request<B>, to: To) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send,
    {
        let (parts, body) = request.into_parts();
        let (log, rest) = place(parts.uri.path());
        let asked = Asked {
            log,
            rest,
            parameters: Parameters::of(parts.uri.query()),
            headers: &parts.headers,
            principal: Principal::of(&parts.extensions),
            deadline: parts.extensions.get::<Deadline>().copied(),
        };
        let answer = match to {
            To::Record => record::record(self, &asked, body).await,
            To::List => list::list(self, &asked).await,
            To::Counts => list::counts(self, &asked).await,
            To::Tail => tail::open(self, &asked),
            To::Export => exports::begin(self, &asked, body).await,
            To::Exported => exports::one(self, &asked, &parts.method).await,
            To::Event => event::event(self, &asked).await,
            // A call of gRPC goes to its service.
            To::Call => Err(Refusal::no_such_path()),
        };
        let mut response = answer.unwrap_or_else(|refusal| self.refused(refusal));
        if parts.method == Method::HEAD {
            *response.body_mut() = Body::empty();
        }
        response
    }

    fn refused(&self, refusal: Refusal) -> Response<Body> {
        self.logs().refused(&refusal);
        answer::refusal(refusal)
    }
}

/// The log that a path is about, and what follows `events/` or `exports/` in it. The route was found,
/// so the path has one of these forms.
fn place(path: &str) -> (&str, &str) {
    let (log, rest) = match path.strip_prefix("/v1/logs/") {
        Some(rest) => rest.split_once('/').unwrap_or((rest, "")),
        None => (AUDIT_LOG, path.strip_prefix("/v1/").unwrap_or("")),
    };
    (log, rest.split_once('/').map_or("", |(_, rest)| rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_log_and_what_is_asked_of_it() {
        assert_eq!(place("/v1/events"), ("audit", ""));
        assert_eq!(place("/v1/events/7/receipt"), ("audit", "7/receipt"));
        assert_eq!(place("/v1/logs/hr/events"), ("hr", ""));
        assert_eq!(place("/v1/logs/hr/events/7"), ("hr", "7"));
    }
}
