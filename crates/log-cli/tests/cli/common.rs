//! A folder, a log of a few entries made in memory, and the real binary.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use formats::{Checkpoint, KeyName, PrivateKey, SignedCheckpoint, Timestamp, TlogProof, sign};
use merkle::{CompactRange, Hash, LeafIndex, TreeSize};

pub(crate) const ORIGIN: &str = "example.com/test-log";

/// A folder that is removed in the end.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file and gives its path.
    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&path);
        file.unwrap().write_all(bytes.as_ref()).unwrap();
        path
    }

    /// Runs `cairn` in this folder, offline: any call to a server fails at once.
    pub(crate) fn cairn<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Run {
        self.cairn_stdin(args, b"")
    }

    pub(crate) fn cairn_stdin<S: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
        stdin: &[u8],
    ) -> Run {
        self.run(Command::new(env!("CARGO_BIN_EXE_cairn")).args(args), stdin)
    }

    /// Runs `cairn` in this folder where no file can be written, as on a disk without room.
    pub(crate) fn cairn_on_a_full_disk<S: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
    ) -> Run {
        let script = "ulimit -f 0; trap '' XFSZ; exec \"$@\"";
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh", env!("CARGO_BIN_EXE_cairn")]).args(args);
        self.run(&mut shell, b"")
    }

    fn run(&self, command: &mut Command, stdin: &[u8]) -> Run {
        let mut child = command
            .current_dir(self.0.path())
            .env("CAIRN_SERVER", "http://127.0.0.1:1")
            .env_remove("CAIRN_STATE")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A process may end without reading its input.
        drop(child.stdin.take().unwrap().write_all(stdin));
        Run::of(&child.wait_with_output().unwrap())
    }
}

/// How a process ended, and what it said.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) exit: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        Self { exit: output.status.code(), stdout, stderr }
    }

    /// Both streams and the exit code, for a snapshot.
    pub(crate) fn shown(&self) -> String {
        let exit = self.exit.map_or_else(|| "-".to_owned(), |code| code.to_string());
        format!("exit {exit}\n--- stdout\n{}--- stderr\n{}", self.stdout, self.stderr)
    }
}

/// A log of these entries and all it has signed.
pub(crate) struct TestLog {
    key: PrivateKey,
    entries: Vec<Vec<u8>>,
    leaves: Vec<Hash>,
}

impl TestLog {
    /// `count` entries, `entry 0` and so on; `seed` makes the key.
    pub(crate) fn new(count: u64, seed: u8) -> Self {
        Self::of_history("entry", count, seed)
    }

    /// As [`TestLog::new`], of other entries: `<history> 0` and so on.
    pub(crate) fn of_history(history: &str, count: u64, seed: u8) -> Self {
        Self::of(ORIGIN, history, count, seed)
    }

    /// As [`TestLog::new`], of another origin.
    pub(crate) fn of_origin(origin: &str, count: u64, seed: u8) -> Self {
        Self::of(origin, "entry", count, seed)
    }

    fn of(origin: &str, history: &str, count: u64, seed: u8) -> Self {
        let entries = (0..count).map(|n| format!("{history} {n}").into_bytes()).collect::<Vec<_>>();
        let leaves = entries.iter().map(|entry| merkle::leaf_hash(entry)).collect();
        let key = PrivateKey::ed25519(KeyName::new(origin).unwrap(), &[seed; 32]);
        Self { key, entries, leaves }
    }

    pub(crate) fn vkey(&self) -> String {
        self.key.verifier_key().to_string()
    }

    pub(crate) fn entry(&self, index: usize) -> &[u8] {
        &self.entries[index]
    }

