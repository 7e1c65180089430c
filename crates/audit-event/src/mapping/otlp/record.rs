//! A log record, in whatever encoding it came.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::Word;
use crate::json::{self, Numbers};
use crate::mapping::draft::Draft;
use crate::mapping::fields::Notes;
use crate::text;
use crate::value::{Integer, Object, Value};

/// Levels of values that are read; the value of a level more is left out and flagged.
pub(super) const LEVELS_MAX: usize = 24;
/// Bytes of a text that is still longer than a value of metadata may be, so that it is named as cut.
const SHORTENED_MAX: usize = 1_028;

#[derive(Debug, Default)]
pub(super) struct LogRecord {
    /// Nanoseconds since the Unix epoch; 0 is not known.
    pub(super) time: u64,
    pub(super) observed: u64,
    pub(super) severity: u64,
    pub(super) severity_text: String,
    pub(super) body: Any,
    pub(super) attributes: Vec<(String, Any)>,
    /// 32 lower-case digits, not all zero.
    pub(super) trace_id: Option<String>,
    /// 16 lower-case digits, not all zero.
    pub(super) span_id: Option<String>,
    pub(super) event_name: String,
}

/// `AnyValue`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Any {
    #[default]
    Empty,
    Text(String),
    Bool(bool),
    Int(i64),
    /// The spelling of a number with a fraction, or of what is no number.
    Double(String),
    /// In base64.
    Bytes(String),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
}

impl Any {
    /// As a value of an event. Of two members of one name the first counts.
    pub(super) fn value(&self, notes: &Notes) -> Value {
        match self {
            Self::Empty => Value::Null,
            Self::Text(text) | Self::Bytes(text) => Value::from(text.as_str()),
            Self::Bool(value) => Value::from(*value),
            Self::Int(value) => match Integer::new(*value) {
                Some(integer) => integer.into(),
                None => Value::Text(value.to_string()),
            },
            Self::Double(spelling) => number(spelling).0,
            Self::List(items) => Value::List(items.iter().map(|item| item.value(notes)).collect()),
            Self::Map(members) => {
                let mut object = Object::new();
                for (name, value) in members {
                    if object.contains_key(name) {
                        notes.note_twice();
                    } else {
                        object.insert(name.clone(), value.value(notes));
                    }
                }
                Value::Object(object)
            }
        }
    }

    /// Under a key of metadata: lists and maps as their JSON text.
    pub(super) fn into_metadata(self, key: &str, draft: &mut Draft, notes: &Notes) {
        match (&self, self.value(notes)) {
            (Self::Empty, _) => {}
            (_, value @ (Value::List(_) | Value::Object(_))) => {
                draft.metadata(key, text::write_value(&value));
            }
            (Self::Int(_), value @ Value::Text(_)) => draft.metadata_number(key, value),
            (Self::Double(spelling), value) if number(spelling).1 => {
                draft.metadata_number(key, value);
            }
            (_, value) => draft.metadata(key, value),
        }
    }

    /// The value, or the beginning of its text that is longer than metadata may have.
    pub(super) fn shortened(self, notes: &Notes) -> Self {
        let text = match self {
            Self::Text(text) | Self::Bytes(text) => text,
            Self::List(_) | Self::Map(_) => text::write_value(&self.value(notes)),
            scalar => return scalar,
        };
        Self::Text(text[..text.floor_char_boundary(SHORTENED_MAX)].to_owned())
    }

    /// What a scalar says, as text.
    fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) | Self::Double(text) => Some(text.clone()),
            Self::Bool(value) => Some(value.to_string()),
            Self::Int(value) => Some(value.to_string()),
            Self::Empty | Self::Bytes(_) | Self::List(_) | Self::Map(_) => None,
        }
    }
}

/// What a spelling becomes, and whether it is a number that stands as text. `NaN` is a text.
fn number(spelling: &str) -> (Value, bool) {
    match json::parse(spelling.as_bytes(), Numbers::Foreign) {
        Ok(parsed) => (parsed.value, !parsed.numbers.is_empty()),
        Err(_) => (Value::from(spelling), false),
    }
}

/// Attributes that have not been taken yet. Of two of one name the first counts.
#[derive(Debug)]
pub(super) struct Attributes(BTreeMap<String, Any>);

impl Attributes {
    pub(super) fn new(attributes: Vec<(String, Any)>, notes: &Notes) -> Self {
        let mut all = BTreeMap::new();
        for (name, value) in attributes {
            match all.entry(name) {
                Entry::Occupied(_) => notes.note_twice(),
                Entry::Vacant(entry) => drop(entry.insert(value)),
            }
        }
        Self(all)
    }

    /// Takes a scalar that says something; what is none stays.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        let text = self.0.get(name)?.text().filter(|text| !text.is_empty())?;
        self.0.remove(name);
        Some(text)
    }

    /// Takes a text that is one of the words; another one stays.
    pub(super) fn word<W: Word>(&mut self, name: &str) -> Option<W> {
        let word = W::from_word(&self.0.get(name)?.text()?)?;
        self.0.remove(name);
        Some(word)
    }

    /// Takes a list of scalars, or one.
    pub(super) fn texts(&mut self, name: &str) -> Vec<String> {
        match self.0.remove(name) {
            None => Vec::new(),
            Some(Any::List(items)) => items.iter().filter_map(Any::text).collect(),
            Some(other) => other.text().into_iter().collect(),
        }
    }

    pub(super) fn into_rest(self) -> BTreeMap<String, Any> {
        self.0
    }
}

/// An id of this many digits, in lower case; empty, all zero or of another length it is absent.
pub(super) fn id(digits: &str, length: usize) -> Option<String> {
    let is_id = digits.len() == length
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        && digits.bytes().any(|byte| byte != b'0');
    is_id.then(|| digits.to_ascii_lowercase())
}
