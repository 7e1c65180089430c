//! Cuts JSON into items with their exact bytes: the items of a list, and objects one after the
//! other. Builds no values, needs no more memory than the depth of the text, and takes any depth.

#![deny(clippy::indexing_slicing, clippy::as_conversions)]

use super::MapError;
use crate::json::{Cursor, JsonError};
use crate::members::Rule;
use crate::path::Path;

/// The items of a JSON list whose syntax has been checked.
#[derive(Debug, Clone)]
pub struct Items<'a> {
    cursor: Cursor<'a>,
}

impl<'a> Items<'a> {
    /// The items of a body that is one JSON list.
    pub fn of_list(body: &'a [u8]) -> Result<Self, MapError> {
        let list = only_value(body)?;
        Self::of_checked(list).ok_or_else(|| MapError::field(&Path::TOP, Rule::NotList))
    }

    /// The items of the list under a name in a body that is one JSON object. The syntax of the whole
    /// body is checked first.
    pub fn of_member(body: &'a [u8], name: &str) -> Result<Self, MapError> {
        let path = Path::of(name);
        let mut found = None;
        let is_object = each_member(body, |key, value| {
            if unescaped(key).0 == name && found.replace(value).is_some() {
                return Err(JsonError::Duplicate { path: path.clone() });
            }
            Ok(())
        })?;
        if !is_object {
            return Err(MapError::field(&Path::TOP, Rule::NotObject));
        }
        let list = found.ok_or_else(|| MapError::field(&path, Rule::Missing))?;
        Self::of_checked(list).ok_or_else(|| MapError::field(&path, Rule::NotList))
    }

    /// The items of a list that is part of a text whose syntax has been checked.
    pub(crate) fn of_checked(list: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor::new(list);
        cursor.take(b'[').then_some(Self { cursor })
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.cursor.skip_blanks();
        self.cursor.take(b',');
        self.cursor.value().ok() // fails at the closing bracket, and nowhere else
    }
}

/// JSON values that follow one another, with or without white space between.
#[derive(Debug, Clone)]
pub struct Stacked<'a> {
    cursor: Cursor<'a>,
}

/// What cannot be cut into values any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken<'a> {
    /// Everything from the first value that is not JSON on.
    pub rest: &'a [u8],
    /// Why it is not.
    pub error: JsonError,
}

impl<'a> Stacked<'a> {
    /// The values of a body.
    pub fn of(body: &'a [u8]) -> Self {
        Self { cursor: Cursor::new(body) }
    }
}

impl<'a> Iterator for Stacked<'a> {
    type Item = Result<&'a [u8], Broken<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.cursor.skip_blanks();
        let rest = self.cursor.rest();
        if rest.is_empty() {
            return None;
        }
        let value = self.cursor.value();
        Some(value.map_err(|error| {
            self.cursor.skip(rest.len());
            Broken { rest, error }
        }))
    }
}

/// The one JSON value of a text, without the blanks around it.
pub(crate) fn only_value(text: &[u8]) -> Result<&[u8], JsonError> {
    let mut cursor = Cursor::new(text);
    let value = cursor.value()?;
    cursor.skip_blanks();
    if cursor.rest().is_empty() { Ok(value) } else { Err(cursor.syntax()) }
}

/// Calls `each` with key, as it is spelled with its quotes, and value of each member of the one
/// object of a text. False if the text is another value.
pub(crate) fn each_member<'a>(
    text: &'a [u8],
    mut each: impl FnMut(&'a [u8], &'a [u8]) -> Result<(), JsonError>,
) -> Result<bool, JsonError> {
    let object = only_value(text)?;
    let mut cursor = Cursor::new(object);
    if !cursor.take(b'{') {
        return Ok(false);
    }
    loop {
        cursor.skip_blanks();
        if cursor.take(b'}') {
            return Ok(true);
        }
        cursor.take(b',');
        let key = cursor.value()?;
        cursor.skip_blanks();
        cursor.expect(b':')?;
        each(key, cursor.value()?)?;
    }
}

