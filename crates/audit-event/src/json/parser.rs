//! The reader itself: one pass, limits before syntax, at most 32 calls deep.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]

use std::collections::BTreeSet;

use super::Cursor;
use super::number::{self, Number, Numbers};
use crate::path::Path;
use crate::text::DEPTH_MAX;
use crate::value::{Integer, Object, Value};

/// Why bytes are not JSON that we read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// More bytes than are read.
    #[error("{bytes} bytes exceed {max}")]
    TooLarge {
        /// Bytes found.
        bytes: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// Not UTF-8.
    #[error("not UTF-8 from byte {offset} on")]
    NotUtf8 {
        /// Where the first bad sequence starts.
        offset: usize,
    },
    /// Something else where JSON has its own.
    #[error("not JSON at byte {offset}")]
    Syntax {
        /// Where.
        offset: usize,
    },
    /// Half of a surrogate pair, which is no character.
    #[error("half of a surrogate pair at byte {offset}")]
    LoneSurrogate {
        /// Where the escape starts.
        offset: usize,
    },
    /// More levels than are read: [`DEPTH_MAX`].
    #[error("too many levels of objects and lists at byte {offset}")]
    TooDeep {
        /// Where.
        offset: usize,
    },
    /// One key twice in an object, after unescaping.
    #[error("{path} stands twice")]
    Duplicate {
        /// The member.
        path: Path,
    },
    /// A number that readers would take for different ones.
    #[error("{path} holds a number that is not kept exactly: send it as text")]
    Number {
        /// The member.
        path: Path,
    },
}

/// A value, and where numbers in it became texts.
#[derive(Debug)]
pub struct Parsed {
    /// The value.
    pub value: Value,
    /// RFC 6901 pointers of numbers that stand as their spelling.
    pub numbers: BTreeSet<String>,
}

/// Reads one value that fills all the bytes, and says which texts were numbers.
pub fn parse(bytes: &[u8], numbers: Numbers) -> Result<Parsed, JsonError> {
    parse_levels(bytes, numbers, DEPTH_MAX)
}

/// As [`parse`], with so many levels: a view has one more than the blocks that it is made of.
pub(crate) fn parse_levels(
    bytes: &[u8],
    numbers: Numbers,
    levels_max: usize,
) -> Result<Parsed, JsonError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| JsonError::NotUtf8 { offset: error.valid_up_to() })?;
    let mut parser = Parser {
        text,
        cursor: Cursor::new(bytes),
        depth: 0,
        levels_max,
        path: Path::TOP,
        rule: numbers,
        numbers: BTreeSet::new(),
    };
    parser.cursor.skip_blanks();
    let value = parser.value()?;
    parser.cursor.skip_blanks();
    if parser.cursor.at() < text.len() {
        return Err(parser.cursor.syntax());
    }
    Ok(Parsed { value, numbers: parser.numbers })
}

struct Parser<'a> {
    text: &'a str,
    cursor: Cursor<'a>,
    depth: usize,
    levels_max: usize,
    path: Path,
    rule: Numbers,
    numbers: BTreeSet<String>,
}

