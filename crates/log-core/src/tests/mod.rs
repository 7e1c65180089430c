//! The write path over the memory engine, with faults and a clock that tests move.
#![expect(clippy::disallowed_methods, reason = "a panic in a test's own task must reach the test")]

mod appending;
mod clock;
mod erasing;
mod errors;
mod faults;
mod following;
mod heads;
mod producing;
mod rooms;
mod secrets;
mod stamping;
mod starting;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::clock::{Clock, ManualClock};
use bytes::Bytes;
use merkle::TreeSize;
use tempfile::TempDir;

use super::observe::{Observer, Unobserved};
use super::*;
use storage::faulty::FaultyEngine;
use storage::memory::MemoryEngine;
use storage::{Attachment, Beside, ContentDigest, DedupKey, LogKind, Scope, Store};

/// When the manual clock starts.
const START_MS: u64 = 1_700_000_000_000;

/// A server's disk and clock, over any number of processes.
struct Rig {
    dir: TempDir,
    engine: Arc<FaultyEngine>,
    clock: Arc<ManualClock>,
    limits: Limits,
    fatals: Arc<Mutex<Vec<Fatal>>>,
    read_only: bool,
    adopt_journal: bool,
    observer: Arc<dyn Observer>,
}

impl Rig {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            engine: Arc::new(FaultyEngine::new(Arc::new(MemoryEngine::new()))),
            clock: Arc::new(ManualClock::new(START_MS)),
            limits: testing::limits(),
            fatals: Arc::default(),
            read_only: false,
            adopt_journal: false,
            observer: Arc::new(Unobserved),
        }
    }

    fn open(&self) -> Result<Registry, StartError> {
        let fatals = Arc::clone(&self.fatals);
        let engine = Arc::clone(&self.engine) as Arc<dyn Store>;
        Registry::open(RegistryOptions {
            limits: self.limits.clone(),
            read_only: self.read_only,
            adopt_journal: self.adopt_journal,
            observer: Arc::clone(&self.observer),
            on_fatal: Arc::new(move |fatal| fatals.lock().unwrap().push(fatal)),
            ..testing::options(self.dir.path(), engine, Arc::clone(&self.clock) as Arc<dyn Clock>)
        })
    }

    /// A registry and one log in it.
    async fn start(&self) -> (Registry, Log) {
        let registry = self.open().unwrap();
        let log = registry.create(new_log("default")).await.unwrap();
        (registry, log)
    }

    /// Ends a process as a kill would, and forgets what it knew.
    async fn kill(&mut self, registry: Registry) {
        registry.inner.abort();
        registry.inner.join().await;
        drop(registry);
        self.engine = Arc::new(self.engine.restart());
    }
}

fn new_log(name: &str) -> CreateLog {
    CreateLog::new(name, LogKind::Plain)
}

fn entry(data: impl Into<String>) -> NewEntry {
    NewEntry::new(Bytes::from(data.into()), None)
}

fn keyed(data: &'static str, key: &'static str) -> NewEntry {
    let dedup = DedupKey { scope: Scope::ANONYMOUS, key: Bytes::from(key) };
    NewEntry::new(Bytes::from(data), Some(dedup))
}

fn batch(entries: Vec<NewEntry>) -> Submission {
    Submission { entries, producer: None }
}

/// `count` distinct entries.
fn numbered(first: u64, count: u64) -> Submission {
    batch((first..first + count).map(|number| entry(format!("entry {number}"))).collect())
}

fn size(size: u64) -> TreeSize {
    TreeSize::new(size).unwrap()
}

/// (index, duplicate) of each entry; `None` for those that have no index.
fn indexes(committed: &Committed) -> Vec<Option<(u64, bool)>> {
    let index = |outcome: &EntryOutcome| match outcome {
        EntryOutcome::Appended { index, duplicate, .. } => Some((index.get(), *duplicate)),
        EntryOutcome::Skipped | EntryOutcome::Refused(_) => None,
    };
    committed.outcomes.iter().map(index).collect()
}

/// Waits for the published checkpoint to reach a size.
async fn published_at(log: &Log, wanted: u64) -> Arc<Published> {
    let mut watch = log.watch_published();
    let reached = watch.wait_for(|published| published.head.size >= size(wanted)).await;
    Arc::clone(&reached.unwrap())
}
