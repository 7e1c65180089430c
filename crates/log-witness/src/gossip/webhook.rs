//! Tells the operator's own system of new evidence.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use node::clock::Clock;

/// Attempts, with pauses that double from [`FIRST_PAUSE`]: about a minute.
const ATTEMPTS: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

/// Posts an evidence file as `text/plain`, until it is answered with a status of success.
pub(super) async fn post(url: String, evidence: Vec<u8>, clock: Arc<dyn Clock>) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let evidence = Bytes::from(evidence);
    for attempt in 0..ATTEMPTS {
        let request = Request::post(&url)
            .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
            .body(Full::new(evidence.clone()));
        let Ok(request) = request else {
            tracing::error!(url, "the webhook is no URL");
            return;
        };
        match tokio::time::timeout(ATTEMPT_TIMEOUT, client.request(request)).await {
            Ok(Ok(answer)) if answer.status().is_success() => return,
            Ok(Ok(answer)) => tracing::warn!(url, status = %answer.status(), "the webhook refused"),
            Ok(Err(error)) => tracing::warn!(url, %error, "the webhook cannot be reached"),
            Err(_) => tracing::warn!(url, "the webhook does not answer"),
        }
        clock.sleep(FIRST_PAUSE * 2_u32.pow(attempt)).await;
    }
    tracing::error!(url, "the webhook was not told of evidence");
}
