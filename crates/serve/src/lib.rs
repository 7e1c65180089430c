//! What the log server and the witness both serve with.
//!
//! | module | what |
//! |---|---|
//! | [`config`] | settings out of a file, the environment and flags |
//! | [`port`] | the open port: connections in, requests to the stack, a graceful end |
//! | [`middleware`] | what every request passes before its handler |
//! | [`body`] | answers of plain HTTP, and bodies read within a bound |
//! | [`metrics`] | requests counted by route and code |
//! | [`identity`] | the key that a port's TLS is known by |
//! | [`process`] | threads, and the signals that end it |
//!
//! No storage engine, no log and no witness is known here.

pub mod config;

pub mod port;

pub mod middleware;

pub mod body;

pub mod metrics;

pub mod identity;

pub mod process;
