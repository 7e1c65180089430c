//! OTLP over HTTP: every answer is in the encoding of its request, a refusal is a `google.rpc.Status`.

use audit_api::shown::object;
use audit_event::{Integer, Value, text};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serve::body::{Body, full};
use serve::refusal::{Kind, Refusal};

use super::{Encoding, Exported, export, protobuf};
use crate::receive::{Asked, Receive};

pub(crate) async fn answer<B>(receive: &Receive, asked: &Asked<'_>, body: B) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    let encoding = match asked.media_type().as_str() {
        "application/json" => Encoding::Json,
        "application/x-protobuf" => Encoding::Protobuf,
        _ => return refused(receive.counted(media_type()), Encoding::Json),
    };
    match take(receive, asked, encoding, body).await {
        Ok(exported) => exported.into_http(encoding),
        Err(refusal) => refused(receive.counted(refusal), encoding),
    }
}

async fn take<B>(
    receive: &Receive,
    asked: &Asked<'_>,
    encoding: Encoding,
    body: B,
) -> Result<Exported, Refusal>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    let bytes_max = receive.options().otlp_http_bytes_max;
    let received = receive.body(asked, &encoding.sender(), body, bytes_max).await?;
    export(receive, asked, encoding, received.bytes()).await
}

impl Exported {
    fn into_http(self, encoding: Encoding) -> Response<Body> {
        let body = match encoding {
            Encoding::Protobuf => self.protobuf(),
            Encoding::Json if self == Self::default() => b"{}".to_vec(),
            Encoding::Json => {
                let partial = object([
                    ("errorMessage", Value::Text(self.message)),
                    ("rejectedLogRecords", Value::Text(self.rejected.to_string())),
                ]);
                text::write(&object([("partialSuccess", Value::Object(partial))])).into_bytes()
            }
        };
        response(StatusCode::OK, encoding, body)
    }
}

/// `google.rpc.Status`: `code` (1) and `message` (2).
fn refused(refusal: Refusal, encoding: Encoding) -> Response<Body> {
    let code = i32::from(refusal.kind.grpc());
    let body = match encoding {
        Encoding::Protobuf => {
            let mut status = Vec::new();
            protobuf::number(1, u64::try_from(code).unwrap_or(0), &mut status);
            protobuf::bytes(2, refusal.message.as_bytes(), &mut status);
            status
        }
        Encoding::Json => {
            let code = Integer::new(code.into()).map_or(Value::Null, Value::Integer);
            let message = Value::from(&*refusal.message);
            text::write(&object([("code", code), ("message", message)])).into_bytes()
        }
    };
    let (head, _) = refusal.into_http().into_parts();
    let mut response = response(head.status, encoding, body);
    for name in [header::RETRY_AFTER, header::CONNECTION] {
        if let Some(value) = head.headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

fn response(status: StatusCode, encoding: Encoding, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(full(body));
    *response.status_mut() = status;
    let media_type = HeaderValue::from_static(encoding.media_type());
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    response
}

fn media_type() -> Refusal {
    Refusal::new(Kind::UnknownEncoding, "MEDIA_TYPE")
        .field("content-type")
        .says("Content-Type must be application/x-protobuf or application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_a_status_in_the_encoding_of_its_request() {
        let refusal = || Refusal::new(Kind::Invalid, "BAD_BODY").says("no");
        let head = |answer: Response<Body>, name: &str| {
            (answer.status().as_u16(), answer.headers()[name].to_str().unwrap().to_owned())
        };
        let plain = head(refused(refusal(), Encoding::Json), "content-type");
        assert_eq!(plain, (400, "application/json".to_owned()));
        let packed = head(refused(refusal(), Encoding::Protobuf), "content-type");
        assert_eq!(packed, (400, "application/x-protobuf".to_owned()));
        let busy = Refusal::new(Kind::QueueFull, "QUEUE_FULL").retry(std::time::Duration::ZERO);
        assert_eq!(head(refused(busy, Encoding::Json), "retry-after"), (429, "1".to_owned()));
    }
}
