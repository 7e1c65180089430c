//! Why a server does not do what a request asks: one value for gRPC, plain HTTP and metrics.
//!
//! A domain error becomes a [`Refusal`] once. gRPC, plain HTTP and the metric of refusals each
//! render that value; none of them reads what another one made of it.

use std::borrow::Cow;
use std::time::Duration;

use http::{HeaderValue, Response, StatusCode, header};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::body::{Body, plain};

/// What a refusal asks of the caller. It alone decides the gRPC code and the HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request is wrong, whatever the state of the server.
    Invalid,
    /// A name that nothing can have, so nothing is found under it.
    BadName,
    /// The body, or a part of it, is over its limit.
    TooLarge,
    /// The headers are over their limit.
    HeadersTooLarge,
    /// No credential where one is needed, or one that does not hold.
    Unauthenticated,
    /// The caller is known, and may not do this.
    Forbidden,
    /// What the request names does not exist.
    NotFound,
    /// Nothing is served at this path.
    NoSuchPath,
    /// Something is served at this path, by another method.
    WrongMethod,
    /// The request is encoded in a way that the server does not read.
    UnknownEncoding,
    /// A size or an index beyond what exists so far.
    OutOfRange,
    /// The name, the key or the like belongs to something else.
    Exists,
    /// The thing that is named is in a state that does not allow this, and waiting does not help.
    Precondition,
    /// Somebody else took over.
    Aborted,
    /// Too many requests of this caller wait.
    QueueFull,
    /// The server has no room for it now.
    Exhausted,
    /// The server cannot do it now.
    Unavailable,
    /// The time that the request had is up.
    Deadline,
    /// What is stored is damaged: an operator must act.
    DataLoss,
    /// The server is at fault. What is wrong is logged and never sent.
    Internal,
}

