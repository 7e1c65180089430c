//! What the log server and the witness both serve with.
//!
//! | module | what |
//! |---|---|
//! | [`config`] | settings out of a file, the environment and flags |
//! | [`files`] | how many files may be open, and who gets how many of them |
//! | [`port`] | the open port: connections in, requests to the stack, a graceful end |
//! | [`route`] | what a server answers: one row for each route or call |
//! | [`refusal`] | why it does not do something, as gRPC and as HTTP |
//! | [`principal`] | who sent a request |
//! | [`middleware`] | what every request passes before its handler |
//! | [`grpc`] | frames of gRPC messages, checked before tonic reads them |
//! | [`body`] | answers of plain HTTP, and bodies read within a bound |
//! | [`received`], [`gzip`], [`room`] | bodies that may be compressed, and the room for all of them |
//! | [`metrics`] | requests counted by route and code |
//! | [`identity`] | the key that a port's TLS is known by |
//! | [`health`] | whether the server is ready, and if not, why |
//! | [`ops`] | `/healthz`, `/readyz` and `/metrics` |
//! | [`output`] | what is printed |
//! | [`process`] | `main`, threads, and how a server stops |
//! | [`admin`] | how an operator's commands reach a running server |
//!
//! No storage engine, no log and no witness is known here.

pub mod config;

pub mod files;

pub mod port;

pub mod route;

pub mod refusal;

pub mod principal;

pub mod middleware;

pub mod grpc;

pub mod body;

pub mod received;

pub mod gzip;

pub mod room;

pub mod metrics;

pub mod identity;

pub mod health;

pub mod ops;

pub mod output;

pub mod process;

pub mod admin;
