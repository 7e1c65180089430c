//! The interface of a log: gRPC and plain HTTP on one port. Both only translate; [`log_core`] decides.

pub mod service;

pub mod http;

pub mod metrics;
