//! Code generated from `proto/`, with nothing added but [`events`].
//!
//! `src/gen` is committed, so that building needs neither `protoc` nor a build script; the test
//! `generated` makes it anew and fails if the two differ. `cargo test -p log-proto` with
//! `CAIRN_BLESS=1` in the environment writes it.

/// `cairn.log.v1`: the log's API.
pub mod log_v1 {
    include!("gen/cairn.log.v1.rs");
}

/// `cairn.audit.v1`: the API of audit logs.
pub mod audit_v1 {
    include!("gen/cairn.audit.v1.rs");
}

pub mod events;

/// Every message and service of `audit_v1`, as [`FILE_DESCRIPTOR_SET`].
pub const AUDIT_DESCRIPTOR_SET: &[u8] = include_bytes!("gen/audit_descriptors.bin");

/// `cairn.gossip.v1`: what witnesses tell one another.
pub mod gossip_v1 {
    include!("gen/cairn.gossip.v1.rs");
}

/// Every message and service of `gossip_v1`, as [`FILE_DESCRIPTOR_SET`].
pub const GOSSIP_DESCRIPTOR_SET: &[u8] = include_bytes!("gen/gossip_descriptors.bin");

/// Every message and service of `log_v1` as an encoded `FileDescriptorSet`, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("gen/descriptors.bin");
