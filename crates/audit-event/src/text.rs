//! The text of a block: one JSON object, written in exactly one way.
//!
//! Keys ascend by code point at every level. No white space. In texts `\"`, `\\`, `\b`, `\f`, `\n`,
//! `\r`, `\t`, `\u00xx` in lower-case hex for the other characters below U+0020, and everything else
//! literally. Integers of ±(2^53 − 1) in decimal, no other number.

use std::fmt::Write as _;

use crate::json::{self, JsonError, Numbers};
use crate::value::{Object, Value};

/// Levels of objects and lists a text may have, the top one included.
pub const DEPTH_MAX: usize = 32;

/// Why a text is not that of a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// It cannot be read as JSON.
    #[error("a block's text cannot be read")]
    Json(#[from] JsonError),
    /// It is another value than an object.
    #[error("a block's text is not an object")]
    NotAnObject,
    /// The same object is written in another way.
    #[error("a block's text is not canonical from byte {offset} on")]
    NotCanonical {
        /// The first byte that differs from the canonical text.
        offset: usize,
    },
}

/// The canonical text of an object.
pub fn write(object: &Object) -> String {
    let mut out = String::new();
    push_object(object, &mut out);
    out
}

/// The canonical text of any value.
pub fn write_value(value: &Value) -> String {
    let mut out = String::new();
    push_value(value, &mut out);
    out
}

/// Reads the text of a block. Accepts the canonical form only.
pub fn read(bytes: &[u8]) -> Result<Object, TextError> {
    let Value::Object(object) = json::read_value(bytes, Numbers::Refused)? else {
        return Err(TextError::NotAnObject);
    };
    let canonical = write(&object);
    if canonical.as_bytes() == bytes {
        return Ok(object);
    }
    let same = canonical.bytes().zip(bytes).take_while(|(one, other)| one == *other);
    Err(TextError::NotCanonical { offset: same.count() })
}

pub(crate) fn push_value(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Integer(integer) => {
            write!(out, "{}", integer.get()).expect("writing to a string cannot fail");
        }
        Value::Text(text) => push_text(text, out),
        Value::List(items) => {
            out.push('[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                push_value(item, out);
            }
            out.push(']');
        }
        Value::Object(members) => push_object(members, out),
    }
}

fn push_object(members: &Object, out: &mut String) {
    out.push('{');
    for (position, (key, value)) in members.iter().enumerate() {
        if position > 0 {
            out.push(',');
        }
        push_text(key, out);
        out.push(':');
        push_value(value, out);
    }
    out.push('}');
}

pub(crate) fn push_text(text: &str, out: &mut String) {
    out.push('"');
    let mut literal = 0; // from here on nothing has been written
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[literal..at]);
        literal = at + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            0x08 => out.push_str("\\b"),
            0x0c => out.push_str("\\f"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            _ => write!(out, "\\u{byte:04x}").expect("writing to a string cannot fail"),
        }
    }
    out.push_str(&text[literal..]);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Integer;

    #[test]
    fn every_kind_of_character_has_one_spelling() {
        let all: String =
            (0..0x20).map(char::from).chain("\"\\/\u{7f}é\u{2028}😀".chars()).collect();
        let written = write_value(&Value::from(all.as_str()));
        assert_eq!(
            written,
            "\"\\u0000\\u0001\\u0002\\u0003\\u0004\\u0005\\u0006\\u0007\\b\\t\\n\\u000b\\f\\r\\u000e\\u000f\
             \\u0010\\u0011\\u0012\\u0013\\u0014\\u0015\\u0016\\u0017\\u0018\\u0019\\u001a\\u001b\\u001c\\u001d\
             \\u001e\\u001f\\\"\\\\/\u{7f}é\u{2028}😀\""
        );
        let text = format!("{{\"a\":{written}}}");
        assert_eq!(read(text.as_bytes()).unwrap()["a"], Value::from(all.as_str()));
    }

    #[test]
    fn keys_ascend_by_code_point() {
        let keys = ["\u{ffff}", "\u{10000}", "a", "A", ""];
        let object: Object = keys.iter().map(|key| ((*key).to_owned(), Value::Null)).collect();
        assert_eq!(
            write(&object),
            "{\"\":null,\"A\":null,\"a\":null,\"\u{ffff}\":null,\"\u{10000}\":null}"
        );
    }

    #[test]
    fn the_canonical_text_is_read_and_no_other() {
        let text = r#"{"a":[1,-9007199254740991,true,null,"x"],"b":{},"c":""}"#;
        let object = read(text.as_bytes()).unwrap();
        assert_eq!(object["c"], Value::from(""));
        assert_eq!(object["a"].as_list().unwrap()[0], Integer::from(1).into());
        assert_eq!(write(&object), text);
        let others = [
            (r#"{"a": 1}"#, 5),
            (r#"{"b":1,"a":1}"#, 2),
            (r#"{"a":"\/"}"#, 6),
            (r#"{"a":"\u0041"}"#, 6),
            (r#"{"a":"\u000A"}"#, 7),
            (r#"{"a":"\u007f"}"#, 6),
            (" {}", 0),
            ("{}\n", 2),
        ];
        for (other, offset) in others {
            assert_eq!(read(other.as_bytes()), Err(TextError::NotCanonical { offset }), "{other}");
        }
        for number in ["1.0", "-0", "1e3", "0.5", "9007199254740992", "01", "+1"] {
            let other = format!("{{\"a\":{number}}}");
            assert!(matches!(read(other.as_bytes()), Err(TextError::Json(_))), "{other}");
        }
        for other in ["[]", "1", "\"\"", "null"] {
            assert_eq!(read(other.as_bytes()), Err(TextError::NotAnObject));
        }
        for other in ["", "{", r#"{"a":1,"a":1}"#, "{}{}", "\u{feff}{}"] {
            assert!(matches!(read(other.as_bytes()), Err(TextError::Json(_))), "{other}");
        }
    }
}
