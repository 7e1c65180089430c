//! The interface of audit logs: events recorded, read and proven, over gRPC and as JSON over plain HTTP.
//! Neither edge decides: [`audit_trail`] does.
//!
//! | module | what |
//! |---|---|
//! | [`routes`] | every route, one row each |
//! | [`audit`] | what all routes share |
//! | [`exports`] | evidence files that are made on request |
//! | [`grpc`] | the gRPC edge |
//! | [`http`] | the plain HTTP edge |
//! | [`refusal`] | errors of the audit trail as refusals |
//! | [`shown`] | an event as an answer shows it |

pub mod routes;

pub mod audit;

pub mod exports;

pub mod grpc;

pub mod http;

pub mod refusal;

pub mod shown;

mod tail;
