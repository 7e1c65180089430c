//! Tells the operator's own system about new evidence.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use base::backoff::Backoff;
use base::clock::Clock;
use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_client::{CallError, Client, Options, Redirects};
use tls::{AuthoritiesError, Url, UrlError};

/// Attempts, with pauses between them that double: half a minute of pauses.
const ATTEMPTS: u32 = 6;
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(16);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is nobody to tell.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error("webhook {0}")]
    Form(UrlError),
    #[error(transparent)]
    Authorities(#[from] AuthoritiesError),
}

/// Why one attempt failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the webhook answered {0}")]
    Status(StatusCode),
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Where evidence is posted to. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Webhook {
    uri: Uri,
    client: Client,
    clock: Arc<dyn Clock>,
}

impl Webhook {
    /// Checks the address. The machine's certificate authorities vouch for a server at an `https` address.
    /// Pauses and attempts go by `clock`.
    pub fn new(url: &str, clock: Arc<dyn Clock>) -> Result<Self, WebhookError> {
        let url: Url = url.parse().map_err(WebhookError::Form)?;
        let options = Options {
            known: url.known(),
            connect_timeout: ATTEMPT_TIMEOUT,
            answer_timeout: ATTEMPT_TIMEOUT,
            idle_connections_max: 1,
            redirects: Redirects::Answers,
        };
        let client = Client::new(options, Arc::clone(&clock))?;
        Ok(Self { uri: url.uri().clone(), client, clock })
    }

    /// Posts an evidence file as `text/plain`, until an answer has a status of success.
    pub(super) async fn post(self, evidence: Vec<u8>) {
        let (uri, evidence) = (&self.uri, Bytes::from(evidence));
        let mut backoff = Backoff::new(PAUSE_MIN, PAUSE_MAX);
        for _ in 1..ATTEMPTS {
            let Err(failure) = self.attempt(evidence.clone()).await else { return };
            let pause = backoff.failed();
            let again = format!("trying again in {} s", pause.as_secs());
            tracing::warn!(
                %uri, error = with_cause(&failure),
                "the webhook was not told of evidence: {again}"
            );
            self.clock.sleep(pause).await;
        }
        if let Err(failure) = self.attempt(evidence).await {
            tracing::error!(
                %uri, error = with_cause(&failure),
                "the webhook was not told of evidence in {ATTEMPTS} attempts"
            );
        }
    }

    async fn attempt(&self, evidence: Bytes) -> Result<(), Failure> {
        let request = Request::post(self.uri.clone())
            .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
            .body(evidence)
            .expect("an address that was checked makes a request");
        let status = self.client.ask(request).await?.status();
        if status.is_success() { Ok(()) } else { Err(Failure::Status(status)) }
    }
}

fn with_cause(failure: &Failure) -> &(dyn Error + 'static) {
    failure
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use base::clock::Sleep;

    use super::*;

    /// Notes every pause, and ends it at once. No attempt takes too long.
    #[derive(Debug, Default)]
    struct Pauses(Mutex<Vec<Duration>>);

    impl Clock for Pauses {
        fn unix_ms(&self) -> u64 {
            0
        }

        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }

        fn boot_time(&self) -> Duration {
            Duration::ZERO
        }

        fn sleep(&self, duration: Duration) -> Sleep {
            if duration == ATTEMPT_TIMEOUT {
                return Box::pin(std::future::pending());
            }
            self.0.lock().unwrap().push(duration);
            Box::pin(std::future::ready(()))
        }
    }

    /// Posts to a server that gives `answers` in their order, and its last one from then on. Gives the
    /// number of attempts, and the pauses between them in seconds.
    async fn post_to(answers: &'static [&'static str]) -> (usize, Vec<u64>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let attempts = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&attempts);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let answer = answers[count.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1)];
                answer_one(stream.unwrap(), answer);
            }
        });
        let pauses = Arc::new(Pauses::default());
        let clock = Arc::clone(&pauses) as Arc<dyn Clock>;
        Webhook::new(&url, clock).unwrap().post(b"evidence".to_vec()).await;
        let pauses = pauses.0.lock().unwrap().iter().map(Duration::as_secs).collect();
        (attempts.load(Ordering::SeqCst), pauses)
    }

    fn answer_one(mut stream: TcpStream, status: &str) {
        let (mut request, mut bytes) = (Vec::new(), [0; 1024]);
        while !request.ends_with(b"evidence") {
            let read = stream.read(&mut bytes).unwrap();
            request.extend_from_slice(&bytes[..read]);
        }
        let rest = "content-length: 0\r\nconnection: close\r\n\r\n";
        stream.write_all(format!("HTTP/1.1 {status}\r\n{rest}").as_bytes()).unwrap();
    }

    #[tokio::test]
    async fn a_failure_is_final_after_the_last_attempt_without_another_pause() {
        assert_eq!(post_to(&["500 No"]).await, (6, vec![1, 2, 4, 8, 16]));
    }

    #[tokio::test]
    async fn the_first_success_ends_the_attempts() {
        assert_eq!(post_to(&["200 OK"]).await, (1, vec![]));
        assert_eq!(post_to(&["404 No", "204 Fine"]).await, (2, vec![1]));
    }

    #[test]
    fn a_webhook_is_an_address_of_http_or_https() {
        let webhook = |url| Webhook::new(url, Arc::new(Pauses::default()));
        for url in ["http://127.0.0.1:1", "http://hooks.example/a/b?token=1"] {
            webhook(url).unwrap();
        }
        for bad in ["", "hooks.example/a", "ftp://a/", "http://", "http://a@b/", "http://a/#b"] {
            assert!(matches!(webhook(bad), Err(WebhookError::Form(_))), "{bad}");
        }
    }
}
