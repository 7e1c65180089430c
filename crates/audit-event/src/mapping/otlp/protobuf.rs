//! The protobuf encoding of OTLP, read by field numbers so that a record keeps its bytes
//! (`opentelemetry/proto/logs/v1/logs.proto`, `common/v1/common.proto`, version 1.x). Fields of other
//! numbers or wire types are passed over, as protobuf demands.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::record::{Any, LEVELS_MAX, LogRecord, id};
use super::{Context, Encoding, RECORDS_MAX, Record, repeated};
use crate::hex;
use crate::mapping::MapError;
use crate::mapping::fields::Notes;
use crate::members::Rule;
use crate::path::Path;
use crate::wire::{self, Malformed, Wire};

impl From<Malformed> for MapError {
    fn from(Malformed { offset }: Malformed) -> Self {
        Self::Protobuf { offset }
    }
}

/// Calls `each` with every field of a message.
fn each_field<'a>(
    message: &'a [u8],
    offset: usize,
    mut each: impl FnMut(u64, Wire<'a>) -> Result<(), MapError>,
) -> Result<(), MapError> {
    wire::each_field(message, offset, |number, wire, _| each(number, wire))
}

/// The log records of an `ExportLogsServiceRequest`. An empty body has none.
pub fn split(body: &[u8]) -> Result<Vec<Record<'_>>, MapError> {
    let (notes, mut records) = (Notes::default(), Vec::new());
    each_field(body, 0, |number, wire| match (number, wire) {
        (1, Wire::Bytes(group, offset)) => resource_logs(group, offset, &notes, &mut records),
        _ => Ok(()),
    })?;
    Ok(records)
}

/// `ResourceLogs`. The resource may stand behind its records.
fn resource_logs<'a>(
    message: &'a [u8],
    offset: usize,
    notes: &Notes,
    records: &mut Vec<Record<'a>>,
) -> Result<(), MapError> {
    let (mut resource, mut schema_url, mut scopes) = (Vec::new(), None, Vec::new());
    each_field(message, offset, |number, wire| {
        match (number, wire) {
            (1, Wire::Bytes(message, offset)) => each_field(message, offset, |number, wire| {
                if let (1, Wire::Bytes(pair, offset)) = (number, wire) {
                    resource.push(key_value(pair, offset, notes, 0)?);
                }
                Ok(())
            })?,
            (2, Wire::Bytes(scope, offset)) => scopes.push((scope, offset)),
            (3, Wire::Bytes(url, _)) => schema_url = filled(url, notes),
            _ => {}
        }
        Ok(())
    })?;
    let resource = repeated(resource, notes);
    for (message, offset) in scopes {
        let context = Context {
            resource: Arc::clone(&resource),
            schema_url: schema_url.clone(),
            ..Context::default()
        };
        scope_logs(message, offset, context, notes, records)?;
    }
    Ok(())
}

/// `ScopeLogs`.
fn scope_logs<'a>(
    message: &'a [u8],
    offset: usize,
    mut context: Context,
    notes: &Notes,
    records: &mut Vec<Record<'a>>,
) -> Result<(), MapError> {
    let mut found = Vec::new();
    each_field(message, offset, |number, wire| {
        match (number, wire) {
            (1, Wire::Bytes(scope, offset)) => each_field(scope, offset, |number, wire| {
                match (number, wire) {
                    (1, Wire::Bytes(name, _)) => context.scope_name = filled(name, notes),
                    (2, Wire::Bytes(version, _)) => context.scope_version = filled(version, notes),
                    _ => {}
                }
                Ok(())
            })?,
            (2, Wire::Bytes(record, _)) => {
                if records.len() + found.len() >= RECORDS_MAX {
                    let rule = Rule::TooMany { max: RECORDS_MAX };
                    return Err(MapError::field(&Path::of("logRecords"), rule));
                }
                found.push(record);
            }
            (3, Wire::Bytes(url, _)) => {
                context.schema_url = filled(url, notes).or_else(|| context.schema_url.take());
            }
            _ => {}
        }
        Ok(())
    })?;
    let context = Arc::new(context);
    records.extend(found.into_iter().map(|bytes| Record {
        bytes,
        encoding: Encoding::Protobuf,
        context: Arc::clone(&context),
    }));
    Ok(())
}

