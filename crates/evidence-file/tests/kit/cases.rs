//! All files of the kit, in a folder.

use std::path::{Path, PathBuf};

use audit_event::evidence::line::ShownBlock;
use audit_event::evidence::view::Separator;
use audit_event::{Tag, Tags};
use evidence_file::Options;
use evidence_file::write::{Csv, Target};
use formats::PrivateKey;

use super::damages::{self, Base};
use super::log::{Export, Log, all_views, erase, folder_of, key, other_key, witness};
use super::raw_zip::RawZip;
use super::{Expected, Files, read_folder, seal, write_file, write_folder};

const DENIED: &str = r#"{"outcome":["denied"]}"#;
const TIMES: &str = r#"{"from":"2026-03-04T09:10:13Z","to":"2026-03-04T09:10:16Z"}"#;

/// A folder that fills with evidence files and what is expected of them.
pub struct Kit {
    folder: PathBuf,
    expected: Vec<Expected>,
}

/// Makes every file of the kit below `folder`, and `expected.json`.
pub fn make(folder: &Path) -> Vec<Expected> {
    let mut kit = Kit { folder: folder.to_owned(), expected: Vec::new() };
    kit.good();
    kit.committed();
    kit.trusted();
    kit.damaged();
    kit.zips();
    kit.not_regular();
    let of = |it: &Expected| {
        serde_json::json!({
            "name": it.name, "status": it.status, "arguments": it.arguments,
            "parquet_alone": it.name.starts_with("parquet-") && it.status > 0,
        })
    };
    let all: Vec<_> = kit.expected.iter().map(of).collect();
    let text = serde_json::to_string_pretty(&all).unwrap() + "\n";
    write_file(&folder.join("expected.json"), text.as_bytes());
    kit.expected
}

/// The good file that damages begin with.
pub fn base(base: Base) -> Files {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("base");
    let (log, export) = match base {
        Base::Few => {
            let log = Log::of(11);
            let export = few(&log);
            (log, export)
        }
        Base::Complete => {
            let log = Log::of(12);
            let export = Export::complete(&log, 0..12, DENIED, |at| at.is_multiple_of(3));
            (log, export)
        }
        Base::Times => {
            let log = Log::of(12);
            let export = Export::complete(&log, 1..6, TIMES, |at| (2..5).contains(&at));
            (log, export)
        }
    };
    let options = if base == Base::Few { all_views() } else { Options::default() };
    log.write(folder_of(&path), options, &export);
    read_folder(&path)
}

fn few(log: &Log) -> Export {
    let lines: Vec<_> = [0, 2, 3, 6, 9].map(|at: usize| log.lines[at].clone()).into();
    let mut export = Export::of(&lines);
    erase(&mut export.lines[2], Tag::Changes);
    export
}

impl Kit {
    fn expect(&mut self, name: &str, status: u8, key: &PrivateKey) {
        let arguments = vec!["--vkey".to_owned(), key.verifier_key().to_string()];
        self.expected.push(Expected { name: name.to_owned(), status, arguments });
    }

    /// One export in each container.
    fn export(&mut self, name: &str, status: u8, log: &Log, options: Options, export: &Export) {
        let deflated = Options { deflate: true, ..options };
        let (folder, zip, packed) =
            (name.to_owned(), format!("{name}.zip"), format!("{name}-deflated.zip"));
        log.write(Target::Folder(&self.folder.join(&folder)), options, export);
        log.write(Target::Zip(&self.folder.join(&zip)), options, export);
        log.write(Target::Zip(&self.folder.join(&packed)), deflated, export);
        for name in [folder, zip, packed] {
            self.expect(&name, status, &key());
        }
    }

    fn good(&mut self) {
        let log = Log::of(11);
        self.export("none", 0, &log, all_views(), &Export::of(&[]));
        self.export("of-an-empty-log", 0, &Log::of(0), all_views(), &Export::of(&[]));
        self.export("one", 0, &log, all_views(), &Export::whole(&log.lines[7..8]));
        self.export("few", 0, &log, all_views(), &few(&log));
        let excel = Csv { separator: Separator::Semicolon, mark: true };
        let excel = Options { csv: Some(excel), ..Options::default() };
        self.export("for-excel", 0, &log, excel, &Export::whole(&log.lines));
        self.export("without-tables", 0, &log, Options::default(), &Export::whole(&log.lines));
        let many = Log::small(10_001);
        let many_of = Export::of(&many.lines);
        many.write(Target::Folder(&self.folder.join("two-proofs")), all_views(), &many_of);
        let zip = self.folder.join("two-proofs.zip");
        many.write(Target::Zip(&zip), Options { deflate: true, ..Options::default() }, &many_of);
        for name in ["two-proofs", "two-proofs.zip"] {
            self.expect(name, 0, &key());
        }
        self.complete();
    }

