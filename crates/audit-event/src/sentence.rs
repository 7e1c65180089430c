//! One plain sentence for an event: `{who} {did} {item}{change}{for whom} — {outcome}`.
//!
//! A sentence comes in parts: our words, and values from outside. Values are cut at 80 characters,
//! and control and direction characters in them are shown by their number, so that no value can pose
//! as words of ours. A page sets them apart as well.

mod fill;
mod value;

use std::fmt;

use crate::catalogue::{self, Entry};
use crate::event::{Actor, ActorKind, AuditEvent, Operation, Outcome};
use crate::value::{Object, Value};
use fill::{Tense, fill};
use value::shown;

/// A part of a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Our own words.
    Words(String),
    /// A value from outside, cut and with what hides in it shown.
    Value(String),
}

/// A sentence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sentence(Vec<Part>);

/// How people are named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Naming {
    /// By name.
    #[default]
    Name,
    /// By name and e-mail address, where a result has two people of one name.
    NameAndEmail,
}

impl Sentence {
    /// The sentence of an event, of the members that are there.
    pub fn of(event: &AuditEvent, naming: Naming) -> Self {
        let mut sentence = who(event.actor.as_ref(), naming);
        sentence.words(" ");
        let entry = event.action.as_deref().and_then(catalogue::find);
        let tried = matches!(event.outcome, Some(Outcome::Denied | Outcome::Failure));
        if tried {
            sentence.words("tried to ");
        }
        sentence.append(act(event, entry, if tried { Tense::Tried } else { Tense::Did }));
        sentence.words(outcome(event));
        sentence
    }

    /// The sentence of many attempts of one kind that were refused or failed: "Somebody tried 6 times
    /// to sign in as Bob Okafor — refused".
    pub fn of_attempts(event: &AuditEvent, times: u64, naming: Naming) -> Self {
        let entry = event.action.as_deref().and_then(catalogue::find);
        let is_login = event.operation == Some(Operation::Login);
        let actor = event.actor.as_ref();
        let mut sentence = who(actor.filter(|_| !is_login), naming);
        sentence.words(&format!(" tried {} times to ", value::grouped(&times.to_string())));
        sentence.append(act(event, entry, Tense::Tried));
        if is_login {
            sentence.words(" as ");
            sentence.append(who(actor, naming));
        }
        sentence.words(outcome(event));
        sentence
    }

    /// Its parts, in order.
    pub fn parts(&self) -> &[Part] {
        &self.0
    }

    fn words(&mut self, words: &str) {
        match self.0.last_mut() {
            Some(Part::Words(last)) => last.push_str(words),
            _ => self.0.push(Part::Words(words.to_owned())),
        }
    }

    fn value(&mut self, value: &str) {
        self.0.push(Part::Value(shown(value)));
    }

    fn append(&mut self, other: Self) {
        for part in other.0 {
            match part {
                Part::Words(words) => self.words(&words),
                Part::Value(_) => self.0.push(part),
            }
        }
    }
}

impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Words(text) | Part::Value(text) => f.write_str(text),
        })
    }
}

/// All that sentences are made of, as data, so that a program in another language makes the same ones:
/// `entries` of the catalogue in their order, `secrets`, parts of names of details that are never
/// shown, and `things`, what kinds of Kubernetes are called.
pub fn data() -> Object {
    let pair = |name: &str, value: Value| (name.to_owned(), value);
    let texts = |texts: &[(&str, &str)]| {
        Value::Object(texts.iter().map(|(name, text)| pair(name, Value::from(*text))).collect())
    };
    let entry = |entry: &Entry| {
        let details: Vec<_> = entry.details.iter().map(|(it, show)| (*it, show.name())).collect();
        let members = [
            pair("action", Value::from(entry.action)),
            pair("details", texts(&details)),
            pair("did", Value::from(entry.did)),
            pair("tried", Value::from(entry.tried)),
        ];
        Value::Object(members.into_iter().collect())
    };
    let secrets = catalogue::SECRETS.map(Value::from);
    let members = [
        pair("entries", Value::List(catalogue::entries().iter().map(entry).collect())),
        pair("secrets", Value::List(secrets.into())),
        pair("things", texts(fill::THINGS)),
    ];
    members.into_iter().collect()
}

fn who(actor: Option<&Actor>, naming: Naming) -> Sentence {
    let mut sentence = Sentence::default();
    let Some(actor) = actor else {
        sentence.words("Somebody");
        return sentence;
    };
    match actor.kind {
        ActorKind::Anonymous => sentence.words("Somebody"),
        ActorKind::User | ActorKind::Agent => {
            let name = actor.name.as_deref().filter(|name| !name.trim().is_empty());
            let email = actor.email.as_deref();
            sentence.value(name.or(email).unwrap_or(&actor.id));
            if let (Some(_), Some(email), Naming::NameAndEmail) = (name, email, naming) {
                sentence.words(" (");
                sentence.value(email);
                sentence.words(")");
            }
        }
        ActorKind::Service | ActorKind::ApiKey | ActorKind::System => {
            sentence.words("The ");
            sentence.value(actor.name.as_deref().unwrap_or(&actor.id));
            sentence.words(" system");
        }
    }
    if let Some(party) = &actor.on_behalf_of {
        sentence.words(", for ");
        sentence.value(party.name.as_deref().unwrap_or(&party.id));
        sentence.words(",");
    }
    sentence
}

fn act(event: &AuditEvent, entry: Option<&Entry>, tense: Tense) -> Sentence {
    let template = entry.map(|entry| match tense {
        Tense::Did => entry.did,
        Tense::Tried => entry.tried,
    });
    let filled = template.and_then(|template| fill(template, event, entry, tense));
    filled.unwrap_or_else(|| unknown_act(event, tense))
}

/// What is said of an action that the catalogue does not have, or whose event lacks what its sentence
/// needs.
fn unknown_act(event: &AuditEvent, tense: Tense) -> Sentence {
    let mut sentence = Sentence::default();
    sentence.words(match tense {
        Tense::Did => "did \"",
        Tense::Tried => "do \"",
    });
    sentence.value(event.action.as_deref().unwrap_or("something"));
    sentence.words("\"");
    if !event.targets.is_empty() {
        sentence.words(" to ");
        sentence.append(fill::item(event));
    }
    sentence
}

/// The end of a sentence. People are allowed to, machines do; signing in and out says it already.
fn outcome(event: &AuditEvent) -> &'static str {
    let is_sign_in = matches!(event.operation, Some(Operation::Login | Operation::Logout));
    let is_person = event.actor.as_ref().is_none_or(|actor| {
        let kind = actor.on_behalf_of.as_ref().map_or(actor.kind, |party| party.kind);
        matches!(kind, ActorKind::User | ActorKind::Anonymous)
    });
    match event.outcome {
        Some(Outcome::Success) if is_sign_in => "",
        Some(Outcome::Success) if is_person => " — allowed",
        Some(Outcome::Success) => " — done",
        Some(Outcome::Denied) => " — refused",
        Some(Outcome::Failure) => " — failed",
        Some(Outcome::Unknown) | None => " — result not recorded",
    }
}