/// `LogRecord`.
pub(super) fn record(message: &[u8], notes: &Notes) -> Result<LogRecord, MapError> {
    let mut record = LogRecord::default();
    each_field(message, 0, |number, wire| {
        match (number, wire) {
            (1, Wire::Fixed64(nanos)) => record.time = nanos,
            (2, Wire::Varint(severity)) => record.severity = severity,
            (3, Wire::Bytes(text, _)) => record.severity_text = string(text, notes),
            (5, Wire::Bytes(value, offset)) => record.body = any(value, offset, notes, 0)?,
            (6, Wire::Bytes(pair, offset)) => {
                record.attributes.push(key_value(pair, offset, notes, 0)?);
            }
            (9, Wire::Bytes(bytes, _)) => record.trace_id = id(&hex::encode(bytes), 32),
            (10, Wire::Bytes(bytes, _)) => record.span_id = id(&hex::encode(bytes), 16),
            (11, Wire::Fixed64(nanos)) => record.observed = nanos,
            (12, Wire::Bytes(text, _)) => record.event_name = string(text, notes),
            _ => {}
        }
        Ok(())
    })?;
    Ok(record)
}

/// `KeyValue`.
fn key_value(
    message: &[u8],
    offset: usize,
    notes: &Notes,
    level: usize,
) -> Result<(String, Any), MapError> {
    let (mut key, mut value) = (String::new(), Any::Empty);
    each_field(message, offset, |number, wire| {
        match (number, wire) {
            (1, Wire::Bytes(text, _)) => key = string(text, notes),
            (2, Wire::Bytes(message, offset)) => value = any(message, offset, notes, level)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok((key, value))
}

/// `AnyValue`: the last member of the oneof counts.
fn any(message: &[u8], offset: usize, notes: &Notes, level: usize) -> Result<Any, MapError> {
    if level > LEVELS_MAX {
        notes.note_cut();
        return Ok(Any::Empty);
    }
    let mut value = Any::Empty;
    each_field(message, offset, |number, wire| {
        value = match (number, wire) {
            (1, Wire::Bytes(text, _)) => Any::Text(string(text, notes)),
            (2, Wire::Varint(truth)) => Any::Bool(truth != 0),
            (3, Wire::Varint(integer)) => Any::Int(integer.cast_signed()),
            (4, Wire::Fixed64(bits)) => Any::Double(spelling(f64::from_bits(bits))),
            (5, Wire::Bytes(list, offset)) => Any::List(values(list, offset, notes, level)?),
            (6, Wire::Bytes(map, offset)) => Any::Map(members(map, offset, notes, level)?),
            (7, Wire::Bytes(bytes, _)) => Any::Bytes(STANDARD.encode(bytes)),
            _ => return Ok(()),
        };
        Ok(())
    })?;
    Ok(value)
}

/// `ArrayValue`.
fn values(list: &[u8], offset: usize, notes: &Notes, level: usize) -> Result<Vec<Any>, MapError> {
    let mut items = Vec::new();
    each_field(list, offset, |number, wire| {
        if let (1, Wire::Bytes(item, offset)) = (number, wire) {
            items.push(any(item, offset, notes, level + 1)?);
        }
        Ok(())
    })?;
    Ok(items)
}

/// `KeyValueList`.
fn members(
    map: &[u8],
    offset: usize,
    notes: &Notes,
    level: usize,
) -> Result<Vec<(String, Any)>, MapError> {
    let mut members = Vec::new();
    each_field(map, offset, |number, wire| {
        if let (1, Wire::Bytes(pair, offset)) = (number, wire) {
            members.push(key_value(pair, offset, notes, level + 1)?);
        }
        Ok(())
    })?;
    Ok(members)
}

fn string(bytes: &[u8], notes: &Notes) -> String {
    std::str::from_utf8(bytes).map_or_else(
        |_| {
            notes.note_replaced();
            String::from_utf8_lossy(bytes).into_owned()
        },
        str::to_owned,
    )
}

fn filled(bytes: &[u8], notes: &Notes) -> Option<String> {
    Some(string(bytes, notes)).filter(|text| !text.is_empty())
}

/// The shortest decimal digits that give the same double again.
fn spelling(value: f64) -> String {
    let is_plain = value == 0.0 || (1e-6..1e16).contains(&value.abs());
    if is_plain || !value.is_finite() { value.to_string() } else { format!("{value:e}") }
}
