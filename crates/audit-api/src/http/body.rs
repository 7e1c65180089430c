//! A body of events in parts: one object, an array, or a line an event.

use audit_event::mapping::items::Items;
use http::{HeaderMap, HeaderValue, header};
use serve::refusal::Refusal;

use crate::refusal;

/// Events that one body may hold.
pub(crate) const EVENTS_MAX: usize = 1_000;

/// The UTF-8 mark that some editors put before a text.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// The bytes of one event, and the line of the body that they begin in, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) line: usize,
}

/// How a body says its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// One value: an object, or an array of objects.
    Json,
    /// A line an event.
    Lines,
    /// The first byte says.
    Unsaid,
}

/// The events of a body, 1 to [`EVENTS_MAX`].
pub(crate) fn parts<'a>(body: &'a [u8], headers: &HeaderMap) -> Result<Vec<Part<'a>>, Refusal> {
    let form = form(headers).ok_or_else(refusal::media_type)?;
    let text = body.strip_prefix(MARK).unwrap_or(body);
    let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
    let parts = match (form, first) {
        (_, None) => return Err(refusal::no_events()),
        (Form::Json | Form::Unsaid, Some(b'[')) => array(text)?,
        (Form::Json, Some(_)) => vec![whole(text)],
        (Form::Unsaid, Some(_)) if is_one_value(text) => vec![whole(text)],
        (Form::Lines | Form::Unsaid, Some(_)) => lines(text)?,
    };
    if parts.is_empty() { Err(refusal::no_events()) } else { Ok(parts) }
}

/// What the `Content-Type` says; `None` if it is of something else. What curl sends by default says
/// nothing.
fn form(headers: &HeaderMap) -> Option<Form> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Some(Form::Unsaid) };
    let value = HeaderValue::to_str(value).ok()?.to_ascii_lowercase();
    let (media, parameters) = value.split_once(';').unwrap_or((&value, ""));
    let charset = parameters.split(';').filter_map(|it| it.trim().strip_prefix("charset="));
    if charset.map(|it| it.trim_matches('"')).any(|it| it != "utf-8" && it != "utf8") {
        return None;
    }
    match media.trim() {
        "application/json" => Some(Form::Json),
        "application/x-ndjson"
        | "application/ndjson"
        | "application/jsonl"
        | "application/x-jsonlines"
        | "application/json-lines" => Some(Form::Lines),
        "" | "text/plain" | "application/octet-stream" | "application/x-www-form-urlencoded" => {
            Some(Form::Unsaid)
        }
        _ => None,
    }
}

fn is_one_value(text: &[u8]) -> bool {
    let mut values = audit_event::mapping::items::Stacked::of(text);
    values.next().is_some_and(|first| first.is_ok()) && values.next().is_none()
}

fn whole(text: &[u8]) -> Part<'_> {
    let blank = text.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    Part { bytes: text.trim_ascii(), line: 1 + count_lines(&text[..blank]) }
}

fn array(text: &[u8]) -> Result<Vec<Part<'_>>, Refusal> {
    // What is wrong with a body that is cut nowhere is said of the whole.
    let Ok(items) = Items::of_list(text) else { return Ok(vec![whole(text)]) };
    let (mut line, mut seen) = (1, 0);
    let mut parts = Vec::new();
    for bytes in items {
        if parts.len() == EVENTS_MAX {
            return Err(refusal::too_many_events(EVENTS_MAX));
        }
        let at = bytes.as_ptr().addr() - text.as_ptr().addr();
        line += count_lines(&text[seen..at]);
        seen = at;
        parts.push(Part { bytes, line });
    }
    Ok(parts)
}

/// A line that holds nothing is passed over.
fn lines(text: &[u8]) -> Result<Vec<Part<'_>>, Refusal> {
    let mut parts = Vec::new();
    for (line, bytes) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        let bytes = bytes.trim_ascii();
        if bytes.is_empty() {
            continue;
        }
        if parts.len() == EVENTS_MAX {
            return Err(refusal::too_many_events(EVENTS_MAX));
        }
        parts.push(Part { bytes, line });
    }
    Ok(parts)
}

fn count_lines(bytes: &[u8]) -> usize {
    bytes.split(|byte| *byte == b'\n').count() - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(content_type: &str, body: &str) -> Result<Vec<(usize, String)>, &'static str> {
        let mut headers = HeaderMap::new();
        if !content_type.is_empty() {
            headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        }
        let parts = parts(body.as_bytes(), &headers).map_err(|refusal| refusal.reason.unwrap())?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Ok(parts.iter().map(|part| (part.line, text(part.bytes))).collect())
    }

    fn of(parts: &[(usize, &str)]) -> Vec<(usize, String)> {
        parts.iter().map(|(line, text)| (*line, (*text).to_owned())).collect()
    }

    #[test]
    fn a_body_is_an_object_an_array_or_lines() {
        let json = "application/json; charset=UTF-8";
        let lines = "application/x-ndjson";
        for (content_type, body, expected) in [
            (json, "\n {\"a\":\n1} ", &[(2, "{\"a\":\n1}")][..]),
            (json, "[{},\n {}\n]", &[(1, "{}"), (2, "{}")]),
            ("", "[1]", &[(1, "1")]),
            ("", "{\"a\":\n1}", &[(1, "{\"a\":\n1}")]),
            ("", "\u{feff}{}\r\n\r\n{}\r\n", &[(1, "{}"), (3, "{}")]),
            ("text/plain", "{}\nnot json", &[(1, "{}"), (2, "not json")]),
            (lines, "{}", &[(1, "{}")]),
            (lines, "[{}]", &[(1, "[{}]")]),
            (json, "{}\n{}", &[(1, "{}\n{}")]),
            (json, "[{},", &[(1, "[{},")]),
            (json, "nonsense", &[(1, "nonsense")]),
        ] {
            assert_eq!(split(content_type, body), Ok(of(expected)), "{content_type} {body:?}");
        }
    }

    #[test]
    fn other_bodies_are_refused() {
        for content_type in ["text/xml", "application/json; charset=latin1", "multipart/form-data"]
        {
            assert_eq!(split(content_type, "{}"), Err("MEDIA_TYPE"), "{content_type}");
        }
        for body in ["", " \r\n", "\u{feff}", "[]"] {
            assert_eq!(split("", body), Err("EMPTY_BATCH"), "{body:?}");
        }
        let array = |count: usize| format!("[{}]", vec!["{}"; count].join(","));
        let lines = |count: usize| "{}\n".repeat(count);
        for body in [array, lines] {
            assert_eq!(split("", &body(EVENTS_MAX)).unwrap().len(), EVENTS_MAX);
            assert_eq!(split("", &body(EVENTS_MAX + 1)), Err("TOO_MANY_EVENTS"));
        }
    }
}
