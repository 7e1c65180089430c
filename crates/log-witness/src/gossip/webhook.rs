//! Tells the operator's own system of new evidence.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use base::clock::Clock;
use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tls::{AuthoritiesError, Connector, Http, Known};

/// Attempts, with pauses that double from [`FIRST_PAUSE`]: about a minute.
const ATTEMPTS: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is nobody to tell.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error("webhook {url:?} is not of the form http[s]://HOST[:PORT][/PATH]")]
    Form { url: String },
    #[error(transparent)]
    Authorities(#[from] AuthoritiesError),
}

/// Where evidence is posted to. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Webhook {
    uri: Uri,
    client: Client<Connector, Full<Bytes>>,
}

impl Webhook {
    /// Checks the address; a server at an `https` address is known by the machine's certificate authorities.
    pub fn new(url: &str) -> Result<Self, WebhookError> {
        let form = || WebhookError::Form { url: url.to_owned() };
        let uri: Uri = url.parse().map_err(|_| form())?;
        let known = match uri.scheme_str() {
            Some("http") => Known::ByNothing,
            Some("https") => Known::ByAuthorities,
            _ => return Err(form()),
        };
        let user = uri.authority().ok_or_else(form)?.as_str().contains('@');
        if user || url.contains('#') {
            return Err(form());
        }
        let connector = tls::connector(known, Http::One, ATTEMPT_TIMEOUT)?;
        Ok(Self { uri, client: Client::builder(TokioExecutor::new()).build(connector) })
    }

    /// Posts an evidence file as `text/plain`, until it is answered with a status of success.
    pub(super) async fn post(self, evidence: Vec<u8>, clock: Arc<dyn Clock>) {
        let (uri, evidence) = (self.uri, Bytes::from(evidence));
        for attempt in 0..ATTEMPTS {
            let request = Request::post(uri.clone())
                .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
                .body(Full::new(evidence.clone()))
                .expect("an address that was checked makes a request");
            match tokio::time::timeout(ATTEMPT_TIMEOUT, self.client.request(request)).await {
                Ok(Ok(answer)) if answer.status().is_success() => return,
                Ok(Ok(answer)) => {
                    tracing::warn!(%uri, status = %answer.status(), "the webhook refused");
                }
                Ok(Err(error)) => {
                    let error: &(dyn Error + 'static) = &error;
                    tracing::warn!(%uri, error, "the webhook cannot be reached");
                }
                Err(_) => tracing::warn!(%uri, "the webhook does not answer"),
            }
            clock.sleep(FIRST_PAUSE * 2_u32.pow(attempt)).await;
        }
        tracing::error!(%uri, "the webhook was not told of evidence");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_an_address_of_http_or_https() {
        for url in ["http://127.0.0.1:1", "http://hooks.example/a/b?token=1"] {
            Webhook::new(url).unwrap();
        }
        for bad in ["", "hooks.example/a", "ftp://a/", "http://", "http://a@b/", "http://a/#b"] {
            assert!(matches!(Webhook::new(bad), Err(WebhookError::Form { .. })), "{bad}");
        }
    }
}
