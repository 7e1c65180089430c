//! Evidence files that are made on request: one at a time, in a folder each, and kept for seven days.
//!
//! ```text
//! DATA/exports/<id>/job.json        what was asked for, and how far it is
//! DATA/exports/<id>/evidence.zip    once it is done
//! ```
//!
//! A restart begins again what was being made. An export of a log is withdrawn when something that it may
//! hold is erased.

mod job;
mod make;

pub use job::{Job, Request, RequestError, State, View};
pub use make::MakeError;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use audit_event::Instant;
use audit_index::AuditIndexes;
use audit_trail::{OwnEvent, Trail};
use base::clock::Clock;
use base::durable::{self, FileError};
use log_core::Log;
use log_core::read::Reads;
use merkle::LeafIndex;
use storage::LogKind;
use tokio::sync::Notify;

use make::{Made, Maker};

/// How long an export is kept.
pub const KEPT: Duration = Duration::from_hours(7 * 24);
/// Exports that may wait or be kept.
pub const EXPORTS_MAX: usize = 1_000;
/// How long an export waits for a checkpoint of what was committed before it.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(10);
/// How often old ones are looked for.
const SWEEP_EVERY: Duration = Duration::from_mins(10);

/// Why an export cannot be begun.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// Too many are there.
    #[error("server keeps {EXPORTS_MAX} exports already: delete some, or wait")]
    TooMany,
    /// It cannot be written down.
    #[error(transparent)]
    File(#[from] FileError),
    /// The operating system gave no random bytes.
    #[error("no random bytes: {0}")]
    Random(#[from] getrandom::Error),
}

/// The exports of a server. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Exports {
    parts: Arc<Parts>,
}

#[derive(Debug)]
struct Parts {
    /// `DATA/exports`.
    root: PathBuf,
    jobs: Mutex<BTreeMap<String, Job>>,
    bell: Notify,
    trail: Trail,
    reads: Arc<Reads>,
    indexes: Arc<AuditIndexes>,
}

impl Exports {
    /// The exports below a folder. What was being made waits again.
    pub fn open(
        root: PathBuf,
        trail: Trail,
        reads: Arc<Reads>,
        indexes: Arc<AuditIndexes>,
    ) -> Self {
        let mut jobs = stored(&root);
        for job in jobs.values_mut().filter(|job| job.state == State::Running) {
            job.state = State::Waiting;
        }
        let (jobs, bell) = (Mutex::new(jobs), Notify::new());
        Self { parts: Arc::new(Parts { root, jobs, bell, trail, reads, indexes }) }
    }

    /// Notes what is asked for. It is durable when this returns.
    pub fn begin(&self, log: &Log, request: Request, made_by: &str) -> Result<Job, BeginError> {
        let mut random = [0; 16];
        getrandom::fill(&mut random)?;
        let id = format!("{:032x}", u128::from_be_bytes(random));
        let job = Job {
            id: id.clone(),
            log: log.name().as_str().to_owned(),
            made_by: made_by.to_owned(),
            request,
            asked_ms: self.clock().unix_ms(),
            state: State::Waiting,
            done: 0,
            total: 0,
            bytes: 0,
            tree_size: 0,
            error: None,
        };
        if self.jobs().len() >= EXPORTS_MAX {
            return Err(BeginError::TooMany);
        }
        let folder = self.parts.root.join(&id);
        durable::create_dir_all(&folder, 0o700)?;
        job.store(&folder)?;
        self.jobs().insert(id, job.clone());
        self.parts.bell.notify_one();
        Ok(job)
    }

    /// An export of a log, as it stands now.
    pub fn job(&self, log: &str, id: &str) -> Option<Job> {
        self.jobs().get(id).filter(|job| job.log == log).cloned()
    }

    /// The archive of an export that is done.
    pub fn archive(&self, job: &Job) -> PathBuf {
        job.archive(&self.parts.root)
    }

