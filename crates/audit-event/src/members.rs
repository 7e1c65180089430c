//! Takes members out of an object by name and type, and remembers what nobody asked for.

use crate::event::Word;
use crate::path::Path;
use crate::time::{Instant, StatedTime, TimeError};
use crate::value::{Object, Value};

/// A member of an event that breaks a rule. Never holds the value, which may be personal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path} {rule}")]
pub struct FieldError {
    /// Where the member stands.
    pub path: Path,
    /// What it breaks.
    pub rule: Rule,
}

/// What a member of an event can break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rule {
    /// A member that every event has is not there.
    #[error("is missing")]
    Missing,
    /// An empty text where one must say something.
    #[error("is empty")]
    Empty,
    /// Another value than a text.
    #[error("is not a text")]
    NotText,
    /// A protobuf field that is encoded in another way than its type is.
    #[error("is of another wire type")]
    WireType,
    /// Another value than an object.
    #[error("is not an object")]
    NotObject,
    /// Another value than a list.
    #[error("is not a list")]
    NotList,
    /// Another value than an integer from 0 on.
    #[error("is not a number from 0 on")]
    NotCount,
    /// A value of `metadata` that is a list or an object.
    #[error("is not a text, a number or a truth value")]
    NotSimple,
    /// None of the words that are allowed.
    #[error("is none of: {allowed}")]
    Word {
        /// The words.
        allowed: &'static str,
    },
    /// More bytes than the member may have.
    #[error("has more than {max} bytes")]
    TooLong {
        /// Bytes allowed.
        max: usize,
    },
    /// More items or members than it may have.
    #[error("has more than {max} items")]
    TooMany {
        /// Items allowed.
        max: usize,
    },
    /// A control character in an identifier.
    #[error("holds a control character")]
    Control,
    /// A key that is not 1 to 64 printable ASCII characters.
    #[error("has a key that is not 1 to 64 printable ASCII characters")]
    Key,
    /// Not `part.part`, 2 to 12 parts of `a-z 0-9 _ -`.
    #[error("is not 2 to 12 parts of a-z, 0-9, _ and - with dots between")]
    Action,
    /// Not a URI reference.
    #[error("is not a URI reference")]
    Uri,
    /// The server's own source, `cairn:`.
    #[error("is reserved for the server itself")]
    Reserved,
    /// Not a time.
    #[error("{0}")]
    Time(TimeError),
    /// More levels than a block may have.
    #[error("has too many levels")]
    TooDeep,
    /// Not 64 bytes in base64.
    #[error("is not an Ed25519 signature in base64")]
    Signature,
    /// Not 64 digits.
    #[error("is not 64 lower-case hexadecimal digits")]
    Hex,
    /// Not a name of a flag.
    #[error("is not a name of a flag")]
    Flag,
}

impl FieldError {
    pub(crate) fn new(path: Path, rule: Rule) -> Self {
        Self { path, rule }
    }
}

/// Members that no schema asked for, with where they stand.
pub type Unknown = Vec<(Path, Value)>;

/// The members of one object that have not been taken yet.
#[derive(Debug)]
pub(crate) struct Members {
    path: Path,
    rest: Object,
}

impl Members {
    pub(crate) fn new(path: Path, members: Object) -> Self {
        Self { path, rest: members }
    }

    pub(crate) fn of(path: Path, value: Value) -> Result<Self, FieldError> {
        match value {
            Value::Object(members) => Ok(Self::new(path, members)),
            _ => Err(FieldError::new(path, Rule::NotObject)),
        }
    }

    /// The value under a name, if it says anything.
    pub(crate) fn value(&mut self, name: &str) -> Option<Value> {
        self.rest.remove(name).filter(|value| !value.is_absent())
    }

    pub(crate) fn error(&self, name: &str, rule: Rule) -> FieldError {
        FieldError::new(self.path.member(name), rule)
    }

    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, FieldError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(self.error(name, Rule::NotText)),
        }
    }

    pub(crate) fn required_text(&mut self, name: &str) -> Result<String, FieldError> {
        self.text(name)?.ok_or_else(|| self.error(name, Rule::Missing))
    }

    pub(crate) fn word<W: Word>(&mut self, name: &str) -> Result<Option<W>, FieldError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let word = W::from_word(&text);
        word.map(Some).ok_or_else(|| self.error(name, Rule::Word { allowed: W::ALLOWED }))
    }

    pub(crate) fn required_word<W: Word>(&mut self, name: &str) -> Result<W, FieldError> {
        self.word(name)?.ok_or_else(|| self.error(name, Rule::Missing))
    }

    pub(crate) fn time(&mut self, name: &str) -> Result<Option<StatedTime>, FieldError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let time = Instant::parse(&text);
        time.map(Some).map_err(|error| self.error(name, Rule::Time(error)))
    }

    pub(crate) fn count(&mut self, name: &str) -> Result<Option<u64>, FieldError> {
        let not_count = |members: &Self| members.error(name, Rule::NotCount);
        match self.value(name) {
            None => Ok(None),
            Some(Value::Integer(integer)) => {
                u64::try_from(integer.get()).map(Some).map_err(|_| not_count(self))
            }
            Some(_) => Err(not_count(self)),
        }
    }

    pub(crate) fn list(&mut self, name: &str) -> Result<Vec<(Path, Value)>, FieldError> {
        let path = self.path.member(name);
        match self.value(name) {
            None => Ok(Vec::new()),
            Some(Value::List(items)) => {
                let at = |(index, value)| (path.item(index), value);
                Ok(items.into_iter().enumerate().map(at).collect())
            }
            Some(_) => Err(FieldError::new(path, Rule::NotList)),
        }
    }

    pub(crate) fn texts(&mut self, name: &str) -> Result<Vec<String>, FieldError> {
        let items = self.list(name)?.into_iter();
        let text = |(path, value)| match value {
            Value::Text(text) => Ok(text),
            _ => Err(FieldError::new(path, Rule::NotText)),
        };
        items.map(text).collect()
    }

    pub(crate) fn object(&mut self, name: &str) -> Result<Option<Self>, FieldError> {
        let path = self.path.member(name);
        self.value(name).map(|value| Self::of(path, value)).transpose()
    }

    /// All members that are left, for an object whose keys are free.
    pub(crate) fn into_rest(self) -> (Path, Object) {
        (self.path, self.rest)
    }

    /// What is left is what the schema does not know.
    pub(crate) fn finish(self, unknown: &mut Unknown) {
        let Self { path, rest } = self;
        unknown.extend(rest.into_iter().map(|(name, value)| (path.member(&name), value)));
    }
}
