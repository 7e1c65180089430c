//! What of an event is found: the terms of each of its fields.
//!
//! The index and the comparison without an index both take the terms from here, so they agree.

use std::borrow::Cow;

use audit_event::event::Word;
use audit_event::{RecordedEvent, Value, Writer};

use crate::fold::{address, fold};
use crate::words;

/// Words of a name that follow one another are found up to so many at once.
pub(crate) const NAME_RUN_MAX: usize = 8;

/// Names have at most 256 bytes; of a longer one so many words count.
const NAME_WORDS_MAX: usize = 64;

/// A field of terms, and the byte that its terms begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Field {
    Id = 1,
    Source,
    Action,
    Category,
    Operation,
    Outcome,
    Severity,
    Flag,
    Label,
    /// Folded ids and e-mail addresses of actors.
    Actor,
    /// Runs of words of folded names of actors, with a space between.
    ActorName,
    /// Folded ids and names of targets.
    Target,
    Ip,
    /// Terms of every shown text.
    Text,
}

impl Field {
    /// The byte that its terms begin with.
    pub(crate) fn byte(self) -> u8 {
        match self {
            Self::Id => b'i',
            Self::Source => b's',
            Self::Action => b'a',
            Self::Category => b'c',
            Self::Operation => b'o',
            Self::Outcome => b'u',
            Self::Severity => b'v',
            Self::Flag => b'f',
            Self::Label => b'l',
            Self::Actor => b'A',
            Self::ActorName => b'N',
            Self::Target => b'T',
            Self::Ip => b'p',
            Self::Text => b'x',
        }
    }

    /// All fields.
    pub(crate) const ALL: [Self; 14] = [
        Self::Id,
        Self::Source,
        Self::Action,
        Self::Category,
        Self::Operation,
        Self::Outcome,
        Self::Severity,
        Self::Flag,
        Self::Label,
        Self::Actor,
        Self::ActorName,
        Self::Target,
        Self::Ip,
        Self::Text,
    ];
}

/// Calls `sink` with each term of a field of an event. A term may come more than once.
pub(crate) fn terms(recorded: &RecordedEvent, field: Field, mut sink: impl FnMut(&str)) {
    let event = &recorded.event;
    let mut one = |text: Option<&str>| {
        if let Some(text) = text {
            sink(text);
        }
    };
    match field {
        Field::Id => one(event.id.as_deref()),
        Field::Source => one(event.source.as_deref()),
        Field::Action => one(event.action.as_deref()),
        Field::Category => one(event.category.map(Word::word)),
        Field::Operation => one(event.operation.map(Word::word)),
        Field::Outcome => one(event.outcome.map(Word::word)),
        Field::Severity => one(event.severity.map(Word::word)),
        Field::Flag => recorded.flags.iter().for_each(|flag| sink(flag.name())),
        Field::Label => {
            event.labels.iter().for_each(|(key, value)| sink(&format!("{key}={value}")));
        }
        Field::Actor => {
            let actor = event.actor.iter();
            let texts = actor.flat_map(|actor| [Some(&actor.id), actor.email.as_ref()]);
            texts.flatten().for_each(|text| sink(&fold(text)));
        }
        Field::ActorName => {
            let name = event.actor.as_ref().and_then(|actor| actor.name.as_deref());
            name_runs(name.unwrap_or_default(), sink);
        }
        Field::Target => {
            let targets = event.targets.iter();
            let texts = targets.flat_map(|target| [Some(&target.id), target.name.as_ref()]);
            texts.flatten().for_each(|text| sink(&fold(text)));
        }
        Field::Ip => one(event.origin.ip.as_deref().map(ip).as_deref()),
        Field::Text => texts(recorded, &mut |text| words::terms(&fold(text), &mut sink)),
    }
}

/// An address, or what stands in its place, as it is compared.
pub(crate) fn ip(text: &str) -> Cow<'_, str> {
    address(text).map_or_else(|| fold(text), Cow::Owned)
}

fn name_runs(name: &str, mut sink: impl FnMut(&str)) {
    let folded = fold(name);
    let words: Vec<&str> = words::words(&folded).take(NAME_WORDS_MAX).collect();
    let mut run = String::new();
    for start in 0..words.len() {
        run.clear();
        for word in words[start..].iter().take(NAME_RUN_MAX) {
            if !run.is_empty() {
                run.push(' ');
            }
            run.push_str(word);
            sink(&run);
        }
    }
}

