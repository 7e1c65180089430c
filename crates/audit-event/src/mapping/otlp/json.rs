//! The JSON encoding of OTLP: names in camel case, ids in hexadecimal, integers of 64 bits as text or
//! as numbers, unknown members ignored.

use std::sync::Arc;

use super::record::{Any, LEVELS_MAX, LogRecord, id};
use super::{Context, Encoding, RECORDS_MAX, Record, repeated};
use crate::mapping::MapError;
use crate::mapping::fields::{Fields, Notes};
use crate::members::Rule;
use crate::path::Path;

/// The log records of an `ExportLogsServiceRequest`. A body without `resourceLogs` has none.
pub fn split(body: &[u8]) -> Result<Vec<Record<'_>>, MapError> {
    let notes = Notes::default();
    let mut records = Vec::new();
    for (path, group) in Fields::of_item(body, &notes)?.list("resourceLogs")? {
        let mut group = Fields::of(path, group, &notes)?;
        let resource = match group.object("resource")? {
            Some(mut resource) => key_values(&mut resource, "attributes", &notes, 0)?,
            None => Vec::new(),
        };
        let resource = repeated(resource, &notes);
        let schema_url = group.filled("schemaUrl")?;
        for (path, scope_logs) in group.list("scopeLogs")? {
            let mut scope_logs = Fields::of(path, scope_logs, &notes)?;
            let mut context = Context { resource: Arc::clone(&resource), ..Context::default() };
            if let Some(mut scope) = scope_logs.object("scope")? {
                context.scope_name = scope.filled("name")?;
                context.scope_version = scope.filled("version")?;
            }
            context.schema_url = scope_logs.filled("schemaUrl")?.or_else(|| schema_url.clone());
            let context = Arc::new(context);
            let items = scope_logs.items("logRecords", RECORDS_MAX - records.len())?.into_iter();
            records.extend(items.map(|bytes| Record {
                bytes,
                encoding: Encoding::Json,
                context: Arc::clone(&context),
            }));
        }
    }
    Ok(records)
}

/// One log record.
pub(super) fn record(item: &[u8], notes: &Notes) -> Result<LogRecord, MapError> {
    let mut fields = Fields::of_item(item, notes)?;
    let severity = fields.text("severityNumber")?;
    let body = fields.take("body");
    let ids = (fields.text("traceId")?, fields.text("spanId")?);
    Ok(LogRecord {
        time: count(&mut fields, "timeUnixNano")?,
        observed: count(&mut fields, "observedTimeUnixNano")?,
        severity: severity.and_then(|text| text.parse().ok()).unwrap_or(0),
        severity_text: fields.text("severityText")?.unwrap_or_default(),
        body: body.map_or(Ok(Any::Empty), |value| any(Path::of("body"), value, notes, 0))?,
        attributes: key_values(&mut fields, "attributes", notes, 0)?,
        trace_id: ids.0.and_then(|digits| id(&digits, 32)),
        span_id: ids.1.and_then(|digits| id(&digits, 16)),
        event_name: fields.text("eventName")?.unwrap_or_default(),
    })
}

fn count(fields: &mut Fields<'_, '_>, name: &str) -> Result<u64, MapError> {
    let Some(text) = fields.filled(name)? else { return Ok(0) };
    text.parse().map_err(|_| MapError::field(&fields.path(name), Rule::NotCount))
}

/// A list of `{"key":…,"value":…}`.
fn key_values(
    fields: &mut Fields<'_, '_>,
    name: &str,
    notes: &Notes,
    level: usize,
) -> Result<Vec<(String, Any)>, MapError> {
    let mut all = Vec::new();
    for (path, item) in fields.list(name)? {
        let value_path = path.member("value");
        let mut item = Fields::of(path, item, notes)?;
        let key = item.text("key")?.unwrap_or_default();
        let value = item.take("value");
        let value = value.map_or(Ok(Any::Empty), |value| any(value_path, value, notes, level))?;
        all.push((key, value));
    }
    Ok(all)
}

/// An `AnyValue`: an object with one member, or with none.
fn any(path: Path, value: &[u8], notes: &Notes, level: usize) -> Result<Any, MapError> {
    if level > LEVELS_MAX {
        notes.note_cut();
        return Ok(Any::Empty);
    }
    let mut fields = Fields::of(path, value, notes)?;
    if let Some(text) = fields.text("stringValue")? {
        return Ok(Any::Text(text));
    }
    if let Some(text) = fields.text("boolValue")? {
        return Ok(Any::Bool(text == "true"));
    }
    if let Some(text) = fields.text("intValue")? {
        let value = text.parse().map(Any::Int);
        return value.map_err(|_| MapError::field(&fields.path("intValue"), Rule::NotText));
    }
    if let Some(text) = fields.text("doubleValue")? {
        return Ok(Any::Double(text));
    }
    if let Some(text) = fields.text("bytesValue")? {
        return Ok(Any::Bytes(text));
    }
    if let Some(mut list) = fields.object("arrayValue")? {
        let items = list.list("values")?.into_iter();
        let items = items.map(|(path, item)| any(path, item, notes, level + 1));
        return items.collect::<Result<_, _>>().map(Any::List);
    }
    match fields.object("kvlistValue")? {
        Some(mut map) => key_values(&mut map, "values", notes, level + 1).map(Any::Map),
        None => Ok(Any::Empty),
    }
}
