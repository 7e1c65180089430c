//! Which events an evidence file was asked for. Where the filter names members of `core` and times
//! alone, anybody can evaluate it again.

use std::collections::BTreeMap;

use super::fields::{Fields, FormError};
use crate::blocks::{Tag, Tags};
use crate::path::Path;
use crate::text;
use crate::time::Instant;
use crate::value::{Object, Value};

/// Members of `core` that a filter can name; `time` in a filter says which time counts.
const CORE: [&str; 12] = [
    "id",
    "source",
    "action",
    "category",
    "operation",
    "outcome",
    "outcome_code",
    "severity",
    "schema",
    "retention_class",
    "labels",
    "flags",
];

/// What stands for what is not said.
pub const WITHHELD: &str = "(withheld)";

/// Members that ask about people.
const PEOPLE: [&str; 3] = ["actor", "ip", "text"];

/// A filter: all its members must match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// The first instant that matches.
    pub from: Option<Instant>,
    /// The first instant after it that does not.
    pub to: Option<Instant>,
    /// Which time counts.
    pub time: TimeOf,
    /// Every other member: texts of which any may match.
    pub members: BTreeMap<String, Vec<String>>,
}

/// Which time of an event counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TimeOf {
    /// When the log received it.
    #[default]
    Received,
    /// When it happened, as its source says.
    Event,
}

impl Filter {
    /// Reads the member `filter` of a manifest.
    pub fn read(value: Value) -> Result<Self, FormError> {
        let path = Path::of("filter");
        let object = Fields::of(path.clone(), value)?.into_rest();
        let mut filter = Self::default();
        for (name, value) in object {
            let path = path.member(&name);
            match (&*name, value) {
                ("from", value) => filter.from = Some(instant(path, &value)?),
                ("to", value) => filter.to = Some(instant(path, &value)?),
                ("time", value) => filter.time = time_of(path, &value)?,
                (_, value) => drop(filter.members.insert(name, texts(&path, value)?)),
            }
        }
        Ok(filter)
    }

    /// The member `filter` of a manifest; [`Filter::read`] gives the same filter back.
    pub fn to_object(&self) -> Object {
        let list =
            |texts: &Vec<String>| Value::List(texts.iter().map(|it| Value::from(&**it)).collect());
        let members = self.members.iter().map(|(name, texts)| (name.clone(), list(texts)));
        let mut object: Object = members.collect();
        for (name, instant) in [("from", self.from), ("to", self.to)] {
            let text = instant.map(|instant| Value::from(instant.to_string()));
            object.extend(text.map(|text| (name.to_owned(), text)));
        }
        if self.time == TimeOf::Event {
            object.insert("time".to_owned(), Value::from("event"));
        }
        object
    }

    /// The filter as a file states it that withholds these blocks: what was asked about people is not
    /// said where they are kept back.
    #[must_use]
    pub fn stated(mut self, withheld: Tags) -> Self {
        if withheld.contains(Tag::Actor) || withheld.contains(Tag::Origin) {
            for (_, texts) in self.members.iter_mut().filter(|(name, _)| PEOPLE.contains(&&***name))
            {
                *texts = vec![WITHHELD.to_owned()];
            }
        }
        self
    }

    /// Whether `core` and the time of receipt decide it.
    pub fn is_decidable(&self) -> bool {
        let known = |name: &String| matches!(&**name, "flag" | "label") || CORE.contains(&&**name);
        self.members.keys().all(known)
    }

    /// Whether it has a range of receipt times.
    pub fn has_receipt_range(&self) -> bool {
        self.time == TimeOf::Received && (self.from.is_some() || self.to.is_some())
    }

    /// Whether an event matches. Right only where the filter [is decidable](Self::is_decidable).
    pub fn matches(&self, core: &Object, received: Instant) -> bool {
        let time = match self.time {
            TimeOf::Received => Some(received),
            TimeOf::Event => core
                .get("time")
                .and_then(Value::as_text)
                .and_then(|text| Instant::parse_utc(text).ok()),
        };
        let is_bounded = self.from.is_some() || self.to.is_some();
        let in_range = |time| self.is_not_before(time) && self.is_before_end(time);
        if is_bounded && !time.is_some_and(in_range) {
            return false;
        }
        self.members.iter().all(|(name, texts)| member_matches(core, name, texts))
    }

    /// Whether an instant is not before the range.
    pub(super) fn is_not_before(&self, time: Instant) -> bool {
        self.from.is_none_or(|from| from <= time)
    }

    /// Whether an instant is not after the range.
    pub(super) fn is_before_end(&self, time: Instant) -> bool {
        self.to.is_none_or(|to| time < to)
    }
}

fn member_matches(core: &Object, name: &str, texts: &[String]) -> bool {
    match name {
        "flag" => {
            let flags = core.get("flags").and_then(Value::as_list).unwrap_or_default();
            flags
                .iter()
                .filter_map(Value::as_text)
                .any(|flag| texts.iter().any(|text| text == flag))
        }
        "label" => {
            let labels = core.get("labels").and_then(Value::as_object).into_iter().flatten();
            let written =
                labels.filter_map(|(key, value)| Some(format!("{key}={}", value.as_text()?)));
            written.into_iter().any(|label| texts.contains(&label))
        }
        _ => core.get(name).is_some_and(|value| {
            let written = text::write_value(value);
            let found = value.as_text().unwrap_or(&written);
            texts.iter().any(|text| text == found)
        }),
    }
}

