//! The client against a server in the same process that can be told to fail, to die and to lie.
#![expect(clippy::disallowed_methods, reason = "tests start the servers they talk to, and make files")]

mod fake;

mod append;
mod audit;
mod errors;
mod reads;
mod spool;
mod stream;
