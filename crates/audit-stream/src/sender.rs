//! One attempt to hand records to a destination.

use std::fmt;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::backoff::Backoff;
use base::clock::Clock;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use http_client::{Client, Options, Redirects};
use zeroize::Zeroizing;

use crate::batch::Record;
use crate::destination::{Ack, Destination, Kind};
use crate::kinds::{authorization, elasticsearch, otlp, splunk, webhook};
use crate::reply::{Reply, SetUp, Trouble};

/// Bytes of an answer that are read: those of a thousand items, each with an error and its cause.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of a secret file.
const SECRET_BYTES_MAX: u64 = 8 * 1024;
/// Pauses between questions for an acknowledgement.
const ASK_FIRST: Duration = Duration::from_millis(250);
const ASK_LONGEST: Duration = Duration::from_secs(5);

/// What a destination is asked with.
pub(crate) struct Sender {
    destination: Arc<Destination>,
    client: Client,
    clock: Arc<dyn Clock>,
    /// What is sent as `Authorization`, or what signs.
    secret: Option<Zeroizing<Vec<u8>>>,
    /// Names this lane to a collector.
    channel: HeaderValue,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("destination", &self.destination.name)
            .finish_non_exhaustive()
    }
}

/// The answer to one call.
struct Answered {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Sender {
    /// Reads the secret, so that a new one is used from the next start of a stream on. Blocks.
    pub(crate) fn open(
        destination: Arc<Destination>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SetUp> {
        let options = Options {
            known: destination.known,
            connect_timeout: destination.timeout,
            answer_timeout: destination.timeout,
            idle_connections_max: 1,
            redirects: Redirects::Answers,
        };
        let client = Client::new(options, Arc::clone(&clock)).map_err(|_| SetUp::Machine)?;
        let text = destination.secret_file.as_deref().map(secret).transpose()?;
        let secret = text.map(|text| of_kind(&destination.kind, &text)).transpose()?;
        let channel = channel().ok_or(SetUp::Machine)?;
        Ok(Self { destination, client, clock, secret, channel })
    }

    /// Hands over records, all in one call, and waits until what became of them is known.
    pub(crate) async fn attempt(&self, records: &[Record]) -> Reply {
        let url = &self.destination.url;
        match &self.destination.kind {
            Kind::Elasticsearch { index, .. } => {
                let request = elasticsearch::request(url, index, self.authorization(), records);
                let read =
                    |it: Answered| elasticsearch::reply(it.status, &it.headers, &it.body, records);
                self.call(request).await.map_or_else(|reply| reply, read)
            }
            Kind::Splunk { ack, ack_wait, .. } => self.splunk(*ack, *ack_wait, records).await,
            Kind::Webhook { .. } => {
                let seconds = self.clock.unix_ms() / 1_000;
                let key = self.secret.as_ref().map_or(&[][..], |key| key);
                let first = records.first();
                let request = first.and_then(|it| webhook::request(url, key, seconds, it));
                let read = |it: Answered| webhook::reply(it.status, &it.headers);
                self.call(request).await.map_or_else(|reply| reply, read)
            }
            Kind::Otlp => {
                let request = otlp::request(url, self.authorization(), records);
                let read =
                    |it: Answered| otlp::reply(it.status, &it.headers, &it.body, records.len());
                self.call(request).await.map_or_else(|reply| reply, read)
            }
        }
    }

    fn authorization(&self) -> Option<&str> {
        std::str::from_utf8(self.secret.as_deref()?).ok()
    }

    async fn call(&self, request: Option<Request<Bytes>>) -> Result<Answered, Reply> {
        // What makes no request is in the address or in the secret.
        let request = request.ok_or(Reply::Stop(SetUp::Secret))?;
        let later = |why| Reply::Later { why, after: None };
        let answer = self.client.ask(request).await;
        let answer = answer.map_err(|error| later(Trouble::of_call(&error)))?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let whole = answer.whole(ANSWER_BYTES_MAX).await;
        let body = whole.map_err(|error| later(Trouble::of_call(&error)))?.into_body();
        Ok(Answered { status, headers, body })
    }

    async fn splunk(&self, ack: Ack, ack_wait: Duration, records: &[Record]) -> Reply {
        let channel = (ack != Ack::Off).then_some(&self.channel);
        let url = &self.destination.url;
        let request = splunk::request(url, self.authorization(), channel, records);
        let answered = match self.call(request).await {
            Ok(answered) => answered,
            Err(reply) => return reply,
        };
        let Answered { status, headers, body } = answered;
        match (splunk::reply(status, &headers, &body, records.len()), ack) {
            (splunk::Said::Other(reply), _) => reply,
            (splunk::Said::Accepted { ack_id: None }, Ack::Required) => {
                Reply::Stop(SetUp::NoAcknowledgements)
            }
            (splunk::Said::Accepted { ack_id: None }, Ack::Auto | Ack::Off)
            | (splunk::Said::Accepted { .. }, Ack::Off) => Reply::Taken { is_confirmed: false },
            (splunk::Said::Accepted { ack_id: Some(ack_id) }, Ack::Auto | Ack::Required) => {
                self.acknowledged(ack_id, ack_wait).await
            }
        }
    }

    /// Asks until the collector says that the events are stored, or the time for it is up.
    async fn acknowledged(&self, ack_id: u64, within: Duration) -> Reply {
        let url = &self.destination.url;
        let ends_at = self.clock.monotonic().saturating_add(within);
        let mut pauses = Backoff::new(ASK_FIRST, ASK_LONGEST);
        loop {
            let request = splunk::ask(url, self.authorization(), &self.channel, ack_id);
            if let Ok(Answered { status, body, .. }) = self.call(request).await {
                match splunk::acknowledged(status, &body, ack_id) {
                    Ok(true) => return Reply::Taken { is_confirmed: true },
                    Ok(false) => {}
                    Err(set_up) => return Reply::Stop(set_up),
                }
            }
            if self.clock.monotonic() >= ends_at {
                return Reply::Later { why: Trouble::Unacknowledged, after: None };
            }
            self.clock.sleep(pauses.failed()).await;
        }
    }
}

fn secret(path: &Path) -> Result<Zeroizing<String>, SetUp> {
    let read = || {
        let mut text = Zeroizing::new(String::new());
        let file = std::fs::File::open(path)?;
        file.take(SECRET_BYTES_MAX).read_to_string(&mut text)?;
        Ok(text)
    };
    let text = read().map_err(|error: std::io::Error| {
        tracing::error!(path = %path.display(), %error, "a destination's secret cannot be read");
        SetUp::Secret
    })?;
    let is_usable = !text.trim().is_empty();
    is_usable.then(|| Zeroizing::new(text.trim().to_owned())).ok_or(SetUp::Secret)
}

fn of_kind(kind: &Kind, secret: &str) -> Result<Zeroizing<Vec<u8>>, SetUp> {
    let scheme = match kind {
        Kind::Webhook { .. } => return webhook::key(secret).ok_or(SetUp::Secret),
        Kind::Elasticsearch { .. } => "ApiKey",
        Kind::Splunk { .. } => "Splunk",
        Kind::Otlp => "Bearer",
    };
    Ok(Zeroizing::new(authorization(secret, scheme).into_bytes()))
}

/// A random UUID.
fn channel() -> Option<HeaderValue> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).ok()?;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    HeaderValue::from_str(&parts.join("-")).ok()
}