    /// Forgets an export and its file. One that is being made stops soon.
    pub fn delete(&self, log: &str, id: &str) -> Result<bool, FileError> {
        let found = self.job(log, id).is_some();
        if found {
            self.jobs().remove(id);
            remove(&self.parts.root.join(id))?;
        }
        Ok(found)
    }

    /// Takes back every export of a log that may hold an event of which something was erased.
    pub fn withdraw(&self, log: &str, index: LeafIndex) -> Result<(), FileError> {
        let mut jobs = self.jobs();
        for job in jobs.values_mut().filter(|job| job.log == log) {
            match job.state {
                // It reads the log again, from the beginning.
                State::Running => job.state = State::Waiting,
                State::Done if index.get() < job.tree_size => {
                    withdraw_one(&self.parts.root, job)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Makes what waits, one after the other, and removes what is old. Ends never; a stop drops it.
    pub async fn run(self) {
        loop {
            self.sweep();
            let next = self
                .jobs()
                .values()
                .filter(|job| job.state == State::Waiting)
                .min_by_key(|job| (job.asked_ms, job.id.clone()))
                .cloned();
            if let Some(job) = next {
                self.make(job).await;
            } else {
                let clock: &dyn Clock = &**self.clock();
                let rung = clock.timeout(SWEEP_EVERY, self.parts.bell.notified()).await;
                // Either way there may be work.
                drop(rung);
            }
        }
    }

    async fn make(&self, job: Job) {
        let Some(log) = self.parts.trail.registry().log(&job.log) else {
            return self.ended(&job.id, |job| failed(job, "the log is gone".to_owned()));
        };
        if log.record().kind != LogKind::Audit {
            return self.ended(&job.id, |job| failed(job, "not an audit log".to_owned()));
        }
        self.ended(&job.id, |job| job.state = State::Running);
        self.published(&log).await;
        let (exports, asked, of) = (self.clone(), job.clone(), log.clone());
        let made = base::tasks::blocking(move || exports.make_now(&of, &asked)).await;
        match made {
            Ok(made) => {
                self.record(&log, &job, &made).await;
                let path = job.archive(&self.parts.root);
                let bytes = std::fs::metadata(path).map_or(0, |file| file.len());
                self.ended(&job.id, |job| {
                    // An erasure meanwhile wants it made again.
                    if job.state == State::Running {
                        job.state = State::Done;
                        job.bytes = bytes;
                        job.tree_size = made.tree_size.get();
                        (job.done, job.total) = (made.written.events, made.written.events);
                    }
                });
            }
            Err(MakeError::Stopped) => {}
            Err(error) => {
                tracing::warn!(log = %log.name(), %error, "an export was not made");
                self.ended(&job.id, |job| failed(job, error.to_string()));
            }
        }
    }

    /// Waits, within a limit, until the published checkpoint covers what is committed now: an export holds
    /// what was acknowledged before it was asked for. Without a quorum of witnesses it goes on without.
    async fn published(&self, log: &Log) {
        let wanted = log.tree().head.size;
        let mut checkpoints = log.watch_published();
        let reached = checkpoints.wait_for(|published| published.head.size >= wanted);
        let clock: &dyn Clock = &**self.clock();
        if clock.timeout(PUBLISHED_WITHIN, reached).await.is_err() {
            tracing::warn!(log = %log.name(), "an export is made of what is published so far");
        }
    }

    fn make_now(&self, log: &Log, job: &Job) -> Result<Made, MakeError> {
        let path = job.archive(&self.parts.root);
        // One that a crash or an erasure left.
        drop(std::fs::remove_file(&path));
        let progress = |done, total| {
            let mut jobs = self.jobs();
            let running = jobs.get_mut(&job.id).filter(|job| job.state == State::Running);
            running.map(|job| (job.done, job.total) = (done, total)).is_some()
        };
        let made_at = Instant::from_nanos(self.clock().unix_ms().saturating_mul(1_000_000));
        let maker = Maker {
            log,
            reads: &self.parts.reads,
            indexes: &self.parts.indexes,
            request: &job.request,
            made_by: &job.made_by,
            made_at,
            progress: &progress,
        };
        maker.make(&path)
    }

    /// Says in the log `system` what left the house.
    async fn record(&self, log: &Log, job: &Job, made: &Made) {
        let Some(system) = self.parts.trail.system() else { return };
        let sha256 = merkle::Hash::from(made.written.manifest_sha256).to_string();
        let event = OwnEvent::new("audit.exported")
            .target("export", &job.id)
            .target("log", log.name().as_str())
            .detail("manifest_sha256", &sha256)
            .detail("events", &made.written.events.to_string())
            .detail("tree_size", &made.tree_size.to_string())
            .detail("made_by", &job.made_by)
            .detail("purpose", &job.request.purpose);
        if let Err(error) = self.parts.trail.record_own(&system, event).await {
            tracing::error!(log = %log.name(), %error, "an export could not be recorded");
        }
    }

    /// Changes an export, unless it was deleted, and writes it down.
    fn ended(&self, id: &str, change: impl FnOnce(&mut Job)) {
        let mut jobs = self.jobs();
        let Some(job) = jobs.get_mut(id) else { return };
        change(job);
        if let Err(error) = job.store(&self.parts.root.join(id)) {
            tracing::error!(%error, "the state of an export cannot be written");
        }
    }

    /// Removes what is older than it is kept.
    fn sweep(&self) {
        let kept_ms = u64::try_from(KEPT.as_millis()).unwrap_or(u64::MAX);
        let now_ms = self.clock().unix_ms();
        let mut jobs = self.jobs();
        let old = |job: &Job| {
            job.state != State::Running && now_ms.saturating_sub(job.asked_ms) > kept_ms
        };
        let old: Vec<String> =
            jobs.values().filter(|job| old(job)).map(|job| job.id.clone()).collect();
        for id in old {
            match remove(&self.parts.root.join(&id)) {
                Ok(()) => drop(jobs.remove(&id)),
                Err(error) => tracing::warn!(%error, "an old export cannot be removed"),
            }
        }
    }

    fn clock(&self) -> &Arc<base::clock::checked::CheckedClock> {
        self.parts.trail.registry().clock()
    }

    fn jobs(&self) -> MutexGuard<'_, BTreeMap<String, Job>> {
        self.parts.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(job: &mut Job, error: String) {
    (job.state, job.error) = (State::Failed, Some(error));
}

/// As [`Exports::withdraw`], where no server runs.
pub fn withdraw_stored(root: &Path, log: &str, index: LeafIndex) -> Result<(), FileError> {
    for job in stored(root).values_mut() {
        if job.log == log && job.state == State::Done && index.get() < job.tree_size {
            withdraw_one(root, job)?;
        }
    }
    Ok(())
}

fn withdraw_one(root: &Path, job: &mut Job) -> Result<(), FileError> {
    let archive = job.archive(root);
    match std::fs::remove_file(&archive) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(FileError::new(archive, error));
        }
        _ => {}
    }
    let folder = root.join(&job.id);
    durable::sync_dir(&folder)?;
    (job.state, job.bytes) = (State::Withdrawn, 0);
    job.store(&folder)
}

fn remove(folder: &Path) -> Result<(), FileError> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(FileError::new(folder, error))
        }
        _ => Ok(()),
    }
}

/// The exports in a folder. A folder that holds none is passed over.
fn stored(root: &Path) -> BTreeMap<String, Job> {
    let Ok(folders) = std::fs::read_dir(root) else { return BTreeMap::new() };
    let job = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.ok()?;
        let name = entry.file_name().into_string().ok()?;
        let job = Job::load(&entry.path()).filter(|job| job.id == name)?;
        Some((name, job))
    };
    folders.filter_map(job).collect()
}
