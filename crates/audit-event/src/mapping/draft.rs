//! An event while a mapping fills it.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::IpAddr;

use super::fields::{Notes, any_value};
use super::{IdFrom, Intake, Mapped};
use crate::event::{Actor, ActorKind, AuditEvent};
use crate::flag::{Flag, Flags};
use crate::limits::{ACTION_MAX, SOURCE_MAX, cut};
use crate::path::Path;
use crate::text;
use crate::validate::is_action;
use crate::value::Value;

/// Bytes of a key of `metadata`.
const KEY_MAX: usize = 64;
/// Parts of an action.
const ACTION_PARTS_MAX: usize = 12;

#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) event: AuditEvent,
    pub(crate) flags: Flags,
}

impl Draft {
    /// Describes the event with a text that need not be UTF-8.
    pub(crate) fn text(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        if matches!(text, Cow::Owned(_)) {
            self.flags.insert(Flag::CHARACTERS_REPLACED);
        }
        self.event.description = Some(text.into_owned());
    }

    /// Where it came from: an address, or the name of a host. Another text goes to metadata.
    pub(crate) fn host(&mut self, host: Option<String>) {
        let Some(host) = host else { return };
        match address(&host) {
            Some(address) => self.event.origin.ip = Some(address),
            None if is_host(&host) => self.event.origin.host = Some(host),
            None => self.metadata("host", host),
        }
    }

    /// Puts a simple value under a key, which is encoded where a key may not have its characters. The
    /// first value of a key stays.
    pub(crate) fn metadata(&mut self, key: &str, value: impl Into<Value>) {
        self.put(key, value.into(), false);
    }

    pub(crate) fn metadata_text(&mut self, key: &str, text: Option<String>) {
        if let Some(text) = text {
            self.metadata(key, text);
        }
    }

    /// Puts a JSON value: a scalar as itself, a list or an object as its text.
    pub(crate) fn metadata_json(&mut self, key: &str, json: &[u8], notes: &Notes) {
        match any_value(json, notes) {
            (Value::List(_) | Value::Object(_), _) => {
                let spelled = String::from_utf8_lossy(json).into_owned();
                self.put(key, Value::from(spelled), false);
            }
            (Value::Null, _) => {}
            (scalar, numbers) => self.put(key, scalar, !numbers.is_empty()),
        }
    }

    /// Puts the spelling of a number that is not an integer which every reader keeps.
    pub(crate) fn metadata_number(&mut self, key: &str, spelling: impl Into<Value>) {
        self.put(key, spelling.into(), true);
    }

    fn put(&mut self, key: &str, value: Value, was_number: bool) {
        let mut key = encoded_key(key);
        if key.len() > KEY_MAX {
            self.flags.insert(Flag::TRUNCATED);
            key.truncate(KEY_MAX);
        }
        if self.event.metadata.contains_key(&key) {
            self.flags.insert(Flag::DUPLICATE_KEYS);
            return;
        }
        if was_number {
            self.event.numbers.insert(Path::of("metadata").member(&key).pointer());
        }
        self.event.metadata.insert(key, value);
    }

    /// The item as an event, with what reading noticed.
    pub(crate) fn finish<'a>(
        mut self,
        raw: &'a [u8],
        content_type: &'static str,
        id: IdFrom,
        notes: &Notes,
    ) -> Mapped<'a> {
        self.flags.extend(notes.flags());
        Mapped {
            event: self.event,
            flags: self.flags,
            raw: raw.into(),
            content_type,
            id,
            own: None,
        }
    }
}

/// A key of 1 to 64 printable ASCII characters that stands for this one and no other: `%` and what is
/// not printable are percent-encoded, and a lone `%` stands for the empty key.
fn encoded_key(key: &str) -> String {
    if key.is_empty() {
        return "%".to_owned();
    }
    percent_encoded(key, |byte| (0x20..0x7f).contains(&byte) && byte != b'%')
}

pub(crate) fn percent_encoded(text: &str, stays: impl Fn(u8) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if stays(byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a string cannot fail");
        }
    }
    out
}

/// `head` and the segments with `/` between, as a URI reference; `None` if it is longer than a source.
pub fn source_uri(head: &str, segments: &[&str]) -> Option<String> {
    let stays = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let segments = segments.iter().map(|segment| percent_encoded(segment, stays));
    let uri = head.to_owned() + &segments.collect::<Vec<_>>().join("/");
    (!uri.is_empty() && uri.len() <= SOURCE_MAX).then_some(uri)
}

