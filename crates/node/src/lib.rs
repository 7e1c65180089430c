//! What the log server and the witness are both made of.
//!
//! | module | what |
//! |---|---|
//! | [`config`] | settings out of a file, the environment and flags |
//! | [`port`] | the open port: connections in, requests to the stack, a graceful end |
//! | [`middleware`] | what every request passes before its handler |
//! | [`body`] | answers of plain HTTP, and bodies read within a bound |
//! | [`metrics`] | requests counted by route and code |
//! | [`keys`] | private key files, made and read |
//! | [`identity`] | the key that a port's TLS is known by |
//! | [`durable`] | files that appear whole and synced, or not at all |
//! | [`process`] | threads, and the signals that end it |
//! | [`clock`], [`tasks`] | time that tests can set; tasks and threads with names |
//!
//! No storage engine, no log and no witness is known here.

pub mod config;

pub mod port;

pub mod middleware;

pub mod body;

pub mod metrics;

pub mod keys;

pub mod identity;

pub mod durable;

pub mod process;

pub mod clock;
pub mod tasks;
