//! Members of a foreign JSON object by name, one level at a time. What nobody asks for is never read.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::MapError;
use super::items::{Items, each_member, only_value, unescaped};
use crate::flag::{Flag, Flags};
use crate::json::{self, JsonError, Numbers};
use crate::members::Rule;
use crate::path::Path;
use crate::time::Instant;
use crate::value::Value;

/// Items of a list that are read: more than any sender has, and few enough for the memory that they take.
const LIST_MAX: usize = 200_000;

/// What reading noticed, wherever in the item.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    twice: Cell<bool>,
    replaced: Cell<bool>,
    time_altered: Cell<bool>,
    cut: Cell<bool>,
}

impl Notes {
    pub(crate) fn flags(&self) -> Flags {
        let noticed = [
            (&self.twice, Flag::DUPLICATE_KEYS),
            (&self.replaced, Flag::CHARACTERS_REPLACED),
            (&self.time_altered, Flag::TIME_INVALID),
            (&self.cut, Flag::TRUNCATED),
        ];
        noticed.into_iter().filter(|(seen, _)| seen.get()).map(|(_, flag)| flag).collect()
    }

    pub(crate) fn note_twice(&self) {
        self.twice.set(true);
    }

    pub(crate) fn note_replaced(&self) {
        self.replaced.set(true);
    }

    /// A part was left out that lies too deep.
    pub(crate) fn note_cut(&self) {
        self.cut.set(true);
    }

    pub(crate) fn note_time_altered(&self) {
        self.time_altered.set(true);
    }

    /// Text of a JSON string whose syntax has been checked.
    pub(crate) fn unescape(&self, string: &[u8]) -> String {
        let (text, replaced) = unescaped(string);
        self.replaced.set(self.replaced.get() || replaced);
        text
    }

    /// The time that a text states.
    pub(crate) fn time(&self, text: &str, path: &Path) -> Result<Instant, MapError> {
        let stated =
            Instant::parse(text).map_err(|error| MapError::field(path, Rule::Time(error)))?;
        self.time_altered.set(self.time_altered.get() || stated.altered);
        Ok(stated.instant)
    }
}

/// The members of one object that have not been taken yet.
#[derive(Debug)]
pub(crate) struct Fields<'a, 'n> {
    path: Path,
    rest: BTreeMap<String, &'a [u8]>,
    notes: &'n Notes,
}

impl<'a, 'n> Fields<'a, 'n> {
    /// The members of an item that is one object.
    pub(crate) fn of_item(item: &'a [u8], notes: &'n Notes) -> Result<Self, MapError> {
        std::str::from_utf8(item)
            .map_err(|error| JsonError::NotUtf8 { offset: error.valid_up_to() })?;
        Self::of(Path::TOP, item, notes)
    }

    pub(crate) fn of(path: Path, object: &'a [u8], notes: &'n Notes) -> Result<Self, MapError> {
        let mut rest = BTreeMap::new();
        let is_object = each_member(object, |key, value| {
            match rest.entry(notes.unescape(key)) {
                Entry::Occupied(_) => notes.note_twice(),
                Entry::Vacant(entry) => drop(entry.insert(value)),
            }
            Ok(())
        })?;
        if is_object {
            Ok(Self { path, rest, notes })
        } else {
            Err(MapError::field(&path, Rule::NotObject))
        }
    }

    pub(crate) fn path(&self, name: &str) -> Path {
        self.path.member(name)
    }

    pub(crate) fn missing(&self, name: &str) -> MapError {
        MapError::field(&self.path(name), Rule::Missing)
    }

    /// The bytes of a member's value; `null` says nothing.
    pub(crate) fn take(&mut self, name: &str) -> Option<&'a [u8]> {
        self.rest.remove(name).filter(|value| *value != b"null")
    }

    /// A text, or the spelling of a number or a truth value.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, MapError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let text = scalar_text(value, self.notes);
        text.map(Some).ok_or_else(|| MapError::field(&self.path(name), Rule::NotText))
    }

    /// A text that says something: an empty one counts as absent.
    pub(crate) fn filled(&mut self, name: &str) -> Result<Option<String>, MapError> {
        Ok(self.text(name)?.filter(|text| !text.is_empty()))
    }

    pub(crate) fn time(&mut self, name: &str) -> Result<Option<Instant>, MapError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        self.notes.time(&text, &self.path(name)).map(Some)
    }

    pub(crate) fn object(&mut self, name: &str) -> Result<Option<Self>, MapError> {
        let path = self.path(name);
        self.take(name).map(|value| Self::of(path, value, self.notes)).transpose()
    }

    /// An object if it is one; any other value says nothing.
    pub(crate) fn maybe_object(&mut self, name: &str) -> Option<Self> {
        let path = self.path(name);
        self.take(name).and_then(|value| Self::of(path, value, self.notes).ok())
    }

    pub(crate) fn list(&mut self, name: &str) -> Result<Vec<(Path, &'a [u8])>, MapError> {
        let path = self.path(name);
        let items = self.items(name, LIST_MAX)?.into_iter();
        Ok(items.enumerate().map(|(index, item)| (path.item(index), item)).collect())
    }

    /// The items of a list that has at most so many.
    pub(crate) fn items(&mut self, name: &str, max: usize) -> Result<Vec<&'a [u8]>, MapError> {
        let path = self.path(name);
        let Some(value) = self.take(name) else { return Ok(Vec::new()) };
        let items =
            Items::of_checked(value).ok_or_else(|| MapError::field(&path, Rule::NotList))?;
        let items: Vec<&[u8]> = items.take(max.saturating_add(1)).collect();
        if items.len() > max {
            return Err(MapError::field(&path, Rule::TooMany { max }));
        }
        Ok(items)
    }

    pub(crate) fn texts(&mut self, name: &str) -> Result<Vec<String>, MapError> {
        let text = |(path, item): (Path, &[u8])| {
            scalar_text(item, self.notes).ok_or_else(|| MapError::field(&path, Rule::NotText))
        };
        self.list(name)?.into_iter().map(text).collect()
    }

    /// A text that stays where it is, if there is one.
    pub(crate) fn peek_text(&self, name: &str) -> Option<String> {
        scalar_text(self.rest.get(name)?, self.notes)
    }

    /// The names of the members that are left.
    pub(crate) fn names(&self) -> Vec<String> {
        self.rest.keys().cloned().collect()
    }

    /// All members that are left.
    pub(crate) fn into_rest(self) -> BTreeMap<String, &'a [u8]> {
        self.rest
    }
}

