//! What clients and servers share, below any protocol.
//!
//! | module | what |
//! |---|---|
//! | [`durable`] | files that appear whole and synced, or not at all |
//! | [`keys`] | private key files, made and read |
//! | [`clock`], [`tasks`] | time that tests can set, and what is believed of it; named tasks and threads |

pub mod durable;

pub mod keys;

pub mod clock;
pub mod tasks;
