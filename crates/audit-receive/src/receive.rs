//! What all receivers share.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use audit_api::audit::writer;
use audit_api::refusal::{EventRefusal, of_record};
use audit_event::{Instant, Writer};
use audit_trail::{AUDIT_LOG, RecordError, SYSTEM_LOG, Trail};
use base::clock::Clock;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use log_api::logs::Logs;
use log_core::Log;
use serve::body::Body;
use serve::health::Health;
use serve::principal::Principal;
use serve::received::{self, NotReceived, Received};
use serve::refusal::{Kind, Refusal};
use serve::room::NoRoom;
use serve::route::Route;
use storage::LogKind;

use crate::hec::acks::Acks;
use crate::quarantine::{Malformed, Origin};
use crate::routes::To;
use crate::sources::Sources;
use crate::take::Batch;
use crate::{cloudevents, cloudtrail, hec, imports, kubernetes, otlp};

/// When a sender may try again after trouble that an operator must end.
const RETRY_TROUBLE: Duration = Duration::from_secs(5);

/// Settings of the receivers.
#[derive(Clone, Debug)]
pub struct ReceiveOptions {
    /// What is configured of sources.
    pub sources: Sources,
    /// Bytes of a post of a kube-apiserver.
    pub kubernetes_bytes_max: usize,
    /// Bytes of a request of OTLP over HTTP, decompressed.
    pub otlp_http_bytes_max: usize,
    /// Bytes of a message of OTLP over gRPC, decompressed.
    pub otlp_grpc_bytes_max: usize,
    /// Bytes of a body of every other receiver, decompressed.
    pub body_bytes_max: usize,
    /// Whether the HTTP Event Collector acknowledges on channels.
    pub hec_acks: bool,
    /// Where it remembers across restarts what it acknowledged; nowhere without one.
    pub hec_acks_file: Option<PathBuf>,
}

/// The receivers of a server. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Receive {
    parts: Arc<Parts>,
}

#[derive(Debug)]
struct Parts {
    trail: Trail,
    logs: Logs,
    options: ReceiveOptions,
    acks: Acks,
    health: Health,
}

/// What a receiver knows of a request besides its body.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) headers: &'a HeaderMap,
    /// The variable segment of its path.
    pub(crate) segment: &'a str,
    pub(crate) query: &'a str,
    pub(crate) principal: Principal,
}

/// Where a request is from, as its receiver sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender<'a> {
    /// The receiver.
    pub(crate) receiver: &'static str,
    /// What its items are.
    pub(crate) content_type: &'static str,
    /// The source of what names none.
    pub(crate) source: &'a str,
    /// The log that the request names.
    pub(crate) log: Option<&'a str>,
}

impl Asked<'_> {
    /// The first value of a parameter of the query.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let mut pairs = form_urlencoded::parse(self.query.as_bytes());
        pairs.find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
    }

    /// The value of a header that is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The media type of the body in small letters, without parameters.
    pub(crate) fn media_type(&self) -> String {
        let value = self.header("content-type").unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// Who sent it, as events say it.
    pub(crate) fn writer(&self) -> Option<Writer> {
        writer(&self.principal)
    }
}

impl Sender<'_> {
    pub(crate) fn origin<'b>(&self, body: &'b [u8]) -> Origin<'b> {
        Origin { receiver: self.receiver, content_type: self.content_type, body }
    }
}

impl Receive {
    /// Receives into the audit logs among those of `trail`.
    pub fn new(trail: Trail, logs: Logs, health: Health, options: ReceiveOptions) -> Self {
        let clock = Arc::clone(trail.registry().clock()) as Arc<dyn Clock>;
        let acks = Acks::open(options.hec_acks_file.clone(), clock);
        Self { parts: Arc::new(Parts { trail, logs, options, acks, health }) }
    }

    /// Answers one request, which is of this route.
    pub async fn answer<B>(&self, request: Request<B>, route: &Route, to: To) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send,
    {
        let (parts, body) = request.into_parts();
        let params = route.pattern.params(parts.uri.path());
        let asked = Asked {
            headers: &parts.headers,
            segment: params.map_or("", |params| params.segment),
            query: parts.uri.query().unwrap_or(""),
            principal: Principal::of(&parts.extensions),
        };
        let mut response = match to {
            To::Kubernetes => Box::pin(kubernetes::answer(self, &asked, body)).await,
            To::CloudTrail => Box::pin(cloudtrail::answer(self, &asked, body)).await,
            To::Import => Box::pin(imports::answer(self, &asked, body)).await,
            To::CloudEvents => Box::pin(cloudevents::answer(self, &asked, body)).await,
            To::OtlpHttp => Box::pin(otlp::http::answer(self, &asked, body)).await,
            To::OtlpGrpc => Box::pin(otlp::grpc::answer(self, &asked, body)).await,
            To::Hec(target) => Box::pin(hec::answer(self, &asked, target, body)).await,
        };
        if parts.method == Method::HEAD {
            *response.body_mut() = Body::empty();
        }
        response
    }

    pub(crate) fn trail(&self) -> &Trail {
        &self.parts.trail
    }

    pub(crate) fn logs(&self) -> &Logs {
        &self.parts.logs
    }

    pub(crate) fn sources(&self) -> &Sources {
        &self.parts.options.sources
    }

    pub(crate) fn options(&self) -> &ReceiveOptions {
        &self.parts.options
    }

    pub(crate) fn acks(&self) -> &Acks {
        &self.parts.acks
    }

    pub(crate) fn health(&self) -> &Health {
        &self.parts.health
    }

    pub(crate) fn clock(&self) -> &Arc<base::clock::checked::CheckedClock> {
        self.trail().registry().clock()
    }

