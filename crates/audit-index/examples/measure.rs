//! Measures how fast an index catches up, what searches and counts take, and how large it is.
//!
//! `cargo run --release -p audit-index --example measure -- EVENTS`

#![expect(clippy::unwrap_used, reason = "a measurement that fails has nothing to say")]
#![expect(clippy::print_stdout, reason = "the answer")]
#![expect(clippy::disallowed_methods, reason = "a task of its own")]

use std::sync::Arc;
use std::time::Duration;

use audit_event::json::{self, EVENT_BYTES_DEFAULT};
use audit_event::{Block, Blocks, Fill, Instant, Leaf, Salt, Stamp, ValidEvent};
use audit_index::counts::Key;
use audit_index::{AuditFollower, AuditIndexes, By, IndexOptions, Query};
use base::clock::{Clock, ManualClock, SystemClock};
use bytes::Bytes;
use log_core::follow::Follow;
use log_core::read::Reads;
use log_core::{CreateLog, Limits, Log, NewLeaf, Registry, RegistryOptions, testing};
use storage::memory::MemoryEngine;
use storage::{Attachment, IndexedEngine, LogKind};

/// The server's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// An event of about 1.2 kB, with identifiers that no other has.
fn event(number: u64) -> String {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let uuid = |salt: u64| {
        let (high, low) = (mixed ^ salt, mixed.rotate_left(17) ^ salt);
        format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            high >> 32,
            high & 0xffff,
            low & 0xfff,
            low >> 52,
            (high ^ low) & 0xffff_ffff_ffff
        )
    };
    let person = mixed % 5_000;
    let action = [
        "invoice.updated",
        "invoice.deleted",
        "user.created",
        "auth.login",
        "file.read",
        "role.granted",
        "report.exported",
        "payment.approved",
    ][usize::try_from(mixed % 8).unwrap()];
    let outcome = if mixed.is_multiple_of(50) { "denied" } else { "success" };
    format!(
        r#"{{"id":"{}","source":"/billing/{}","time":"2026-03-04T09:10:11.{:09}Z","action":"{action}",
"category":"data","operation":"update","outcome":"{outcome}","labels":{{"team":"t{}","region":"eu-west-1"}},
"actor":{{"type":"user","id":"user-{person}@example.com","name":"First{} Last{}","email":"user-{person}@example.com",
"groups":["staff","billing-admins"],"session_id":"{}"}},
"origin":{{"ip":"10.{}.{}.{}","user_agent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36","country":"DE"}},
"targets":[{{"type":"invoice","id":"inv-{}","name":"Invoice {}"}},{{"type":"account","id":"arn:aws:iam::111122223333:role/service-role-{}"}}],
"changes":[{{"field":"amount","old":{},"new":{}}}],"description":"The amount of the invoice was changed after a call with the customer",
"request":{{"id":"{}","method":"POST","path":"/api/v1/invoices/{}/lines"}},
"trace":{{"trace_id":"{:032x}","span_id":"{mixed:016x}"}},"metadata":{{"cluster":"prod-{}","attempt":{}}}}}"#,
        uuid(1),
        mixed % 7,
        mixed % 1_000_000_000,
        mixed % 12,
        person % 700,
        person % 900,
        uuid(u64::from(u32::try_from(number / 40).unwrap())),
        mixed % 4,
        mixed % 250,
        mixed % 199,
        number / 3,
        number / 3,
        mixed % 90,
        mixed % 1_000,
        mixed % 1_003,
        uuid(3),
        number / 3,
        u128::from(mixed) << 40,
        mixed % 5,
        mixed % 3,
    )
}

fn leaf(number: u64) -> (NewLeaf, usize) {
    let text = event(number);
    let read = json::read(text.as_bytes(), EVENT_BYTES_DEFAULT).unwrap();
    let fill = Fill { now: Instant::from_nanos(1_772_615_411_000_000_000), id: "unused" };
    let valid = ValidEvent::own(read.event, read.flags, fill).unwrap();
    let blocks = Blocks::of(&valid, Stamp::default());
    let (leaf, salts) = Leaf::commit(0, &blocks, || Salt::from([7; 16])).unwrap();
    let attachment = |(block, salt): (&Block, &Salt)| Attachment {
        kind: block.tag().number(),
        key_id: 0,
        bytes: Bytes::from([salt.as_bytes(), block.bytes()].concat()),
    };
    let attachments = blocks.iter().zip(&salts).map(attachment).collect();
    (NewLeaf { leaf: leaf.encode().into(), once: None, attachments }, text.len())
}

fn limits() -> Limits {
    Limits {
        publish_interval_min: Duration::from_secs(1),
        history_interval: Duration::from_hours(1),
        clock_step_max: Duration::from_hours(24_000),
        ..testing::limits()
    }
}

