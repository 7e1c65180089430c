//! The attributes of a CloudEvent and its data, in whatever mode they came.

use std::collections::BTreeMap;

use crate::json::JsonError;
use crate::mapping::MapError;
use crate::mapping::fields::{Fields, Notes, scalar_text};
use crate::members::Rule;
use crate::path::Path;

/// An event taken apart.
#[derive(Debug, Default)]
pub(super) struct Envelope<'a> {
    /// Attributes that are set. Integers and truth values stand as their spelling.
    pub(super) attributes: BTreeMap<String, String>,
    /// The data, if it is JSON.
    pub(super) data: Option<&'a [u8]>,
}

impl<'a> Envelope<'a> {
    /// Of the JSON format, section 2: `null` means that an attribute is not set.
    pub(super) fn of_json(mut fields: Fields<'a, '_>, notes: &Notes) -> Result<Self, MapError> {
        let mut envelope = Self { data: fields.take("data"), ..Self::default() };
        let _bytes = fields.take("data_base64"); // is no JSON, so it names no actor
        for (name, value) in fields.into_rest() {
            check_name(&name)?;
            if value == b"null" {
                continue;
            }
            let path = Path::of(&name);
            let text =
                scalar_text(value, notes).ok_or_else(|| MapError::field(&path, Rule::NotSimple))?;
            let is_fraction = !value.starts_with(b"\"")
                && text.contains(['.', 'e', 'E'])
                && !matches!(text.as_str(), "true" | "false");
            if is_fraction {
                return Err(MapError::field(&path, Rule::NotText));
            }
            envelope.attributes.insert(name, text);
        }
        let content_type = envelope.attributes.get("datacontenttype");
        if content_type.is_some_and(|content_type| !is_json(content_type)) {
            envelope.data = None;
        }
        Ok(envelope)
    }

    /// Adds an attribute that a header states.
    pub(super) fn insert(&mut self, name: &str, text: String) -> Result<(), MapError> {
        if self.attributes.insert(name.to_owned(), text).is_some() {
            return Err(JsonError::Duplicate { path: Path::of(name) }.into());
        }
        Ok(())
    }
}

/// Lower-case letters and digits; 20 of them are advice, not a limit.
pub(super) fn check_name(name: &str) -> Result<(), MapError> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if !name.is_empty() && name.bytes().all(fits) {
        return Ok(());
    }
    Err(MapError::AttributeName { path: Path::of(name) })
}

/// Whether a media type is JSON: its subtype is `json`, or ends with `+json`.
pub(super) fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.split_once('/').is_some_and(|(_, sub)| sub == "json" || sub.ends_with("+json"))
}
