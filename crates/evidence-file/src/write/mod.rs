//! Making an evidence file, event by event.
//!
//! Everything is written beside the target, under a name of its own. The renaming at the end is **the
//! commit point**: a crash before it leaves at most `.NAME.tmp`, which the next file of that name
//! replaces; after it the file is whole.

mod output;
mod views;

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use audit_event::Tags;
use audit_event::evidence::manifest::{FileFact, NAME, proof_name};
use audit_event::evidence::view::Row;
use audit_event::evidence::{
    BatchProof, EVENTS_MAX, EVENTS_PER_PROOF, Filter, LINE_BYTES_MAX, Line, MANIFEST_BYTES_MAX,
    Manifest,
};
use formats::SignedCheckpoint;
use merkle::{Hash, LeafIndex};

use crate::digest::{Digesting, fact_of};
pub use crate::views::csv::Csv;
use crate::zip::{Method, ZipWriteError};
use crate::{page, readme};
use output::Output;
use views::Views;

const EVENTS: &str = "events.ndjson";

/// Why an evidence file cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The system does not take it.
    #[error("{path} cannot be written")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// There is something of that name.
    #[error("{path} exists and is never overwritten")]
    Exists {
        /// The file or folder.
        path: PathBuf,
    },
    /// More events than one file may hold.
    #[error("more than {EVENTS_MAX} events do not fit in one evidence file")]
    TooManyEvents,
    /// An event that does not come after the one before, or not in the tree.
    #[error("the event with index {index} is out of order, or not in the tree")]
    Order {
        /// Where it stands in the log.
        index: LeafIndex,
    },
    /// An event that is too large for a line.
    #[error("the event with index {index} does not fit in a line of {LINE_BYTES_MAX} bytes")]
    LineTooLarge {
        /// Where it stands in the log.
        index: LeafIndex,
    },
    /// Events whose proof has not come, or a proof that nobody waits for.
    #[error("a proof is about {EVENTS_PER_PROOF} events, or the last ones")]
    ProofOrder,
    /// A proof that does not lead to the checkpoint.
    #[error("the proof does not lead to the checkpoint")]
    Proof {
        /// What the tree says.
        #[source]
        source: merkle::ProofError,
    },
    /// More words than a manifest may have.
    #[error("the manifest has more than {MANIFEST_BYTES_MAX} bytes")]
    ManifestTooLarge,
}

/// Where an evidence file goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// A folder of this name, which must not be there yet.
    Folder(&'a Path),
    /// A zip archive of this name, which must not be there yet.
    Zip(&'a Path),
}

/// What an evidence file holds beside its events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// `events.csv`, and in which form.
    pub csv: Option<Csv>,
    /// `events.json`.
    pub json: bool,
    /// `events.parquet`.
    pub parquet: bool,
    /// Whether a zip archive is compressed.
    pub deflate: bool,
}

/// What the maker says of the file. Nothing proves it, but `complete` and `withheld`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statements {
    /// The log's name at its server.
    pub log: String,
    /// When the file was made.
    pub made_at: String,
    /// Who made it.
    pub made_by: String,
    /// What for.
    pub purpose: String,
    /// Which events were asked for.
    pub filter: Filter,
    /// The same in words.
    pub filter_text: String,
    /// The zone of the times in `filter_text`.
    pub time_zone: String,
    /// The indexes of which every one has its line, if nothing was left out.
    pub complete: Option<Range<u64>>,
    /// The blocks that no line shows.
    pub withheld: Tags,
}

/// What was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Events in it.
    pub events: u64,
    /// SHA-256 of the manifest, which stands for the whole file.
    pub manifest_sha256: [u8; 32],
}

/// Makes an evidence file. A writer that is dropped before [`finish`](Self::finish) leaves nothing.
#[derive(Debug)]
pub struct Writer {
    output: Output,
    checkpoint: SignedCheckpoint,
    options: Options,
    events: Digesting<()>,
    views: Views,
    files: BTreeMap<String, FileFact>,
    /// Proofs, one behind the other, until they have their place.
    proofs: BufWriter<std::fs::File>,
    proof_bytes: Vec<u64>,
    /// Events that the next proof is about.
    unproven: Vec<(LeafIndex, Hash)>,
    last: Option<LeafIndex>,
    count: u64,
}

impl Writer {
    /// Begins a file whose proofs all lead to this checkpoint.
    pub fn create(
        target: Target<'_>,
        options: Options,
        checkpoint: SignedCheckpoint,
    ) -> Result<Self, WriteError> {
        let mut output = Output::create(target, options.deflate)?;
        output.start(EVENTS, u64::MAX)?;
        let aside = |source| output.failed(source);
        let proofs = BufWriter::new(output.aside().map_err(aside)?);
        let views = Views::new(&output, options)?;
        Ok(Self {
            checkpoint,
            options,
            events: Digesting::new(()),
            views,
            files: BTreeMap::new(),
            proofs,
            proof_bytes: Vec::new(),
            unproven: Vec::new(),
            last: None,
            count: 0,
            output,
        })
    }

    /// Adds an event, as it is to be shown. While [`proof_is_due`](Self::proof_is_due), its proof must
    /// come first.
    pub fn push(&mut self, line: &Line) -> Result<(), WriteError> {
        let index = line.index;
        if self.proof_is_due() {
            return Err(WriteError::ProofOrder);
        }
        if self.count == EVENTS_MAX {
            return Err(WriteError::TooManyEvents);
        }
        let in_tree = index.get() < self.checkpoint.size().get();
        if !in_tree || self.last.is_some_and(|last| index <= last) {
            return Err(WriteError::Order { index });
        }
        let mut text = line.write();
        if text.len() > LINE_BYTES_MAX {
            return Err(WriteError::LineTooLarge { index });
        }
        text.push('\n');
        self.events.pass(text.as_bytes());
        self.output.write(text.as_bytes())?;
        if self.views.are_wanted() {
            let written = self.views.push(Row::of(line));
            written.map_err(|source| self.output.failed(source))?;
        }
        self.unproven.push((index, line.leaf_hash()));
        self.last = Some(index);
        self.count += 1;
        Ok(())
    }

