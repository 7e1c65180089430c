//! Members of the JSON objects of an evidence file: all of them required, none unknown.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::blocks::{Tag, Tags};
use crate::json::{self, JsonError, Numbers};
use crate::path::Path;
use crate::value::{Object, Value};

/// Why an object of an evidence file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// Not JSON as it is read here.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A member that the format does not have.
    #[error("{path} is not known")]
    Unknown {
        /// The member.
        path: Path,
    },
    /// A member that belongs there.
    #[error("{path} is missing")]
    Missing {
        /// The member.
        path: Path,
    },
    /// A value of another type or form.
    #[error("{path} is not {expected}")]
    Form {
        /// The member.
        path: Path,
        /// What belongs there.
        expected: &'static str,
    },
    /// A list of blocks names one twice, out of order, or one that there is not.
    #[error("{path} is not a list of blocks in their order")]
    Tags {
        /// The member.
        path: Path,
    },
    /// More than a limit allows.
    #[error("{path} is more than {max}")]
    TooMany {
        /// The member.
        path: Path,
        /// The limit.
        max: u64,
    },
}

/// The members of one object that have not been taken yet.
#[derive(Debug)]
pub(super) struct Fields {
    path: Path,
    rest: Object,
}

impl Fields {
    /// The members of an object that fills all the bytes.
    pub(super) fn read(bytes: &[u8], bytes_max: usize) -> Result<Self, FormError> {
        if bytes.len() > bytes_max {
            return Err(JsonError::TooLarge { bytes: bytes.len(), max: bytes_max }.into());
        }
        Self::of(Path::TOP, json::read_value(bytes, Numbers::Refused)?)
    }

    pub(super) fn of(path: Path, value: Value) -> Result<Self, FormError> {
        match value {
            Value::Object(rest) => Ok(Self { path, rest }),
            _ => Err(FormError::Form { path, expected: "an object" }),
        }
    }

    pub(super) fn path(&self, name: &str) -> Path {
        self.path.member(name)
    }

    pub(super) fn form(&self, name: &str, expected: &'static str) -> FormError {
        FormError::Form { path: self.path(name), expected }
    }

    pub(super) fn value(&mut self, name: &str) -> Result<Value, FormError> {
        let path = self.path(name);
        self.rest.remove(name).ok_or(FormError::Missing { path })
    }

    pub(super) fn text(&mut self, name: &str) -> Result<String, FormError> {
        match self.value(name)? {
            Value::Text(text) => Ok(text),
            _ => Err(self.form(name, "a text")),
        }
    }

    pub(super) fn number(&mut self, name: &str) -> Result<u64, FormError> {
        let Value::Integer(integer) = self.value(name)? else {
            return Err(self.form(name, "a number"));
        };
        u64::try_from(integer.get()).map_err(|_| self.form(name, "a number from 0 on"))
    }

    pub(super) fn object(&mut self, name: &str) -> Result<Self, FormError> {
        let path = self.path(name);
        Self::of(path, self.value(name)?)
    }

    pub(super) fn base64(&mut self, name: &str) -> Result<Vec<u8>, FormError> {
        let text = self.text(name)?;
        STANDARD.decode(text).map_err(|_| self.form(name, "canonical base64"))
    }

    pub(super) fn tags(&mut self, name: &str) -> Result<Tags, FormError> {
        let Value::List(items) = self.value(name)? else {
            return Err(self.form(name, "a list"));
        };
        let error = || FormError::Tags { path: self.path(name) };
        let mut tags = Tags::NONE;
        let mut last = 0;
        for item in &items {
            let tag = item.as_text().and_then(Tag::from_name).ok_or_else(error)?;
            if tag.number() <= last {
                return Err(error());
            }
            last = tag.number();
            tags.insert(tag);
        }
        Ok(tags)
    }

    /// The members that are left, for an object whose names are free.
    pub(super) fn into_rest(self) -> Object {
        self.rest
    }

    /// Refuses what nobody asked for.
    pub(super) fn finish(self) -> Result<(), FormError> {
        match self.rest.keys().next() {
            None => Ok(()),
            Some(name) => Err(FormError::Unknown { path: self.path.member(name) }),
        }
    }
}

/// A list of blocks by name, in their order.
pub(super) fn tag_list(tags: Tags) -> Value {
    Value::List(tags.iter().map(|tag| Value::from(tag.name())).collect())
}
