//! Whether all of an evidence file holds: the container, then its parts, line by line, then its views.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use audit_event::evidence::manifest::{FileFact, ManifestError, NAME};
use audit_event::evidence::proof::PROOF_BYTES_MAX;
use audit_event::evidence::verify::{check_file, check_trust};
use audit_event::evidence::view::Row;
use audit_event::evidence::{
    Finding, LINE_BYTES_MAX, Line, MANIFEST_BYTES_MAX, Manifest, Report, Status, Verifier,
};
use formats::note::NOTE_BYTES_MAX;
use formats::{SignedCheckpoint, Trust};
use merkle::LeafIndex;

use crate::container::{Container, ContainerError, Fault};
use crate::digest::{Digesting, fact_of, read_through};
use crate::views::{CSV, Compared, JSON, PARQUET, View};

const EVENTS: &str = "events.ndjson";
const CHECKPOINT: &str = "checkpoint";

/// The system did not give the bytes, which says nothing about the evidence.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be read")]
pub struct ReadError {
    /// The evidence file.
    pub path: PathBuf,
    /// The system's error.
    pub source: io::Error,
}

/// Why nothing in a file can be looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// The folder or the archive.
    #[error("the files cannot be used")]
    Container(#[from] ContainerError),
    /// The manifest, or files that it does not agree with.
    #[error("the list of files cannot be used")]
    Manifest(#[from] ManifestError),
}

/// How far a verification is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Events verified.
    pub done: u64,
    /// Events that the manifest states.
    pub total: u64,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Why it could not be looked at, or not to its end.
    pub unusable: Option<Unusable>,
    /// What does not hold, and how much was looked at.
    pub report: Report,
    /// The indexes of the events that findings name by their lines.
    pub indexes: BTreeMap<u64, LeafIndex>,
    /// The manifest, if it can be read.
    pub manifest: Option<Manifest>,
    /// The checkpoint, if it can be read. Whether it is believed is in the report.
    pub checkpoint: Option<SignedCheckpoint>,
}

impl Verdict {
    /// The exit status.
    pub fn status(&self) -> Status {
        if self.unusable.is_some() { Status::Unusable } else { self.report.status() }
    }
}

/// Verifies the file or folder at `path`. Every byte of it is read, most of them once; ten million events
/// take 16 bytes each. `progress` is called after each event.
pub fn verify(
    path: &Path,
    trust: &Trust,
    progress: impl FnMut(Progress),
) -> Result<Verdict, ReadError> {
    let mut verdict = Verdict::default();
    match examine(path, trust, &mut verdict, progress) {
        Ok(()) => Ok(verdict),
        Err(Stop::Finding(finding)) => {
            verdict.report.add(finding);
            Ok(verdict)
        }
        Err(Stop::Unusable(reason)) => {
            verdict.unusable = Some(reason);
            Ok(verdict)
        }
        Err(Stop::Io(source)) => Err(ReadError { path: path.to_owned(), source }),
    }
}

/// Why nothing more is looked at.
enum Stop {
    Io(io::Error),
    Unusable(Unusable),
    Finding(Finding),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Io(error) => Self::Io(error),
            Fault::Container(error) => Self::Unusable(error.into()),
        }
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Fault::from(error).into()
    }
}

impl From<ManifestError> for Stop {
    fn from(error: ManifestError) -> Self {
        Self::Unusable(error.into())
    }
}

fn examine(
    path: &Path,
    trust: &Trust,
    verdict: &mut Verdict,
    progress: impl FnMut(Progress),
) -> Result<(), Stop> {
    let container = Container::open(path)?;
    let names = container.names();
    if !names.contains(&NAME) {
        return Err(Fault::from(ContainerError::Missing { name: NAME.to_owned() }).into());
    }
    let manifest = Manifest::parse(&container.read(NAME, MANIFEST_BYTES_MAX)?)?;
    let manifest = verdict.manifest.insert(manifest).clone();
    manifest.check_present(names)?;
    let bytes = container.read(CHECKPOINT, NOTE_BYTES_MAX)?;
    let (signed, distrusted) = check_trust(&bytes, trust).map_err(Stop::Finding)?;
    let signed = verdict.checkpoint.insert(signed).clone();
    let mut findings = Vec::from_iter(distrusted);
    for (name, stated) in &manifest.files {
        let found = match &**name {
            CHECKPOINT => fact_of(&bytes),
            // These are compared when they are read for what they hold.
            EVENTS | CSV | JSON | PARQUET => continue,
            name if name.starts_with("proofs/") => continue,
            name => read_through(container.reader(name)?)?,
        };
        findings.extend(check_file(name, stated, &found).err());
    }
    let mut lines = Lines::new(&container, &manifest, &signed, &mut verdict.indexes)?;
    let read = lines.read(progress);
    findings.append(&mut lines.findings);
    let mut report = lines.verifier.finish();
    findings.append(&mut report.findings);
    findings.sort_by_key(Finding::step); // what causes others comes first
    verdict.report = report;
    for finding in findings {
        verdict.report.add(finding);
    }
    read
}

