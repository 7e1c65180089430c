//! Splunk HTTP Event Collector: event objects one after the other, and lines
//! (<https://docs.splunk.com/Documentation/Splunk/latest/Data/FormateventsforHTTPEventCollector>).
//!
//! An envelope with `sourcetype` `audit:json` whose `event` is an object holds an event of our own
//! schema, which is checked as one. Everything else is a foreign event.

use super::decimal;
use super::draft::{Draft, address, default_actor, is_host};
use super::fields::{Fields, Notes, scalar_text};
use super::items::Stacked;
use super::{IdFrom, Intake, MapError, Mapped};
use crate::flag::Flag;
use crate::json::{self, JsonError, Numbers, ReadEvent};
use crate::members::{FieldError, Rule};
use crate::path::Path;
use crate::time::Instant;
use crate::value::Value;

/// The `sourcetype` of events in our own schema.
const OWN: &str = "audit:json";
/// The action of a foreign event where none is configured.
const ACTION: &str = "hec.event";

/// The envelopes of a request's body.
pub fn split(body: &[u8]) -> Stacked<'_> {
    Stacked::of(body)
}

/// The lines of a body that was sent raw, without their ends; blank ones are left out.
pub fn split_lines(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = body.split(|byte| *byte == b'\n');
    let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.filter(|line| !line.trim_ascii().is_empty())
}

/// What the query of a raw request says of all its lines.
#[derive(Debug, Clone, Copy, Default)]
pub struct RawQuery<'a> {
    /// The host that they are of.
    pub host: Option<&'a str>,
    /// The file or stream that they are of.
    pub source: Option<&'a str>,
    /// What kind of lines they are.
    pub sourcetype: Option<&'a str>,
}

/// What an envelope says of where it comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sender {
    /// The file or stream.
    pub source: Option<String>,
    /// The host.
    pub host: Option<String>,
}

impl Sender {
    /// Of an envelope; one that cannot be read says nothing.
    pub fn of(item: &[u8]) -> Self {
        let notes = Notes::default();
        let Ok(mut fields) = Fields::of_item(item, &notes) else { return Self::default() };
        let mut say = |name| fields.filled(name).ok().flatten();
        Self { source: say("source"), host: say("host") }
    }
}

/// One envelope as an event.
pub fn map<'a>(item: &'a [u8], intake: &Intake<'_>) -> Result<Mapped<'a>, MapError> {
    let notes = Notes::default();
    let mut fields = Fields::of_item(item, &notes)?;
    let event = fields.take("event").ok_or_else(|| fields.missing("event"))?;
    let time = time(&mut fields, &notes)?;
    let host = fields.filled("host")?;
    let sourcetype = fields.filled("sourcetype")?;
    if sourcetype.as_deref() == Some(OWN) && event.starts_with(b"{") {
        return own(item, event, time, host, intake, &notes);
    }
    let mut draft = Draft::default();
    draft.event.time = time;
    content(event, &mut draft, &notes)?;
    draft.metadata_text("sourcetype", sourcetype);
    draft.metadata_text("source", fields.filled("source")?);
    draft.metadata_text("index", fields.filled("index")?);
    if let Some(fields) = fields.object("fields")? {
        for (name, value) in fields.into_rest() {
            draft.metadata_json(&format!("fields.{name}"), value, &notes);
        }
    }
    describe(&mut draft, host, intake);
    Ok(draft.finish(item, "application/json", IdFrom::Server, &notes))
}

/// One line of a body that was sent raw.
pub fn map_line<'a>(
    line: &'a [u8],
    query: RawQuery<'_>,
    intake: &Intake<'_>,
) -> Result<Mapped<'a>, MapError> {
    if line.trim_ascii().is_empty() {
        return Err(MapError::field(&Path::TOP, Rule::Empty));
    }
    let mut draft = Draft::default();
    draft.text(line);
    draft.metadata_text("sourcetype", query.sourcetype.map(str::to_owned));
    draft.metadata_text("source", query.source.map(str::to_owned));
    describe(&mut draft, query.host.map(str::to_owned), intake);
    Ok(draft.finish(line, "text/plain", IdFrom::Server, &Notes::default()))
}

