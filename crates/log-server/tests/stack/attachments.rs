//! Attachments, which no call of the API takes yet, through all that a store goes through: append,
//! restart, backup, fsck, restore.

use std::path::Path;
use std::sync::Arc;

use base::clock::SystemClock;
use bytes::Bytes;
use log_core::{CreateLog, Log, NewEntry, Registry, Submission, testing};
use merkle::LeafIndex;
use storage::{Attachment, Beside, ContentDigest, DedupKey, Engine, LogKind, Scope};
use storage_rocksdb::backup::{Secrets, backup, restore};
use storage_rocksdb::{RocksEngine, RocksOptions, fsck};
use tempfile::TempDir;

const LOG: &str = "attached";
const ENTRIES: u64 = 300;

/// The logs of a data folder, without a server around them.
struct Opened {
    engine: Arc<RocksEngine>,
    registry: Registry,
}

impl Opened {
    fn new(data: &Path) -> Self {
        let engine = RocksEngine::open(&data.join("db"), &RocksOptions::default()).unwrap();
        let engine = Arc::new(engine);
        let store = Arc::<RocksEngine>::clone(&engine);
        let registry = Registry::open(testing::options(data, store, Arc::new(SystemClock::new())));
        Self { engine, registry: registry.unwrap() }
    }

    fn log(&self) -> Log {
        self.registry.log(LOG).unwrap()
    }

    fn attachments(&self, number: u64) -> Vec<Beside> {
        self.engine.attachments(self.log().id(), LeafIndex::new(number).unwrap()).unwrap()
    }

    async fn close(self) {
        let Self { engine, registry } = self;
        registry.shutdown().await;
        drop(registry);
        // Tasks of the log let go of the store a moment after it has stopped.
        while Arc::strong_count(&engine) > 1 {
            tokio::task::yield_now().await;
        }
    }
}

fn attachments(number: u64) -> Vec<Attachment> {
    let attachment = |(kind, key_id)| {
        let bytes = Bytes::from(format!("attachment {kind} of entry {number}"));
        Attachment { kind, key_id, bytes }
    };
    [(1, 0), (7, 3)].map(attachment).into()
}

fn entry(number: u64, salt: &str) -> NewEntry {
    let key = Bytes::from(format!("key {number}"));
    NewEntry {
        data: Bytes::from(format!("entry {number}, salt {salt}")),
        dedup: Some(DedupKey { scope: Scope::ANONYMOUS, key }),
        digest: Some(ContentDigest(*merkle::leaf_hash(&number.to_be_bytes()).as_bytes())),
        attachments: attachments(number),
    }
}

fn check(data: &Path, attachments: u64) {
    let report =
        fsck::run(data, &data.join("heads"), &RocksOptions::default(), &mut |_| {}).unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
    assert_eq!((report.logs[0].entries, report.logs[0].attachments), (ENTRIES, attachments));
}

async fn append(log: &Log, salt: &str) -> usize {
    let entries = (0..ENTRIES).map(|number| entry(number, salt)).collect();
    let committed = log.append(Submission { entries, producer: None }).await.unwrap();
    let is_duplicate = |outcome: &&log_core::EntryOutcome| {
        matches!(outcome, log_core::EntryOutcome::Appended { duplicate: true, .. })
    };
    committed.outcomes.iter().filter(is_duplicate).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn attachments_go_where_their_entries_go() {
    let folder = TempDir::new().unwrap();
    let [data, out, restored] = ["data", "backup", "restored"].map(|name| folder.path().join(name));
    let opened = Opened::new(&data);
    opened.registry.create(CreateLog::new(LOG, LogKind::Plain)).await.unwrap();
    assert_eq!(append(&opened.log(), "one").await, 0);
    opened.close().await;
    check(&data, 2 * ENTRIES);

    // The digests survive a restart: another salt is the same event.
    let opened = Opened::new(&data);
    assert_eq!(append(&opened.log(), "two").await, usize::try_from(ENTRIES).unwrap());
    let root = opened.log().tree().head.root;
    opened.close().await;
    check(&data, 2 * ENTRIES);

    backup(&data, &out, Secrets::Leave, &RocksOptions::default()).unwrap();
    let heads = data.join("heads");
    restore(&out, &restored, &heads, None, &RocksOptions::default(), &mut |_| {}).unwrap();
    for file in ["keys", "heads"] {
        std::fs::rename(data.join(file), restored.join(file)).unwrap();
    }
    check(&restored, 2 * ENTRIES);
    let opened = Opened::new(&restored);
    assert_eq!(opened.log().tree().head.root, root, "the tree knows nothing of attachments");
    let kept: Vec<_> = attachments(256).into_iter().map(Beside::Kept).collect();
    assert_eq!(opened.attachments(256), kept);
    opened.close().await;
}
