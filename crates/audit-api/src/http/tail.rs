//! Events as they are committed: a line each, or server-sent events.

use std::convert::Infallible;

use audit_event::text;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderValue, Response, header};
use http_body::Frame;
use http_body_util::StreamBody;
use serve::body::Body;
use serve::refusal::Refusal;

use super::Asked;
use crate::audit::Audit;
use crate::refusal;
use crate::{shown, tail};

/// Starts a tail from an index, or from now.
pub(crate) fn open(audit: &Audit, asked: &Asked<'_>) -> Result<Response<Body>, Refusal> {
    asked.parameters.only(&["from", "raw"])?;
    let log = audit.log(asked.log)?;
    let raw = asked.parameters.flag("raw")?;
    let from = asked.parameters.one("from")?.map(|text| text.parse::<u64>());
    let from = from.transpose().map_err(|_| refusal::bad_field("from", "an index"))?;
    let accept = asked.headers.get(header::ACCEPT).map(HeaderValue::as_bytes);
    let as_events = accept.is_some_and(|it| it.starts_with(b"text/event-stream"));
    let events = tail::tail(audit, log, from)?;
    // An error ends the stream: whoever reads it asks again from the next index.
    let frames =
        events.take_while(|event| std::future::ready(event.is_ok())).filter_map(move |event| {
            let frame = event.ok().map(|event| {
                let index = event.index;
                let item = text::write(&shown::listed(event, raw));
                let text = if as_events {
                    format!("id: {index}\ndata: {item}\n\n")
                } else {
                    format!("{item}\n")
                };
                Ok::<_, Infallible>(Frame::data(Bytes::from(text)))
            });
            std::future::ready(frame)
        });
    let mut response = Response::new(Body::new(StreamBody::new(frames)));
    let headers = response.headers_mut();
    let media = if as_events { "text/event-stream" } else { "application/x-ndjson" };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
