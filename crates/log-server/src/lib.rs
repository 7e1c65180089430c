//! The log server put together: storage, logs, interface and port.

pub mod config;
pub mod server;
pub mod witnesses;
