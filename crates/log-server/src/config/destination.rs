//! The settings of destinations.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use audit_event::mapping::cloudevents::Domain;
use audit_index::Query;
use audit_stream::{Ack, Destination, Form, Kind as Stream};
use audit_trail::AUDIT_LOG;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serve::config::{Kind, Millis};
use tls::{Known, Pin, Url};

use super::LogKey;

/// Destinations of one server.
const DESTINATIONS_MAX: usize = 64;
/// Bytes of a name, which is that of a folder, and of other words.
const NAME_BYTES_MAX: usize = 64;
const INDEX: &str = "cairn-audit";
const SOURCETYPE: &str = "audit:json";
const DOMAIN: &str = "cairn";
const TIMEOUT: Duration = Duration::from_secs(30);
const ACK_WAIT: Duration = Duration::from_mins(2);

/// The destinations, each with a name of its own.
#[derive(Clone, Debug, Default)]
pub struct DestinationList(Vec<Destination>);

impl DestinationList {
    pub(super) fn destinations(&self) -> Vec<Destination> {
        self.0.clone()
    }
}

/// One destination, under `[[destination]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DestinationSettings {
    name: NameText,
    kind: KindText,
    url: UrlText,
    logs: Option<Vec<LogKey>>,
    filter: Option<FilterTable>,
    secret_file: Option<Word>,
    pin: Option<PinText>,
    timeout_ms: Option<Millis<1>>,
    index: Option<IndexText>,
    format: Option<FormText>,
    sourcetype: Option<Word>,
    ack: Option<AckText>,
    ack_wait_ms: Option<Millis<1>>,
    domain: Option<DomainText>,
}

impl DestinationSettings {
    /// What contradicts itself in it.
    fn contradiction(&self) -> Option<String> {
        let word = self.kind.word();
        let (elastic, splunk) =
            (self.kind == KindText::Elasticsearch, self.kind == KindText::Splunk);
        let members = [
            ("index", self.index.is_some(), elastic || splunk),
            ("format", self.format.is_some(), elastic || splunk),
            ("sourcetype", self.sourcetype.is_some(), splunk),
            ("ack", self.ack.is_some(), splunk),
            ("ack_wait_ms", self.ack_wait_ms.is_some(), splunk),
            ("domain", self.domain.is_some(), self.kind == KindText::Webhook),
        ];
        if let Some((name, ..)) =
            members.into_iter().find(|(_, is_set, is_known)| *is_set && !is_known)
        {
            return Some(format!("a {word} destination without {name}"));
        }
        let needs_secret = splunk || self.kind == KindText::Webhook;
        if needs_secret && self.secret_file.is_none() {
            return Some(format!("a {word} destination with a secret_file"));
        }
        let is_plain = self.url.0.known() == Known::ByNothing;
        (self.pin.is_some() && is_plain).then(|| "an https destination if it has a pin".to_owned())
    }

    fn destination(self) -> Destination {
        let url = self.url.0;
        let pinned = self.pin.map(|PinText(pin)| Known::ByKey(pin));
        let known = pinned.unwrap_or_else(|| url.known());
        let logs =
            self.logs.unwrap_or_default().into_iter().map(|LogKey(log)| log.as_str().to_owned());
        let mut logs: Vec<String> = logs.collect();
        if logs.is_empty() {
            logs.push(AUDIT_LOG.to_owned());
        }
        logs.sort();
        logs.dedup();
        let form = self.format.map_or(Form::Event, |FormText(form)| form);
        let index = self.index.map(|IndexText(index)| index);
        let kind = match self.kind {
            KindText::Elasticsearch => {
                Stream::Elasticsearch { index: index.unwrap_or_else(|| INDEX.to_owned()), form }
            }
            KindText::Splunk => Stream::Splunk {
                index,
                sourcetype: self.sourcetype.map_or_else(|| SOURCETYPE.to_owned(), |it| it.0),
                form,
                ack: self.ack.map_or(Ack::Auto, |AckText(ack)| ack),
                ack_wait: self.ack_wait_ms.map_or(ACK_WAIT, Millis::millis),
            },
            KindText::Webhook => {
                let domain = self.domain.map(|DomainText(domain)| domain);
                let domain = domain.or_else(|| Domain::new(DOMAIN));
                Stream::Webhook { domain: domain.expect("the default is a domain") }
            }
            KindText::Otlp => Stream::Otlp,
        };
        Destination {
            name: self.name.0,
            kind,
            url: url.uri().clone(),
            known,
            logs,
            filter: self.filter.and_then(|FilterTable(filter)| filter),
            secret_file: self.secret_file.map(|Word(path)| PathBuf::from(path)),
            timeout: self.timeout_ms.map_or(TIMEOUT, Millis::millis),
        }
    }
}

struct OneVisitor;

impl<'de> Visitor<'de> for OneVisitor {
    type Value = Destination;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of name, kind, url and more")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Destination, A::Error> {
        let settings = DestinationSettings::deserialize(MapAccessDeserializer::new(map))?;
        match settings.contradiction() {
            Some(expected) => Err(A::Error::custom(expected)),
            None => Ok(settings.destination()),
        }
    }
}

/// One destination, checked as it is read, so that what is wrong is told with its place.
struct One(Destination);

impl<'de> Deserialize<'de> for One {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OneVisitor).map(Self)
    }
}

struct ListVisitor;

