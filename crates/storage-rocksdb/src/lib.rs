//! The engine of the server, on RocksDB, and the operator's commands on a store that no server has
//! open.

mod engine;

pub mod fsck;

pub mod backup;

pub use engine::{RawRow, RocksEngine, RocksOptions, Scan, StoreLock, TableFiles, Wal};
