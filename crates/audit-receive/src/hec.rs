//! The HTTP Event Collector of Splunk, `/services/collector…`, as its senders use it.
//!
//! Its largest departure from Splunk: of a body with some bad events the good ones are taken, the others
//! are kept as malformed, and the answer is success; most senders drop the whole chunk on a 4xx. And 200
//! says that everything is durable, where Splunk's says that it was parsed.

pub(crate) mod acks;
mod codes;
mod token;

use std::borrow::Cow;

use audit_api::refusal::EventRefusal;
use audit_event::mapping::hec::{self, RawQuery, Sender as Said};
use audit_event::mapping::items::Items;
use audit_event::mapping::source_uri;
use audit_event::validate::is_uri_reference;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serve::body::Body;
use serve::refusal::{Kind, Refusal};

use self::acks::Channel;
use self::codes::{Code, Said as Answer};
use crate::receive::{Asked, Receive, Sender};
use crate::routes::Hec;
use crate::take::{Item, Outcome};

/// The source of an event that names neither a source nor a host.
const SOURCE: &str = "hec://unknown";
/// Ids that one question names.
const ACKS_MAX: usize = 100_000;
const ACKS_BYTES_MAX: usize = 2 * 1024 * 1024;
/// The header that names a channel.
const CHANNEL: &str = "x-splunk-request-channel";

pub(crate) async fn answer<B>(
    receive: &Receive,
    asked: &Asked<'_>,
    target: Hec,
    body: B,
) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    let answered = match target {
        Hec::Health => health(receive),
        Hec::Options => return options(),
        Hec::Unknown => return Answer::not_found().into_http(),
        Hec::Events | Hec::Raw => events(receive, asked, target, body).await,
        Hec::Acks => acks(receive, asked, body).await,
    };
    answered.unwrap_or_else(|refused| refused).into_http()
}

/// Whether events are taken now.
fn health(receive: &Receive) -> Result<Answer, Answer> {
    match receive.health().readiness() {
        Ok(()) => Ok(Code::Healthy.into()),
        Err(_) => Err(Code::Unhealthy.into()),
    }
}

/// Docker's driver asks before a container starts.
fn options() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("OPTIONS, POST"));
    response
}

/// Takes events, and says which id acknowledges them on the channel.
async fn events<B>(
    receive: &Receive,
    asked: &Asked<'_>,
    target: Hec,
    body: B,
) -> Result<Answer, Answer>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    token::check(asked)?;
    let channel = channel(receive, asked)?;
    let busy = |refusal| Answer::of(&receive.counted(refusal));
    if let Some(channel) = &channel {
        receive.acks().hold(channel).map_err(|_| Answer::from(Code::Busy))?;
    }
    let sender = Sender {
        receiver: "hec",
        content_type: if target == Hec::Raw { "text/plain" } else { "application/json" },
        source: SOURCE,
        log: None,
    };
    let bytes_max = receive.options().body_bytes_max;
    let received = receive.body(asked, &sender, body, bytes_max).await.map_err(busy)?;
    let body = received.bytes();
    if body.trim_ascii().is_empty() {
        return Err(Code::NoData.into());
    }
    let outcome = match target {
        Hec::Raw => lines(receive, asked, &sender, body).await,
        _ => envelopes(receive, asked, &sender, body).await,
    };
    let outcome = outcome.map_err(busy)?;
    match outcome.first_refused {
        Some((at, refusal)) if outcome.taken == 0 => Err(Answer::invalid(&refusal, at)),
        _ => Ok(Answer::success(channel.map(|channel| receive.acks().acknowledge(&channel)))),
    }
}

/// The channel of a request, where channels are acknowledged.
fn channel(receive: &Receive, asked: &Asked<'_>) -> Result<Option<Channel>, Answer> {
    if !receive.options().hec_acks {
        return Ok(None);
    }
    let named = asked.header(CHANNEL).map(str::to_owned).or_else(|| asked.parameter("channel"));
    let channel = named.map(|named| Channel::parse(&named).ok_or(Code::BadChannel)).transpose();
    channel.map_err(Answer::from)
}

async fn envelopes(
    receive: &Receive,
    asked: &Asked<'_>,
    sender: &Sender<'_>,
    body: &[u8],
) -> Result<Outcome, Refusal> {
    let batch = receive.batch(asked, sender, body);
    // What cannot be cut any more is one item, which its mapping refuses.
    let items = hec::split(body).map(|item| item.unwrap_or_else(|broken| broken.rest));
    let places = items.enumerate().map(|(at, bytes)| {
        let Said { source, host } = Said::of(bytes);
        Item { at, bytes, source: self::source(source, host.as_deref()), with: () }
    });
    receive.take(&batch, places, |item, intake| hec::map(item.bytes, intake)).await
}

