//! The logs that are witnessed: files `*.vkey` in one folder, one log each, its keys one a line, as editors
//! leave them. What is kept of a file is its keys in their one form.
//!
//! The folder is looked at again and again while the witness runs, so adding a log needs no restart. The
//! keys that a log is first seen with are made durable, and from then on the log is known by them: a file
//! that keeps one of them and adds others is a rotation, and taken; one that has none of them is refused,
//! and the log stays known by its old keys, until the operator says otherwise (`cairn-witness trust`).

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use formats::key::{KeysError, format_vkeys, parse_vkeys, read_vkeys};
use formats::{KeyKind, KeyName, Origin, VerifierKey};

/// The longest file that is read, in bytes: some 25 post-quantum keys.
pub const VKEY_FILE_BYTES_MAX: u64 = 64 * 1024;
/// Logs whose keys are kept decoded, at some 20 KiB for one ML-DSA-44 key. The others are decoded when
/// they submit.
const DECODED_LOGS_MAX: usize = 1_024;

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub enum FileProblem {
    #[error("{path}: {source}", path = path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{path}: file has {bytes} bytes, the limit is {VKEY_FILE_BYTES_MAX}", path = path.display())]
    TooLong { path: PathBuf, bytes: u64 },
    #[error("{path}: {source}{why}", path = path.display(), why = cause(source))]
    Keys { path: PathBuf, source: KeysError },
    #[error("{path}: key {position} is of {found}, the first of {expected}: a file is for one log", path = path.display())]
    TwoLogs { path: PathBuf, position: usize, expected: KeyName, found: KeyName },
    #[error("{path}: key {position} is a witness's, not a log's", path = path.display())]
    WitnessKey { path: PathBuf, position: usize },
    #[error("{path}: {second} is a key of the log {origin} too: put all its keys into one file", path = path.display(), second = second.display())]
    TwoFiles { path: PathBuf, second: PathBuf, origin: Origin },
    #[error(
        "{path}: none of these keys is one that {origin} is known by, which stay in use: to take the new ones, stop the witness and run: cairn-witness trust {origin}", path = path.display()
    )]
    Replaced { path: PathBuf, origin: Origin },
}

fn cause(error: &KeysError) -> String {
    std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default()
}

/// The logs that are witnessed now, for everybody who asks. Written by its [`Watcher`] alone.
#[derive(Debug, Default)]
pub struct Roster {
    logs: ArcSwap<HashMap<Origin, Arc<str>>>,
    decoded: Mutex<HashMap<Origin, Decoded>>,
}

#[derive(Debug)]
struct Decoded {
    text: Arc<str>,
    keys: Arc<[VerifierKey]>,
}

impl Roster {
    /// Whether a log is witnessed.
    pub fn knows(&self, origin: &Origin) -> bool {
        self.logs.load().contains_key(origin)
    }

    /// The keys of a log, if it is witnessed. Costs their decoding if it has not submitted lately.
    pub fn keys(&self, origin: &Origin) -> Option<Arc<[VerifierKey]>> {
        let text = Arc::clone(self.logs.load().get(origin)?);
        let mut decoded = self.decoded.lock().unwrap_or_else(PoisonError::into_inner);
        let found = decoded.get(origin).filter(|found| Arc::ptr_eq(&found.text, &text));
        if let Some(found) = found {
            return Some(Arc::clone(&found.keys));
        }
        drop(decoded);
        let keys: Arc<[VerifierKey]> = parse_vkeys(&text).ok()?.into();
        decoded = self.decoded.lock().unwrap_or_else(PoisonError::into_inner);
        if decoded.len() >= DECODED_LOGS_MAX {
            decoded.clear();
        }
        decoded.insert(origin.clone(), Decoded { text, keys: Arc::clone(&keys) });
        Some(keys)
    }

    /// The logs, in order.
    pub fn origins(&self) -> Vec<Origin> {
        let mut origins: Vec<Origin> = self.logs.load().keys().cloned().collect();
        origins.sort();
        origins
    }

    /// How many logs are witnessed.
    pub fn len(&self) -> usize {
        self.logs.load().len()
    }

    /// No log is witnessed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn replace(&self, logs: HashMap<Origin, Arc<str>>) {
        let mut decoded = self.decoded.lock().unwrap_or_else(PoisonError::into_inner);
        decoded.retain(|origin, found| {
            logs.get(origin).is_some_and(|text| Arc::ptr_eq(text, &found.text))
        });
        drop(decoded);
        self.logs.store(Arc::new(logs));
    }
}

/// Reads the folder. One owner: the task that looks at it.
#[derive(Debug)]
pub struct Watcher {
    dir: PathBuf,
    files: BTreeMap<PathBuf, File>,
    /// The keys logs are known by, as the store has them.
    pins: HashMap<Origin, Arc<str>>,
}

/// A file as it was last read.
#[derive(Debug)]
struct File {
    mark: Mark,
    /// It cannot be used, and what it was before still is.
    refused: bool,
    content: Option<(Origin, Arc<str>)>,
}

/// What changes when a file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

