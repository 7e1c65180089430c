//! A registry of its own in a folder, for tests of the log and of what stands on it.

#![expect(clippy::panic, reason = "a test fails where the log does")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::clock::Clock;
use base::keys::Readers;
use base::tasks::Supervisor;
use storage::Store;

use super::observe::Unobserved;
use super::{Limits, RegistryOptions};

/// A server's defaults, but nothing waits for company and little disk space is enough.
pub fn limits() -> Limits {
    Limits {
        queue_entries_max: 100_000,
        queue_bytes_max: 64 * 1024 * 1024,
        batch_entries_max: 20_000,
        batch_bytes_max: 8 * 1024 * 1024,
        logs_max: 10_000,
        linger_max: Duration::ZERO,
        min_free_bytes: 100,
        publish_interval_min: Duration::ZERO,
        history_interval: Duration::from_secs(1),
        clock_step_max: Duration::from_hours(24),
    }
}

/// Keys and heads below `folder`, nobody who witnesses or observes, and a panic where a process must end.
pub fn options(folder: &Path, engine: Arc<dyn Store>, clock: Arc<dyn Clock>) -> RegistryOptions {
    RegistryOptions {
        engine,
        clock,
        limits: limits(),
        keys_dir: folder.join("keys"),
        key_readers: Readers::Nobody,
        heads_dir: folder.join("heads"),
        hostname: "host.example".to_owned(),
        read_only: false,
        adopt_journal: false,
        witness: None,
        observer: Arc::new(Unobserved),
        supervisor: Supervisor::new(),
        on_fatal: Arc::new(|fatal| panic!("{fatal:?}")),
    }
}
