//! CloudEvents in the structured form of JSON, one a request, signed as Standard Webhooks has it.

use audit_event::mapping::cloudevents::{self, Domain};
use audit_event::{Value, text};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderValue, Request, Uri};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::batch::{Item, Record};
use crate::reply::{Fate, Reason, Reply, of_status, strange};

/// What a secret begins with that is the base64 of a key.
const ENCODED: &str = "whsec_";

/// The event with what finds it in its log again.
pub(crate) fn record(item: &Item<'_>, domain: &Domain) -> Option<String> {
    let described = item.stored.described(item.event, item.origin);
    let mut event = cloudevents::export(&described, domain).ok()?;
    let mut put = |name: &str, text: String| drop(event.insert(name.to_owned(), Value::Text(text)));
    put("logname", item.log.to_owned());
    put("logleafhash", item.stored.leaf_hash.to_string());
    put("logtreesize", item.tree_size.to_string());
    Some(text::write(&event))
}

/// The key that signs: the bytes of the secret, or those that it encodes.
pub(crate) fn key(secret: &str) -> Option<Zeroizing<Vec<u8>>> {
    let key = match secret.strip_prefix(ENCODED) {
        Some(encoded) => STANDARD.decode(encoded).ok()?,
        None => secret.as_bytes().to_vec(),
    };
    (!key.is_empty()).then(|| Zeroizing::new(key))
}

/// `v1,` and the base64 of HMAC-SHA256 over id, seconds and body, with dots between.
pub(crate) fn signature(key: &[u8], id: &str, seconds: u64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(format!("{id}.{seconds}.").as_bytes());
    mac.update(body.as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

pub(crate) fn request(
    url: &Uri,
    key: &[u8],
    seconds: u64,
    record: &Record,
) -> Option<Request<Bytes>> {
    let signature = signature(key, &record.id, seconds, &record.body);
    let body = record.body.clone();
    let mut request = super::post(&url.to_string(), "application/cloudevents+json", None, body)?;
    let headers = [
        ("webhook-id", record.id.clone()),
        ("webhook-timestamp", seconds.to_string()),
        ("webhook-signature", signature),
    ];
    for (name, text) in headers {
        request.headers_mut().insert(name, HeaderValue::from_str(&text).ok()?);
    }
    Some(request)
}

/// Any success is one; what a receiver says in a body is not read.
pub(crate) fn reply(status: u16, headers: &HeaderMap) -> Reply {
    match status {
        200..=299 => Reply::Taken { is_confirmed: true },
        400 | 422 => {
            Reply::Fates { fates: vec![Fate::Dead(Reason::new(status, "refused"))], pauses: false }
        }
        _ => of_status(status, headers).unwrap_or_else(|| strange(status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_covers_id_time_and_body() {
        // The example of the Standard Webhooks specification.
        let key = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let body = r#"{"test": 2432232314}"#;
        let made = signature(&key, id, 1_614_265_330, body);
        assert_eq!(made, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_ne!(made, signature(&key, id, 1_614_265_331, body));
        assert_ne!(made, signature(&key, "other", 1_614_265_330, body));
        assert_ne!(made, signature(b"other", id, 1_614_265_330, body));
    }

    #[test]
    fn a_secret_is_text_or_encodes_a_key() {
        assert_eq!(**key("secret").unwrap(), *b"secret");
        assert_eq!(**key("whsec_c2VjcmV0").unwrap(), *b"secret");
        for bad in ["", "whsec_", "whsec_*"] {
            assert!(key(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn statuses_say_what_becomes_of_an_event() {
        let of = |status| reply(status, &HeaderMap::new());
        for taken in [200, 202, 204] {
            assert_eq!(of(taken), Reply::Taken { is_confirmed: true });
        }
        for dead in [400, 422] {
            assert!(matches!(of(dead), Reply::Fates { .. }), "{dead}");
        }
        for stop in [301, 302, 401, 403, 404, 405, 410, 415] {
            assert!(matches!(of(stop), Reply::Stop(_)), "{stop}");
        }
        for later in [100, 402, 408, 409, 429, 500, 503] {
            assert!(matches!(of(later), Reply::Later { .. }), "{later}");
        }
        assert!(matches!(of(413), Reply::Halve(_)));
    }
}
