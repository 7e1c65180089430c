//! The engine of the server, on RocksDB, and what works on its folder while nobody serves it.

mod engine;

pub mod fsck;

pub mod backup;

pub use engine::{RawRow, RocksEngine, RocksOptions, Scan, StoreLock, TableFiles, Wal};
