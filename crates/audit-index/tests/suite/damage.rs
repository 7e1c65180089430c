//! An index that is damaged, deleted, or cannot be written: answers stay right.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use audit_index::Trouble;
use merkle::LeafIndex;

use crate::rig::{Rig, event, events};

const QUESTION: [(&str, &str); 2] = [("actor", "u-3"), ("limit", "1000")];

fn wanted(size: usize) -> Vec<String> {
    (0..size).rev().filter(|number| number % 17 == 3).map(|number| number.to_string()).collect()
}

/// What befalls a file.
type Harm = fn(&Path);

fn harms() -> Vec<(&'static str, Harm)> {
    let cut: Harm = |path| resize(path, |length| length / 3);
    vec![
        ("deleted", |path| std::fs::remove_file(path).unwrap()),
        ("cut", cut),
        ("emptied", |path| resize(path, |_| 0)),
        ("first bit", |path| flip(path, |_| 0)),
        ("middle bit", |path| flip(path, |length| length / 2)),
        ("late bit", |path| flip(path, |length| length * 9 / 10)),
        ("last bit", |path| flip(path, |length| length - 1)),
    ]
}

fn resize(path: &Path, size: fn(u64) -> u64) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_len(size(file.metadata().unwrap().len())).unwrap();
}

/// In place, so that who has the file open sees it.
fn flip(path: &Path, place: fn(u64) -> u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let (at, mut byte) = (place(file.metadata().unwrap().len()), [0]);
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 4], at).unwrap();
}

