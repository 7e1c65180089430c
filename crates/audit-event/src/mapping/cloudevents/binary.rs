//! Binary mode of the HTTP binding, section 3.1: an attribute is a header `ce-<name>`, the data is the
//! body, and its content type is `datacontenttype`.

use std::borrow::Cow;

use super::attributes::{Envelope, check_name, is_json};
use super::fill;
use crate::mapping::fields::Notes;
use crate::mapping::{IdFrom, Intake, MapError, Mapped};
use crate::path::Path;

/// A header line of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// Its name, in any case.
    pub name: &'a str,
    /// Its value.
    pub value: &'a [u8],
}

/// One event in binary mode.
pub fn map_binary(
    headers: &[Header<'_>],
    body: &[u8],
    intake: &Intake<'_>,
) -> Result<Mapped<'static>, MapError> {
    let notes = Notes::default();
    let mut envelope = Envelope::default();
    for header in headers {
        let name = header.name.to_ascii_lowercase();
        if let Some(attribute) = name.strip_prefix("ce-") {
            check_name(attribute)?;
            envelope.insert(attribute, decoded(attribute, header.value)?)?;
        } else if name == "content-type" {
            envelope.insert("datacontenttype", utf8("datacontenttype", header.value.to_vec())?)?;
        }
    }
    let content_type = envelope.attributes.get("datacontenttype");
    let has_json = content_type.is_none_or(|content_type| is_json(content_type));
    envelope.data = Some(body).filter(|body| has_json && !body.is_empty());
    let draft = fill(envelope, intake, &notes)?;
    let mut mapped = draft.finish(&[], "message/http", IdFrom::Sender, &notes);
    mapped.raw = Cow::Owned(raw_of_binary(headers, body));
    Ok(mapped)
}

/// The source that an event in binary mode states.
pub fn source_of_binary(headers: &[Header<'_>]) -> Option<String> {
    let header = headers.iter().find(|header| header.name.eq_ignore_ascii_case("ce-source"))?;
    decoded("source", header.value).ok()
}

/// RAW of an event in binary mode: the `ce-*` and `content-type` lines with their names in lower case,
/// sorted, each with CRLF, an empty line, and the body.
pub fn raw_of_binary(headers: &[Header<'_>], body: &[u8]) -> Vec<u8> {
    let line = |header: &Header<'_>| {
        let name = header.name.to_ascii_lowercase();
        let is_kept = name.starts_with("ce-") || name == "content-type";
        is_kept.then(|| [name.as_bytes(), b": ", header.value, b"\r\n"].concat())
    };
    let mut lines: Vec<Vec<u8>> = headers.iter().filter_map(line).collect();
    lines.sort();
    lines.push(b"\r\n".to_vec());
    lines.push(body.to_vec());
    lines.concat()
}

/// A header's value: quotes and backslashes of a quoted string are undone, then percent-encoding, once.
fn decoded(attribute: &str, value: &[u8]) -> Result<String, MapError> {
    let value = value.trim_ascii();
    let quoted = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    let value = quoted.map_or(Cow::Borrowed(value), |inner| Cow::Owned(unquoted(inner)));
    utf8(attribute, percent_decoded(&value))
}

fn utf8(attribute: &str, bytes: Vec<u8>) -> Result<String, MapError> {
    String::from_utf8(bytes).map_err(|_| MapError::Encoding { path: Path::of(attribute) })
}

fn unquoted(inner: &[u8]) -> Vec<u8> {
    let mut escaped = false;
    let mut out = Vec::with_capacity(inner.len());
    for byte in inner {
        escaped = *byte == b'\\' && !escaped;
        if !escaped {
            out.push(*byte);
        }
    }
    out
}

/// A `%` without two digits behind it stays what it is.
fn percent_decoded(mut text: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut out = Vec::with_capacity(text.len());
    while let Some((first, rest)) = text.split_first() {
        text = rest;
        out.push(*first);
        if let (b'%', [high, low, rest @ ..]) = (first, rest)
            && let Some((high, low)) = digit(*high).zip(digit(*low))
        {
            text = rest;
            out.pop();
            out.push(high * 16 + low);
        }
    }
    out
}
