//! Tests of the crate through its public interface.

#![expect(clippy::unwrap_used, reason = "what fails to unwrap fails the test")]

mod corpus;
mod errors;
mod evidence;
mod limits;
mod properties;
mod sealed;
mod sentences;
mod vectors;

use audit_event::event::{Actor, ActorKind, Outcome};
use audit_event::json::{self, ReadEvent};
use audit_event::{
    AuditEvent, Blocks, FieldError, Fill, Flags, Instant, Leaf, Salt, Shown, Stamp, ValidEvent,
};

/// 2026-03-04T09:10:11Z.
const NOW: i64 = 1_772_615_411;

/// The least that an event of our own API says.
const LEAST: &str = r#"{"id":"j-1","source":"/billing","time":"2026-03-04T09:10:11Z",
    "action":"invoice.updated","outcome":"success","actor":{"type":"user","id":"u-17"}}"#;

fn now() -> Instant {
    Instant::new(NOW, 0).unwrap()
}

fn fill() -> Fill<'static> {
    Fill { now: now(), id: "01JNFTQXC0000000000000000" }
}

fn read(text: &str) -> ReadEvent {
    json::read(text.as_bytes(), json::EVENT_BYTES_DEFAULT).unwrap()
}

fn least() -> AuditEvent {
    read(LEAST).event
}

fn own(event: AuditEvent) -> Result<ValidEvent, FieldError> {
    ValidEvent::own(event, Flags::new(), fill())
}

fn foreign(event: AuditEvent) -> Result<ValidEvent, FieldError> {
    ValidEvent::foreign(event, Flags::new(), fill())
}

/// Salts that differ, and are the same in each run.
fn salts() -> impl FnMut() -> Salt {
    let mut next = 0;
    move || {
        next += 1;
        Salt::from([next; 16])
    }
}

fn texts(blocks: &Blocks) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    blocks.iter().map(|block| (block.tag().to_string(), text(block.bytes()))).collect()
}
