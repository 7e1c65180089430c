//! The witness: it cosigns the newest tree head of each log it knows, if that head continues the one it
//! cosigned before (c2sp.org/tlog-witness), and never forgets which that was.
//!
//! A request walks one way, and the folders say so: [`http`] → [`witness`] → [`store`]. What other
//! witnesses say comes in by [`gossip`].

pub mod config;
pub mod server;

pub mod routes;

pub mod http;

pub mod witness;

pub mod gossip;

pub mod roster;

pub mod store;

pub mod admin;
pub mod fsck;
pub mod trust;

pub mod metrics;
