//! Templates of the catalogue, filled with what an event says.

use super::value::{date, grouped};
use super::{Part, Sentence};
use crate::catalogue::{self, Entry, Show};
use crate::event::{AuditEvent, Change, Target};
use crate::text;
use crate::value::Value;

/// Which form of a verb is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tense {
    Did,
    Tried,
}

impl Tense {
    fn of(self, did: &'static str, tried: &'static str) -> &'static str {
        match self {
            Self::Did => did,
            Self::Tried => tried,
        }
    }
}

/// The template, or `None` if the event lacks what it needs.
pub(super) fn fill(
    template: &str,
    event: &AuditEvent,
    entry: Option<&Entry>,
    tense: Tense,
) -> Option<Sentence> {
    let mut filler = Filler { rest: template, event, entry, tense };
    let (sentence, is_whole) = filler.run();
    is_whole.then_some(sentence)
}

struct Filler<'a> {
    rest: &'a str,
    event: &'a AuditEvent,
    entry: Option<&'a Entry>,
    tense: Tense,
}

impl Filler<'_> {
    /// Fills up to the end, or to the bracket that closes an optional part. False if something that is
    /// not optional is missing.
    fn run(&mut self) -> (Sentence, bool) {
        let (mut sentence, mut is_whole) = (Sentence::default(), true);
        while let Some(at) = self.rest.find(['{', '[', ']']) {
            let (words, rest) = self.rest.split_at(at);
            sentence.words(words);
            self.rest = &rest[1..];
            match rest.as_bytes().first() {
                Some(b'{') => {
                    let (name, rest) = self.rest.split_once('}').unwrap_or((self.rest, ""));
                    self.rest = rest;
                    match self.placeholder(name) {
                        Some(filled) => sentence.append(filled),
                        None => is_whole = false,
                    }
                }
                Some(b'[') => {
                    let (inner, has_all) = self.run();
                    if has_all {
                        sentence.append(inner);
                    }
                }
                _ => return (sentence, is_whole),
            }
        }
        sentence.words(self.rest);
        (sentence, is_whole)
    }

    fn placeholder(&self, name: &str) -> Option<Sentence> {
        let event = self.event;
        let of_kind = |kind: &str| event.targets.iter().find(|target| target.kind == kind);
        match name {
            "item" => Some(item(event)),
            "thing" => Some(thing(event)),
            "change" => Some(change(event, self.entry, self.tense)),
            "setting" => Some(setting(event, self.entry, self.tense)),
            "name" => event.targets.first().map(|target| value(named(target))),
            "person" => of_kind("user").map(|target| value(named(target))),
            "role" => of_kind("role").map(|target| value(named(target))),
            "account" => account(event).map(value),
            _ => self.detail(name),
        }
    }

    /// A member of `metadata`.
    fn detail(&self, name: &str) -> Option<Sentence> {
        let (key, is_number) = name.strip_prefix('#').map_or((name, false), |key| (key, true));
        let found = self.event.metadata.get(key)?;
        if catalogue::show(self.entry, key) == Some(Show::Never) {
            return Some(words("(hidden)"));
        }
        let written = written(found);
        Some(value(&if is_number { grouped(&written) } else { written }))
    }
}

/// Type, id and name of the first item and how many more there are, or how many of a type.
pub(super) fn item(event: &AuditEvent) -> Sentence {
    let mut sentence = Sentence::default();
    let Some(target) = event.targets.first() else {
        sentence.words("an item");
        return sentence;
    };
    let kind = target.kind.replace('_', " ");
    if let Some(Value::Integer(count)) = event.metadata.get("count")
        && count.get() > 1
    {
        sentence.value(&grouped(&count.get().to_string()));
        sentence.words(" ");
        sentence.value(&plural(&kind));
        return sentence;
    }
    sentence.value(&kind);
    sentence.words(" ");
    sentence.value(&target.id);
    if let Some(name) = target.name.as_deref().filter(|name| !name.is_empty()) {
        sentence.words(" \"");
        sentence.value(name);
        sentence.words("\"");
    }
    match event.targets.len() - 1 {
        0 => {}
        1 => sentence.words(" and 1 more item"),
        more => sentence.words(&format!(" and {more} more items")),
    }
    sentence
}

/// Kinds of Kubernetes, in words for people who never saw one.
pub(super) const THINGS: &[(&str, &str)] = &[
    ("secrets", "the stored password"),
    ("configmaps", "the settings"),
    ("deployments", "the program"),
    ("statefulsets", "the program"),
    ("daemonsets", "the program"),
    ("pods", "the running program"),
    ("jobs", "the task"),
    ("cronjobs", "the timed task"),
    ("namespaces", "the area"),
    ("nodes", "the machine"),
    ("services", "the address"),
    ("ingresses", "the address"),
    ("roles", "the role"),
    ("clusterroles", "the role"),
    ("rolebindings", "the grant of a role"),
    ("clusterrolebindings", "the grant of a role"),
    ("serviceaccounts", "the account"),
];

