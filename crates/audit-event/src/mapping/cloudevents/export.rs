//! Events of ours as CloudEvents in the JSON format. What comes back through [`map`](super::map) is the
//! same event, save that texts that were numbers are plain texts.

use super::subject_of;
use crate::json;
use crate::mapping::{ExportError, Recorded};
use crate::value::{Object, Value};

/// A domain in reverse, which begins the `type` of each event: `com.example`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain(String);

impl Domain {
    /// Labels of lower-case letters, digits and `-` with dots between, none of them `audit`, which
    /// ends the domain in a `type`.
    pub fn new(text: &str) -> Option<Self> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_label =
            |label: &str| !label.is_empty() && label.bytes().all(fits) && label != "audit";
        text.split('.').all(is_label).then(|| Self(text.to_owned()))
    }
}

/// The event as one object. Context attributes hold nothing of `actor`, `origin` or `changes`.
pub fn export(recorded: &Recorded<'_>, domain: &Domain) -> Result<Object, ExportError> {
    let event = &recorded.event.event;
    let (Some(id), Some(source), Some(action)) = (&event.id, &event.source, &event.action) else {
        return Err(ExportError::CoreErased { index: recorded.index });
    };
    let mut out = Object::new();
    let mut put = |name: &str, text: String| drop(out.insert(name.to_owned(), Value::Text(text)));
    put("specversion", "1.0".to_owned());
    put("id", id.clone());
    put("source", source.clone());
    put("type", format!("{}.audit.{action}.v1", domain.0));
    put("datacontenttype", "application/json".to_owned());
    put("recordedtime", recorded.received_at.to_string());
    put("sequence", format!("{:020}", recorded.index));
    put("logorigin", recorded.origin.to_owned());
    put("logindex", recorded.index.to_string());
    if let Some(time) = event.time {
        put("time", time.to_string());
    }
    if let Some(first) = event.targets.first() {
        put("subject", subject_of(first));
    }
    let mut data = json::to_object(event);
    for name in ["id", "source", "time", "action"] {
        data.remove(name);
    }
    out.insert("data".to_owned(), Value::Object(data));
    Ok(out)
}