    fn complete(&mut self) {
        let log = Log::of(12);
        let denied = Export::complete(&log, 0..12, DENIED, |at| at.is_multiple_of(3));
        self.export("complete", 0, &log, all_views(), &denied);
        for (start, end) in [(1, 6), (0, 6), (1, 12), (0, 12)] {
            let export = Export::complete(&log, start..end, TIMES, |at| (2..5).contains(&at));
            let name = format!("times-{start}-{end}");
            self.export(&name, 0, &log, Options::default(), &export);
        }
        let by_actor = Export::complete(&log, 0..12, r#"{"actor":["(withheld)"]}"#, |at| at == 4);
        self.export("undecidable", 0, &log, Options::default(), &by_actor);
        let mut erased = denied.clone();
        erase(&mut erased.lines[1], Tag::Core);
        erase(&mut erased.lines[3], Tag::Actor);
        self.export("erased", 0, &log, all_views(), &erased);
        let nothing = Export { complete: Some(0..0), ..Export::of(&[]) };
        self.export("complete-of-an-empty-log", 0, &Log::of(0), Options::default(), &nothing);
    }

    /// What a log can have committed to that no log of ours would.
    fn committed(&mut self) {
        let mut spoil = |name: &str, status, spoil| {
            let log = Log::spoiled(6, spoil);
            let options = Options { csv: Some(Csv::default()), json: true, ..Options::default() };
            self.export(name, status, &log, options, &Export::of(&log.lines));
        };
        spoil("time-decreases", 1, |at, _, time| *time -= if at == 3 { 2_000_000_000 } else { 0 });
        spoil("time-stands-still", 0, |_, _, time| *time -= *time % 100_000_000_000);
        spoil("source-and-id-twice", 1, |at, blocks, _| change(at, blocks, 0, "e-4", "e-1"));
        spoil("id-of-two-sources", 0, |at, blocks, _| {
            change(at, blocks, 0, "e-4", "e-1");
            change(at, blocks, 0, "/billing", "/other");
        });
        spoil("unknown-member", 0, |at, blocks, _| change(at, blocks, 1, "{", "{\"age\":41,"));
        spoil("no-id", 0, |at, blocks, _| change(at, blocks, 0, "\"id\":\"e-4\",", ""));
        spoil("text-with-blanks", 1, |at, blocks, _| change(at, blocks, 1, "{", "{ "));
        spoil("text-out-of-order", 1, |at, blocks, _| change(at, blocks, 1, "{", "{\"zone\":1,"));
        spoil("text-with-a-key-twice", 1, |at, blocks, _| {
            change(at, blocks, 1, "\"type\":", "\"type\":\"x\",\"type\":");
        });
        spoil("text-with-a-fraction", 1, |at, blocks, _| {
            change(at, blocks, 1, "{", "{\"age\":1.5,");
        });
        spoil("text-with-minus-zero", 1, |at, blocks, _| {
            change(at, blocks, 1, "{", "{\"age\":-0,");
        });
        spoil("text-with-2-to-53", 1, |at, blocks, _| {
            change(at, blocks, 1, "{", "{\"age\":9007199254740992,");
        });
        spoil("text-escaped", 1, |at, blocks, _| change(at, blocks, 1, "Ana", "A\\u006ea"));
        spoil("text-with-a-slash-escaped", 1, |at, blocks, _| {
            change(at, blocks, 1, "Ana", "A\\/a");
        });
        spoil("text-in-upper-case-hex", 1, |at, blocks, _| change(at, blocks, 1, "Ana", "\\u001B"));
        spoil("text-with-a-control-character", 0, |at, blocks, _| {
            change(at, blocks, 1, "Ana", "\\u001b");
        });
        spoil("text-that-is-a-list", 1, |_, blocks, _| blocks[1].bytes = b"[]".to_vec());
        spoil("text-that-is-empty", 1, |_, blocks, _| blocks[1].bytes = Vec::new());
        spoil("text-of-no-member", 0, |_, blocks, _| blocks[1].bytes = b"{}".to_vec());
        spoil("text-too-deep", 1, |_, blocks, _| blocks[1].bytes = nested(33));
        spoil("text-deep", 0, |_, blocks, _| blocks[1].bytes = nested(32));
    }

    /// Whom the verifier believes.
    fn trusted(&mut self) {
        let log = Log::of(11);
        for name in ["of-another-key", "of-no-key"] {
            let target = self.folder.join(name);
            log.write(Target::Folder(&target), Options::default(), &few(&log));
        }
        self.expect("of-another-key", 1, &other_key());
        let log_line = format!("log {}\n", key().verifier_key());
        let witnessed = format!("{log_line}witness w {}\nquorum w\n", witness().verifier_key());
        let mut expected = Vec::new();
        for (name, cosigned, policy, status) in [
            ("witnessed", true, &witnessed, 0),
            ("unwitnessed", false, &witnessed, 1),
            ("no-witness-needed", false, &format!("{log_line}quorum none\n"), 0),
        ] {
            let export = Export { cosigned, ..few(&log) };
            log.write(Target::Folder(&self.folder.join(name)), Options::default(), &export);
            let file = format!("{name}.policy");
            write_file(&self.folder.join(&file), policy.as_bytes());
            let arguments = vec!["--policy".to_owned(), file];
            expected.push(Expected { name: name.to_owned(), status, arguments });
        }
        self.expected.extend(expected);
        let arguments = vec!["--vkey".to_owned(), "@no-key".to_owned()];
        write_file(&self.folder.join("no-key"), b"");
        self.expected.push(Expected { name: "of-no-key".to_owned(), status: 2, arguments });
    }

    fn damaged(&mut self) {
        let of = |base_of| base(base_of);
        let (few, complete, times) = (of(Base::Few), of(Base::Complete), of(Base::Times));
        let tables = [
            damages::LINES,
            damages::JSON,
            damages::PROOFS,
            damages::VIEWS,
            damages::MANIFESTS,
            damages::COMPLETE,
        ];
        for damage in tables.into_iter().flatten() {
            let mut files = match damage.base {
                Base::Few => few.clone(),
                Base::Complete => complete.clone(),
                Base::Times => times.clone(),
            };
            (damage.alter)(&mut files);
            if damage.sealed && files.contains_key("manifest.json") {
                seal(&mut files);
            }
            write_folder(&self.folder.join(damage.name), &files);
            let zip = format!("{}.zip", damage.name);
            write_file(&self.folder.join(&zip), &RawZip::of(&files).bytes());
            self.expect(damage.name, damage.status, &key());
            self.expect(&zip, damage.status, &key());
        }
    }

    fn zips(&mut self) {
        let files = base(Base::Few);
        for damage in damages::ZIPS {
            let mut zip = RawZip::of(&files);
            (damage.alter)(&mut zip);
            self.raw(damage.name, damage.status, &zip.bytes());
        }
        let whole = RawZip::of(&files).bytes();
        self.raw("zip-empty", 2, b"");
        self.raw("zip-of-nothing", 2, &RawZip::of(&Files::new()).bytes());
        self.raw("zip-cut", 2, &whole[..whole.len() - 1]);
        self.raw("zip-half", 2, &whole[..whole.len() / 2]);
        self.raw("zip-headless", 2, &whole[1..]);
        self.raw("zip-twice-over", 2, &[&whole[..], &whole[..]].concat());
    }

    fn raw(&mut self, name: &str, status: u8, bytes: &[u8]) {
        let name = format!("{name}.zip");
        write_file(&self.folder.join(&name), bytes);
        self.expect(&name, status, &key());
    }

    /// What only a folder can hold.
    fn not_regular(&mut self) {
        let files = base(Base::Few);
        for name in ["folder-with-a-link", "folder-with-a-folder", "folder-linked-proofs"] {
            write_folder(&self.folder.join(name), &files);
            self.expect(name, 2, &key());
        }
        let link = self.folder.join("folder-with-a-link/checkpoint");
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink("../few/checkpoint", &link).unwrap();
        std::fs::create_dir(self.folder.join("folder-with-a-folder/more")).unwrap();
        let proofs = self.folder.join("folder-linked-proofs/proofs");
        std::fs::remove_dir_all(&proofs).unwrap();
        std::os::unix::fs::symlink("../few/proofs", &proofs).unwrap();
        write_folder(&self.folder.join("folder-with-empty-proofs"), &base_of_none());
        std::fs::create_dir(self.folder.join("folder-with-empty-proofs/proofs")).unwrap();
        self.expect("folder-with-empty-proofs", 0, &key());
    }
}

fn base_of_none() -> Files {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none");
    let export = Export { withheld: Tags::NONE, ..Export::of(&[]) };
    Log::of(3).write(Target::Folder(&path), Options::default(), &export);
    read_folder(&path)
}

/// Changes the text of a block of event 4.
fn change(number: u64, blocks: &mut [ShownBlock], at: usize, find: &str, replace: &str) {
    if number == 4 {
        let text = String::from_utf8(blocks[at].bytes.clone()).unwrap();
        assert!(text.contains(find), "{find} is not in {text}");
        blocks[at].bytes = text.replacen(find, replace, 1).into_bytes();
    }
}

/// A text of so many levels.
fn nested(levels: usize) -> Vec<u8> {
    let (open, close) = ("[".repeat(levels - 1), "]".repeat(levels - 1));
    format!("{{\"a\":{open}{close}}}").into_bytes()
}
