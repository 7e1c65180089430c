//! What clients and servers share, below any protocol.
//!
//! | module | what |
//! |---|---|
//! | [`durable`] | files that appear whole and synced, or not at all |
//! | [`keys`] | private key files, made and read |
//! | [`secret`] | files of 32 random bytes |
//! | [`clock`], [`tasks`] | time that tests can set, and what is believed of it; named tasks and threads |
//! | [`backoff`], [`error`] | pauses between attempts; errors with their sources |

pub mod durable;

pub mod keys;
pub mod secret;

pub mod backoff;
pub mod clock;
pub mod error;
pub mod tasks;