/// A log with an index of several parts.
async fn several_parts(size: usize) -> Rig {
    let rig = Rig::new().await;
    for at in (0..size).step_by(700) {
        rig.append(&events(size.min(at + 700))[at..]).await;
        rig.indexed().await;
    }
    assert!(rig.files().len() >= 2);
    rig
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_at_rest_costs_time_and_nothing_else() {
    let mut rig = several_parts(2_100).await;
    for (name, harm) in harms() {
        for file in 0..2 {
            rig.stop().await;
            let files = rig.files();
            harm(&files[file % files.len()]);
            rig.restart().await;
            assert_eq!(rig.found(&QUESTION), wanted(2_100), "{name} {file}");
            rig.follow();
            rig.indexed().await;
            assert_eq!(rig.found(&QUESTION), wanted(2_100), "{name} {file}");
            assert!(rig.indexes.troubles().is_empty());
        }
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_under_way_costs_time_and_nothing_else() {
    let mut rig = several_parts(2_100).await;
    for (name, harm) in harms() {
        for file in 0..2 {
            // The cache is empty, so that the files are read.
            rig.restart().await;
            rig.follow();
            rig.indexed().await;
            let files = rig.files();
            harm(&files[file % files.len()]);
            for question in [&[("text", "silva"), ("outcome", "denied")][..], &QUESTION] {
                let found = rig.found(question).len();
                let all = if question == QUESTION { wanted(2_100).len() } else { 700 };
                assert_eq!(found, all, "{name} {file}");
            }
            rig.append(&[event(0, "")]).await;
            rig.indexed().await;
            assert_eq!(rig.found(&QUESTION), wanted(2_100), "{name} {file}");
            assert!(rig.search(&QUESTION).count.exact);
        }
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_folder_is_filled_again() {
    let mut rig = several_parts(1_400).await;
    let folder = rig.dir.path().join("index");
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(rig.found(&QUESTION), wanted(1_400));
    rig.append(&events(2_100)[1_400..]).await;
    rig.indexed().await;
    assert_eq!(rig.found(&QUESTION), wanted(2_100));
    rig.restart().await;
    assert_eq!(rig.found(&QUESTION), wanted(2_100));
    rig.follow();
    rig.indexed().await;
    assert_eq!(rig.found(&QUESTION), wanted(2_100));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_belong_to_an_index_is_removed() {
    let mut rig = several_parts(1_400).await;
    rig.stop().await;
    let files = rig.files();
    let folder = files[0].parent().unwrap();
    for name in [".0000000000000000-0000000000000700.part.tmp", "x", "0-1.part"] {
        std::fs::write(folder.join(name), b"rest").unwrap();
    }
    // A part of another log, in the place of one of this.
    let other = several_parts(2_100).await;
    std::fs::write(&files[1], std::fs::read(&other.files()[1]).unwrap()).unwrap();
    rig.restart().await;
    assert_eq!(rig.found(&QUESTION), wanted(1_400));
    assert!(rig.files().iter().all(|file| files.contains(file)));
    rig.end().await;
    other.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_of_another_history_is_not_used() {
    let rig = several_parts(2_100).await;
    // The same folder beside a log that has other events in the same places.
    let other = Rig::without_follower().await;
    other.append(&(0..2_100).map(|it| event(it + 1, "")).collect::<Vec<_>>()).await;
    let folder = other.dir.path().join("index/trail");
    std::fs::create_dir_all(&folder).unwrap();
    for file in rig.files() {
        std::fs::copy(&file, folder.join(file.file_name().unwrap())).unwrap();
    }
    assert_eq!(other.found(&[("id", "2100")]), ["2100"]);
    assert_eq!(other.search(&[]).indexed_to.get(), 0);
    assert!(other.files().is_empty());
    rig.end().await;
    other.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_or_failing_disk_stops_the_index_alone() {
    for (fault, trouble) in [(1, Trouble::Full), (2, Trouble::Disk), (3, Trouble::Disk)] {
        let rig = Rig::new().await;
        rig.append(&events(700)).await;
        rig.indexed().await;
        rig.disk.fault.store(fault, Ordering::SeqCst);
        rig.append(&events(1_400)[700..]).await;
        for _ in 0..10_000 {
            if !rig.indexes.troubles().is_empty() {
                break;
            }
            rig.clock.advance(Duration::from_millis(100));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(rig.indexes.troubles(), [(rig.log.name().clone(), trouble)]);
        rig.append(&events(1_500)[1_400..]).await;
        assert_eq!(rig.found(&QUESTION), wanted(1_500));
        let page = rig.search(&QUESTION);
        assert_eq!((page.indexed_to.get(), page.tree_size.get()), (700, 1_500));
        rig.disk.fault.store(0, Ordering::SeqCst);
        rig.indexed().await;
        assert!(rig.indexes.troubles().is_empty());
        assert_eq!(rig.found(&QUESTION), wanted(1_500));
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_two_parts_loses_nothing() {
    let mut rig = Rig::new().await;
    for at in 0..6 {
        rig.append(&events(700 * (at + 1))[700 * at..]).await;
        // Killed wherever it is.
        rig.restart().await;
        assert_eq!(rig.found(&QUESTION), wanted(700 * (at + 1)));
        rig.follow();
    }
    rig.indexed().await;
    assert_eq!(rig.found(&QUESTION), wanted(4_200));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_is_asked_for_starts_from_zero() {
    let rig = several_parts(1_400).await;
    let written = rig.disk.written.lock().unwrap().len();
    rig.handle.as_ref().unwrap().rebuild(&rig.log);
    for _ in 0..10_000 {
        if rig.disk.written.lock().unwrap().len() > written {
            break;
        }
        rig.clock.advance(Duration::from_millis(100));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    rig.indexed().await;
    assert!(rig.disk.written.lock().unwrap().len() > written);
    assert_eq!(rig.found(&QUESTION), wanted(1_400));
    rig.end().await;
}

/// Whether the folder of the index holds these bytes.
fn holds(rig: &Rig, bytes: &[u8]) -> bool {
    let holds = |file| {
        let content: Vec<u8> = std::fs::read(file).unwrap();
        content.windows(bytes.len()).any(|window| window == bytes)
    };
    rig.files().iter().any(holds)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_erased_is_gone_from_the_folder() {
    let mut rig = Rig::new().await;
    let mut all = events(2_100);
    all[1_000] =
        event(4, r#","description":"zanzibar quokka@example.com""#).replace("Ana", "Xylophon");
    all[2_000] = event(4, r#","description":"quetzal""#);
    for at in (0..2_100).step_by(700) {
        rig.append(&all[at..at + 700]).await;
        rig.indexed().await;
    }
    for text in ["zanzibar", "quokka", "xylophon", "quetzal"] {
        assert!(holds(&rig, text.as_bytes()), "{text}");
        assert_eq!(rig.search(&[("text", text)]).hits.len(), 1);
    }
    rig.erase(1_000, &[2, 4]).await;
    let before = rig.search(&[("text", "zanzibar")]);
    assert!(before.hits.is_empty() && before.next.is_none() && before.count.value == 0);
    rig.indexes.erase(&rig.log, &[LeafIndex::new(1_000).unwrap()]).unwrap();
    for text in ["zanzibar", "quokka", "xylophon"] {
        assert!(!holds(&rig, text.as_bytes()), "{text}");
        assert!(rig.search(&[("text", text)]).hits.is_empty());
    }
    assert_eq!(rig.search(&[("text", "quetzal")]).hits.len(), 1);
    assert_eq!(rig.found(&[("text", "user.deleted"), ("limit", "1000")]).len(), 525);
    rig.restart().await;
    assert_eq!(rig.search(&[("text", "quetzal")]).hits.len(), 1);
    // A disk that is full hinders no erasure: the index goes.
    rig.erase(2_000, &[4]).await;
    rig.disk.fault.store(2, Ordering::SeqCst);
    rig.indexes.erase(&rig.log, &[LeafIndex::new(2_000).unwrap()]).unwrap();
    assert!(!holds(&rig, b"quetzal") && rig.files().is_empty());
    assert!(rig.search(&[("text", "quetzal")]).hits.is_empty());
    rig.end().await;
}
