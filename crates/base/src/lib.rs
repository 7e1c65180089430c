//! What clients and servers share, below any protocol.
//!
//! | module | what |
//! |---|---|
//! | [`durable`] | files that appear whole and synced, or not at all |
//! | [`keys`] | private key files, made and read |
//! | [`clock`], [`tasks`] | time that tests can set; tasks and threads with names |

pub mod durable;

pub mod keys;

pub mod clock;
pub mod tasks;