impl Kind {
    /// The one table of codes.
    const fn codes(self) -> (Code, StatusCode) {
        match self {
            Self::Invalid => (Code::InvalidArgument, StatusCode::BAD_REQUEST),
            Self::BadName => (Code::InvalidArgument, StatusCode::NOT_FOUND),
            Self::TooLarge => (Code::InvalidArgument, StatusCode::PAYLOAD_TOO_LARGE),
            Self::HeadersTooLarge => {
                (Code::ResourceExhausted, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
            }
            Self::Unauthenticated => (Code::Unauthenticated, StatusCode::UNAUTHORIZED),
            Self::Forbidden => (Code::PermissionDenied, StatusCode::FORBIDDEN),
            Self::NotFound => (Code::NotFound, StatusCode::NOT_FOUND),
            Self::NoSuchPath => (Code::Unimplemented, StatusCode::NOT_FOUND),
            Self::WrongMethod => (Code::Unimplemented, StatusCode::METHOD_NOT_ALLOWED),
            Self::UnknownEncoding => (Code::Unimplemented, StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Self::OutOfRange => (Code::OutOfRange, StatusCode::NOT_FOUND),
            Self::Exists => (Code::AlreadyExists, StatusCode::CONFLICT),
            Self::Precondition => (Code::FailedPrecondition, StatusCode::CONFLICT),
            Self::Aborted => (Code::Aborted, StatusCode::CONFLICT),
            Self::QueueFull => (Code::ResourceExhausted, StatusCode::TOO_MANY_REQUESTS),
            Self::Exhausted => (Code::ResourceExhausted, StatusCode::SERVICE_UNAVAILABLE),
            Self::Unavailable => (Code::Unavailable, StatusCode::SERVICE_UNAVAILABLE),
            Self::Deadline => (Code::DeadlineExceeded, StatusCode::SERVICE_UNAVAILABLE),
            Self::DataLoss => (Code::DataLoss, StatusCode::INTERNAL_SERVER_ERROR),
            Self::Internal => (Code::Internal, StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    /// As gRPC says it.
    pub const fn grpc(self) -> Code {
        self.codes().0
    }

    /// As plain HTTP says it.
    pub const fn http(self) -> StatusCode {
        self.codes().1
    }
}

/// How a server's API names what every server refuses.
#[derive(Clone, Copy, Debug)]
pub struct Api {
    /// The domain of every `ErrorInfo`.
    pub domain: &'static str,
    /// The reason for a gRPC message that is longer than its method takes.
    pub message_too_large: &'static str,
    /// The message for a caller whose deadline has passed.
    pub deadline_passed: &'static str,
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    pub kind: Kind,
    /// The reason from the API's fixed list, as `ErrorInfo` and the metric spell it. `None` if the
    /// code says everything.
    pub reason: Option<&'static str>,
    /// The field at fault.
    pub field: Option<Cow<'static, str>>,
    /// When the same request may be sent again.
    pub retry_after: Option<Duration>,
    /// One sentence for a person.
    pub message: Cow<'static, str>,
}

impl Refusal {
    /// A refusal without a message; [`Self::says`] adds the message.
    pub const fn new(kind: Kind, reason: &'static str) -> Self {
        let message = Cow::Borrowed("");
        Self { kind, reason: Some(reason), field: None, retry_after: None, message }
    }

    /// Names the field at fault.
    #[must_use]
    pub fn field(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Says when the same request may be sent again.
    #[must_use]
    pub const fn retry(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Says what is wrong, in one sentence.
    #[must_use]
    pub fn says(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.message = message.into();
        self
    }

    /// For gRPC: with `ErrorInfo` if there is a reason, `BadRequest` if a field is at fault, and
    /// `RetryInfo` if the same call may be sent again. The refusal stays in the status as its
    /// source, for [`Self::within`].
    pub fn into_status(self, domain: &'static str) -> Status {
        let mut details = ErrorDetails::new();
        if let Some(reason) = self.reason {
            details.set_error_info(reason, domain, []);
        }
        if let Some(field) = &self.field {
            details.add_bad_request_violation(&**field, &*self.message);
        }
        if self.retry_after.is_some() {
            details.set_retry_info(self.retry_after);
        }
        let code = self.kind.grpc();
        let bare = self.reason.is_none() && self.field.is_none() && self.retry_after.is_none();
        let message = self.message.clone();
        let mut status = if bare {
            Status::new(code, message)
        } else {
            Status::with_error_details(code, message, details)
        };
        status.set_source(std::sync::Arc::new(self));
        status
    }

    /// The refusal from which this process made a status.
    pub fn within(status: &Status) -> Option<&Self> {
        std::error::Error::source(status)?.downcast_ref()
    }

    /// For plain HTTP: a status and one line of text.
    pub fn into_http(self) -> Response<Body> {
        let mut response = plain(self.kind.http(), &self.message);
        if let Some(after) = self.retry_after {
            // Whole seconds, rounded up: 0 would mean at once.
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            let value = HeaderValue::from(seconds.max(1));
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        response
    }
}

// What the layers refuse before any handler.

impl Refusal {
    /// The server is at fault. What is wrong was logged where it happened.
    pub fn internal() -> Self {
        Self::new(Kind::Internal, "INTERNAL").says("internal error")
    }

    /// Nothing is served at this path.
    pub fn no_such_path() -> Self {
        Self { reason: None, ..Self::new(Kind::NoSuchPath, "").says("no such path") }
    }

    /// A deadline has passed; the API says what that means for what was asked.
    pub fn deadline_passed(api: &Api) -> Self {
        Self::new(Kind::Deadline, "DEADLINE").says(api.deadline_passed)
    }

    pub(crate) fn headers_too_large(bytes: usize, bytes_max: usize) -> Self {
        Self::new(Kind::HeadersTooLarge, "BAD_FIELD")
            .field("headers")
            .says(format!("headers have {bytes} bytes, the limit is {bytes_max}"))
    }

    /// A plain HTTP body is longer than its route takes.
    pub fn body_too_large(bytes: u64, bytes_max: usize) -> Self {
        Self::new(Kind::TooLarge, "BAD_FIELD")
            .field("body")
            .says(format!("body has {bytes} bytes, the limit is {bytes_max}"))
    }

    pub(crate) fn overloaded(retry_after: Duration) -> Self {
        Self::new(Kind::Exhausted, "OVERLOADED")
            .retry(retry_after)
            .says("server has as many requests in flight as it takes")
    }

    pub(crate) fn bad_timeout() -> Self {
        Self::new(Kind::Invalid, "BAD_FIELD")
            .field("grpc-timeout")
            .says("grpc-timeout must be 1 to 8 digits and a unit")
    }

    pub(crate) fn wrong_method() -> Self {
        Self { reason: None, ..Self::new(Kind::WrongMethod, "").says("method not allowed") }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const API: Api = Api {
        domain: "test.v1",
        message_too_large: "MESSAGE_TOO_LARGE",
        deadline_passed: "deadline passed",
    };

    #[test]
    fn refusals_of_the_layers_say_what_is_wrong() {
        let texts = [
            Refusal::internal(),
            Refusal::headers_too_large(2, 1),
            Refusal::no_such_path(),
            Refusal::wrong_method(),
            Refusal::body_too_large(2, 1),
            Refusal::overloaded(Duration::from_secs(1)),
            Refusal::bad_timeout(),
            Refusal::deadline_passed(&API),
        ]
        .map(|refusal| {
            let Refusal { kind, message, .. } = refusal;
            format!("{} {:?} {message}", kind.http().as_u16(), kind.grpc())
        });
        assert_eq!(
            texts,
            [
                "500 Internal internal error",
                "431 ResourceExhausted headers have 2 bytes, the limit is 1",
                "404 Unimplemented no such path",
                "405 Unimplemented method not allowed",
                "413 InvalidArgument body has 2 bytes, the limit is 1",
                "503 ResourceExhausted server has as many requests in flight as it takes",
                "400 InvalidArgument grpc-timeout must be 1 to 8 digits and a unit",
                "503 DeadlineExceeded deadline passed",
            ]
        );
    }

    #[test]
    fn grpc_has_every_detail_and_http_what_it_can_say() {
        let refusal = Refusal::new(Kind::QueueFull, "QUEUE_FULL")
            .field("entries")
            .retry(Duration::from_millis(1_200))
            .says("queue is full");
        let status = refusal.clone().into_status(API.domain);
        assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, "queue is full"));
        let info = status.get_details_error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("QUEUE_FULL", "test.v1"));
        let bad = status.get_details_bad_request().unwrap().field_violations;
        assert_eq!(
            (bad[0].field.as_str(), bad[0].description.as_str()),
            ("entries", "queue is full")
        );
        let retry = status.get_details_retry_info().unwrap().retry_delay;
        assert_eq!(retry, Some(Duration::from_millis(1_200)));
        assert_eq!(Refusal::within(&status), Some(&refusal));

        let response = refusal.into_http();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()["retry-after"], "2");
    }

    #[test]
    fn what_a_refusal_does_not_say_is_not_rendered() {
        let status = Refusal::no_such_path().into_status(API.domain);
        assert!(status.details().is_empty());
        let status = Refusal::internal().into_status(API.domain);
        assert!(status.get_details_bad_request().is_none());
        assert!(status.get_details_retry_info().is_none());
        assert!(!Refusal::internal().into_http().headers().contains_key("retry-after"));
        assert_eq!(Refusal::within(&Status::internal("not ours")), None);
    }

    #[test]
    fn a_wait_is_at_least_a_second_in_http() {
        let after = |wait| {
            let response = Refusal::overloaded(wait).into_http();
            response.headers()["retry-after"].to_str().unwrap().to_owned()
        };
        assert_eq!(after(Duration::ZERO), "1");
        assert_eq!(after(Duration::from_millis(100)), "1");
        assert_eq!(after(Duration::from_secs(2)), "2");
        assert_eq!(after(Duration::from_millis(2_001)), "3");
    }
}
