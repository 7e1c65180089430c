//! `events.json`.

use std::io::{self, Read, Write};

use audit_event::evidence::manifest::FileFact;
use audit_event::evidence::view::{COLUMNS, Next, Row, json_item, next_item};
use audit_event::text;
use audit_event::value::{Object, Value};

use super::source::Source;
use super::{Compared, FIRST};

/// Writes the item of an event, and what stands before it.
pub(crate) fn write_row(out: &mut impl Write, is_first: bool, row: &Row) -> io::Result<()> {
    out.write_all(if is_first { b"[\n" } else { b",\n" })?;
    out.write_all(text::write(&json_item(row)).as_bytes())
}

/// Writes the end of the array.
pub(crate) fn write_end(out: &mut impl Write, is_empty: bool) -> io::Result<()> {
    out.write_all(if is_empty { b"[]\n" } else { b"\n]\n" })
}

/// Compares items with events.
#[derive(Debug)]
pub(crate) struct Reader {
    source: Source,
    is_first: bool,
}

impl Reader {
    pub(crate) fn new(reader: Box<dyn Read>) -> Self {
        Self { source: Source::new(reader), is_first: true }
    }

    pub(crate) fn next(&mut self, row: &Row) -> io::Result<Compared> {
        loop {
            match next_item(self.source.bytes(), self.is_first) {
                Ok(Next::Item(Value::Object(item), length)) => {
                    self.source.pass(length);
                    self.is_first = false;
                    return Ok(difference(&item, &json_item(row)));
                }
                Ok(Next::More) if self.source.grow()? => {}
                _ => return Ok(FIRST),
            }
        }
    }

    pub(crate) fn end(mut self) -> io::Result<(Compared, FileFact)> {
        let compared = if self.ends()? { Compared::Same } else { FIRST };
        Ok((compared, self.source.finish()?))
    }

    /// Whether the array ends here, and nothing but white space follows.
    fn ends(&mut self) -> io::Result<bool> {
        loop {
            match next_item(self.source.bytes(), self.is_first) {
                Ok(Next::End(length)) => {
                    self.source.pass(length);
                    break;
                }
                Ok(Next::More) if self.source.grow()? => {}
                _ => return Ok(false),
            }
        }
        loop {
            let rest = self.source.bytes();
            if !rest.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {
                return Ok(false);
            }
            self.source.pass(rest.len());
            if !self.source.grow()? {
                return Ok(true);
            }
        }
    }
}

/// The column that a member belongs to which only one of the items has, or which differs.
fn difference(found: &Object, expected: &Object) -> Compared {
    if found == expected {
        return Compared::Same;
    }
    let differs = |name: &str| found.get(name) != expected.get(name);
    let outer = |column: &&str| differs(column.split('.').next().unwrap_or(column));
    COLUMNS.into_iter().find(|column| outer(column)).map_or(FIRST, Compared::Differs)
}