    /// Whether as many events wait as one proof is about.
    pub fn proof_is_due(&self) -> bool {
        u64::try_from(self.unproven.len()).is_ok_and(|count| count == EVENTS_PER_PROOF)
    }

    /// The events that the next proof is about.
    pub fn unproven(&self) -> &[(LeafIndex, Hash)] {
        &self.unproven
    }

    /// Adds the proof of the events that wait: when it is due, and at the end if any wait. It is
    /// verified first, so that no file is made that does not hold.
    pub fn proof(&mut self, proof: &BatchProof) -> Result<(), WriteError> {
        let leaves = std::mem::take(&mut self.unproven);
        if leaves.is_empty() {
            return Err(WriteError::ProofOrder);
        }
        let (size, root) = (self.checkpoint.size(), self.checkpoint.root());
        merkle::verify_batch_inclusion(&leaves, size, &proof.hashes, root)
            .map_err(|source| WriteError::Proof { source })?;
        let text = BatchProof { size, hashes: proof.hashes.clone() }.write();
        let written = self.proofs.write_all(text.as_bytes());
        written.map_err(|source| self.output.failed(source))?;
        self.proof_bytes.push(u64::try_from(text.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    /// Adds the other files, the manifest last, and gives the whole its name.
    pub fn finish(
        mut self,
        statements: Statements,
        keys: &str,
        policy: &str,
    ) -> Result<Written, WriteError> {
        if !self.unproven.is_empty() {
            return Err(WriteError::ProofOrder);
        }
        let fact = self.events.finish().0;
        self.files.insert(EVENTS.to_owned(), fact);
        self.events = Digesting::new(());
        self.put_proofs()?;
        let checkpoint = self.checkpoint.as_bytes().to_vec();
        self.put("checkpoint", &checkpoint)?;
        self.put("keys.txt", keys.as_bytes())?;
        self.put("policy.txt", policy.as_bytes())?;
        let times_as_text = self.put_views()?;
        self.put("verify.html", page::html().as_bytes())?;
        let mut manifest = self.manifest(statements);
        let text = readme::text(&manifest, &self.views.names(), times_as_text);
        self.put("READ ME FIRST.txt", text.as_bytes())?;
        manifest.files = std::mem::take(&mut self.files);
        let bytes = manifest.write().into_bytes();
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(WriteError::ManifestTooLarge);
        }
        self.put(NAME, &bytes)?;
        self.output.commit()?;
        Ok(Written { events: self.count, manifest_sha256: fact_of(&bytes).sha256 })
    }

    fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), WriteError> {
        self.output.start(name, u64::try_from(bytes.len()).unwrap_or(u64::MAX))?;
        self.output.write(bytes)?;
        self.files.insert(name.to_owned(), fact_of(bytes));
        Ok(())
    }

    fn put_proofs(&mut self) -> Result<(), WriteError> {
        let proofs = &mut self.proofs;
        let mut rewound = || {
            proofs.flush()?;
            proofs.get_mut().seek(SeekFrom::Start(0))
        };
        rewound().map_err(|source| self.output.failed(source))?;
        for (number, length) in (1..).zip(std::mem::take(&mut self.proof_bytes)) {
            let mut bytes = Vec::new();
            let read = Read::take(self.proofs.get_mut(), length).read_to_end(&mut bytes);
            read.map_err(|source| self.output.failed(source))?;
            self.put(&proof_name(number), &bytes)?;
        }
        Ok(())
    }

    /// Gives the views their places. Says how many times stand in Parquet as a text alone.
    fn put_views(&mut self) -> Result<u64, WriteError> {
        let (done, times_as_text) =
            self.views.finish().map_err(|source| self.output.failed(source))?;
        for (name, fact, mut file) in done {
            // Parquet is compressed within.
            let method = if name == crate::views::PARQUET { Method::Stored } else { self.method() };
            self.output.start_by(name, fact.bytes, method)?;
            let copied = io::copy(&mut file, &mut self.output);
            copied.map_err(|source| self.output.failed(source))?;
            self.files.insert(name.to_owned(), fact);
        }
        Ok(times_as_text)
    }

    fn method(&self) -> Method {
        if self.options.deflate { Method::Deflated } else { Method::Stored }
    }

    fn manifest(&self, statements: Statements) -> Manifest {
        let Statements { log, made_at, made_by, purpose, .. } = statements;
        Manifest {
            log,
            origin: self.checkpoint.origin().as_str().to_owned(),
            tree_size: self.checkpoint.size(),
            made_at,
            made_by,
            purpose,
            filter: statements.filter,
            filter_text: statements.filter_text,
            time_zone: statements.time_zone,
            events: self.count,
            complete: statements.complete,
            withheld: statements.withheld,
            files: BTreeMap::new(),
        }
    }
}

/// The error of an archive, as that of the file it goes to.
fn zip_failed(path: &Path, error: ZipWriteError) -> WriteError {
    let source = match error {
        ZipWriteError::Io(source) => source,
        announced @ ZipWriteError::Announced { .. } => io::Error::other(announced),
    };
    WriteError::Io { path: path.to_owned(), source }
}