fn thing(event: &AuditEvent) -> Sentence {
    let mut sentence = Sentence::default();
    let Some(target) = event.targets.first() else {
        sentence.words("an item");
        return sentence;
    };
    let known = THINGS.iter().find(|(kind, _)| *kind == target.kind);
    if let Some((_, thing)) = known {
        sentence.words(thing);
    } else {
        sentence.words("the ");
        sentence.value(&target.kind);
    }
    // The id is `namespace/name`.
    let (parent, name) =
        target.id.rsplit_once('/').map_or((None, &*target.id), |(a, b)| (Some(a), b));
    sentence.words(" \"");
    sentence.value(target.name.as_deref().unwrap_or(name));
    sentence.words("\"");
    if let Some(parent) = target.parent.as_deref().or(parent) {
        sentence.words(" in ");
        sentence.value(parent);
    }
    sentence
}

/// What is different, with the verb that fits: changed, set, removed.
fn change(event: &AuditEvent, entry: Option<&Entry>, tense: Tense) -> Sentence {
    let mut sentence = Sentence::default();
    let changed = tense.of("changed ", "change ");
    match &event.changes[..] {
        [] => sentence.words(changed),
        [one] => {
            let (old, new) = sides(one);
            let verb = match (old, new) {
                (_, None) => tense.of("removed ", "remove "),
                (None, Some(_)) => tense.of("set ", "set "),
                (Some(_), Some(_)) => changed,
            };
            sentence.words(verb);
            sentence.words("the ");
            sentence.value(&one.field.replace('_', " "));
            sentence.words(" of ");
            sentence.append(item(event));
            from_to(one, entry, &mut sentence);
            return sentence;
        }
        [one, two] => {
            sentence.words(changed);
            sentence.words("the ");
            sentence.value(&one.field.replace('_', " "));
            sentence.words(" and ");
            sentence.value(&two.field.replace('_', " "));
            sentence.words(" of ");
        }
        more => {
            sentence.words(changed);
            sentence.words(&format!("{} details of ", more.len()));
        }
    }
    sentence.append(item(event));
    sentence
}

/// `changed the setting "session length" of HR portal from 8 h to 24 h`
fn setting(event: &AuditEvent, entry: Option<&Entry>, tense: Tense) -> Sentence {
    let mut sentence = Sentence::default();
    sentence.words(tense.of("changed ", "change "));
    match &event.changes[..] {
        [one] => {
            sentence.words("the setting \"");
            sentence.value(&one.field.replace('_', " "));
            sentence.words("\"");
        }
        [] => sentence.words("the settings"),
        more => sentence.words(&format!("{} settings", more.len())),
    }
    if let Some(target) = event.targets.first() {
        sentence.words(" of ");
        sentence.value(named(target));
    }
    if let [one] = &event.changes[..] {
        from_to(one, entry, &mut sentence);
    }
    sentence
}

/// ` from 900 to 9,000`, as far as it is recorded.
fn from_to(change: &Change, entry: Option<&Entry>, sentence: &mut Sentence) {
    let show = catalogue::show(entry, &change.field);
    let (old, new) = sides(change);
    let Some(new) = new else { return };
    for (word, side) in [(" from ", old), (" to ", Some(new))] {
        let Some(side) = side else { continue };
        sentence.words(word);
        match show {
            Some(Show::Never) => sentence.words("(hidden)"),
            Some(Show::Number) => sentence.value(&grouped(&written(side))),
            Some(Show::Date) => sentence.value(&date(&written(side))),
            None => sentence.value(&written(side)),
        }
    }
}

/// Both sides of a change; an empty text counts as none.
fn sides(change: &Change) -> (Option<&Value>, Option<&Value>) {
    fn some(side: Option<&Value>) -> Option<&Value> {
        side.filter(|value| value.as_text() != Some(""))
    }
    (some(change.old.as_ref()), some(change.new.as_ref()))
}

/// The account in `aws://<account>/<region>/<service>`.
fn account(event: &AuditEvent) -> Option<&str> {
    event.source.as_deref()?.strip_prefix("aws://")?.split('/').next()
}

fn named(target: &Target) -> &str {
    target.name.as_deref().filter(|name| !name.is_empty()).unwrap_or(&target.id)
}

fn written(value: &Value) -> String {
    value.as_text().map_or_else(|| text::write_value(value), str::to_owned)
}

fn plural(kind: &str) -> String {
    match kind.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        _ if kind.ends_with('s') => kind.to_owned(),
        _ => format!("{kind}s"),
    }
}

fn value(text: &str) -> Sentence {
    Sentence(vec![Part::Value(super::shown(text))])
}

fn words(text: &str) -> Sentence {
    Sentence(vec![Part::Words(text.to_owned())])
}
