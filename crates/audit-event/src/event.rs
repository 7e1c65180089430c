//! [`AuditEvent`]: who did what to which item, when, from where, and how it ended.
//!
//! An event here is **not checked**: members may be missing or too long. [`ValidEvent`] is checked.
//! Whoever maps a foreign format builds an `AuditEvent` and a set of [`Flags`](crate::Flags), and
//! [`ValidEvent::foreign`] cuts what is too long.
//!
//! [`ValidEvent`]: crate::ValidEvent
//! [`ValidEvent::foreign`]: crate::ValidEvent::foreign

use std::collections::{BTreeMap, BTreeSet};

use crate::time::Instant;
use crate::value::{Object, Value};

/// One of a closed set of words.
pub trait Word: Sized + Copy {
    /// All the words, for messages.
    const ALLOWED: &'static str;

    /// The word.
    fn word(self) -> &'static str;

    /// The value whose word this is.
    fn from_word(word: &str) -> Option<Self>;
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $allowed:literal:
     $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)?) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
        }

        impl Word for $name {
            const ALLOWED: &'static str = $allowed;

            fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            fn from_word(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

words! {
    /// What an event is about.
    Category, "auth, access, data, config, transaction, admin, system":
    /// Signing in and out.
    Auth = "auth",
    /// Looking at something.
    Access = "access",
    /// Changing data.
    Data = "data",
    /// Changing settings.
    Config = "config",
    /// Moving money or the like.
    Transaction = "transaction",
    /// People, roles and rights.
    Admin = "admin",
    /// What machines do.
    System = "system",
}

words! {
    /// What kind of act it was.
    Operation, "create, read, update, delete, execute, login, logout, approve, other":
    /// Something is new.
    Create = "create",
    /// Something was looked at.
    Read = "read",
    /// Something is different.
    Update = "update",
    /// Something is gone.
    Delete = "delete",
    /// Something was run.
    Execute = "execute",
    /// Somebody signed in.
    Login = "login",
    /// Somebody signed out.
    Logout = "logout",
    /// Somebody approved something.
    Approve = "approve",
    /// None of these.
    Other = "other",
}

words! {
    /// How an act ended.
    Outcome, "success, failure, denied, unknown":
    /// It was done.
    Success = "success",
    /// It was tried and went wrong.
    Failure = "failure",
    /// It was tried and refused.
    Denied = "denied",
    /// The source does not say.
    Unknown = "unknown",
}

words! {
    /// How serious an event is.
    Severity, "info, low, medium, high, critical":
    /// Nothing to do.
    Info = "info",
    /// Worth a look.
    Low = "low",
    /// Somebody should look.
    Medium = "medium",
    /// Somebody must look soon.
    High = "high",
    /// Somebody must look now.
    Critical = "critical",
}

words! {
    /// What sort of actor it is.
    ActorKind, "user, service, api_key, system, agent, anonymous":
    /// A person.
    User = "user",
    /// A program.
    Service = "service",
    /// A key, whoever holds it.
    ApiKey = "api_key",
    /// A part of the system itself.
    System = "system",
    /// A program that decides for itself.
    Agent = "agent",
    /// Nobody knows.
    Anonymous = "anonymous",
}

/// All that an event says. Limits in bytes are those of [`ValidEvent`](crate::ValidEvent).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditEvent {
    /// Unique for the source, 1 to 128 bytes. The server gives one where it is absent.
    pub id: Option<String>,
    /// What sent it: a URI reference, 1 to 256 bytes.
    pub source: Option<String>,
    /// When it happened.
    pub time: Option<Instant>,
    /// What happened: 2 to 12 dotted parts, at most 128 bytes.
    pub action: Option<String>,
    /// What it is about; known from the action where the catalogue has it.
    pub category: Option<Category>,
    /// What kind of act it was; known from the action where the catalogue has it.
    pub operation: Option<Operation>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// The source's code for how it ended, at most 64 bytes.
    pub outcome_code: Option<String>,
    /// How serious it is; `info` where absent.
    pub severity: Option<Severity>,
    /// The schema of the action.
    pub schema: Schema,
    /// The class that says how long it is kept, at most 64 bytes.
    pub retention_class: Option<String>,
    /// At most 16 labels: keys of 1 to 64 printable ASCII characters, values of at most 256 bytes.
    pub labels: BTreeMap<String, String>,
    /// Who did it.
    pub actor: Option<Actor>,
    /// Where from.
    pub origin: Origin,
    /// To what: at most 32.
    pub targets: Vec<Target>,
    /// One plain sentence, at most 1,024 bytes.
    pub description: Option<String>,
    /// What is different: at most 100.
    pub changes: Vec<Change>,
    /// The request that caused it.
    pub request: Request,
    /// The traces it belongs to.
    pub trace: Trace,
    /// At most 50 details: keys of 1 to 64 printable ASCII characters, values that are texts of at
    /// most 1,024 bytes, integers or truth values.
    pub metadata: Object,
    /// Whose data it is about, for erasure, at most 256 bytes. Whoever seals the event puts a keyed
    /// digest here, never the name itself.
    pub subject_ref: Option<String>,
    /// The source's own signature.
    pub producer_sig: Option<ProducerSig>,
    /// RFC 6901 pointers of the texts here that were numbers.
    pub numbers: BTreeSet<String>,
}

/// The catalogue entry that the source wrote the event by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schema {
    /// Its name, at most 64 bytes.
    pub name: Option<String>,
    /// Its version, at most 64 bytes.
    pub version: Option<String>,
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// What sort of actor.
    pub kind: ActorKind,
    /// 1 to 256 bytes.
    pub id: String,
    /// At most 256 bytes.
    pub name: Option<String>,
    /// At most 320 bytes.
    pub email: Option<String>,
    /// At most 64, each at most 256 bytes.
    pub groups: Vec<String>,
    /// At most 256 bytes.
    pub session_id: Option<String>,
    /// How the actor signed in, at most 64 bytes.
    pub auth_method: Option<String>,
    /// For whom the actor acted.
    pub on_behalf_of: Option<Party>,
}

