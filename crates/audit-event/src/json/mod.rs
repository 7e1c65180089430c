//! JSON from outside, read strictly: UTF-8, no key twice, at most 32 levels, no half of a surrogate
//! pair, no number that a reader could take for another one.

mod cursor;
mod event;
mod number;
mod parser;

pub(crate) use cursor::Cursor;
pub use event::{
    EVENT_BYTES_DEFAULT, EVENT_BYTES_MAX, EventError, ReadEvent, read, read_object, to_object,
    write,
};
pub use number::Numbers;
pub(crate) use parser::parse_levels;
pub use parser::{JsonError, Parsed, parse};

use crate::value::Value;

/// Reads one JSON value that fills all the bytes.
pub fn read_value(bytes: &[u8], numbers: Numbers) -> Result<Value, JsonError> {
    parse(bytes, numbers).map(|parsed| parsed.value)
}
