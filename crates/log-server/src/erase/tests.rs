//! Orders to erase, over a store on disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use audit_event::event::{Actor, ActorKind};
use audit_event::validate::Fill;
use audit_event::{
    AuditEvent, Block, Blocks, Flags, Instant, Leaf, Raw, RecordedEvent, Salt, Stamp, ValidEvent,
    Value,
};
use base::clock::SystemClock;
use base::tasks::Supervisor;
use log_core::{CreateLog, NewLeaf, Once, Repeats, testing};
use merkle::TreeSize;
use serve::admin::AdminServer;
use serve::config::Values;
use storage::{Attachment, Beside, ContentDigest, Engine as _, Erase as _};
use storage_rocksdb::backup::{Secrets, backup, restore};
use storage_rocksdb::{RocksEngine, RocksOptions, fsck};
use tempfile::TempDir;

use super::*;
use crate::config::{Config, SOURCES};
use crate::{admin, server};

const LOG: &str = "trail";

/// The logs of a data folder, without a server around them.
struct Opened {
    engine: Arc<RocksEngine>,
    registry: Registry,
    copies: Copies,
}

impl Opened {
    fn new(data: &Path) -> Self {
        let engine =
            Arc::new(RocksEngine::open(&data.join("db"), &RocksOptions::default()).unwrap());
        let store = Arc::<RocksEngine>::clone(&engine);
        let registry = Registry::open(testing::options(data, store, Arc::new(SystemClock::new())));
        let copies = Copies::of_folder(&config(data));
        Self { engine, registry: registry.unwrap(), copies }
    }

    /// With an audit log of three events, and a plain log.
    async fn filled(data: &Path) -> Self {
        let opened = Self::new(data);
        for (name, kind) in [(LOG, LogKind::Audit), ("plain", LogKind::Plain)] {
            opened.registry.create(CreateLog::new(name, kind)).await.unwrap();
        }
        opened.log().append_stamped((0..3).map(event).collect()).await.unwrap();
        opened
    }

    fn log(&self) -> Log {
        self.registry.log(LOG).unwrap()
    }

    async fn erase(&self, index: u64, blocks: &[Tag]) -> Result<String, NotErased> {
        erase(&self.registry, &self.copies, &order(index, blocks)).await
    }

    /// What is stored of an event: the numbers of its blocks, and whether each is kept.
    fn beside(&self, index: u64) -> Vec<(u8, bool)> {
        let rows = self.engine.attachments(self.log().id(), at(index)).unwrap();
        rows.iter().map(|row| (row.kind(), row.kept().is_some())).collect()
    }

    fn event(&self, index: u64) -> RecordedEvent {
        let rows = self.engine.attachments(self.log().id(), at(index)).unwrap();
        let blocks = rows.iter().filter_map(Beside::kept).map(|kept| {
            let tag = Tag::from_number(kept.kind).unwrap();
            (tag, kept.bytes.get(Salt::LEN..).unwrap())
        });
        RecordedEvent::read(blocks).unwrap()
    }

    async fn close(self) {
        let Self { engine, registry, copies } = self;
        drop(copies);
        registry.shutdown().await;
        drop(registry);
        // Tasks of the log let go of the store a moment after it has stopped.
        while Arc::strong_count(&engine) > 1 {
            tokio::task::yield_now().await;
        }
    }
}

fn config(data: &Path) -> Config {
    let mut values = Values::new(&SOURCES);
    for (key, value) in [("data_dir", data.to_str().unwrap()), ("min_free_bytes", "0")] {
        values.set(key, value).unwrap();
    }
    Config::new(&values.settings().unwrap(), |_| None).unwrap()
}

fn at(index: u64) -> LeafIndex {
    LeafIndex::new(index).unwrap()
}

fn order(index: u64, blocks: &[Tag]) -> Order {
    let (log, reason) = (LOG.to_owned(), "request 2026-114".to_owned());
    Order { log, index: at(index), blocks: blocks.iter().copied().collect(), reason }
}

fn email(number: u8) -> String {
    format!("erase.me.{number}@example.com")
}

/// The leaf of an event, and its blocks with fresh salts beside it.
fn sealed(blocks: Blocks) -> NewLeaf {
    let mut salt = || {
        let mut random = [0; Salt::LEN];
        getrandom::fill(&mut random).unwrap();
        Salt::from(random)
    };
    let (leaf, salts) = Leaf::commit(0, &blocks, &mut salt).unwrap();
    let attachment = |(block, salt): (Block, Salt)| {
        let kind = block.tag().number();
        let bytes = [salt.as_bytes(), block.bytes()].concat().into();
        Attachment { kind, key_id: 0, bytes }
    };
    let attachments = blocks.into_iter().zip(salts).map(attachment).collect();
    NewLeaf { leaf: leaf.encode().into(), once: None, attachments }
}

