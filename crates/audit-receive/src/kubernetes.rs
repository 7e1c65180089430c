//! The audit webhook of a kube-apiserver, `POST /v1/k8s/{cluster}/audit`.
//!
//! The apiserver reads nothing of the answer but the status: 200 ends a batch; any error makes it send
//! the same bytes again, five times, and then the batch is lost. So 200 says that every item stands in
//! the log or is kept as malformed, and 400 that nothing of the body can be read. A redirect would be
//! followed as a GET, whose 200 counts.

use std::borrow::Cow;
use std::time::Duration;

use audit_api::refusal::EventRefusal;
use audit_event::Flag;
use audit_event::mapping::{kubernetes, source_uri};
use bytes::Bytes;
use http::{Response, StatusCode};
use serve::body::Body;
use serve::refusal::{Kind, Refusal};

use crate::receive::{Asked, Receive, Sender, bad_body, of_whole};
use crate::take::Item;

/// Items of one post: more than fit into a body of the default size.
const ITEMS_MAX: usize = 200_000;
/// The pauses that the apiserver keeps to; it ignores longer ones.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(5);

pub(crate) async fn answer<B>(receive: &Receive, asked: &Asked<'_>, body: B) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    match take(receive, asked, body).await {
        Ok(()) => Response::new(Body::empty()),
        Err(mut refusal) => {
            if refusal.kind.http().is_server_error() || refusal.kind == Kind::QueueFull {
                let after = refusal.retry_after.unwrap_or(RETRY_MAX);
                refusal.retry_after = Some(after.clamp(RETRY_MIN, RETRY_MAX));
            }
            let mut response = receive.counted(refusal).into_http();
            if response.status() == StatusCode::INTERNAL_SERVER_ERROR {
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            }
            response
        }
    }
}

async fn take<B>(receive: &Receive, asked: &Asked<'_>, body: B) -> Result<(), Refusal>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    let source = source(asked.segment).ok_or_else(bad_cluster)?;
    let sender = Sender {
        receiver: "kubernetes",
        content_type: "application/json",
        source: &source,
        log: None,
    };
    let received =
        receive.body(asked, &sender, body, receive.options().kubernetes_bytes_max).await?;
    let body = received.bytes();
    let items = match items(body) {
        Ok(items) => items,
        Err(refusal) => {
            receive.keep_whole(&sender, body, &refusal).await?;
            return Err(of_whole(refusal));
        }
    };
    let shared = kubernetes::audit_ids_shared(&items);
    let batch = receive.batch(asked, &sender, body);
    let places = items.into_iter().enumerate().map(|(at, bytes)| Item {
        at,
        bytes,
        source: Cow::Borrowed(sender.source),
        with: shared[at],
    });
    let outcome = receive.take(&batch, places, |item, intake| {
        let mut mapped = kubernetes::map(item.bytes, intake)?;
        if item.with {
            mapped.flags.insert(Flag::AUDIT_ID_SHARED);
        }
        Ok(mapped)
    });
    let outcome = outcome.await?;
    match outcome.first_refused {
        Some((_, refusal)) if outcome.taken == 0 => Err(of_whole(refusal)),
        _ => Ok(()),
    }
}

fn items(body: &[u8]) -> Result<Vec<&[u8]>, EventRefusal> {
    let items = kubernetes::split(body).map_err(|error| EventRefusal::from(&error))?;
    let items: Vec<&[u8]> = items.take(ITEMS_MAX + 1).collect();
    if items.len() > ITEMS_MAX {
        return Err(bad_body(&format!("items has more than {ITEMS_MAX} items")));
    }
    Ok(items)
}

/// `k8s://CLUSTER`, whatever characters of the name were escaped in the path.
fn source(segment: &str) -> Option<String> {
    // A plus sign of a path is no blank.
    let escaped = format!("c={}", segment.replace('+', "%2B").replace('&', "%26"));
    let (_, cluster) = form_urlencoded::parse(escaped.as_bytes()).next()?;
    source_uri("k8s://", &[&cluster])
}

fn bad_cluster() -> Refusal {
    let says = "the name of the cluster is too long";
    Refusal::new(Kind::BadName, "BAD_FIELD").field("cluster").says(says)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_has_one_source_however_its_name_is_escaped() {
        assert_eq!(source("prod-eu.1").unwrap(), "k8s://prod-eu.1");
        assert_eq!(source("a%2Fb").unwrap(), "k8s://a%2Fb");
        assert_eq!(source("%61+b&c=d").unwrap(), "k8s://a%2Bb%26c%3Dd");
        assert_eq!(source("arn:aws:eks").unwrap(), "k8s://arn%3Aaws%3Aeks");
        assert_eq!(source(&"x".repeat(250)).map(|uri| uri.len()), Some(256));
        assert_eq!(source(&"x".repeat(251)), None);
    }
}
