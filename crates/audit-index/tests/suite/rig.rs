//! A server's log, disk and clock, with the follower that fills the index.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use audit_event::json::{self, EVENT_BYTES_DEFAULT};
use audit_event::{Blocks, Fill, Instant, Leaf, Salt, Stamp, ValidEvent};
use audit_index::disk::{Disk, FileSystem};
use audit_index::{AuditFollower, AuditIndexes, IndexOptions, Page, Query, QueryError, read};
use base::clock::{Clock, ManualClock};
use base::durable::FileError;
use bytes::Bytes;
use log_core::follow::{Follow, FollowerHandle};
use log_core::read::Reads;
use log_core::{CreateLog, Log, NewLeaf, Registry, testing};
use merkle::LeafIndex;
use storage::memory::MemoryEngine;
use storage::{Attachment, IndexedEngine, LogKind};
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// 2026-03-04T09:10:11Z.
pub(crate) const START_MS: u64 = 1_772_615_411_000;

/// Events that one search reads from the log.
pub(crate) const SCAN_MAX: u64 = 5_000;

pub(crate) struct Rig {
    pub(crate) dir: TempDir,
    pub(crate) engine: Arc<MemoryEngine>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) disk: Arc<FaultyDisk>,
    pub(crate) registry: Registry,
    pub(crate) log: Log,
    pub(crate) indexes: Arc<AuditIndexes>,
    pub(crate) handle: Option<FollowerHandle>,
    follower: Option<JoinHandle<()>>,
}

/// A disk that can be full, or fail.
#[derive(Debug, Default)]
pub(crate) struct FaultyDisk {
    /// 0: sound. 1: full. 2: writes fail. 3: a write leaves half a file and fails.
    pub(crate) fault: AtomicU8,
    pub(crate) written: Mutex<Vec<PathBuf>>,
}

impl Disk for FaultyDisk {
    fn write(&self, path: &std::path::Path, bytes: &[u8]) -> Result<(), FileError> {
        let fails = || Err(FileError::new(path, std::io::Error::from_raw_os_error(5)));
        match self.fault.load(Ordering::SeqCst) {
            2 => fails(),
            3 => {
                std::fs::write(path.with_extension("tmp"), &bytes[..bytes.len() / 2]).unwrap();
                fails()
            }
            _ => {
                self.written.lock().unwrap().push(path.to_owned());
                FileSystem.write(path, bytes)
            }
        }
    }

    fn remove(&self, path: &std::path::Path) -> Result<(), FileError> {
        FileSystem.remove(path)
    }

    fn list(&self, folder: &std::path::Path) -> Result<Vec<String>, FileError> {
        FileSystem.list(folder)
    }

    fn free_bytes(&self, folder: &std::path::Path) -> Result<u64, FileError> {
        let full = self.fault.load(Ordering::SeqCst) == 1;
        if full { Ok(0) } else { FileSystem.free_bytes(folder).map(|_| u64::MAX) }
    }
}

impl Rig {
    /// A log with a follower.
    pub(crate) async fn new() -> Self {
        let mut rig = Self::without_follower().await;
        rig.follow();
        rig
    }

    /// A log whose index nobody fills.
    pub(crate) async fn without_follower() -> Self {
        let (dir, engine) = (tempfile::tempdir().unwrap(), Arc::new(MemoryEngine::new()));
        let clock = Arc::new(ManualClock::new(START_MS));
        let registry = Registry::open(testing::options(
            dir.path(),
            Arc::clone(&engine) as Arc<dyn storage::Store>,
            Arc::clone(&clock) as Arc<dyn Clock>,
        ));
        let registry = registry.unwrap();
        let log = registry.create(CreateLog::new("trail", LogKind::Audit)).await.unwrap();
        let disk = Arc::new(FaultyDisk::default());
        let indexes = indexes(&dir, &disk);
        Self { dir, engine, clock, disk, registry, log, indexes, handle: None, follower: None }
    }

    pub(crate) fn follow(&mut self) {
        let engine = Arc::clone(&self.engine) as Arc<dyn IndexedEngine>;
        let reads = Arc::new(Reads::new(engine, 0));
        let follower = AuditFollower::new(Arc::clone(&self.indexes));
        let follow = Arc::new(Follow::new(follower, self.registry.clone(), reads, 1_000_000));
        self.handle = Some(follow.handle());
        self.indexes.filled_by(follow.handle());
        self.follower = Some(tokio::spawn(follow.run()));
    }