async fn lines(
    receive: &Receive,
    asked: &Asked<'_>,
    sender: &Sender<'_>,
    body: &[u8],
) -> Result<Outcome, Refusal> {
    let (host, source) = (asked.parameter("host"), asked.parameter("source"));
    let sourcetype = asked.parameter("sourcetype");
    let uri = self::source(source.clone(), host.as_deref());
    let query = RawQuery {
        host: host.as_deref(),
        source: source.as_deref(),
        sourcetype: sourcetype.as_deref(),
    };
    let batch = receive.batch(asked, sender, body);
    let places = hec::split_lines(body).enumerate();
    let places = places.map(|(at, bytes)| Item { at, bytes, source: uri.clone(), with: () });
    receive.take(&batch, places, |item, intake| hec::map_line(item.bytes, query, intake)).await
}

/// The sender's `source` if it is a URI reference, else `hec://HOST`.
fn source(source: Option<String>, host: Option<&str>) -> Cow<'static, str> {
    let fits = |uri: &String| uri.len() <= 256 && is_uri_reference(uri);
    // The server's own sources are no one's to name.
    let source = source.filter(|uri| fits(uri) && !uri.to_ascii_lowercase().starts_with("cairn:"));
    let of_host = || host.and_then(|host| source_uri("hec://", &[host]));
    source.or_else(of_host).map_or(Cow::Borrowed(SOURCE), Cow::Owned)
}

/// What was asked of a channel: which of these ids are acknowledged.
async fn acks<B>(receive: &Receive, asked: &Asked<'_>, body: B) -> Result<Answer, Answer>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    token::check(asked)?;
    if !receive.options().hec_acks {
        return Err(Code::AcksOff.into());
    }
    let channel = channel(receive, asked)?.ok_or(Code::NoChannel)?;
    let received = serve::received::receive(asked.headers, body, ACKS_BYTES_MAX).await;
    let received = received.map_err(|_| Answer::from(Code::InvalidFormat))?;
    let ids = ids(received.bytes()).ok_or(Code::InvalidFormat)?;
    Ok(Answer::acks(ids.into_iter().map(|id| (id, receive.acks().has(&channel, id)))))
}

/// The ids of `{"acks":[…]}`.
fn ids(body: &[u8]) -> Option<Vec<u64>> {
    let items = Items::of_member(body, "acks").ok()?;
    let id = |item: &[u8]| std::str::from_utf8(item).ok()?.parse().ok();
    let ids: Option<Vec<u64>> = items.take(ACKS_MAX + 1).map(id).collect();
    ids.filter(|ids| ids.len() <= ACKS_MAX)
}

impl Answer {
    /// Why nothing of a request was taken.
    fn of(refusal: &Refusal) -> Self {
        match refusal.kind {
            Kind::TooLarge => Code::TooLarge.into(),
            Kind::Invalid => Self::from(Code::InvalidFormat).event(0),
            Kind::UnknownEncoding => {
                Self::from(Code::InvalidFormat).status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
            }
            _ => Self::from(Code::Busy).retry(refusal.retry_after),
        }
    }

    /// A request of which no event could be taken; `at` is the first.
    fn invalid(refusal: &EventRefusal, at: usize) -> Self {
        let code = match (refusal.field.as_deref(), refusal.message.as_str()) {
            (Some("event"), "event is missing") => Code::NoEvent,
            (Some("event"), "event is empty") => Code::BlankEvent,
            _ => Code::InvalidFormat,
        };
        Self::from(code).event(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_the_sender_s_if_it_is_a_reference_and_else_its_host() {
        let of = |source: Option<&str>, host| self::source(source.map(str::to_owned), host);
        assert_eq!(of(Some("/var/log/x"), Some("web1")), "/var/log/x");
        assert_eq!(of(Some("a b"), Some("web 1")), "hec://web%201");
        assert_eq!(of(Some("cairn:host/audit"), Some("web1")), "hec://web1");
        assert_eq!(of(None, Some("web1")), "hec://web1");
        assert_eq!(of(Some("a b"), None), "hec://unknown");
        let long = "x".repeat(257);
        assert_eq!(of(Some(&long), Some(&long)), "hec://unknown");
    }

    #[test]
    fn ids_are_whole_numbers() {
        assert_eq!(ids(br#"{"acks":[0,1,99]}"#).unwrap(), [0, 1, 99]);
        assert_eq!(ids(br#"{"acks":[]}"#).unwrap(), [0_u64; 0]);
        for bad in [r#"{"acks":[-1]}"#, r#"{"acks":["1"]}"#, r#"{"acks":[1.0]}"#, "{}", "[1]", ""] {
            assert_eq!(ids(bad.as_bytes()), None, "{bad}");
        }
    }
}
