//! The client against a server in the same process that can be told to fail, to die and to lie.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start the servers they talk to, and make files"
)]
#![expect(clippy::unwrap_used, reason = "a test fails where its fixtures do")]

mod fake;

mod append;
mod audit;
mod errors;
mod layer;
mod reads;
mod spool;
mod stream;