#[tokio::main]
async fn main() {
    let size: u64 = std::env::args().nth(1).map_or(100_000, |size| size.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let engine = Arc::new(MemoryEngine::new());
    let clock = Arc::new(ManualClock::new(1_772_615_411_000));
    let registry = Registry::open(RegistryOptions {
        limits: limits(),
        ..testing::options(
            dir.path(),
            Arc::clone(&engine) as Arc<dyn storage::Store>,
            Arc::clone(&clock) as Arc<dyn Clock>,
        )
    })
    .unwrap();
    let log = registry.create(CreateLog::new("trail", LogKind::Audit)).await.unwrap();
    let mut json_bytes = 0;
    for start in (0..size).step_by(1_000) {
        let leaves = (start..size.min(start + 1_000)).map(leaf);
        let leaves = leaves
            .map(|(leaf, bytes)| {
                json_bytes += bytes;
                leaf
            })
            .collect();
        log.append_stamped(leaves).await.unwrap();
        clock.advance(Duration::from_secs(30));
    }
    println!("{size} events of {} bytes", json_bytes / usize::try_from(size).unwrap());

    let indexes = Arc::new(AuditIndexes::new(IndexOptions::new(dir.path().join("index"))));
    let follower = AuditFollower::new(Arc::clone(&indexes));
    let reads = Arc::new(Reads::new(Arc::clone(&engine) as Arc<dyn IndexedEngine>, 8 << 20));
    let follow = Arc::new(Follow::new(follower, registry.clone(), reads, 1_000));
    let time = SystemClock::default();
    let (started, cpu) = (time.monotonic(), cpu_seconds());
    let task = tokio::spawn(follow.run());
    while indexes.search(&log, &Query::default()).unwrap().indexed_to.get() < size {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = time.monotonic().saturating_sub(started);
    println!("caught up in {took:.2?}, {:.2} s of a core", cpu_seconds() - cpu);
    let files = std::fs::read_dir(dir.path().join("index/trail")).unwrap();
    let sizes: Vec<u64> = files.map(|file| file.unwrap().metadata().unwrap().len()).collect();
    println!("{} parts, {} bytes an event", sizes.len(), sizes.iter().sum::<u64>() / size);
    measure(&indexes, &log, &time, size);
    task.abort();
    registry.shutdown().await;
}

/// What the process has had of the cores: others may use them too.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0
}

/// The query of a round.
type Pairs = fn(u64) -> Vec<(&'static str, String)>;

fn measure(indexes: &AuditIndexes, log: &Log, time: &SystemClock, size: u64) {
    let queries: [(&str, Pairs); 9] = [
        ("newest", |_| vec![]),
        ("action", |_| vec![("action", "invoice.deleted".to_owned())]),
        ("actor", |it| vec![("actor", format!("user-{}@example.com", it % 5_000))]),
        ("name", |it| vec![("actor", format!("first{} last{}", it % 700, it % 900))]),
        ("who deleted", |it| {
            vec![
                ("action", "invoice.deleted".to_owned()),
                ("outcome", "denied".to_owned()),
                ("label", format!("team=t{}", it % 12)),
            ]
        }),
        ("id", |it| vec![("target", format!("inv-{}", it % 30_000))]),
        ("one word", |_| vec![("text", "customer".to_owned())]),
        ("words", |it| vec![("text", format!("invoice {} denied mozilla", it % 30_000))]),
        ("beginning", |it| {
            vec![(
                "text",
                format!("{:08x}*", (it % 1_000).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32),
            )]
        }),
    ];
    for (name, pairs) in queries {
        let cpu = cpu_seconds();
        let mut took: Vec<Duration> = (0..40_u64)
            .map(|round| {
                let pairs = pairs(round * 7_919 % size);
                let query =
                    Query::parse(pairs.iter().map(|(name, value)| (*name, &**value))).unwrap();
                let started = time.monotonic();
                indexes.search(log, &query).unwrap();
                time.monotonic().saturating_sub(started)
            })
            .collect();
        took.sort();
        let cpu = (cpu_seconds() - cpu) / 40.0 * 1_000.0;
        println!("{name:>12}: p50 {:.2?} p95 {:.2?}, {cpu:.1} ms of a core", took[20], took[38]);
    }
    for (name, by, filter) in [
        ("day", By::Day, None),
        ("day, denied", By::Day, Some(("outcome", "denied"))),
        ("day, success", By::Day, Some(("outcome", "success"))),
        ("action", By::Key(Key::Action), None),
        ("actor", By::Key(Key::Actor), None),
    ] {
        let query = Query::parse(filter).unwrap();
        let started = time.monotonic();
        let counts = indexes.counts(log, &query, by).unwrap();
        println!(
            "counts by {name}: {:.2?}, {} keys",
            time.monotonic().saturating_sub(started),
            counts.counts.len()
        );
    }
}
