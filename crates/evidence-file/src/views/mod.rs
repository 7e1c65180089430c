//! The tables of an evidence file, made of its events: written, and compared with the events again.

pub(crate) mod csv;
pub(crate) mod json;
pub(crate) mod parquet;
mod source;

use std::io;

use audit_event::evidence::manifest::FileFact;
use audit_event::evidence::view::Row;

use crate::container::{Container, Fault};

pub(crate) const CSV: &str = "events.csv";
pub(crate) const JSON: &str = "events.json";
pub(crate) const PARQUET: &str = "events.parquet";

/// Bytes of one row of a view: more than any line of events can give, since no character is written
/// with more than six.
const ROW_BYTES_MAX: usize = 8 * audit_event::evidence::LINE_BYTES_MAX;

/// Whether the next part of a view is that of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compared {
    Same,
    /// The column in which they differ.
    Differs(&'static str),
}

impl Compared {
    fn of(column: Option<&'static str>) -> Self {
        column.map_or(Self::Same, Self::Differs)
    }
}

/// The first column: named where what differs is not a cell.
const FIRST: Compared = Compared::Differs("index");

/// A view that is compared with the events, one after the other.
#[derive(Debug)]
pub(crate) enum View {
    Csv(csv::Reader),
    Json(json::Reader),
    Parquet(Box<parquet::Reader>),
}

impl View {
    pub(crate) fn open(container: &Container, name: &'static str) -> Result<Self, Fault> {
        Ok(match name {
            CSV => Self::Csv(csv::Reader::new(container.reader(name)?)),
            JSON => Self::Json(json::Reader::new(container.reader(name)?)),
            _ => {
                let fact = crate::digest::read_through(container.reader(name)?)?;
                Self::Parquet(Box::new(parquet::Reader::new(container.section(name)?, fact)))
            }
        })
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Csv(_) => CSV,
            Self::Json(_) => JSON,
            Self::Parquet(_) => PARQUET,
        }
    }

    /// Compares the next row with that of the next event.
    pub(crate) fn next(&mut self, row: &Row) -> io::Result<Compared> {
        match self {
            Self::Csv(reader) => reader.next(row),
            Self::Json(reader) => reader.next(row),
            Self::Parquet(reader) => Ok(reader.next(row)),
        }
    }

    /// Whether nothing follows, and what the file was. It is read to its end.
    pub(crate) fn end(self) -> io::Result<(Compared, FileFact)> {
        match self {
            Self::Csv(reader) => reader.end(),
            Self::Json(reader) => reader.end(),
            Self::Parquet(reader) => Ok(reader.end()),
        }
    }
}