/// Every shown text of an event but RAW and times.
fn texts(recorded: &RecordedEvent, sink: &mut dyn FnMut(&str)) {
    core_texts(recorded, sink);
    let event = &recorded.event;
    if let Some(actor) = &event.actor {
        let texts = [&actor.name, &actor.email, &actor.session_id, &actor.auth_method];
        sink(actor.kind.word());
        sink(&actor.id);
        texts.into_iter().flatten().chain(&actor.groups).for_each(|text| sink(text));
        if let Some(party) = &actor.on_behalf_of {
            sink(party.kind.word());
            sink(&party.id);
            party.name.iter().for_each(|text| sink(text));
        }
    }
    let origin = &event.origin;
    let texts = [&origin.ip, &origin.host, &origin.user_agent, &origin.country, &origin.device];
    texts.into_iter().flatten().chain(&origin.forwarded_for).for_each(|text| sink(text));
    for target in &event.targets {
        sink(&target.kind);
        sink(&target.id);
        [&target.name, &target.parent, &target.uid]
            .into_iter()
            .flatten()
            .for_each(|text| sink(text));
    }
    event.description.iter().for_each(|text| sink(text));
    for change in &event.changes {
        sink(&change.field);
        change.old.iter().chain(&change.new).for_each(|value| value_texts(value, sink));
    }
    detail_texts(recorded, sink);
}

fn core_texts(recorded: &RecordedEvent, sink: &mut dyn FnMut(&str)) {
    let event = &recorded.event;
    let texts = [
        &event.id,
        &event.source,
        &event.action,
        &event.outcome_code,
        &event.schema.name,
        &event.schema.version,
        &event.retention_class,
    ];
    texts.into_iter().flatten().for_each(|text| sink(text));
    let words = [
        event.category.map(Word::word),
        event.operation.map(Word::word),
        event.outcome.map(Word::word),
        event.severity.map(Word::word),
    ];
    words.into_iter().flatten().for_each(&mut *sink);
    for (key, value) in &event.labels {
        sink(key);
        sink(value);
    }
    recorded.flags.iter().for_each(|flag| sink(flag.name()));
}

fn detail_texts(recorded: &RecordedEvent, sink: &mut dyn FnMut(&str)) {
    let event = &recorded.event;
    let (request, trace) = (&event.request, &event.trace);
    let texts = [
        &request.id,
        &request.method,
        &request.path,
        &trace.trace_id,
        &trace.span_id,
        &trace.correlation_id,
        &event.subject_ref,
        &recorded.raw_content_type,
    ];
    texts.into_iter().flatten().for_each(|text| sink(text));
    for (key, value) in &event.metadata {
        sink(key);
        value_texts(value, sink);
    }
    event.producer_sig.iter().for_each(|signed| sink(&signed.key_id));
    match &recorded.writer {
        None => {}
        Some(Writer::Token(id)) => sink(id),
        Some(Writer::Person { issuer, subject }) => {
            sink(issuer);
            sink(subject);
        }
    }
    recorded.unknown.iter().for_each(|(_, value)| value_texts(value, sink));
}

/// The texts and numbers of a value. Its depth is bounded by the reader of blocks.
fn value_texts(value: &Value, sink: &mut dyn FnMut(&str)) {
    match value {
        Value::Null => {}
        Value::Bool(value) => sink(if *value { "true" } else { "false" }),
        Value::Integer(value) => sink(&value.get().to_string()),
        Value::Text(text) => sink(text),
        Value::List(items) => items.iter().for_each(|item| value_texts(item, sink)),
        Value::Object(members) => {
            for (key, value) in members {
                sink(key);
                value_texts(value, sink);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn fields_are_told_apart_by_their_first_byte() {
        let bytes: BTreeSet<u8> = Field::ALL.iter().map(|field| field.byte()).collect();
        assert_eq!(bytes.len(), Field::ALL.len());
    }

    #[test]
    fn a_name_is_found_by_words_that_follow_one_another() {
        let mut found = BTreeSet::new();
        name_runs("Ana María 王小", |run| {
            found.insert(run.to_owned());
        });
        for run in ["ana", "maria", "ana maria", "ana maria 王 小", "王 小", "maria 王"] {
            assert!(found.contains(run), "{run}");
        }
        assert!(!found.contains("ana 王"));
        let mut runs = 0;
        name_runs(&"a ".repeat(1_000), |_| runs += 1);
        assert!(runs <= NAME_WORDS_MAX * NAME_RUN_MAX);
    }
}