/// The text of a scalar: of a string what it says, of a number or a truth value its spelling.
pub(crate) fn scalar_text(value: &[u8], notes: &Notes) -> Option<String> {
    match value.first()? {
        b'"' => Some(notes.unescape(value)),
        b'{' | b'[' => None,
        _ if value == b"null" => None,
        _ => Some(String::from_utf8_lossy(value).into_owned()),
    }
}

/// A value of any form, and the pointers inside it of texts that were numbers. What a block cannot
/// hold (a key twice, too many levels) stands as its JSON text.
pub(crate) fn any_value(value: &[u8], notes: &Notes) -> (Value, Vec<String>) {
    if let Ok(parsed) = json::parse(value, Numbers::Foreign) {
        return (parsed.value, parsed.numbers.into_iter().collect());
    }
    let text = scalar_text(value, notes);
    let spelled = || String::from_utf8_lossy(only_value(value).unwrap_or(value)).into_owned();
    (Value::from(text.unwrap_or_else(spelled)), Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(notes: &Notes) -> Vec<String> {
        notes.flags().iter().map(|flag| flag.name().to_owned()).collect()
    }

    #[test]
    fn members_are_read_by_name_and_type() {
        let notes = Notes::default();
        let item =
            br#"{"a":"x","b":1.10,"c":null,"d":{"e":["f",2]},"g":"","t":"2026-03-04T09:10:11Z"}"#;
        let mut fields = Fields::of_item(item, &notes).unwrap();
        assert_eq!(fields.text("a").unwrap().as_deref(), Some("x"));
        assert_eq!(fields.text("b").unwrap().as_deref(), Some("1.10"));
        assert_eq!(fields.text("c").unwrap(), None);
        assert_eq!(fields.filled("g").unwrap(), None);
        assert_eq!(fields.object("d").unwrap().unwrap().texts("e").unwrap(), ["f", "2"]);
        assert_eq!(fields.time("t").unwrap().unwrap().to_string(), "2026-03-04T09:10:11Z");
        assert!(fields.into_rest().is_empty() && names(&notes).is_empty());
    }

    #[test]
    fn another_type_is_an_error_that_names_the_member() {
        let notes = Notes::default();
        let item = br#"{"a":{},"b":"x","c":[[]],"t":"yesterday"}"#;
        let refused = |read: &dyn Fn(&mut Fields<'_, '_>) -> MapError| {
            read(&mut Fields::of_item(item, &notes).unwrap()).to_string()
        };
        assert_eq!(refused(&|fields| fields.text("a").unwrap_err()), "a is not a text");
        assert_eq!(refused(&|fields| fields.object("b").unwrap_err()), "b is not an object");
        assert_eq!(refused(&|fields| fields.list("b").unwrap_err()), "b is not a list");
        assert_eq!(refused(&|fields| fields.texts("c").unwrap_err()), "c[0] is not a text");
        assert!(refused(&|fields| fields.time("t").unwrap_err()).starts_with("t is not a time"));
        assert!(
            Fields::of_item(b"[]", &notes).is_err()
                && Fields::of_item(b"{\"\xff\":1}", &notes).is_err()
        );
    }

    #[test]
    fn oddities_are_flagged_and_cost_nothing() {
        let notes = Notes::default();
        let item = br#"{"a":"first","a":"second","h":"\ud83d","t":"2016-12-31T23:59:60Z"}"#;
        let mut fields = Fields::of_item(item, &notes).unwrap();
        assert_eq!(fields.text("a").unwrap().as_deref(), Some("first"));
        assert_eq!(fields.text("h").unwrap().as_deref(), Some("\u{fffd}"));
        assert!(fields.time("t").is_ok());
        assert_eq!(names(&notes), ["characters_replaced", "duplicate_keys", "time_invalid"]);
    }

    #[test]
    fn a_value_that_no_block_holds_is_kept_as_its_text() {
        let notes = Notes::default();
        let deep = "[".repeat(40) + &"]".repeat(40);
        assert_eq!(any_value(deep.as_bytes(), &notes).0, Value::from(deep.as_str()));
        let twice = r#"{"a":1,"a":2}"#;
        assert_eq!(any_value(twice.as_bytes(), &notes).0, Value::from(twice));
        let (value, numbers) = any_value(b"[1e-7]", &notes);
        assert_eq!(value.as_list().unwrap(), [Value::from("1e-7")]);
        assert_eq!(numbers, ["/0"]);
    }
}