/// `time` is a number or a text; none says that there is no time.
fn time(fields: &mut Fields<'_, '_>, notes: &Notes) -> Result<Option<Instant>, MapError> {
    let Some(text) = fields.filled("time")? else { return Ok(None) };
    let stated = decimal::epoch(text.trim())
        .map_err(|error| MapError::field(&fields.path("time"), Rule::Time(error)))?;
    if stated.altered {
        notes.note_time_altered();
    }
    Ok(Some(stated.instant))
}

/// What a foreign event says: a text describes it, members of an object that are simple go to metadata.
fn content(event: &[u8], draft: &mut Draft, notes: &Notes) -> Result<(), MapError> {
    let path = Path::of("event");
    if event.starts_with(b"{") {
        for (name, value) in Fields::of(path, event, notes)?.into_rest() {
            if !value.starts_with(b"{") && !value.starts_with(b"[") {
                draft.metadata_json(&format!("event.{name}"), value, notes);
            }
        }
        return Ok(());
    }
    let text = scalar_text(event, notes);
    if text.as_ref().is_some_and(|text| text.trim().is_empty()) {
        return Err(MapError::field(&path, Rule::Empty));
    }
    draft.event.description = text;
    Ok(())
}

/// What every foreign event has: a source, an action, an actor, and the host if it is known.
fn describe(draft: &mut Draft, host: Option<String>, intake: &Intake<'_>) {
    let event = &mut draft.event;
    event.source = Some(intake.source.to_owned());
    event.action = Some(intake.action.unwrap_or(ACTION).to_owned());
    event.category = intake.category;
    event.actor = Some(default_actor(intake, host.as_deref().unwrap_or_default()));
    draft.host(host);
}

/// An event in our own schema. What only the envelope says is filled in.
fn own<'a>(
    item: &'a [u8],
    event: &[u8],
    time: Option<Instant>,
    host: Option<String>,
    intake: &Intake<'_>,
    notes: &Notes,
) -> Result<Mapped<'a>, MapError> {
    let mut read = read_own(event)?;
    read.event.time = read.event.time.or(time);
    if read.event.origin.ip.is_none() && read.event.origin.host.is_none() {
        read.event.origin.host = host.filter(|host| is_host(host) && address(host).is_none());
    }
    let mut draft = Draft { event: read.event.clone(), flags: read.flags.clone() };
    let event = &mut draft.event;
    event.source.get_or_insert_with(|| intake.source.to_owned());
    event.category = event.category.or(intake.category);
    event.action = event.action.take().or_else(|| intake.action.map(str::to_owned));
    event.actor = event.actor.take().or_else(|| intake.actor.cloned());
    if event.time.is_none() {
        event.time = Some(intake.now);
        draft.flags.insert(Flag::TIME_MISSING);
    }
    let id = if event.id.is_some() { IdFrom::Sender } else { IdFrom::Server };
    let mut mapped = draft.finish(item, "application/json", id, notes);
    mapped.own = Some(read);
    Ok(mapped)
}