/// An action of these parts. Letters become small, other characters `_`. A part may have dots, which
/// begin parts of their own; where those would be too many, each becomes `_`.
pub(crate) fn action(parts: &[&str]) -> String {
    let cleaned = |part: &&str| {
        let allowed = |letter: char| {
            let letter = letter.to_ascii_lowercase();
            let fits = letter.is_ascii_alphanumeric() || "_-.".contains(letter);
            if fits { letter } else { '_' }
        };
        let part: String = part.chars().map(allowed).collect();
        part.split('.').filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".")
    };
    let parts: Vec<String> = parts.iter().map(cleaned).filter(|part| !part.is_empty()).collect();
    let whole = parts.join(".");
    if whole.split('.').count() <= ACTION_PARTS_MAX {
        return whole;
    }
    parts.iter().map(|part| part.replace('.', "_")).collect::<Vec<_>>().join(".")
}

/// Whether a text is an action, and still one when it is cut to the length of one.
pub(crate) fn is_usable_action(text: &str) -> bool {
    is_action(text) && is_action(cut(text, ACTION_MAX).trim_end_matches('.'))
}

/// An address in its one spelling.
pub(crate) fn address(text: &str) -> Option<String> {
    text.parse::<IpAddr>().ok().map(|address| address.to_string())
}

/// Whether a text can be the name of a host.
pub(crate) fn is_host(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !text.is_empty() && text.len() <= 255 && text.bytes().all(fits)
}

/// The actor of an item that states none: the configured one, or a service of this id.
pub(crate) fn default_actor(intake: &Intake<'_>, id: &str) -> Actor {
    let id = if id.is_empty() { intake.source } else { id };
    intake.actor.cloned().unwrap_or_else(|| Actor::new(ActorKind::Service, id))
}

/// A list of texts as one text: JSON, so that none runs into the next.
pub(crate) fn list_text(texts: Vec<String>) -> String {
    text::write_value(&Value::List(texts.into_iter().map(Value::from).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_encoded_one_to_one() {
        let mut draft = Draft::default();
        let long = "k".repeat(65);
        for key in ["a.b/c", "", "%", "é\n", "a.b/c", &long] {
            draft.metadata(key, true);
        }
        let keys: Vec<_> = draft.event.metadata.keys().map(String::as_str).collect();
        assert_eq!(keys, ["%", "%25", "%C3%A9%0A", "a.b/c", &long[..64]]);
        let flags: Vec<_> = draft.flags.iter().map(Flag::name).collect();
        assert_eq!(flags, ["duplicate_keys", "truncated"]);
    }

    #[test]
    fn numbers_of_metadata_are_named() {
        let (mut draft, notes) = (Draft::default(), Notes::default());
        for (key, json) in
            [("a", "1.5"), ("b", "3.0"), ("c", "9007199254740993"), ("d/e", "1e-7"), ("f", "[1.5]")]
        {
            draft.metadata_json(key, json.as_bytes(), &notes);
        }
        assert_eq!(draft.event.metadata["c"], Value::from("9007199254740993"));
        assert_eq!(draft.event.metadata["b"], crate::Integer::from(3).into());
        let numbers: Vec<_> = draft.event.numbers.iter().map(String::as_str).collect();
        assert_eq!(numbers, ["/metadata/a", "/metadata/c", "/metadata/d~1e"]);
    }

    #[test]
    fn actions_have_the_form_of_one() {
        let long = "a.".repeat(11) + "example.com";
        let cases: [(&[&str], &str); 5] = [
            (&["k8s", "apps", "deployments", "patch"], "k8s.apps.deployments.patch"),
            (&["aws", "s3", "ListBuckets"], "aws.s3.listbuckets"),
            (&["k8s", "", "a..b ü", "x"], "k8s.a.b__.x"),
            (&["k8s", &long, "things", "get"], "k8s.a_a_a_a_a_a_a_a_a_a_a_example_com.things.get"),
            (&["k8s", "."], "k8s"),
        ];
        for (parts, expected) in cases {
            assert_eq!(action(parts), expected);
            assert_eq!(is_action(expected), expected != "k8s");
        }
    }

    #[test]
    fn an_action_that_is_none_when_it_is_cut_is_not_usable() {
        let of_length = |first: usize| format!("{}.b", "a".repeat(first));
        assert!(is_usable_action("a.b") && is_usable_action(&format!("a.{}", "b".repeat(200))));
        assert!(is_usable_action(&of_length(126)));
        for unusable in [of_length(127), of_length(200), "a".to_owned(), "A.b".to_owned()] {
            assert!(!is_usable_action(&unusable), "{unusable}");
        }
    }

    #[test]
    fn sources_and_addresses_have_one_spelling() {
        assert_eq!(source_uri("aws://", &["1", "eu", "s3"]).unwrap(), "aws://1/eu/s3");
        assert_eq!(source_uri("", &["a b", "c/d"]).unwrap(), "a%20b/c%2Fd");
        assert_eq!(source_uri("", &[&"x".repeat(257)]), None);
        assert_eq!(address("2001:DB8:0:0:0:0:0:7").unwrap(), "2001:db8::7");
        assert_eq!(address("AWS Internal"), None);
        assert!(is_host("batch.amazonaws.com") && !is_host("AWS Internal") && !is_host(""));
    }
}