    /// The signed checkpoint of the first `size` entries.
    pub(crate) fn checkpoint(&self, size: usize) -> SignedCheckpoint {
        let mut tree = CompactRange::empty();
        self.leaves[..size].iter().for_each(|leaf| tree.append(*leaf));
        let size = tree_size(size);
        let head =
            Checkpoint::new(self.key.verifier_key().name().clone().into(), size, tree.root());
        let note = sign(&head, &[&self.key], Timestamp::new(1_700_000_000).unwrap()).unwrap();
        SignedCheckpoint::parse(&note).unwrap()
    }

    /// The same checkpoint with cosignatures of these witnesses.
    pub(crate) fn cosigned(&self, size: usize, witnesses: &[u8]) -> SignedCheckpoint {
        let signed = self.checkpoint(size);
        let lines = witnesses.iter().map(|seed| {
            let time = Timestamp::new(1_700_000_001).unwrap();
            let note = sign(signed.checkpoint(), &[&witness_key(*seed)], time).unwrap();
            let note = SignedCheckpoint::parse(&note).unwrap();
            note.signatures().map(|signature| signature.line.to_owned()).collect::<String>()
        });
        signed.with_signature_lines(lines.collect::<String>().as_bytes()).unwrap()
    }

    /// The receipt of the entry at `index` in the tree of `size`.
    pub(crate) fn receipt(&self, index: usize, size: usize) -> Vec<u8> {
        self.receipt_under(index, self.checkpoint(size))
    }

    /// The receipt of the entry at `index` under a checkpoint of this log.
    pub(crate) fn receipt_under(&self, index: usize, checkpoint: SignedCheckpoint) -> Vec<u8> {
        let index = leaf_index(index);
        let plan = merkle::plan_inclusion(index, checkpoint.size()).unwrap();
        let hashes = plan.build(&self.fetch(plan.nodes())).unwrap();
        TlogProof::new(index, hashes, checkpoint).unwrap().format()
    }

    /// The hashes of a batch inclusion proof.
    pub(crate) fn batch_hashes(&self, indexes: &[usize], size: usize) -> Vec<Hash> {
        let indexes = indexes.iter().map(|index| leaf_index(*index)).collect::<Vec<_>>();
        let plan = merkle::plan_batch_inclusion(&indexes, tree_size(size)).unwrap();
        plan.build(&self.fetch(plan.nodes())).unwrap()
    }

    pub(crate) fn consistency_hashes(&self, from: usize, to: usize) -> Vec<Hash> {
        let plan = merkle::plan_consistency(tree_size(from), tree_size(to)).unwrap();
        plan.build(&self.fetch(plan.nodes())).unwrap()
    }

    pub(crate) fn prefix_hashes(&self, from: usize, to: usize) -> Vec<Hash> {
        let plan = merkle::plan_prefix(tree_size(from), tree_size(to)).unwrap();
        plan.build(&self.fetch(plan.nodes())).unwrap()
    }

    fn fetch(&self, nodes: &[merkle::NodeId]) -> Vec<Hash> {
        nodes.iter().map(|node| self.node(*node)).collect()
    }

    /// The hash of a perfect subtree, by the definition.
    fn node(&self, node: merkle::NodeId) -> Hash {
        let width = 1_u64 << node.level();
        let start = usize::try_from(node.index() * width).unwrap();
        let end = start + usize::try_from(width).unwrap();
        let mut row = self.leaves[start..end].to_vec();
        while row.len() > 1 {
            row = row.chunks(2).map(|pair| merkle::node_hash(&pair[0], &pair[1])).collect();
        }
        row[0]
    }
}

/// The key of the witness `w<seed>`.
pub(crate) fn witness_key(seed: u8) -> PrivateKey {
    let name = KeyName::new(&format!("witness.example/w{seed}")).unwrap();
    PrivateKey::cosigner_ed25519(name, &[seed; 32])
}

pub(crate) fn tree_size(size: usize) -> TreeSize {
    TreeSize::new(u64::try_from(size).unwrap()).unwrap()
}

pub(crate) fn leaf_index(index: usize) -> LeafIndex {
    LeafIndex::new(u64::try_from(index).unwrap()).unwrap()
}