/// The events, beside the proofs and views that are about them.
struct Lines<'a> {
    container: &'a Container,
    manifest: &'a Manifest,
    verifier: Verifier<'a>,
    views: Vec<View>,
    findings: Vec<Finding>,
    indexes: &'a mut BTreeMap<u64, LeafIndex>,
    count: u64,
}

impl<'a> Lines<'a> {
    fn new(
        container: &'a Container,
        manifest: &'a Manifest,
        signed: &'a SignedCheckpoint,
        indexes: &'a mut BTreeMap<u64, LeafIndex>,
    ) -> Result<Self, Stop> {
        let listed = [CSV, JSON, PARQUET].into_iter().filter(|it| manifest.files.contains_key(*it));
        let views = listed.map(|name| View::open(container, name)).collect::<Result<_, _>>()?;
        Ok(Self {
            container,
            manifest,
            verifier: Verifier::new(manifest, signed.checkpoint()),
            views,
            findings: Vec::new(),
            indexes,
            count: 0,
        })
    }

    fn read(&mut self, mut progress: impl FnMut(Progress)) -> Result<(), Stop> {
        let reader = Digesting::new(self.container.reader(EVENTS)?);
        let mut reader = BufReader::with_capacity(1 << 18, reader);
        let (mut bytes, mut is_whole) = (Vec::new(), true);
        while next_line(&mut reader, &mut bytes)? {
            let known = self.verifier.findings().len();
            let Some(line) = self.verifier.line(&bytes) else {
                is_whole = false; // a line too many, or one that cannot be read
                break;
            };
            self.count += 1;
            if self.verifier.proof_is_due() {
                self.proof()?;
            }
            let differs = self.compare(&line)?;
            if differs || self.verifier.findings().len() > known {
                self.indexes.insert(self.count, line.index);
            }
            progress(Progress { done: self.count, total: self.manifest.events });
        }
        if self.verifier.has_unproven_lines() {
            self.proof()?;
        }
        if !is_whole {
            return Ok(());
        }
        let (found, _) = reader.into_inner().finish();
        self.check_file(EVENTS, &found);
        self.end_views()
    }

    fn proof(&mut self) -> Result<(), Stop> {
        let name = self.verifier.proof_name();
        let bytes = self.container.read(&name, PROOF_BYTES_MAX)?;
        self.check_file(&name, &fact_of(&bytes));
        self.verifier.proof(&bytes);
        Ok(())
    }

    /// Compares an event with its row in each view. A view that differs is not looked at any more.
    fn compare(&mut self, line: &Line) -> Result<bool, Stop> {
        if self.views.is_empty() {
            return Ok(false);
        }
        let row = Row::of(line);
        let mut kept = Vec::with_capacity(self.views.len());
        let before = self.findings.len();
        for mut view in std::mem::take(&mut self.views) {
            match view.next(&row)? {
                Compared::Same => kept.push(view),
                Compared::Differs(column) => {
                    let name = view.name().to_owned();
                    self.findings.push(Finding::View { name, row: self.count, column });
                }
            }
        }
        self.views = kept;
        Ok(self.findings.len() > before)
    }

    fn end_views(&mut self) -> Result<(), Stop> {
        for view in std::mem::take(&mut self.views) {
            let name = view.name();
            let (compared, found) = view.end()?;
            if let Compared::Differs(column) = compared {
                let (name, row) = (name.to_owned(), self.count + 1);
                self.findings.push(Finding::View { name, row, column });
            }
            self.check_file(name, &found);
        }
        Ok(())
    }

    fn check_file(&mut self, name: &str, found: &FileFact) {
        if let Some(stated) = self.manifest.files.get(name) {
            self.findings.extend(check_file(name, stated, found).err());
        }
    }
}

/// Reads a line with its end; false where there is none. One that is too long comes as far as its first
/// byte too many, ended, so that its length is what is wrong with it.
fn next_line(reader: &mut impl BufRead, bytes: &mut Vec<u8>) -> io::Result<bool> {
    let limit = LINE_BYTES_MAX + 1;
    bytes.clear();
    reader.by_ref().take(u64::try_from(limit).unwrap_or(u64::MAX)).read_until(b'\n', bytes)?;
    if bytes.len() == limit && !bytes.ends_with(b"\n") {
        bytes.push(b'\n');
    }
    Ok(!bytes.is_empty())
}
