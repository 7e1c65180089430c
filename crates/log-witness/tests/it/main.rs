//! The witness over real sockets and a real store, and as a real process.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails where its fixtures do, and looks again after a pause"
)]

#[path = "../support/eventually.rs"]
mod eventually;

mod common;

mod protocol;

mod clock;

mod subtree;

mod hostile;

mod race;

mod logs;

mod trust;

mod process;
