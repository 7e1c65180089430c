//! Answers in the words of the collector's documents.

use std::fmt::Write as _;
use std::time::Duration;

use audit_api::http::answer;
use http::{HeaderValue, Response, StatusCode, header};
use serve::body::Body;

/// When a busy server may be asked again, if nothing else says so.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A code of the collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    Success,
    NoToken,
    BadAuthorization,
    NoData,
    InvalidFormat,
    Busy,
    NoChannel,
    BadChannel,
    NoEvent,
    BlankEvent,
    AcksOff,
    TokenInQuery,
    Healthy,
    Unhealthy,
    TooLarge,
}

impl Code {
    const fn parts(self) -> (u8, StatusCode, &'static str) {
        match self {
            Self::Success => (0, StatusCode::OK, "Success"),
            Self::NoToken => (2, StatusCode::UNAUTHORIZED, "Token is required"),
            Self::BadAuthorization => (3, StatusCode::UNAUTHORIZED, "Invalid authorization"),
            Self::NoData => (5, StatusCode::BAD_REQUEST, "No data"),
            Self::InvalidFormat => (6, StatusCode::BAD_REQUEST, "Invalid data format"),
            Self::Busy => (9, StatusCode::SERVICE_UNAVAILABLE, "Server is busy"),
            Self::NoChannel => (10, StatusCode::BAD_REQUEST, "Data channel is missing"),
            Self::BadChannel => (11, StatusCode::BAD_REQUEST, "Invalid data channel"),
            Self::NoEvent => (12, StatusCode::BAD_REQUEST, "Event field is required"),
            Self::BlankEvent => (13, StatusCode::BAD_REQUEST, "Event field cannot be blank"),
            Self::AcksOff => (14, StatusCode::BAD_REQUEST, "ACK is disabled"),
            Self::TokenInQuery => {
                (16, StatusCode::BAD_REQUEST, "Query string authorization is not enabled")
            }
            Self::Healthy => (17, StatusCode::OK, "HEC is healthy"),
            Self::Unhealthy => {
                (18, StatusCode::SERVICE_UNAVAILABLE, "HEC is unhealthy, queues are full")
            }
            Self::TooLarge => (27, StatusCode::PAYLOAD_TOO_LARGE, "Request entity too large"),
        }
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    status: StatusCode,
    body: String,
    retry_after: Option<Duration>,
}

impl From<Code> for Said {
    fn from(code: Code) -> Self {
        let (number, status, text) = code.parts();
        let body = format!("{{\"text\":\"{text}\",\"code\":{number}}}");
        let retry_after = (code == Code::Busy).then_some(RETRY_AFTER);
        Self { status, body, retry_after }
    }
}

impl Said {
    /// Everything was taken, or kept; the id acknowledges it on its channel.
    pub(super) fn success(ack_id: Option<u64>) -> Self {
        Self::from(Code::Success).member("ackId", ack_id)
    }

    /// Which ids are acknowledged.
    pub(super) fn acks(acks: impl Iterator<Item = (u64, bool)>) -> Self {
        let mut body = String::from("{\"acks\":{");
        for (at, (id, known)) in acks.enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(body, "{comma}\"{id}\":{known}").expect("writing to a string cannot fail");
        }
        body.push_str("}}");
        Self { status: StatusCode::OK, body, retry_after: None }
    }

    /// Nothing is there, said as JSON.
    pub(super) fn not_found() -> Self {
        let body = "{\"text\":\"The requested URL was not found on this server.\",\"code\":404}";
        Self { status: StatusCode::NOT_FOUND, body: body.to_owned(), retry_after: None }
    }

    /// Names the event at fault, from 0.
    pub(super) fn event(self, at: usize) -> Self {
        self.member("invalid-event-number", Some(u64::try_from(at).unwrap_or(u64::MAX)))
    }

    pub(super) fn status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// Says when the request may be sent again.
    pub(super) fn retry(self, after: Option<Duration>) -> Self {
        Self { retry_after: after.or(self.retry_after), ..self }
    }

    fn member(mut self, name: &str, value: Option<u64>) -> Self {
        if let Some(value) = value {
            self.body.pop();
            write!(self.body, ",\"{name}\":{value}}}").expect("writing to a string cannot fail");
        }
        self
    }

    pub(super) fn into_http(self) -> Response<Body> {
        let mut response = answer::json(self.status, self.body);
        if let Some(after) = self.retry_after {
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            let seconds = HeaderValue::from(seconds.max(1));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Splunk");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_spelled_as_senders_expect_them() {
        let body = |said: Said| said.body;
        assert_eq!(body(Said::success(None)), r#"{"text":"Success","code":0}"#);
        assert_eq!(body(Said::success(Some(3))), r#"{"text":"Success","code":0,"ackId":3}"#);
        let invalid = Said::from(Code::InvalidFormat).event(0);
        assert_eq!(
            body(invalid),
            r#"{"text":"Invalid data format","code":6,"invalid-event-number":0}"#
        );
        let acks = Said::acks([(0, true), (99, false)].into_iter());
        assert_eq!(body(acks), r#"{"acks":{"0":true,"99":false}}"#);
        let busy = Said::from(Code::Busy).retry(Some(Duration::from_millis(1_200))).into_http();
        assert_eq!(
            (busy.status().as_u16(), &busy.headers()["retry-after"]),
            (503, &"2".parse().unwrap())
        );
    }
}