    /// Ends the follower as a kill would, and forgets what was in memory of the index.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.indexes = indexes(&self.dir, &self.disk);
    }

    pub(crate) async fn stop(&mut self) {
        if let Some(follower) = self.follower.take() {
            follower.abort();
            assert!(follower.await.unwrap_err().is_cancelled());
        }
    }

    /// Appends events as JSON, each with what it lacks.
    pub(crate) async fn append(&self, events: &[String]) {
        for events in events.chunks(1_000) {
            let leaves = events.iter().map(|event| leaf(event)).collect();
            let committed = self.log.append_stamped(leaves).await.unwrap();
            assert!(committed.outcomes.iter().all(Result::is_ok));
        }
    }

    /// Waits until the follower has taken all that is committed.
    pub(crate) async fn indexed(&self) {
        let size = self.log.tree().head.size;
        for _ in 0..60_000 {
            let page = self.indexes.search(&self.log, &Query::default()).unwrap();
            if page.indexed_to == size {
                return;
            }
            self.clock.advance(Duration::from_millis(100));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("the follower does not get on: {:?}", self.indexes.troubles());
    }

    pub(crate) fn search(&self, pairs: &[(&str, &str)]) -> Page {
        self.indexes.search(&self.log, &query(pairs).unwrap()).unwrap()
    }

    /// The ids of all events that are found, page after page.
    pub(crate) fn found(&self, pairs: &[(&str, &str)]) -> Vec<String> {
        let mut query = query(pairs).unwrap();
        let mut found = Vec::new();
        loop {
            let page = self.indexes.search(&self.log, &query).unwrap();
            found.extend(page.hits.iter().map(|index| self.id(*index)));
            let Some(next) = page.next else { break };
            let text = query.cursor_text(next);
            let again: Vec<_> = pairs.iter().copied().chain([("cursor", &*text)]).collect();
            query = self::query(&again).unwrap();
        }
        found
    }

    pub(crate) fn id(&self, index: LeafIndex) -> String {
        read::event(&self.log, index).unwrap().unwrap().event.event.id.unwrap()
    }

    /// Erases blocks of an event, which an event that comes after all others states.
    pub(crate) async fn erase(&self, index: u64, tags: &[u8]) {
        let kinds = tags.iter().copied().collect();
        let targets = [(LeafIndex::new(index).unwrap(), kinds)].into();
        let erasing = self.log.erase(targets).await.unwrap();
        // Of an action that no test asks for, by somebody whom none counts.
        let statement = event(0, "").replace("invoice.updated", "privacy.erased");
        erasing.commit(leaf(&statement.replace("u-0", "eraser"))).await.unwrap();
    }

    /// The files of the index.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let folder = self.dir.path().join("index/trail");
        let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    pub(crate) async fn end(mut self) {
        self.stop().await;
        self.registry.shutdown().await;
    }
}

pub(crate) fn query(pairs: &[(&str, &str)]) -> Result<Query, QueryError> {
    Query::parse(pairs.iter().copied())
}

fn indexes(dir: &TempDir, disk: &Arc<FaultyDisk>) -> Arc<AuditIndexes> {
    let mut options = IndexOptions::new(dir.path().join("index"));
    options.cache_bytes = 1024 * 1024;
    options.scan_max = SCAN_MAX;
    options.disk = Arc::clone(disk) as Arc<dyn Disk>;
    Arc::new(AuditIndexes::new(options))
}

/// The leaf of an event as JSON, with its blocks.
pub(crate) fn leaf(event: &str) -> NewLeaf {
    let read = json::read(event.as_bytes(), EVENT_BYTES_DEFAULT).unwrap();
    let now = Instant::from_nanos(START_MS * 1_000_000);
    let fill = Fill { now, id: "01JNFTQXC0000000000000000" };
    let valid = ValidEvent::own(read.event, read.flags, fill);
    let valid = valid.unwrap_or_else(|error| panic!("{error}: {event}"));
    let blocks = Blocks::of(&valid, Stamp::default());
    let (leaf, salts) = Leaf::commit(0, &blocks, || Salt::from([7; 16])).unwrap();
    let attachment = |(block, salt): (&audit_event::Block, &Salt)| Attachment {
        kind: block.tag().number(),
        key_id: 0,
        bytes: Bytes::from([salt.as_bytes(), block.bytes()].concat()),
    };
    let attachments = blocks.iter().zip(&salts).map(attachment).collect();
    NewLeaf { leaf: leaf.encode().into(), once: None, attachments }
}

/// An event with an id and a name; ids of events are their numbers.
pub(crate) fn event(number: usize, more: &str) -> String {
    let outcome = ["success", "failure", "denied"][number % 3];
    let action = ["invoice.updated", "user.deleted", "auth.login", "file.read"][number % 4];
    format!(
        r#"{{"id":"{number}","source":"/billing","time":"2026-03-04T09:10:11Z","action":"{action}",
        "category":"data","operation":"update","outcome":"{outcome}","actor":{{"type":"user",
        "id":"u-{}","name":"Ana Silva {}"}},"targets":[{{"type":"invoice","id":"i-{number}"}}]{more}}}"#,
        number % 17,
        number % 5,
    )
}

pub(crate) fn events(count: usize) -> Vec<String> {
    (0..count).map(|number| event(number, "")).collect()
}