    /// When a request is received.
    pub(crate) fn now(&self) -> Instant {
        Instant::from_nanos(self.clock().unix_ms().saturating_mul(1_000_000))
    }

    /// Counts a refusal by its reason, and hands it on.
    pub(crate) fn counted(&self, refusal: Refusal) -> Refusal {
        self.parts.logs.refused(&refusal);
        refusal
    }

    /// An audit log that takes events of others. Where it is not there its senders must not lose what
    /// they send: they are told to try again.
    pub(crate) fn log(&self, name: &str) -> Result<Log, Refusal> {
        let found = self.trail().registry().log(name);
        let takes = |log: &Log| log.record().kind == LogKind::Audit && name != SYSTEM_LOG;
        found.filter(takes).ok_or_else(|| {
            let says = format!("log {name} is no audit log that takes events");
            Refusal::new(Kind::Unavailable, "NOT_AN_AUDIT_LOG").retry(RETRY_TROUBLE).says(says)
        })
    }

    /// The log of what a sender sends that names no source.
    fn log_of(&self, sender: &Sender<'_>) -> Result<Log, Refusal> {
        let configured = || self.sources().of(sender.source).log();
        self.log(sender.log.unwrap_or_else(configured))
    }

    /// A request whose items are to be taken.
    pub(crate) fn batch<'b>(
        &self,
        asked: &Asked<'_>,
        sender: &Sender<'b>,
        body: &'b [u8],
    ) -> Batch<'b> {
        let origin = sender.origin(body);
        Batch { origin, now: self.now(), writer: asked.writer(), log: sender.log }
    }

    /// The body of a request. What will not be sent again is recorded as lost.
    pub(crate) async fn body<B>(
        &self,
        asked: &Asked<'_>,
        sender: &Sender<'_>,
        body: B,
        bytes_max: usize,
    ) -> Result<Received, Refusal>
    where
        B: http_body::Body<Data = Bytes> + Send,
    {
        match received::receive(asked.headers, body, bytes_max).await {
            Ok(received) => Ok(received),
            Err(NotReceived::NoRoom) => Err(NoRoom.into()),
            Err(NotReceived::CutShort) => Err(Refusal::new(Kind::Invalid, "BAD_FIELD")
                .field("body")
                .says("body must be sent to its end")),
            Err(NotReceived::Encoding) => {
                let name = asked.header("content-encoding").unwrap_or_default();
                Err(unknown_encoding(name))
            }
            Err(NotReceived::NotGzip(sent)) => {
                let refusal = bad_body("body is not gzip as its Content-Encoding says");
                self.keep_whole(sender, &sent, &refusal).await?;
                Err(of_whole(refusal))
            }
            Err(NotReceived::TooLarge { bytes }) => {
                Err(self.lost_to_size(sender, bytes, bytes_max).await)
            }
        }
    }

    /// Records that a body is lost because it is longer than the limit. Returns the refusal.
    pub(crate) async fn lost_to_size(
        &self,
        sender: &Sender<'_>,
        bytes: Option<u64>,
        bytes_max: usize,
    ) -> Refusal {
        let origin = sender.origin(&[]);
        let told = match self.log_of(sender) {
            Ok(log) => self.report_too_large(&log, origin, sender.source, bytes, bytes_max).await,
            Err(refusal) => Err(refusal),
        };
        told.err().unwrap_or_else(|| too_large(bytes_max))
    }

    /// Keeps a whole request that could not be cut into items.
    pub(crate) async fn keep_whole(
        &self,
        sender: &Sender<'_>,
        body: &[u8],
        refusal: &EventRefusal,
    ) -> Result<(), Refusal> {
        let log = self.log_of(sender)?;
        let malformed = Malformed::whole(sender.source, body, refusal);
        self.quarantine(&log, sender.origin(body), malformed).await
    }

    /// The size of the log of a request of which nothing was recorded.
    pub(crate) fn size_of(&self, sender: &Sender<'_>) -> u64 {
        let log = self.trail().registry().log(sender.log.unwrap_or(AUDIT_LOG));
        log.map_or(0, |log| log.tree().head.size.get())
    }
}

/// Why nothing of a request was recorded. Every sender may try again: what stands in the way is not the
/// request's fault.
pub(crate) fn refused(error: RecordError) -> Refusal {
    let refusal = of_record(error);
    match refusal.kind {
        Kind::QueueFull | Kind::Exhausted | Kind::Unavailable | Kind::Deadline => refusal,
        _ => Refusal { kind: Kind::Unavailable, retry_after: Some(RETRY_TROUBLE), ..refusal },
    }
}

/// A body of which nothing can be read.
pub(crate) fn bad_body(message: &str) -> EventRefusal {
    let message = message.to_owned();
    EventRefusal { kind: Kind::Invalid, reason: "BAD_BODY", field: None, message }
}

/// The refusal of a request of which nothing can be taken.
pub(crate) fn of_whole(refusal: EventRefusal) -> Refusal {
    let EventRefusal { reason, message, .. } = refusal;
    Refusal::new(Kind::Invalid, reason).says(message)
}

fn too_large(bytes_max: usize) -> Refusal {
    Refusal::new(Kind::TooLarge, "TOO_LARGE")
        .field("body")
        .says(format!("body has more than {bytes_max} bytes, the limit"))
}

fn unknown_encoding(name: &str) -> Refusal {
    let shown: String = name.chars().filter(char::is_ascii_graphic).take(64).collect();
    Refusal::new(Kind::UnknownEncoding, "ENCODING")
        .field("content-encoding")
        .says(format!("Content-Encoding {shown} is not read here: use gzip or none"))
}
