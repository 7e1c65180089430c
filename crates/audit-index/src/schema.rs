//! What the index holds of each event. Nothing of an event is stored in it but terms and keys to count by.

use audit_event::event::Word;
use audit_event::{Instant, RecordedEvent};
use tantivy::TantivyDocument;
use tantivy::schema::{BytesOptions, Field as IndexField, NumericOptions, Schema, SchemaBuilder};

use crate::counts::Key;
use crate::document::{self, Field};

/// Raised where terms or columns change: parts of another version are built anew.
pub(crate) const VERSION: u32 = 1;

/// The fields of the index.
#[derive(Debug, Clone)]
pub(crate) struct Fields {
    pub(crate) schema: Schema,
    /// Terms of all fields, each after the byte of its field.
    pub(crate) terms: IndexField,
    time: IndexField,
    keys: Vec<(Key, IndexField)>,
}

/// The name of the column of event times, in nanoseconds since the Unix epoch, or the nearest that 64
/// bits can say.
pub(crate) const TIME: &str = "time";

impl Fields {
    pub(crate) fn new() -> Self {
        let mut schema = SchemaBuilder::new();
        let terms = schema.add_bytes_field("terms", BytesOptions::default().set_indexed());
        let time = schema.add_i64_field(TIME, NumericOptions::default().set_fast());
        let key = |key: &Key| {
            (*key, schema.add_bytes_field(key.name(), BytesOptions::default().set_fast()))
        };
        let keys = Key::ALL.iter().map(key).collect();
        Self { terms, time, keys, schema: schema.build() }
    }

    /// What the index takes of an event.
    pub(crate) fn document(&self, recorded: &RecordedEvent) -> TantivyDocument {
        let mut found = TantivyDocument::new();
        let mut term = Vec::new();
        for field in Field::ALL {
            document::terms(recorded, field, |text| {
                term.clear();
                term.push(field.byte());
                term.extend_from_slice(text.as_bytes());
                found.add_bytes(self.terms, &term);
            });
        }
        if let Some(time) = recorded.event.time {
            found.add_i64(self.time, clamped_nanos(time));
        }
        for (key, field) in &self.keys {
            if let Some(value) = key.of(recorded) {
                found.add_bytes(*field, value.as_bytes());
            }
        }
        found
    }
}

impl Key {
    /// The key of an event, `None` if it has none, or none any more.
    pub(crate) fn of(self, recorded: &RecordedEvent) -> Option<&str> {
        let event = &recorded.event;
        match self {
            Self::Action => event.action.as_deref(),
            Self::Actor => event.actor.as_ref().map(|actor| &*actor.id),
            Self::Outcome => event.outcome.map(Word::word),
            Self::Source => event.source.as_deref(),
            Self::Category => event.category.map(Word::word),
        }
    }
}

/// Nanoseconds since the Unix epoch, or the nearest that 64 bits can say.
pub(crate) fn clamped_nanos(time: Instant) -> i64 {
    let nanos = time.nanos();
    i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
}
