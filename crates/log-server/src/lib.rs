//! The log: many transparency logs in one process, over one store and on one port.
//!
//! A request walks one way, and the folders say so: [`service`] or [`http`] → [`log`] → [`storage`].

pub mod config;
pub mod server;

pub mod http;
pub mod service;

pub mod log;

pub mod storage;

pub mod backup;
pub mod fsck;

pub mod metrics;