impl Parser<'_> {
    fn value(&mut self) -> Result<Value, JsonError> {
        match self.cursor.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::list),
            Some(b'"') => Ok(Value::Text(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => Err(self.cursor.syntax()),
        }
    }

    /// An object or a list, whose opening bracket is next.
    fn nested(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<Value, JsonError>,
    ) -> Result<Value, JsonError> {
        if self.depth >= self.levels_max {
            return Err(JsonError::TooDeep { offset: self.cursor.at() });
        }
        self.depth = self.depth.saturating_add(1);
        self.cursor.skip(1);
        self.cursor.skip_blanks();
        let value = inner(self);
        self.depth = self.depth.saturating_sub(1);
        value
    }

    fn object(&mut self) -> Result<Value, JsonError> {
        let mut members = Object::new();
        if self.cursor.take(b'}') {
            return Ok(Value::Object(members));
        }
        loop {
            let key = self.string()?;
            self.cursor.skip_blanks();
            self.cursor.expect(b':')?;
            self.cursor.skip_blanks();
            self.path.push_member(&key);
            if members.contains_key(&key) {
                return Err(JsonError::Duplicate { path: self.path.clone() });
            }
            let value = self.value()?;
            self.path.pop();
            members.insert(key, value);
            if self.ends(b'}')? {
                return Ok(Value::Object(members));
            }
        }
    }

    fn list(&mut self) -> Result<Value, JsonError> {
        let mut items = Vec::new();
        if self.cursor.take(b']') {
            return Ok(Value::List(items));
        }
        loop {
            self.path.push_item(items.len());
            items.push(self.value()?);
            self.path.pop();
            if self.ends(b']')? {
                return Ok(Value::List(items));
            }
        }
    }

    /// Whether the closing bracket comes next; if not, a comma does, and is taken.
    fn ends(&mut self, close: u8) -> Result<bool, JsonError> {
        self.cursor.skip_blanks();
        if self.cursor.take(close) {
            return Ok(true);
        }
        self.cursor.expect(b',')?;
        self.cursor.skip_blanks();
        Ok(false)
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.cursor.expect(b'"')?;
        let mut out = String::new();
        loop {
            let start = self.cursor.at();
            self.cursor.skip_plain();
            out.push_str(self.since(start));
            match self.cursor.peek() {
                Some(b'"') => {
                    self.cursor.skip(1);
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                _ => return Err(self.cursor.syntax()),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let offset = self.cursor.at();
        self.cursor.skip(1);
        let character = match self.cursor.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.cursor.skip(1);
                return self.unicode(offset);
            }
            _ => return Err(self.cursor.syntax()),
        };
        self.cursor.skip(1);
        Ok(character)
    }

    /// What follows `\u`: one unit, or both of a surrogate pair.
    fn unicode(&mut self, offset: usize) -> Result<char, JsonError> {
        let first = self.unit()?;
        let is_pair = (0xd800..0xdc00).contains(&first) && self.rest().starts_with("\\u");
        if !is_pair {
            let character = char::from_u32(first.into());
            return character.ok_or(JsonError::LoneSurrogate { offset });
        }
        self.cursor.skip(2);
        let second = self.unit()?;
        let mut decoded = char::decode_utf16([first, second]);
        match (decoded.next(), decoded.next()) {
            (Some(Ok(character)), None) => Ok(character),
            _ => Err(JsonError::LoneSurrogate { offset }),
        }
    }

    fn unit(&mut self) -> Result<u16, JsonError> {
        let digits = self.rest().get(..4).filter(|it| it.bytes().all(|it| it.is_ascii_hexdigit()));
        let unit = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
        let unit = unit.ok_or_else(|| self.cursor.syntax())?;
        self.cursor.skip(4);
        Ok(unit)
    }

    fn number(&mut self) -> Result<Value, JsonError> {
        let start = self.cursor.at();
        self.cursor.number()?;
        let spelling = self.since(start);
        let refused = || JsonError::Number { path: self.path.clone() };
        let value = match (self.rule, number::classify(spelling)) {
            (Numbers::Refused, number) => {
                return plain(spelling, number).map(Value::Integer).ok_or_else(refused);
            }
            (_, Number::Integer(integer)) => return Ok(Value::Integer(integer)),
            (Numbers::Own, Number::Beyond) => return Err(refused()),
            (_, Number::Fraction | Number::Beyond) => Value::from(spelling),
        };
        self.numbers.insert(self.path.pointer());
        Ok(value)
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, JsonError> {
        self.cursor.word(word)?;
        Ok(value)
    }

    fn rest(&self) -> &str {
        self.text.get(self.cursor.at()..).unwrap_or_default()
    }

    /// The text from an earlier place up to here.
    fn since(&self, start: usize) -> &str {
        self.text.get(start..self.cursor.at()).unwrap_or_default()
    }
}

/// The integer, if this is its one spelling.
fn plain(spelling: &str, number: Number) -> Option<Integer> {
    let Number::Integer(integer) = number else { return None };
    (integer.get().to_string() == spelling).then_some(integer)
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    fn own(text: &str) -> Result<Parsed, JsonError> {
        parse(text.as_bytes(), Numbers::Own)
    }

    #[test]
    fn json_is_read_with_its_blanks() {
        let parsed =
            own(" { \"a\" : [ 1 , \"\\ud83d\\ude00\\u00e9\\/\" , true ] ,\r\n\t\"b\":null } ");
        let Value::Object(members) = parsed.unwrap().value else { panic!("not an object") };
        let items = members["a"].as_list().unwrap();
        assert_eq!(items[1], Value::from("😀é/"));
        assert_eq!(items.len(), 3);
        assert_eq!(members["b"], Value::Null);
    }

    #[test]
    fn everything_else_is_refused_where_it_stands() {
        let cases = [
            ("", 0),
            ("{", 1),
            ("[1,]", 3),
            ("{\"a\":1,}", 7),
            ("{a:1}", 1),
            ("{\"a\" 1}", 5),
            ("\"\n\"", 1),
            ("\"\\x\"", 2),
            ("\"\\u12\"", 3),
            ("\"\\u+123\"", 3),
            ("\"", 1),
            ("tru", 0),
            ("01", 1),
            ("-", 1),
            ("1.", 2),
            (".5", 0),
            ("1e", 2),
            ("+1", 0),
            ("NaN", 0),
            ("1 1", 2),
            ("\u{feff}1", 0),
            ("'a'", 0),
            ("[1 //\n]", 3),
        ];
        for (text, offset) in cases {
            assert_eq!(own(text).unwrap_err(), JsonError::Syntax { offset }, "{text:?}");
        }
        assert_eq!(
            parse(b"\"a\xff\"", Numbers::Own).unwrap_err(),
            JsonError::NotUtf8 { offset: 2 }
        );
    }

    #[test]
    fn a_key_may_stand_once_after_unescaping() {
        let twice = |text: &str| match own(text).unwrap_err() {
            JsonError::Duplicate { path } => path.to_string(),
            other => panic!("{other}"),
        };
        assert_eq!(twice(r#"{"action":1,"action":2}"#), "action");
        assert_eq!(twice(r#"{"a":[{"b":1,"\u0062":1}]}"#), "a[0].b");
        assert!(own(r#"{"a":{"a":1},"A":1}"#).is_ok());
    }

    #[test]
    fn surrogates_come_in_pairs() {
        assert!(own(r#""\uD83D\uDE00""#).is_ok());
        for text in
            [r#""\ud83d""#, r#""\ude00""#, r#""\ud83d\ud83d""#, r#""\ud83dx""#, r#""\ud83d\u0041""#]
        {
            assert_eq!(own(text).unwrap_err(), JsonError::LoneSurrogate { offset: 1 }, "{text}");
        }
    }

    #[test]
    fn levels_are_counted_from_the_top() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(own(&nested(DEPTH_MAX)).is_ok());
        let offset = DEPTH_MAX;
        for levels in [DEPTH_MAX + 1, 10_000] {
            assert_eq!(own(&nested(levels)).unwrap_err(), JsonError::TooDeep { offset });
        }
        let objects = "{\"a\":".repeat(10_000);
        assert!(matches!(own(&objects).unwrap_err(), JsonError::TooDeep { .. }));
    }

    #[test]
    fn numbers_follow_the_rule_of_their_source() {
        let text = r#"{"a":1e3,"b":{"x/y":0.50},"c":[9007199254740993]}"#;
        let error = own(text).unwrap_err();
        assert_eq!(error, JsonError::Number { path: Path::of("c").item(0) });
        assert_eq!(
            error.to_string(),
            "c[0] holds a number that is not kept exactly: send it as text"
        );
        let parsed = parse(text.as_bytes(), Numbers::Foreign).unwrap();
        let pointers: Vec<_> = parsed.numbers.iter().map(String::as_str).collect();
        assert_eq!(pointers, ["/b/x~1y", "/c/0"]);
        let Value::Object(members) = parsed.value else { panic!("not an object") };
        assert_eq!(members["c"].as_list().unwrap()[0], Value::from("9007199254740993"));
        assert_eq!(members["a"], Integer::new(1_000).unwrap().into());
        for refused in ["-0", "1.0", "1e3", "0.5", "9007199254740992"] {
            assert!(parse(refused.as_bytes(), Numbers::Refused).is_err(), "{refused}");
        }
        assert!(parse(b"-9007199254740991", Numbers::Refused).is_ok());
    }
}
