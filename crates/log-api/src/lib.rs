//! The interface of a log: gRPC and plain HTTP on one port. Both edges only translate; [`log_core`] decides.
//!
//! | module | what |
//! |---|---|
//! | [`routes`] | every route and call, one row each |
//! | [`logs`] | the logs, as both edges ask for them |
//! | [`refusal`] | errors of the log as refusals, for both edges |
//! | [`receipts`] | waiting for a receipt level, and making receipts |
//! | [`service`] | the gRPC edge |
//! | [`http`] | the plain HTTP edge |
//! | [`metrics`] | what is counted |
//!
//! Neither edge imports the other.

pub mod routes;

pub mod logs;

pub mod refusal;

pub mod receipts;

pub mod service;

pub mod http;

pub mod metrics;
