//! The events of an evidence file as a table, for people and spreadsheets: made of its lines alone, so
//! that a verifier can make it again.

mod csv;
mod json;

pub use csv::{Separator, cell_of, csv_difference, csv_head, csv_row, split_row};
pub use json::{Next, json_item, next_item};

use super::line::{self, Line};
use crate::blocks::{RecordedEvent, Tag, Tags};
use crate::sentence::{Naming, Sentence};
use crate::text;
use crate::time::Instant;
use crate::value::{Object, Value};

/// Where the cells of a column come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// Not from a block.
    Line,
    /// A member of a block.
    Member(Tag, &'static str),
    /// A member of an object that is a member of a block.
    Inner(Tag, &'static str, &'static str),
}

/// The columns, in their order.
pub const COLUMNS: [&str; 47] = {
    let mut names = [""; 47];
    let mut at = 0;
    while at < names.len() {
        names[at] = TABLE[at].0;
        at += 1;
    }
    names
};

/// The one column whose words may change from version to version.
pub const SENTENCE: usize = 11;

const TABLE: [(&str, From); 47] = [
    ("index", From::Line),
    ("received_at", From::Line),
    ("time", From::Member(Tag::Core, "time")),
    ("source", From::Member(Tag::Core, "source")),
    ("id", From::Member(Tag::Core, "id")),
    ("action", From::Member(Tag::Core, "action")),
    ("category", From::Member(Tag::Core, "category")),
    ("operation", From::Member(Tag::Core, "operation")),
    ("outcome", From::Member(Tag::Core, "outcome")),
    ("outcome_code", From::Member(Tag::Core, "outcome_code")),
    ("severity", From::Member(Tag::Core, "severity")),
    ("sentence", From::Line),
    ("actor.type", From::Member(Tag::Actor, "type")),
    ("actor.id", From::Member(Tag::Actor, "id")),
    ("actor.name", From::Member(Tag::Actor, "name")),
    ("actor.email", From::Member(Tag::Actor, "email")),
    ("actor.groups", From::Member(Tag::Actor, "groups")),
    ("actor.session_id", From::Member(Tag::Actor, "session_id")),
    ("actor.auth_method", From::Member(Tag::Actor, "auth_method")),
    ("actor.on_behalf_of", From::Member(Tag::Actor, "on_behalf_of")),
    ("origin.ip", From::Member(Tag::Origin, "ip")),
    ("origin.forwarded_for", From::Member(Tag::Origin, "forwarded_for")),
    ("origin.host", From::Member(Tag::Origin, "host")),
    ("origin.user_agent", From::Member(Tag::Origin, "user_agent")),
    ("origin.country", From::Member(Tag::Origin, "country")),
    ("origin.device", From::Member(Tag::Origin, "device")),
    ("targets", From::Member(Tag::Target, "targets")),
    ("description", From::Member(Tag::Target, "description")),
    ("changes", From::Member(Tag::Changes, "changes")),
    ("request.id", From::Inner(Tag::Detail, "request", "id")),
    ("request.method", From::Inner(Tag::Detail, "request", "method")),
    ("request.path", From::Inner(Tag::Detail, "request", "path")),
    ("trace.trace_id", From::Inner(Tag::Detail, "trace", "trace_id")),
    ("trace.span_id", From::Inner(Tag::Detail, "trace", "span_id")),
    ("trace.correlation_id", From::Inner(Tag::Detail, "trace", "correlation_id")),
    ("metadata", From::Member(Tag::Detail, "metadata")),
    ("labels", From::Member(Tag::Core, "labels")),
    ("flags", From::Member(Tag::Core, "flags")),
    ("truncated", From::Member(Tag::Detail, "truncated")),
    ("numbers", From::Member(Tag::Detail, "numbers")),
    ("schema", From::Member(Tag::Core, "schema")),
    ("retention_class", From::Member(Tag::Core, "retention_class")),
    ("writer", From::Member(Tag::Detail, "writer")),
    ("raw_content_type", From::Member(Tag::Detail, "raw_content_type")),
    ("withheld", From::Line),
    ("erased", From::Line),
    ("leaf_hash", From::Line),
];

/// One event as cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// A cell for each column; `None` where the member is absent or not shown.
    cells: Vec<Option<String>>,
    /// The members of the blocks that are shown, RAW aside.
    blocks: Vec<(Tag, Object)>,
    withheld: Tags,
    erased: Tags,
}

impl Row {
    /// The cells of a line.
    pub fn of(line: &Line) -> Self {
        let texts = line.blocks.iter().filter(|block| block.tag != Tag::Raw);
        let blocks: Vec<(Tag, Object)> =
            texts.filter_map(|block| Some((block.tag, line::members(block)?))).collect();
        let of_line = |name| match name {
            "index" => Some(line.index.to_string()),
            "received_at" => Some(received_at(line)),
            "leaf_hash" => Some(line.leaf_hash().to_string()),
            "withheld" => Some(names(line.withheld)),
            "erased" => Some(names(line.erased)),
            _ => sentence(line),
        };
        let cell = |(name, from): (&'static str, From)| match from {
            From::Line => of_line(name),
            From::Member(tag, member) => written(member_of(&blocks, tag)?.get(member)?),
            From::Inner(tag, outer, member) => {
                let outer = member_of(&blocks, tag)?.get(outer)?;
                written(outer.as_object()?.get(member)?)
            }
        };
        let cells = TABLE.into_iter().map(cell).collect();
        Self { cells, blocks, withheld: line.withheld, erased: line.erased }
    }

    /// The cells, in the order of [`COLUMNS`].
    pub fn cells(&self) -> &[Option<String>] {
        &self.cells
    }

    /// The cells alone.
    pub fn into_cells(self) -> Vec<Option<String>> {
        self.cells
    }

    fn cell(&self, name: &str) -> Option<&str> {
        let at = COLUMNS.iter().position(|column| *column == name)?;
        self.cells.get(at)?.as_deref()
    }
}

fn member_of(blocks: &[(Tag, Object)], tag: Tag) -> Option<&Object> {
    blocks.iter().find(|(found, _)| *found == tag).map(|(_, members)| members)
}

/// The sentence of an event whose `core` is shown and is of a form that this version knows.
fn sentence(line: &Line) -> Option<String> {
    line.block(Tag::Core)?;
    let blocks = line.blocks.iter().map(|block| (block.tag, &*block.bytes));
    let recorded = RecordedEvent::read(blocks).ok()?;
    Some(Sentence::of(&recorded.event, Naming::Name).to_string())
}

/// A text as it is, every other value as the text of a block has it.
fn written(value: &Value) -> Option<String> {
    match value {
        absent if absent.is_absent() => None,
        Value::Text(text) => Some(text.clone()),
        other => Some(text::write_value(other)),
    }
}

fn received_at(line: &Line) -> String {
    Instant::from_nanos(line.leaf.received_at_ns()).to_nine_digits()
}

fn names(tags: Tags) -> String {
    text::write_value(&super::fields::tag_list(tags))
}