fn read_own(event: &[u8]) -> Result<ReadEvent, MapError> {
    let inside = |path: &Path| Path::from_pointer(&format!("/event{}", path.pointer()));
    let parsed = json::parse(event, Numbers::Own).map_err(|error| match error {
        JsonError::Duplicate { path } => JsonError::Duplicate { path: inside(&path) },
        JsonError::Number { path } => JsonError::Number { path: inside(&path) },
        other => other,
    })?;
    let Value::Object(members) = parsed.value else {
        return Err(MapError::field(&Path::of("event"), Rule::NotObject));
    };
    json::read_object(members, parsed.numbers)
        .map_err(|FieldError { path, rule }| MapError::field(&inside(&path), rule))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::{Actor, ActorKind};
    use crate::mapping::testing::{checked, flags, hold, intake, metadata, now, refusal, shown};

    const DOOR: &str = r#"{"action":"door.opened","actor":{"type":"user","id":"u-1"},"category":"access",
        "operation":"execute","outcome":"success","id":"hec-1"}"#;

    fn door(members: &str) -> String {
        format!(r#"{{{members}"sourcetype":"audit:json","event":{DOOR}}}"#)
    }

    fn refused(text: &str) -> String {
        refusal(map(text.as_bytes(), &intake("/doors")))
    }

    #[test]
    fn an_event_of_our_own_is_checked_as_one() {
        let text = door(r#""time":1772615411,"host":"gate-1","#);
        let mapped = map(text.as_bytes(), &intake("/doors")).unwrap();
        assert_eq!(
            shown(checked(&mapped).event()),
            r#"{"action":"door.opened","actor":{"id":"u-1","type":"user"},"category":"access","id":"hec-1","operation":"execute","origin":{"host":"gate-1"},"outcome":"success","severity":"info","source":"/doors","time":"2026-03-04T09:10:11Z"}"#
        );
        let read = mapped.own.as_ref().unwrap();
        assert_eq!((read.event.source.as_deref(), read.unknown.len()), (None, 0));
        assert_eq!((mapped.id, mapped.raw.as_ref()), (IdFrom::Sender, text.as_bytes()));
        let long = text.replace("u-1", &"u".repeat(257));
        let fill = crate::Fill { now: now(), id: "x" };
        let error = map(long.as_bytes(), &intake("/doors")).unwrap().check(fill).unwrap_err();
        assert_eq!(error.to_string(), "actor.id has more than 256 bytes");
    }

    #[test]
    fn an_event_of_our_own_that_is_none_is_refused_by_name() {
        let bad = |from: &str, to: &str| refused(&door("").replace(from, to));
        assert_eq!(bad(r#""id":"u-1""#, r#""id":5"#), "event.actor.id is not a text");
        assert_eq!(bad(r#""id":"hec-1""#, r#""action":"a.b""#), "event.action stands twice");
        let number = bad(r#""id":"hec-1""#, r#""metadata":{"n":9007199254740993}"#);
        assert!(number.starts_with("event.metadata.n holds a number"));
    }

    #[test]
    fn times_keep_every_digit() {
        let time = |members: &str| {
            let text = door(members);
            let mapped = map(text.as_bytes(), &intake("/doors")).unwrap();
            (checked(&mapped).event().time.unwrap().to_string(), flags(&mapped).join(" "))
        };
        let exact = |text: &str| (text.to_owned(), String::new());
        assert_eq!(
            time(r#""time":1772615411.123456789,"#),
            exact("2026-03-04T09:10:11.123456789Z")
        );
        assert_eq!(time(r#""time":"1772615411.5","#), exact("2026-03-04T09:10:11.5Z"));
        assert_eq!(time(r#""time":1.772615411e9,"#), exact("2026-03-04T09:10:11Z"));
        assert_eq!(time(r#""time":1772615411123,"#).1, "time_invalid");
        assert_eq!(time(r#""time":null,"#), (now().to_string(), "time_missing".to_owned()));
        assert_eq!(time("").1, "time_missing");
        assert!(
            refused(&door(r#""time":"yesterday","#)).starts_with("time is not a time of the form")
        );
        assert_eq!(refused(&door(r#""time":{},"#)), "time is not a text");
    }

    #[test]
    fn everything_else_is_a_foreign_event() {
        let text = r#"{"host":"10.0.0.7","source":"/var/log/x","sourcetype":"sshd","index":"main","event":"ana came",
            "fields":{"a":1.5,"b":["c"]}}"#;
        let mapped = map(text.as_bytes(), &intake("/hosts")).unwrap();
        assert_eq!(
            shown(checked(&mapped).event()),
            r#"{"action":"hec.event","actor":{"id":"10.0.0.7","type":"service"},"category":"system","description":"ana came","id":"01JNFTQXC0000000000000000","metadata":{"fields.a":"1.5","fields.b":"[\"c\"]","index":"main","source":"/var/log/x","sourcetype":"sshd"},"operation":"other","origin":{"ip":"10.0.0.7"},"outcome":"unknown","severity":"info","source":"/hosts","time":"2026-03-04T09:10:20Z"}"#
        );
        assert_eq!((mapped.id, mapped.own.is_none()), (IdFrom::Server, true));
        let object = r#"{"event":{"user":"ana","deep":{"x":1},"ok":true}}"#;
        let actor = Actor::new(ActorKind::System, "gate");
        let known = Intake { action: Some("gate.event"), actor: Some(&actor), ..intake("/gate") };
        let mapped = map(object.as_bytes(), &known).unwrap();
        assert_eq!(metadata(&mapped, "event.user"), Some("ana"));
        assert!(mapped.event.metadata.len() == 2 && mapped.event.description.is_none());
        assert_eq!((checked(&mapped).action(), checked(&mapped).actor()), ("gate.event", &actor));
    }

    #[test]
    fn an_envelope_without_an_event_is_refused_by_name() {
        assert_eq!(refused(r#"{"time":1772615411,"log":"x"}"#), "event is missing");
        assert_eq!(refused(r#"{"event":null}"#), "event is missing");
        assert_eq!(refused(r#"{"event":""}"#), "event is empty");
        assert_eq!(refused(r#"{"event":" \n"}"#), "event is empty");
        assert_eq!(refused(r#"{"event":"x","fields":[]}"#), "fields is not an object");
        assert_eq!(refused("[]"), "the event is not an object");
    }

    #[test]
    fn a_long_text_is_cut_in_the_description_and_whole_in_raw() {
        let text = format!(r#"{{"event":"{}"}}"#, "é".repeat(600));
        let mapped = map(text.as_bytes(), &intake("/x")).unwrap();
        let valid = checked(&mapped);
        assert_eq!(valid.event().description.as_ref().unwrap().len(), 1_024);
        assert!(valid.truncated().contains("/description"));
        assert_eq!(mapped.raw.as_ref(), text.as_bytes());
    }

    #[test]
    fn lines_are_events_of_their_own() {
        let lines: Vec<_> = split_lines(b"one\r\n\n \ntwo \xff\nthree").collect();
        assert_eq!(lines, [b"one".as_slice(), b"two \xff", b"three"]);
        let query = RawQuery { host: Some("web1"), source: Some("/s"), sourcetype: None };
        let mapped = map_line(lines[1], query, &intake("/raw")).unwrap();
        assert_eq!(mapped.raw.as_ref(), b"two \xff");
        assert_eq!(mapped.event.description.as_deref(), Some("two \u{fffd}"));
        assert_eq!(mapped.event.origin.host.as_deref(), Some("web1"));
        assert_eq!(metadata(&mapped, "source"), Some("/s"));
        assert_eq!(flags(&mapped), ["characters_replaced", "time_missing"]);
        assert_eq!(refusal(map_line(b" ", query, &intake("/raw"))), "the event is empty");
    }

    proptest! {
        #[test]
        fn arbitrary_envelopes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), value in "[\\[\\]{}\":a,0-9null]{0,12}") {
            hold(map(&bytes, &intake("/x")));
            hold(map_line(&bytes, RawQuery::default(), &intake("/x")));
            for name in ["time", "event", "fields", "host"] {
                hold(map(format!(r#"{{"{name}":{value},"event":"e"}}"#).as_bytes(), &intake("/x")));
                hold(map(format!(r#"{{"sourcetype":"audit:json","event":{{"{name}":{value}}}}}"#).as_bytes(), &intake("/x")));
            }
        }
    }
}