impl Actor {
    /// An actor of whom no more is known.
    pub fn new(kind: ActorKind, id: impl Into<String>) -> Self {
        Self {
            kind,
            id: id.into(),
            name: None,
            email: None,
            groups: Vec::new(),
            session_id: None,
            auth_method: None,
            on_behalf_of: None,
        }
    }
}

/// For whom an actor acted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// What sort of party.
    pub kind: ActorKind,
    /// 1 to 256 bytes.
    pub id: String,
    /// At most 256 bytes.
    pub name: Option<String>,
}

/// Where an act came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The address, at most 64 bytes.
    pub ip: Option<String>,
    /// What others said that the address is: at most 16, each at most 128 bytes.
    pub forwarded_for: Vec<String>,
    /// At most 255 bytes.
    pub host: Option<String>,
    /// At most 1,024 bytes.
    pub user_agent: Option<String>,
    /// At most 64 bytes.
    pub country: Option<String>,
    /// At most 256 bytes.
    pub device: Option<String>,
}

/// To what something was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// What sort of item, 1 to 128 bytes.
    pub kind: String,
    /// 1 to 512 bytes.
    pub id: String,
    /// At most 512 bytes.
    pub name: Option<String>,
    /// What it is part of, at most 512 bytes.
    pub parent: Option<String>,
    /// An id that no other item ever has, at most 512 bytes.
    pub uid: Option<String>,
}

/// One difference.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// What is different, 1 to 256 bytes.
    pub field: String,
    /// What it was: at most 4,096 bytes, of the text or of the JSON of another value.
    pub old: Option<Value>,
    /// What it is: as `old`.
    pub new: Option<Value>,
}

/// The request that caused an act.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// At most 256 bytes.
    pub id: Option<String>,
    /// At most 64 bytes.
    pub method: Option<String>,
    /// At most 2,048 bytes.
    pub path: Option<String>,
}

/// The traces an act belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    /// At most 128 bytes.
    pub trace_id: Option<String>,
    /// At most 128 bytes.
    pub span_id: Option<String>,
    /// At most 256 bytes.
    pub correlation_id: Option<String>,
}

/// A signature of the source over what it sent. Nothing here verifies it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerSig {
    /// Which of the source's keys, 1 to 128 bytes.
    pub key_id: String,
    /// Ed25519.
    pub sig: [u8; 64],
}

#[cfg(test)]
mod tests {
    use super::*;

    fn come_back<W: Word + PartialEq + std::fmt::Debug>(all: &[W]) {
        let words: Vec<_> = all.iter().map(|value| value.word()).collect();
        assert_eq!(words.join(", "), W::ALLOWED);
        for value in all {
            assert_eq!(W::from_word(value.word()), Some(*value));
        }
        assert!(W::from_word("Other").is_none() && W::from_word("").is_none());
    }

    #[test]
    fn words_come_back() {
        come_back(Category::ALL);
        come_back(Operation::ALL);
        come_back(Outcome::ALL);
        come_back(Severity::ALL);
        come_back(ActorKind::ALL);
    }
}
