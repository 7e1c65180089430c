//! Syslog messages: RFC 5424, and the older form of RFC 3164, which is flagged. Every message becomes
//! an event; one of no known form is all text.

mod frames;
mod parse;

pub use self::frames::{Frame, Splitter};

use self::parse::{Form, Message, Time};
use super::draft::{Draft, default_actor};
use super::fields::Notes;
use super::{IdFrom, Intake, MapError, Mapped};
use crate::event::Severity;
use crate::flag::Flag;
use crate::members::Rule;
use crate::path::Path;
use crate::time::Instant;
use crate::value::Integer;

/// The action of a message where none is configured.
const ACTION: &str = "syslog.message";

/// What is known of the connection that a message came by.
#[derive(Debug, Clone, Copy)]
pub struct Peer<'a> {
    /// The address of the other end, for messages that name no host.
    pub address: &'a str,
    /// Seconds east of UTC of times that state no zone.
    pub utc_offset_seconds: i32,
}

/// The host that a message names.
pub fn host_of(frame: &Frame) -> Option<String> {
    parse::parse(&String::from_utf8_lossy(&frame.bytes)).host.map(str::to_owned)
}

/// One message as an event.
pub fn map<'a>(
    frame: &'a Frame,
    peer: &Peer<'_>,
    intake: &Intake<'_>,
) -> Result<Mapped<'a>, MapError> {
    if frame.bytes.trim_ascii().is_empty() {
        return Err(MapError::field(&Path::TOP, Rule::Empty));
    }
    let text = String::from_utf8_lossy(&frame.bytes);
    let message = parse::parse(&text);
    let (mut draft, notes) = (Draft::default(), Notes::default());
    draft.text(message.text.as_bytes());
    if text.as_bytes() != frame.bytes {
        draft.flags.insert(Flag::CHARACTERS_REPLACED);
    }
    if frame.is_cut {
        draft.flags.insert(Flag::RAW_CUT);
    }
    time(&message, peer, intake, &mut draft, &notes);
    describe(&message, peer, intake, &mut draft);
    draft.flags.extend(match message.form {
        Form::Rfc5424 => None,
        Form::Rfc3164 => Some(Flag::RFC3164),
        Form::Neither => Some(Flag::SYSLOG_MALFORMED),
    });
    Ok(draft.finish(&frame.bytes, "text/plain", IdFrom::Server, &notes))
}

/// A time that is none is kept as text; the event then has the time of its receipt.
fn time(
    message: &Message<'_>,
    peer: &Peer<'_>,
    intake: &Intake<'_>,
    draft: &mut Draft,
    notes: &Notes,
) {
    let stated = match message.time {
        Time::Nil => return,
        Time::Full(text) => {
            draft.event.time = notes.time(text, &Path::of("timestamp")).ok();
            text.to_owned()
        }
        Time::OfYear { month, day, clock } => {
            draft.event.time = nearest(month, day, clock, peer, intake.now);
            draft.flags.insert(Flag::YEAR_GUESSED);
            format!("{month:02}-{day:02} {clock}")
        }
    };
    if draft.event.time.is_none() {
        draft.flags.insert(Flag::TIME_INVALID);
        draft.metadata("timestamp", stated);
    }
}

/// The time in the year that brings it nearest to the receipt.
fn nearest(month: usize, day: u32, clock: &str, peer: &Peer<'_>, now: Instant) -> Option<Instant> {
    let year: i32 = now.to_string().get(..4)?.parse().ok()?;
    let local = |year: i32| {
        let text = format!("{year:04}-{month:02}-{day:02}T{clock}Z");
        let stated = Instant::parse(&text).ok()?.instant;
        let seconds = stated.micros().div_euclid(1_000_000) - i64::from(peer.utc_offset_seconds);
        Instant::new(seconds, 0).ok()
    };
    let years = [year - 1, year, year + 1].into_iter().filter_map(local);
    years.min_by_key(|time| (time.nanos() - now.nanos()).unsigned_abs())
}

/// What every message has, and its parts.
fn describe(message: &Message<'_>, peer: &Peer<'_>, intake: &Intake<'_>, draft: &mut Draft) {
    let host = message.host.unwrap_or(peer.address);
    let id = message.app.map_or_else(|| host.to_owned(), |app| format!("{app}@{host}"));
    draft.event.source = Some(intake.source.to_owned());
    draft.event.action = Some(intake.action.unwrap_or(ACTION).to_owned());
    draft.event.category = intake.category;
    draft.event.actor = Some(default_actor(intake, &id));
    draft.host(Some(host.to_owned()).filter(|host| !host.is_empty()));
    for (key, text) in
        [("app_name", message.app), ("proc_id", message.process), ("msg_id", message.id)]
    {
        draft.metadata_text(key, text.map(str::to_owned));
    }
    if let Some(priority) = message.priority {
        draft.event.severity = Some(severity(priority % 8));
        draft.metadata("facility", Integer::from(priority / 8));
        draft.metadata("severity", Integer::from(priority % 8));
    }
    for (key, value) in &message.data {
        draft.metadata(key, value.as_str());
    }
}

/// RFC 5424, table 2: 0 emergency to 7 debug.
fn severity(level: u32) -> Severity {
    match level {
        0..=2 => Severity::Critical,
        3 => Severity::High,
        4 => Severity::Medium,
        5 => Severity::Low,
        _ => Severity::Info,
    }
}

#[cfg(test)]
mod tests;
