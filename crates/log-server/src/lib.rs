//! The log server put together: storage, logs, interface and port.

pub mod admin;
pub mod config;
pub mod copies;
pub mod erase;
pub mod routes;
pub mod server;

mod handler;
mod health;
mod receivers;
mod system;
pub mod witnesses;