fn event(number: u8) -> NewLeaf {
    let mut actor = Actor::new(ActorKind::User, format!("user-{number}"));
    actor.email = Some(email(number));
    let event = AuditEvent {
        source: Some("/billing".to_owned()),
        action: Some("invoice.updated".to_owned()),
        actor: Some(actor),
        description: Some("An invoice".to_owned()),
        ..AuditEvent::default()
    };
    let fill = Fill { now: Instant::from_nanos(1), id: &format!("id-{number}") };
    let event = ValidEvent::foreign(event, Flags::new(), fill).unwrap();
    let raw = Some(Raw::new(format!("raw of {}", email(number)).into_bytes(), None));
    let leaf = sealed(Blocks::of(&event, Stamp { writer: None, raw }));
    let once = Once { key: [number; 32], digest: ContentDigest([number; 32]) };
    NewLeaf { once: Some(once), ..leaf }
}

fn check(data: &Path) -> fsck::LogReport {
    let options = RocksOptions::default();
    let report = fsck::run(data, &data.join("heads"), &options, &mut |_| {}).unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
    report.logs[0].clone()
}

/// The files below a folder that hold these bytes.
fn files_with(folder: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, bytes));
        } else if fs::read(&path).is_ok_and(|held| held.windows(bytes.len()).any(|at| at == bytes))
        {
            found.push(path);
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn erased_blocks_leave_the_folder_and_the_event_stays() {
    let folder = TempDir::new().unwrap();
    let [data, out, restored] = ["data", "backup", "restored"].map(|name| folder.path().join(name));
    let opened = Opened::filled(&data).await;
    let salts: Vec<Vec<u8>> = opened
        .engine
        .attachments(opened.log().id(), at(1))
        .unwrap()
        .iter()
        .filter_map(Beside::kept)
        .filter(|kept| [2, 7].contains(&kept.kind))
        .map(|kept| kept.bytes[..Salt::LEN].to_vec())
        .collect();
    let erased = |data: &Path| {
        let texts = [email(1).into_bytes()].into_iter().chain(salts.clone());
        texts.flat_map(|text| files_with(data, &text)).collect::<Vec<_>>()
    };
    assert!(!erased(&data).is_empty());
    let said = opened.erase(1, &[Tag::Actor]).await.unwrap();
    assert!(said.starts_with("erased actor, raw of event 1 of log trail\n"), "{said}");
    assert!(said.contains("privacy.erased stands at index 3\n"), "{said}");
    assert!(said.contains("backups made before still hold these blocks"), "{said}");
    assert_eq!(erased(&data), [] as [PathBuf; 0]);
    assert_eq!(opened.beside(1), [(1, true), (2, false), (4, true), (7, false)]);
    assert_eq!(opened.beside(2), [(1, true), (2, true), (4, true), (7, true)]);

    let stated = opened.event(3).event;
    let source = format!("cairn:{}", opened.log().origin().as_str());
    assert_eq!((stated.action.as_deref(), stated.source), (Some(ACTION), Some(source)));
    let target = &stated.targets[0];
    let named = (target.kind.as_str(), target.id.as_str(), target.name.as_deref());
    assert_eq!(named, ("event", "1", Some("actor, raw")));
    assert_eq!(stated.metadata.get("reason"), Some(&Value::from("request 2026-114")));
    assert_eq!(stated.id.map(|id| id.len()), Some(26));

    // Whoever sends the event again is told where it stands.
    let again = opened.log().append_stamped(vec![event(1)]).await.unwrap().outcomes.remove(0);
    let again = again.unwrap();
    assert_eq!((again.index, again.repeats), (at(1), Repeats::Unknown));
    opened.close().await;
    let log = check(&data);
    assert_eq!((log.entries, log.blocks, log.erased), (4, 10 + 4, 2));

    backup(&data, &out, Secrets::Take, &RocksOptions::default()).unwrap();
    let heads = data.join("heads");
    restore(&out, &restored, &heads, None, &RocksOptions::default(), &mut |_| {}).unwrap();
    fs::remove_dir_all(restored.join("keys")).unwrap();
    for file in ["keys", "heads"] {
        base::durable::rename(&data.join(file), &restored.join(file)).unwrap();
    }
    assert_eq!(check(&restored).erased, 2);
    assert_eq!(erased(&restored), [] as [PathBuf; 0]);
    Opened::new(&restored).close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erasing_what_is_erased_is_a_success_that_says_so() {
    let folder = TempDir::new().unwrap();
    let opened = Opened::filled(folder.path()).await;
    opened.erase(0, &[Tag::Raw]).await.unwrap();
    let said = opened.erase(0, &[Tag::Raw]).await.unwrap();
    assert_eq!(said, "erased before, of event 0 of log trail: raw (by event 3)");
    assert_eq!(opened.log().tree().head.size.get(), 4, "nothing more is recorded");
    let said = opened.erase(0, &[Tag::Target]).await.unwrap();
    assert!(said.starts_with("erased target of event 0 of log trail\n"), "{said}");
    assert!(
        said.contains("\nerased before, of event 0 of log trail: raw (by event 3)\n"),
        "{said}"
    );
    assert_eq!(opened.event(4).event.targets[0].name.as_deref(), Some("target"));
    // All of it, `core` and the event of an erasure too.
    opened.erase(0, &[Tag::Core, Tag::Actor]).await.unwrap();
    opened.erase(3, &[Tag::Core]).await.unwrap();
    assert!(opened.beside(0).iter().all(|(_, kept)| !kept));
    assert_eq!(opened.engine.unpurged().unwrap(), []);
    opened.close().await;
    assert_eq!(check(folder.path()).erased, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_that_cannot_be_carried_out_change_nothing() {
    let folder = TempDir::new().unwrap();
    let opened = Opened::filled(folder.path()).await;
    let refused =
        async |order: Order| erase(&opened.registry, &opened.copies, &order).await.unwrap_err();
    let of = |log: &str| Order { log: log.to_owned(), ..order(0, &[Tag::Actor]) };
    let because = |reason: String| Order { reason, ..order(0, &[Tag::Actor]) };
    let orders = [
        (of("nobody"), "no log named nobody"),
        (of("plain"), "log plain is not an audit log: it has no events"),
        (order(3, &[Tag::Actor]), "entry 3 is beyond the committed size 3"),
        (
            order(0, &[Tag::Actor, Tag::Changes]),
            "event 0 of log trail has no block changes; it has core, actor, target, raw",
        ),
        (because(" ".to_owned()), "a reason must be given"),
        (because("x".repeat(1_025)), "a reason has at most 1024 bytes"),
    ];
    for (order, text) in orders {
        let found = refused(order).await.to_string();
        assert!(found.starts_with(text), "{found}");
    }
    opened.erase(1, &[Tag::Core]).await.unwrap();
    assert_eq!(opened.log().tree().head.size.get(), 4);
    assert_eq!(opened.beside(0), [(1, true), (2, true), (4, true), (7, true)]);
    let longest = because("x".repeat(1_024));
    erase(&opened.registry, &opened.copies, &longest).await.unwrap();
    opened.registry.log(LOG).unwrap().freeze().await.unwrap();
    let frozen = refused(order(2, &[Tag::Actor])).await.to_string();
    assert_eq!(frozen, "log is frozen");
    opened.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_erases_and_a_stopped_one_leaves_it_to_the_caller() {
    let folder = TempDir::new().unwrap();
    let data = folder.path();
    let opened = Opened::filled(data).await;
    let commands = admin::commands(
        opened.registry.downgrade(),
        Some(Arc::clone(&opened.engine)),
        (None, Some(Copies::of_folder(&config(data)))),
        data.to_owned(),
    );
    let clock = Arc::new(SystemClock::new());
    let server = AdminServer::start(data, commands, clock, &Supervisor::new()).unwrap();
    let ask = |order: &Order| tokio::task::block_in_place(|| admin::erase_live(data, order));
    let said = ask(&order(1, &[Tag::Actor])).unwrap().unwrap();
    assert!(said.starts_with("erased actor, raw of event 1 of log trail\n"), "{said}");
    let refused = ask(&order(9, &[Tag::Actor])).unwrap_err().to_string();
    assert_eq!(refused, "entry 9 is beyond the committed size 4");
    server.stop().await;
    assert_eq!(ask(&order(1, &[Tag::Actor])).unwrap(), None);
    opened.close().await;
}

/// On a store that nobody serves the command opens the logs itself, and signs what it appends.
#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_store_is_opened_erased_from_and_closed() {
    let folder = TempDir::new().unwrap();
    let data = folder.path();
    let config = config(data);
    let order = order(1, &[Tag::Actor]);
    let work = async || {
        server::with_logs(&config, async |logs| {
            erase(logs, &Copies::of_folder(&config), &order).await
        })
        .await
    };
    let none = work().await.unwrap_err().to_string();
    assert!(none.ends_with("not a store"), "{none}");
    assert!(!data.join("db").exists(), "nothing is made");
    let opened = Opened::filled(data).await;
    let used = work().await.unwrap_err().to_string();
    assert!(used.contains("in use by another server"), "{used}");
    opened.close().await;
    let said = work().await.unwrap().unwrap();
    assert!(said.starts_with("erased actor, raw of event 1 of log trail\n"), "{said}");
    let log = check(data);
    assert_eq!((log.erased, log.size.get(), log.journaled.map(TreeSize::get)), (2, 4, Some(4)));
    let said = work().await.unwrap().unwrap();
    assert!(said.starts_with("erased before"), "{said}");
}

#[test]
fn words_that_are_no_order_are_refused() {
    let read = |words: &[&str]| {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        Order::read(&words)
    };
    assert_eq!(
        read(&["trail", "1", "request 2026-114", "actor"]).unwrap(),
        order(1, &[Tag::Actor])
    );
    for words in [
        &[][..],
        &["trail", "1", "reason"],
        &["trail", "one", "reason", "actor"],
        &["trail", "1", "reason", "who"],
    ] {
        assert!(read(words).is_err(), "{words:?}");
    }
    let names: Vec<&str> = Tag::ALL.map(Tag::name).into();
    assert_eq!(names, NAMES);
}
