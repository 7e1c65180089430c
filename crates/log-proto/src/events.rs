//! Requests whose events stay bytes until they are read. On the wire they are the messages of the same
//! names in `cairn/audit/v1/audit.proto`; decoding an event there would drop the fields that this version
//! does not know, and an audit log keeps and names them. A client encodes each
//! [`AuditEvent`](crate::audit_v1::AuditEvent) by itself.

use crate::log_v1::Receipt;

/// `cairn.audit.v1.RecordEventRequest`.
#[derive(Clone, PartialEq, Eq, ::prost::Message)]
pub struct RecordEventRequest {
    #[prost(string, tag = "1")]
    pub log: String,
    /// An encoded `AuditEvent`.
    #[prost(bytes = "bytes", tag = "2")]
    pub event: ::prost::bytes::Bytes,
    #[prost(enumeration = "Receipt", tag = "3")]
    pub receipt: i32,
    #[prost(message, optional, tag = "4")]
    pub receipt_wait: Option<::prost_types::Duration>,
}

/// `cairn.audit.v1.RecordEventsRequest`.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct RecordEventsRequest {
    #[prost(string, tag = "1")]
    pub log: String,
    /// Encoded `AuditEvent`s.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub events: Vec<::prost::bytes::Bytes>,
    #[prost(enumeration = "Receipt", tag = "3")]
    pub receipt: i32,
    #[prost(message, optional, tag = "4")]
    pub receipt_wait: Option<::prost_types::Duration>,
}

/// `cairn.audit.v1.RecordStreamItems`.
#[derive(Clone, PartialEq, Eq, ::prost::Message)]
pub struct RecordStreamItems {
    #[prost(uint64, tag = "1")]
    pub first_sequence: u64,
    /// Encoded `AuditEvent`s.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub events: Vec<::prost::bytes::Bytes>,
}
