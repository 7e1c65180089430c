//! `events.csv`.

use std::io::{self, Read, Write};

use audit_event::evidence::manifest::FileFact;
use audit_event::evidence::view::{Row, Separator, csv_difference, csv_head, csv_row, split_row};

use super::source::Source;
use super::{Compared, FIRST};

/// What stands before the head in a file for Excel.
const MARK: &str = "\u{feff}";

/// How `events.csv` is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Csv {
    /// What stands between cells.
    pub separator: Separator,
    /// Whether a byte order mark stands first, by which Excel knows that it is UTF-8.
    pub mark: bool,
}

impl Default for Csv {
    fn default() -> Self {
        Self { separator: Separator::Comma, mark: false }
    }
}

/// Writes the head.
pub(crate) fn write_head(out: &mut impl Write, csv: Csv) -> io::Result<()> {
    out.write_all(if csv.mark { MARK.as_bytes() } else { b"" })?;
    out.write_all(csv_head(csv.separator).as_bytes())
}

/// Writes the row of an event.
pub(crate) fn write_row(out: &mut impl Write, csv: Csv, row: &Row) -> io::Result<()> {
    out.write_all(csv_row(row, csv.separator).as_bytes())
}

/// Compares rows with events.
#[derive(Debug)]
pub(crate) struct Reader {
    source: Source,
    /// Known once the head was read.
    separator: Option<Separator>,
}

impl Reader {
    pub(crate) fn new(reader: Box<dyn Read>) -> Self {
        Self { source: Source::new(reader), separator: None }
    }

    pub(crate) fn next(&mut self, row: &Row) -> io::Result<Compared> {
        let Some(separator) = self.head()? else { return Ok(FIRST) };
        loop {
            if let Some((cells, length)) = split_row(self.text(), separator) {
                let column = csv_difference(&cells, row);
                self.source.pass(length);
                return Ok(Compared::of(column));
            }
            if !self.source.grow()? {
                return Ok(FIRST);
            }
        }
    }

    pub(crate) fn end(mut self) -> io::Result<(Compared, FileFact)> {
        let has_head = self.head()?.is_some();
        let is_ended = self.source.bytes().is_empty() && !self.source.grow()?;
        let compared = if has_head && is_ended { Compared::Same } else { FIRST };
        Ok((compared, self.source.finish()?))
    }

    /// The separator, if the head is one that is written.
    fn head(&mut self) -> io::Result<Option<Separator>> {
        if self.separator.is_some() {
            return Ok(self.separator);
        }
        let heads = [Separator::Comma, Separator::Semicolon].map(|it| (it, csv_head(it)));
        let longest = MARK.len() + heads[0].1.len();
        while self.source.bytes().len() < longest && self.source.grow()? {}
        let bytes = self.source.bytes();
        let mark = if bytes.starts_with(MARK.as_bytes()) { MARK.len() } else { 0 };
        let found = heads.into_iter().find(|(_, head)| bytes[mark..].starts_with(head.as_bytes()));
        let Some((separator, head)) = found else { return Ok(None) };
        self.source.pass(mark + head.len());
        self.separator = Some(separator);
        Ok(self.separator)
    }

    /// What is there up to the first byte that is not UTF-8. A character that is cut in two is whole
    /// once more was read; other bytes end the comparison, as no row ends behind them.
    fn text(&self) -> &str {
        let bytes = self.source.bytes();
        match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
        }
    }
}