impl<'de> Visitor<'de> for ListVisitor {
    type Value = DestinationList;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of tables")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<DestinationList, A::Error> {
        let (mut list, mut names) = (Vec::new(), BTreeSet::new());
        while let Some(One(destination)) = items.next_element()? {
            if list.len() >= DESTINATIONS_MAX || !names.insert(destination.name.clone()) {
                let expected =
                    format!("at most {DESTINATIONS_MAX} destinations, no two of one name");
                return Err(A::Error::custom(expected));
            }
            list.push(destination);
        }
        Ok(DestinationList(list))
    }
}

impl<'de> Deserialize<'de> for DestinationList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ListVisitor)
    }
}

/// A query's members, each a text or a list of texts. Without any it is `None`.
#[derive(Debug)]
struct FilterTable(Option<Query>);

/// A text, or several.
struct Texts(Vec<String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextsVisitor)
    }
}

struct TextsVisitor;

impl<'de> Visitor<'de> for TextsVisitor {
    type Value = Texts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, or a list of texts")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Texts, E> {
        Ok(Texts(vec![text.to_owned()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Texts, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = items.next_element()? {
            texts.push(text);
        }
        Ok(Texts(texts))
    }
}

struct FilterVisitor;

impl<'de> Visitor<'de> for FilterVisitor {
    type Value = FilterTable;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of a search's members")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FilterTable, A::Error> {
        let members = BTreeMap::<String, Texts>::deserialize(MapAccessDeserializer::new(map))?;
        if members.is_empty() {
            return Ok(FilterTable(None));
        }
        for name in ["order", "limit", "cursor"] {
            if members.contains_key(name) {
                return Err(A::Error::custom(format!("a filter without {name}")));
            }
        }
        let pairs = members.iter().flat_map(|(name, Texts(values))| {
            values.iter().map(move |value| (name.as_str(), value.as_str()))
        });
        let query = Query::parse(pairs);
        let query =
            query.map_err(|error| A::Error::custom(format!("a filter, and its {error}")))?;
        Ok(FilterTable(Some(query)))
    }
}

impl<'de> Deserialize<'de> for FilterTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FilterVisitor)
    }
}

/// A destination's name.
#[derive(Debug)]
struct NameText(String);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KindText {
    Elasticsearch,
    Splunk,
    Webhook,
    Otlp,
}

impl KindText {
    fn word(self) -> &'static str {
        match self {
            Self::Elasticsearch => "elasticsearch",
            Self::Splunk => "splunk",
            Self::Webhook => "webhook",
            Self::Otlp => "otlp",
        }
    }
}

#[derive(Debug)]
struct UrlText(Url);

#[derive(Debug)]
struct PinText(Pin);

/// The name of a data stream or an index.
#[derive(Debug)]
struct IndexText(String);

#[derive(Debug)]
struct FormText(Form);

#[derive(Debug)]
struct AckText(Ack);

#[derive(Debug)]
struct DomainText(Domain);

/// Any line that is not empty.
#[derive(Debug)]
struct Word(String);

fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(fits) && !text.starts_with('-')
}

impl Kind for NameText {
    fn expected() -> String {
        format!("a name: 1 to {NAME_BYTES_MAX} of a-z, 0-9 and -, and no - in front")
    }

    fn of(text: &str) -> Option<Self> {
        is_name(text).then(|| Self(text.to_owned()))
    }
}

impl Kind for KindText {
    fn expected() -> String {
        "elasticsearch, splunk, webhook or otlp".to_owned()
    }

    fn of(text: &str) -> Option<Self> {
        let all = [Self::Elasticsearch, Self::Splunk, Self::Webhook, Self::Otlp];
        all.into_iter().find(|kind| kind.word() == text)
    }
}

impl Kind for UrlText {
    fn expected() -> String {
        "of the form http[s]://HOST[:PORT][/PATH]".to_owned()
    }

    fn of(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

impl Kind for PinText {
    fn expected() -> String {
        "a pin of the form sha256//BASE64".to_owned()
    }

    fn of(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

impl Kind for IndexText {
    fn expected() -> String {
        "1 to 200 of a-z, 0-9, -, _ and ., and none of -, _ and . in front".to_owned()
    }

    fn of(text: &str) -> Option<Self> {
        let fits =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
        let is_index = (1..=200).contains(&text.len()) && text.bytes().all(fits);
        (is_index && !text.starts_with(['-', '_', '.'])).then(|| Self(text.to_owned()))
    }
}

impl Kind for FormText {
    fn expected() -> String {
        "event or ocsf".to_owned()
    }

    fn of(text: &str) -> Option<Self> {
        match text {
            "event" => Some(Self(Form::Event)),
            "ocsf" => Some(Self(Form::Ocsf)),
            _ => None,
        }
    }
}

impl Kind for AckText {
    fn expected() -> String {
        "auto, required or off".to_owned()
    }

    fn of(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self(Ack::Auto)),
            "required" => Some(Self(Ack::Required)),
            "off" => Some(Self(Ack::Off)),
            _ => None,
        }
    }
}

impl Kind for DomainText {
    fn expected() -> String {
        "a domain in reverse, such as com.example".to_owned()
    }

    fn of(text: &str) -> Option<Self> {
        Domain::new(text).map(Self)
    }
}

impl Kind for Word {
    fn expected() -> String {
        "a line of 1 to 1,024 bytes".to_owned()
    }

    fn of(text: &str) -> Option<Self> {
        let is_line = (1..=1_024).contains(&text.len()) && !text.contains(char::is_control);
        is_line.then(|| Self(text.to_owned()))
    }
}

/// Reads a kind from merged settings.
macro_rules! read {
    ($($kind:ty)*) => {
        $(impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::read(deserializer)
            }
        })*
    };
}

read!(NameText KindText UrlText PinText IndexText FormText AckText DomainText Word);

#[cfg(test)]
mod tests;
