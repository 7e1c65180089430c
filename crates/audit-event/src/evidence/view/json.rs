//! Items of `events.json`: an array of events with where they stand.

use super::Row;
use crate::blocks::Tags;
use crate::evidence::fields::tag_list;
use crate::json::{self, JsonError, Numbers};
use crate::text::DEPTH_MAX;
use crate::value::{Object, Value};

/// Levels of an item: those of a block, and one more around `actor` and `origin`.
const LEVELS_MAX: usize = DEPTH_MAX + 1;

/// The item of an event: the members of its shown blocks, unknown ones too, without RAW. Of two blocks
/// with one member the later tag counts, and what stands beside the blocks counts most.
pub fn json_item(row: &Row) -> Object {
    let mut item = Object::new();
    for (tag, members) in &row.blocks {
        match tag.wrapper() {
            Some(name) => drop(item.insert(name.to_owned(), Value::Object(members.clone()))),
            None => item.extend(members.clone()),
        }
    }
    let index = row.cell("index").and_then(|index| index.parse().ok());
    let index = index.and_then(crate::Integer::new).map_or(Value::Null, Value::Integer);
    item.insert("index".to_owned(), index);
    for name in ["received_at", "leaf_hash"] {
        item.extend(row.cell(name).map(|text| (name.to_owned(), Value::from(text))));
    }
    let list = |tags: Tags| tag_list(tags);
    item.insert("withheld".to_owned(), list(row.withheld));
    item.insert("erased".to_owned(), list(row.erased));
    item
}

/// What comes next in an array that is read piece by piece.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// An item, and how many bytes go with it.
    Item(Value, usize),
    /// The end of the array, and how many bytes go with it.
    End(usize),
    /// No whole item is there yet.
    More,
}

/// Takes the next item of an array of objects from the front of `bytes`: its opening bracket if it is
/// the `first`, else a comma, goes with it.
pub fn next_item(bytes: &[u8], first: bool) -> Result<Next, JsonError> {
    let syntax = |offset| JsonError::Syntax { offset };
    let mut at = skip_blanks(bytes, 0);
    let Some(lead) = bytes.get(at) else { return Ok(Next::More) };
    match (lead, first) {
        (b'[', true) | (b',', false) => at = skip_blanks(bytes, at + 1),
        (b']', false) => return Ok(Next::End(at + 1)),
        _ => return Err(syntax(at)),
    }
    match bytes.get(at) {
        None => Ok(Next::More),
        Some(b']') if first => Ok(Next::End(at + 1)),
        Some(b'{') => match object_end(&bytes[at..]) {
            None => Ok(Next::More),
            Some(length) => {
                let item = &bytes[at..at + length];
                let item = json::parse_levels(item, Numbers::Refused, LEVELS_MAX)?.value;
                Ok(Next::Item(item, at + length))
            }
        },
        Some(_) => Err(syntax(at)),
    }
}

fn skip_blanks(bytes: &[u8], from: usize) -> usize {
    let blanks =
        bytes[from..].iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
    from + blanks.count()
}

/// How many bytes the object has that the bytes begin with, if it ends among them.
fn object_end(bytes: &[u8]) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => depth += 1,
            b'}' | b']' if !quoted => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(text: &str) -> Result<Vec<Value>, JsonError> {
        let (mut rest, mut items) = (text.as_bytes(), Vec::new());
        loop {
            match next_item(rest, items.is_empty())? {
                Next::Item(item, length) => {
                    items.push(item);
                    rest = &rest[length..];
                }
                Next::End(length) if skip_blanks(rest, length) == rest.len() => return Ok(items),
                Next::End(offset) => return Err(JsonError::Syntax { offset }),
                Next::More => return Err(JsonError::Syntax { offset: text.len() }),
            }
        }
    }

    #[test]
    fn an_array_is_read_item_by_item() {
        assert_eq!(items("[]").unwrap(), []);
        assert_eq!(items(" [ ]\n").unwrap(), []);
        let found = items("[\n{\"a\":\"}\\\"{\"},\n {\"b\":[{}]} ]\n").unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].as_object().unwrap()["a"], Value::from("}\"{"));
        for other in
            ["", "[", "{}", "[{}", "[{},]", "[{}{}]", "[1]", "[{}]]", "[{\"a\":0.5}]", ",{}"]
        {
            assert!(items(other).is_err(), "{other}");
        }
    }
}