fn instant(path: Path, value: &Value) -> Result<Instant, FormError> {
    let instant = value.as_text().and_then(|text| Instant::parse_utc(text).ok());
    instant.ok_or(FormError::Form { path, expected: "an instant in UTC" })
}

fn time_of(path: Path, value: &Value) -> Result<TimeOf, FormError> {
    match value.as_text() {
        Some("received") => Ok(TimeOf::Received),
        Some("event") => Ok(TimeOf::Event),
        _ => Err(FormError::Form { path, expected: "received or event" }),
    }
}

fn texts(path: &Path, value: Value) -> Result<Vec<String>, FormError> {
    let form = || FormError::Form { path: path.clone(), expected: "a list of texts" };
    let Value::List(items) = value else { return Err(form()) };
    let text = |item| match item {
        Value::Text(text) => Ok(text),
        _ => Err(form()),
    };
    items.into_iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{self, Numbers};

    fn filter(text: &str) -> Result<Filter, FormError> {
        Filter::read(json::read_value(text.as_bytes(), Numbers::Refused).unwrap())
    }

    const CORE_TEXT: &str = r#"{"action":"a.b","flags":["clock_skew","truncated"],"labels":{"k":"v=w"},"outcome":"success","schema":{"name":"n"},"time":"2026-03-04T09:10:11.5Z"}"#;

    #[test]
    fn all_members_must_match_by_any_of_their_texts() {
        let core = text::read(CORE_TEXT.as_bytes()).unwrap();
        let received = Instant::parse_utc("2026-03-05T00:00:00Z").unwrap();
        let matches = |text: &str| filter(text).unwrap().matches(&core, received);
        for text in [
            "{}",
            r#"{"action":["a.b"]}"#,
            r#"{"action":["x.y","a.b"],"outcome":["success"]}"#,
            r#"{"flag":["truncated"]}"#,
            r#"{"label":["k=v=w"]}"#,
            r#"{"schema":["{\"name\":\"n\"}"]}"#,
            r#"{"from":"2026-03-05T00:00:00Z"}"#,
            r#"{"to":"2026-03-05T00:00:00.000000001Z"}"#,
            r#"{"time":"event","from":"2026-03-04T09:10:11.5Z","to":"2026-03-04T09:10:11.6Z"}"#,
        ] {
            assert!(matches(text), "{text}");
        }
        for text in [
            r#"{"action":["A.b"]}"#,
            r#"{"action":[]}"#,
            r#"{"action":["a.b"],"outcome":["failure"]}"#,
            r#"{"outcome_code":["403"]}"#,
            r#"{"flag":["clock"]}"#,
            r#"{"label":["k=v"]}"#,
            r#"{"label":["k"]}"#,
            r#"{"from":"2026-03-05T00:00:00.000000001Z"}"#,
            r#"{"to":"2026-03-05T00:00:00Z"}"#,
            r#"{"time":"event","to":"2026-03-04T09:10:11.5Z"}"#,
        ] {
            assert!(!matches(text), "{text}");
        }
        let unreadable = text::read(br#"{"time":"2026-03-04T10:10:11+01:00"}"#).unwrap();
        let by_event = filter(r#"{"time":"event","from":"2000-01-01T00:00:00Z"}"#).unwrap();
        assert!(!by_event.matches(&unreadable, received));
    }

    #[test]
    fn members_have_one_form() {
        for text in [
            r#"{"from":["2026-03-05T00:00:00Z"]}"#,
            r#"{"from":"2026-03-05T00:00:00+00:00"}"#,
            r#"{"to":"yesterday"}"#,
            r#"{"time":"both"}"#,
            r#"{"time":["event"]}"#,
            r#"{"action":"a.b"}"#,
            r#"{"action":[1]}"#,
            r#"{"unheard":{}}"#,
            "[]",
        ] {
            assert!(filter(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_core_and_times_can_be_decided() {
        for text in ["{}", r#"{"flag":[],"label":[],"source":["x"],"from":"2026-03-05T00:00:00Z"}"#]
        {
            assert!(filter(text).unwrap().is_decidable(), "{text}");
        }
        for text in [r#"{"actor":["(withheld)"]}"#, r#"{"text":["x"]}"#, r#"{"unheard":[]}"#] {
            assert!(!filter(text).unwrap().is_decidable(), "{text}");
        }
    }

    #[test]
    fn what_was_asked_about_people_is_not_said_where_they_are_withheld() {
        let asked =
            filter(r#"{"actor":["Ana"],"ip":["192.0.2.7"],"text":["x"],"source":["/a"]}"#).unwrap();
        let stated =
            |tag: Tag| text::write(&asked.clone().stated([tag].into_iter().collect()).to_object());
        let hidden =
            r#"{"actor":["(withheld)"],"ip":["(withheld)"],"source":["/a"],"text":["(withheld)"]}"#;
        assert_eq!(stated(Tag::Actor), hidden);
        assert_eq!(stated(Tag::Origin), hidden);
        assert_eq!(stated(Tag::Changes), text::write(&asked.to_object()));
    }

    #[test]
    fn what_was_written_is_read_back() {
        let text = r#"{"action":["a.b"],"from":"2026-03-05T00:00:00Z","time":"event","to":"2026-03-06T00:00:00Z"}"#;
        assert_eq!(text::write(&filter(text).unwrap().to_object()), text);
    }
}