/// The text that a JSON string spells, and whether halves of surrogate pairs or bytes that are not
/// UTF-8 became U+FFFD. The syntax has been checked.
pub(crate) fn unescaped(string: &[u8]) -> (String, bool) {
    let inner = string.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    let inner = String::from_utf8_lossy(inner.unwrap_or_default());
    let mut replaced = matches!(inner, std::borrow::Cow::Owned(_));
    let mut units = Vec::new(); // of escapes that follow one another
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner.as_ref();
    loop {
        if let Some(digits) = rest.strip_prefix("\\u").and_then(|rest| rest.get(..4)) {
            units.push(u16::from_str_radix(digits, 16).unwrap_or(REPLACEMENT));
            rest = rest.get(6..).unwrap_or_default();
            continue;
        }
        for unit in char::decode_utf16(units.drain(..)) {
            replaced |= unit.is_err();
            out.push(unit.unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let plain = rest.find('\\').unwrap_or(rest.len());
        out.push_str(rest.get(..plain).unwrap_or_default());
        rest = rest.get(plain..).unwrap_or_default();
        if rest.is_empty() {
            return (out, replaced);
        }
        if plain == 0 {
            out.extend(rest.chars().nth(1).map(short_escape));
            rest = rest.get(2..).unwrap_or_default();
        }
    }
}

const REPLACEMENT: u16 = 0xfffd;

fn short_escape(letter: char) -> char {
    match letter {
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        other => other,
    }
}

/// Goes over JSON without making values of it.
impl<'a> Cursor<'a> {
    /// The bytes of the next value, without the blanks before it.
    fn value(&mut self) -> Result<&'a [u8], JsonError> {
        self.skip_blanks();
        let start = self.at();
        let mut open = Vec::new(); // the brackets that are to come
        loop {
            if let Some(close) = self.scalar_or_opening()? {
                self.skip_blanks();
                if !self.take(close) {
                    open.push(close);
                    self.key_before(close)?;
                    continue;
                }
            }
            if self.after_value(&mut open)? {
                return Ok(self.since(start));
            }
        }
    }

    /// Takes a whole scalar, or an opening bracket, whose closing one it returns.
    fn scalar_or_opening(&mut self) -> Result<Option<u8>, JsonError> {
        match self.peek() {
            Some(b'{') => self.skip(1),
            Some(b'[') => {
                self.skip(1);
                return Ok(Some(b']'));
            }
            Some(b'"') => return self.string().map(|()| None),
            Some(b'-' | b'0'..=b'9') => return self.number().map(|()| None),
            Some(b't') => return self.word("true").map(|()| None),
            Some(b'f') => return self.word("false").map(|()| None),
            Some(b'n') => return self.word("null").map(|()| None),
            _ => return Err(self.syntax()),
        }
        Ok(Some(b'}'))
    }

    /// Takes what follows a value: closing brackets, or a comma. True if no bracket is open any more.
    fn after_value(&mut self, open: &mut Vec<u8>) -> Result<bool, JsonError> {
        while let Some(close) = open.last().copied() {
            self.skip_blanks();
            if self.take(close) {
                open.pop();
                continue;
            }
            self.expect(b',')?;
            self.key_before(close)?;
            return Ok(false);
        }
        Ok(true)
    }

    /// Takes blanks and, in an object, a key with its colon and the blanks behind it.
    fn key_before(&mut self, close: u8) -> Result<(), JsonError> {
        self.skip_blanks();
        if close == b'}' {
            self.string()?;
            self.skip_blanks();
            self.expect(b':')?;
            self.skip_blanks();
        }
        Ok(())
    }

    fn string(&mut self) -> Result<(), JsonError> {
        self.expect(b'"')?;
        loop {
            self.skip_plain();
            match self.peek() {
                Some(b'"') => {
                    self.skip(1);
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                _ => return Err(self.syntax()),
            }
        }
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        self.skip(1);
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.skip(1),
            Some(b'u') => {
                self.skip(1);
                let digits = self.rest().get(..4);
                if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                    return Err(self.syntax());
                }
                self.skip(4);
            }
            _ => return Err(self.syntax()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json::{Numbers, parse};

    fn texts<'a>(items: impl Iterator<Item = &'a [u8]>) -> Vec<&'a str> {
        items.map(|item| std::str::from_utf8(item).unwrap()).collect()
    }

    #[test]
    fn items_keep_their_bytes() {
        let body = br#" {"kind":"L","items" : [ {"a": 1e-7} ,{"b":"]}\"" },
            [], 9007199254740993] , "z":[[{}]]} "#;
        let items = texts(Items::of_member(body, "items").unwrap());
        assert_eq!(items, [r#"{"a": 1e-7}"#, r#"{"b":"]}\"" }"#, "[]", "9007199254740993"]);
        assert_eq!(texts(Items::of_list(b" [1, 2 ]\n").unwrap()), ["1", "2"]);
        assert_eq!(Items::of_list(b"[]").unwrap().count(), 0);
        assert_eq!(Items::of_member(br#"{"\u0069tems":[1]}"#, "items").unwrap().count(), 1);
    }

    #[test]
    fn what_has_no_list_is_refused() {
        let refused = |body: &str| Items::of_member(body.as_bytes(), "items").unwrap_err();
        assert_eq!(refused(r#"{"a":1}"#).to_string(), "items is missing");
        assert_eq!(refused(r#"{"items":{}}"#).to_string(), "items is not a list");
        assert_eq!(refused(r#"{"items":[],"items":[]}"#).to_string(), "items stands twice");
        assert_eq!(refused("[]").to_string(), "the event is not an object");
        for body in ["", "{\"items\":[}", "{\"items\":[1,]}", "{\"items\":[1]}x", "{\"items\":[1]"]
        {
            assert!(matches!(refused(body), MapError::Json(JsonError::Syntax { .. })), "{body}");
        }
        assert_eq!(Items::of_list(b"{}").unwrap_err().to_string(), "the event is not a list");
    }

    #[test]
    fn any_depth_is_cut_in_bounded_calls() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert_eq!(Items::of_list(deep.as_bytes()).unwrap().next().unwrap().len(), 199_998);
        assert!(Items::of_list("[".repeat(100_000).as_bytes()).is_err());
    }

    #[test]
    fn stacked_values_end_where_json_ends() {
        let good = b"{\"a\":\"}{\"}{\"b\":2} \n\t{}\n";
        let values: Vec<_> = Stacked::of(good).map(Result::unwrap).collect();
        assert_eq!(texts(values.into_iter()), [r#"{"a":"}{"}"#, r#"{"b":2}"#, "{}"]);
        let mut bad = Stacked::of(b"{} {\"a\":} {}");
        assert_eq!(bad.next(), Some(Ok(b"{}".as_slice())));
        let broken = bad.next().unwrap().unwrap_err();
        assert_eq!(broken.rest, b"{\"a\":} {}");
        assert_eq!(broken.error, JsonError::Syntax { offset: 8 });
        assert_eq!(bad.next(), None);
    }

    #[test]
    fn strings_are_unescaped_and_half_pairs_replaced() {
        let plain = (r#""a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é""#, "a\"\\/\u{8}\u{c}\n\r\té😀é");
        assert_eq!(unescaped(plain.0.as_bytes()), (plain.1.to_owned(), false));
        for half in [r#""\ud83d""#, r#""\ude00""#] {
            assert_eq!(unescaped(half.as_bytes()), ("\u{fffd}".to_owned(), true));
        }
        assert_eq!(unescaped(b"\"a\xff\""), ("a\u{fffd}".to_owned(), true));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(Items::of_list(&bytes).map(Iterator::count));
            drop(Items::of_member(&bytes, "items").map(Iterator::count));
            let _ = Stacked::of(&bytes).count();
            drop(unescaped(&bytes));
        }

        /// Whatever the strict reader takes, the cursor takes, and it refuses syntax that the
        /// strict reader refuses.
        #[test]
        fn the_cursor_knows_json(text in r#"[\[\]{}",:a1\-.e\\u0 ntrue]{0,24}"#) {
            let scanned = only_value(text.as_bytes());
            match parse(text.as_bytes(), Numbers::Foreign) {
                Ok(_) | Err(JsonError::Duplicate { .. } | JsonError::LoneSurrogate { .. }) => {}
                Err(_) => prop_assert!(scanned.is_err(), "{text}"),
            }
            if parse(text.as_bytes(), Numbers::Foreign).is_ok() {
                prop_assert!(scanned.is_ok(), "{text}");
            }
        }
    }
}