/// What a look at the folder found.
#[derive(Debug, Default)]
pub struct Change {
    /// Keys that must be durable before they are used.
    pub pins: Vec<(Origin, String)>,
    /// What is wrong with files that are new, and with files beside others.
    pub problems: Vec<FileProblem>,
    /// How many files are not used.
    pub refused: usize,
    /// Logs whose keys are others than before, though not all of them.
    pub rotated: Vec<Origin>,
    logs: HashMap<Origin, Arc<str>>,
}

impl Watcher {
    /// Looks at `dir`; `pins` are the keys that logs are known by.
    pub fn new(dir: PathBuf, pins: HashMap<Origin, Arc<str>>) -> Self {
        Self { dir, files: BTreeMap::new(), pins }
    }

    /// Reads what has changed since the last look. `None` if nothing has. Costs a `stat` for each file.
    pub fn look(&mut self) -> Option<Change> {
        let mut change = Change::default();
        let marks = match marks(&self.dir) {
            Ok(marks) => marks,
            Err(source) => {
                tracing::warn!(dir = %self.dir.display(), %source, "the folder of logs cannot be read");
                return None;
            }
        };
        let same = marks.len() == self.files.len()
            && marks
                .iter()
                .all(|(path, mark)| self.files.get(path).is_some_and(|file| file.mark == *mark));
        if same {
            return None;
        }
        self.files.retain(|path, _| marks.contains_key(path));
        for (path, mark) in marks {
            if self.files.get(&path).is_some_and(|file| file.mark == mark) {
                continue;
            }
            let content = read(&path).map_err(|problem| change.problems.push(problem)).ok();
            // A file that cannot be read is one that has not changed: its log stays known.
            let before = self.files.remove(&path).and_then(|file| file.content);
            let refused = content.is_none();
            self.files.insert(path, File { mark, refused, content: content.or(before) });
        }
        change.refused = self.files.values().filter(|file| file.refused).count();
        self.assemble(&mut change);
        Some(change)
    }

    /// Puts a change to use, once its pins are durable.
    pub fn apply(&mut self, change: Change, roster: &Roster) {
        for (origin, _) in &change.pins {
            if let Some(text) = change.logs.get(origin) {
                self.pins.insert(origin.clone(), Arc::clone(text));
            }
        }
        roster.replace(change.logs);
    }

    fn assemble(&self, change: &mut Change) {
        let mut owners: HashMap<&Origin, &PathBuf> = HashMap::new();
        for (path, file) in &self.files {
            let Some((origin, text)) = &file.content else { continue };
            if let Some(first) = owners.get(origin) {
                let (path, second) = ((*first).clone(), path.clone());
                let origin = origin.clone();
                change.refused += 1;
                change.problems.push(FileProblem::TwoFiles { path, second, origin });
                continue;
            }
            owners.insert(origin, path);
            let known = self.pins.get(origin);
            let in_use = match known {
                Some(known) if known == text => known,
                Some(known) if !share_a_line(known, text) => {
                    let (path, origin) = (path.clone(), origin.clone());
                    change.refused += 1;
                    change.problems.push(FileProblem::Replaced { path, origin });
                    known
                }
                _ => {
                    change.rotated.extend(known.map(|_| origin.clone()));
                    change.pins.push((origin.clone(), text.to_string()));
                    text
                }
            };
            change.logs.insert(origin.clone(), Arc::clone(in_use));
        }
    }
}

fn share_a_line(one: &str, other: &str) -> bool {
    one.lines().any(|line| other.lines().any(|found| found == line))
}

fn marks(dir: &Path) -> io::Result<BTreeMap<PathBuf, Mark>> {
    let mut marks = BTreeMap::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if hidden || path.extension().is_none_or(|extension| extension != "vkey") {
            continue;
        }
        // A file that is gone again is no file.
        let Ok(metadata) = std::fs::metadata(&path) else { continue };
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        let mark = Mark { inode: metadata.ino(), bytes: metadata.len(), modified };
        marks.insert(path, mark);
    }
    Ok(marks)
}

fn read(path: &Path) -> Result<(Origin, Arc<str>), FileProblem> {
    let failed = |source| FileProblem::Read { path: path.to_owned(), source };
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > VKEY_FILE_BYTES_MAX {
        return Err(FileProblem::TooLong { path: path.to_owned(), bytes });
    }
    let content = std::fs::read(path).map_err(failed)?;
    let keys = read_vkeys(&content)
        .map_err(|source| FileProblem::Keys { path: path.to_owned(), source })?;
    let expected = keys[0].name();
    for (key, position) in keys.iter().zip(1..) {
        if key.name() != expected {
            let (expected, found) = (expected.clone(), key.name().clone());
            return Err(FileProblem::TwoLogs { path: path.to_owned(), position, expected, found });
        }
        if key.kind() == KeyKind::CosignatureEd25519 {
            return Err(FileProblem::WitnessKey { path: path.to_owned(), position });
        }
    }
    Ok((Origin::from(expected.clone()), format_vkeys(&keys).into()))
}
