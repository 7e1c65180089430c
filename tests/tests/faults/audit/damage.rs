//! One bit of a block changes on the disk: it is named, shown as damaged, and never part of evidence.

use std::path::Path;

use e2e::{Home, Server, cairn, stderr_of, stdout_of};
use rocksdb::{DB, IteratorMode, Options};
use serde_json::{Value, json};
use storage::Beside;
use storage::keys::{decode_beside, encode_attachment};

use super::super::offline;
use super::{EVENTS, answered, event, record, search};

const DAMAGED: u64 = 2;
/// The row of a block: log, index, tag; then a version, the key's id and the salt before its bytes.
const FAMILY: &str = "attachments";
const ACTOR_TAG: u8 = 2;

/// Which bytes of a row still fit each other after one bit has changed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Checksum {
    /// The row's checksum shows that it was damaged.
    Broken,
    /// It was made over the damaged bytes: only the leaf shows it.
    Fits,
}

/// Changes one bit of the block that says who caused the event, in the row itself. The checksums that the
/// engine keeps of its files are made anew, as after memory that failed before the write.
fn flip_actor(db: &Path, word: &str, checksum: Checksum) {
    let options = Options::default();
    let families = DB::list_cf(&options, db).unwrap();
    let db = DB::open_cf(&options, db, families).unwrap();
    let family = db.cf_handle(FAMILY).unwrap();
    let rows: Vec<_> = db.iterator_cf(family, IteratorMode::Start).map(Result::unwrap).collect();
    let word = word.as_bytes();
    let found = rows.iter().find_map(|(key, value)| {
        let at = value.windows(word.len()).position(|found| found == word)?;
        (key.last() == Some(&ACTOR_TAG)).then_some((key, value, at))
    });
    let (key, value, at) = found.expect("the block is there");
    let mut flipped = value.to_vec();
    flipped[at] ^= 1;
    if checksum == Checksum::Fits {
        let Beside::Kept(mut attachment) = decode_beside(key, &value.to_vec().into()).unwrap()
        else {
            panic!("the block was erased");
        };
        // A version byte and the key's id stand before the bytes, the checksum after them.
        attachment.bytes = flipped[5..flipped.len() - 4].to_vec().into();
        encode_attachment(key, &attachment, &mut flipped);
    }
    db.put_cf(family, key, flipped).unwrap();
    db.flush_cf(family).unwrap();
}

fn stopped() -> Home {
    let home = Home::new();
    let server = home.start();
    let events: Vec<Value> =
        (0..5).map(|n| event(&format!("e-{n}"), &format!("person-{n}"))).collect();
    record(&server, &events);
    server.stop().unwrap();
    home
}

/// The event is shown without the block, which is named; verified it is not.
fn shows_damage(server: &Server) {
    let (status, line) = answered(server, "GET", &format!("{EVENTS}/{DAMAGED}?verify=true"), "");
    assert_eq!(status, 200, "{line}");
    assert_eq!(line["damaged"], json!(["actor"]), "{line}");
    assert!(line["blocks"].get("actor").is_none(), "{line}");
    assert_eq!(line["verification"]["verified"], false, "{line}");
    let steps = line["verification"]["steps"].as_array().unwrap();
    let blocks = steps.iter().find(|step| step["step"] == "blocks").unwrap();
    assert_eq!(blocks["ok"], false, "{line}");
    let found = search(server, "&id=e-2");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["damaged"], json!(["actor"]), "{}", found[0]);
    assert!(found[0].get("actor").is_none(), "{}", found[0]);
}

/// `fsck` names the log, the event and that it is a block, and repeats nothing of it.
fn fsck_names_it(home: &Home) {
    let found = offline("fsck", &home.data(), &[]);
    let said = [String::from_utf8_lossy(&found.stdout).into_owned(), stderr_of(&found)].concat();
    assert_eq!(found.status.code(), Some(1), "{said}");
    assert!(said.contains("audit"), "{said}");
    assert!(!said.contains("person-"), "no value of an event is repeated: {said}");
}

/// An evidence file with the event is refused, and nothing is left of it: what it says.
fn export_is_refused(server: &Server, home: &Home) -> String {
    let evidence = home.path("evidence");
    let out = evidence.to_str().unwrap();
    let refused = server.cairn(home, ["export", "audit", "--out", out]);
    assert!(!refused.status.success());
    assert!(!evidence.exists());
    let said = stderr_of(&refused);
    assert!(!said.contains("person-"), "no value of an event is repeated: {said}");
    said
}

#[test]
fn a_bit_flipped_in_a_block_is_named_shown_as_damaged_and_never_exported() {
    for checksum in [Checksum::Broken, Checksum::Fits] {
        let home = stopped();
        flip_actor(&home.data().join("db"), "person-2", checksum);
        fsck_names_it(&home);
        let server = home.start();
        shows_damage(&server);
        let said = export_is_refused(&server, &home);
        assert!(said.contains(&format!("event {DAMAGED} is damaged")), "{said}");

        // The others are as they were.
        let (kept, vkey) = (home.path("kept"), home.vkey_argument("audit"));
        let kept = kept.to_str().unwrap();
        stdout_of(&server.cairn(&home, ["export", "audit", "--id", "e-1", "--out", kept]));
        stdout_of(&cairn(["verify-export", kept, "--vkey", &vkey]));
        server.stop().unwrap();
    }
}
