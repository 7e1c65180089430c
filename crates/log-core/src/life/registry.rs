//! All logs of a process: opened together, created, listed, closed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, Weak};
use std::thread;
use std::time::Duration;

use base::clock::Clock;
use base::keys::Readers;
use base::tasks;
use formats::{KeyFile, Origin};
use merkle::Hash;
use tokio::task::JoinHandle;

use super::recover::{empty_tree, unsigned};
use super::state::{LogParts, LogShared, OnFatal, Process};
use crate::Log;
use crate::error::{AppendError, CreateError, Fatal, FreezeError, StartError};
use crate::observe::Observer;
use crate::publish::publisher::{Publisher, Wish, ask, commit_rows};
use crate::sign::keyring::{Keyring, KeyringError, generate};
use crate::sign::signing::sign_newest;
use crate::types::{CreateLog, Limits};
use crate::witness::{self, WitnessOptions};
use storage::journal::origin_hash;
use storage::{Engine, LogId, LogName, LogRecord, LogState, Row};

/// How much of a refused name or origin its error repeats.
const EXCERPT_CHARS: usize = 80;

/// How long the keys of a new log wait for disk space or an open file before they are tried again.
const STORE_KEYS_PAUSE: Duration = Duration::from_secs(1);

/// What a registry is opened with.
#[derive(Clone)]
pub struct RegistryOptions {
    pub engine: Arc<dyn Engine>,
    pub clock: Arc<dyn Clock>,
    pub limits: Limits,
    /// Private keys, one file a log, and their `.vkey` files.
    pub keys_dir: PathBuf,
    /// Who beside this process may read them.
    pub key_readers: Readers,
    /// The journal of signed heads.
    pub heads_dir: PathBuf,
    /// The first part of origins that are not given.
    pub hostname: String,
    /// Serve what is stored; write and sign nothing. The journal is not looked at.
    pub read_only: bool,
    /// Start without the journal that should be there. A rollback since can then go unnoticed.
    pub adopt_journal: bool,
    /// Who witnesses which log; `None` where no log has a policy.
    pub witness: Option<WitnessOptions>,
    pub observer: Arc<dyn Observer>,
    /// Called once if the process must end; must not block.
    pub on_fatal: OnFatal,
}

impl fmt::Debug for RegistryOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryOptions")
            .field("keys_dir", &self.keys_dir)
            .field("heads_dir", &self.heads_dir)
            .field("read_only", &self.read_only)
            .finish_non_exhaustive()
    }
}

/// The logs of this process. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Registry {
    pub(crate) inner: Arc<Inner>,
}

/// The logs, for as long as somebody else holds them.
#[derive(Clone, Debug)]
pub struct WeakRegistry {
    inner: Weak<Inner>,
}

impl WeakRegistry {
    /// The logs; `None` once nobody holds them.
    pub fn upgrade(&self) -> Option<Registry> {
        self.inner.upgrade().map(|inner| Registry { inner })
    }
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) process: Arc<Process>,
    pub(crate) keyring: Keyring,
    pub(crate) hostname: String,
    /// Written when a log has been created.
    pub(crate) logs: RwLock<BTreeMap<LogName, Log>>,
    pub(crate) taken: Mutex<Taken>,
    pub(crate) workers: Mutex<Workers>,
    pub(crate) stopping: AtomicBool,
}

/// What is taken for good on this server.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) names: BTreeSet<LogName>,
    /// By their hash in the journal: logs of this server, and those it once had.
    pub(crate) origins: BTreeSet<Hash>,
    pub(crate) next_id: u32,
}

/// What must end before the process does.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    pub(crate) committer: Option<thread::JoinHandle<()>>,
    pub(crate) signing: Option<thread::JoinHandle<()>>,
    pub(crate) disk_watch: Option<JoinHandle<Option<()>>>,
}

impl Registry {
    /// Opens every log of the store, after checking it against the journal, and signs their heads.
    /// Must be called within a tokio runtime; blocks while it reads.
    ///
    /// # Errors
    /// A log that is damaged, behind the journal or without its keys refuses the start.
    pub fn open(options: RegistryOptions) -> Result<Self, StartError> {
        super::start::open(options).map(|inner| Self { inner })
    }

    /// For whoever must not keep the logs, and with them the store, alive.
    pub fn downgrade(&self) -> WeakRegistry {
        WeakRegistry { inner: Arc::downgrade(&self.inner) }
    }

    /// Asks the witnesses of all logs what they hold. Until then, and while too few of them answer, logs
    /// with a policy take no entries; nothing is refused of what only reads. Waits some seconds at most.
    ///
    /// # Errors
    /// A witness holds a newer head of a log than the store: signing on would fork it.
    pub async fn ask_witnesses(&self) -> Result<(), StartError> {
        witness::ask_all(&self.inner).await
    }

    /// Whether some log has a witness policy, and no log with one lacks its quorum.
    pub fn is_witnessing(&self) -> bool {
        if self.inner.process.witness.is_none() {
            return false;
        }
        let logs = self.inner.all();
        let mut logs = logs.iter().filter_map(|log| log.witnessing.as_ref()).peekable();
        logs.peek().is_some() && logs.all(witness::Witnessing::is_fresh)
    }

    /// A log by its name.
    pub fn log(&self, name: &str) -> Option<Log> {
        let name = LogName::new(name).ok()?;
        self.inner.logs.read().unwrap_or_else(PoisonError::into_inner).get(&name).cloned()
    }

    /// Logs by name, from the first name after `after` on, at most `limit`.
    pub fn list(&self, after: Option<&LogName>, limit: usize) -> Vec<Log> {
        let logs = self.inner.logs.read().unwrap_or_else(PoisonError::into_inner);
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        logs.range::<LogName, _>((from, Bound::Unbounded))
            .take(limit)
            .map(|(_, log)| log.clone())
            .collect()
    }

    /// How many logs there are.
    pub fn len(&self) -> usize {
        self.inner.logs.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Nothing is written or signed in this process.
    pub fn is_read_only(&self) -> bool {
        self.inner.process.read_only
    }

    /// A write failed with an unknown outcome, or a writer thread is gone: nothing is committed.
    pub fn can_commit(&self) -> bool {
        !self.inner.process.is_halted()
    }

    /// False once the journal could not be written: signed receipts fail until a restart.
    pub fn can_sign(&self) -> bool {
        !self.inner.process.is_halted() && !self.inner.process.signing.has_failed()
    }

    /// Appends are refused until there is more free disk.
    pub fn is_disk_low(&self) -> bool {
        self.inner.process.disk().is_err()
    }

    /// Bytes free on the store's disk, as read some seconds ago at most; `None` before that.
    pub fn free_bytes(&self) -> Option<u64> {
        let free = self.inner.process.free_bytes.load(Ordering::Relaxed);
        (free != u64::MAX).then_some(free)
    }

    /// For how long writes of the store have been tried without success; zero if none waits.
    pub fn commits_stalled_for(&self) -> Duration {
        let process = &self.inner.process;
        process.commits.stalled_for(process.clock.monotonic())
    }

    /// For how long syncs of the head journal have been tried without success; zero if none waits.
    pub fn journal_stalled_for(&self) -> Duration {
        let process = &self.inner.process;
        process.journaling.stalled_for(process.clock.monotonic())
    }

    /// Entries and entry bytes that wait in the queues of all logs.
    pub fn queued(&self) -> (usize, usize) {
        let logs = self.inner.logs.read().unwrap_or_else(PoisonError::into_inner);
        let depths = logs.values().map(|log| log.shared.queue.depth());
        depths.fold((0, 0), |sum, depth| (sum.0 + depth.0, sum.1 + depth.1))
    }

    /// Creates a log: its row, its keys, and its signed and published head of size 0, in this order.
    /// The row is the commit point: a creation cut short behind it goes on at the next start.
    ///
    /// A creation that has begun goes on even if this future is dropped: its name is taken, and a caller
    /// who gives up must not leave it taken by nothing.
    pub async fn create(&self, new: CreateLog) -> Result<Log, CreateError> {
        let registry = self.clone();
        let creating = tasks::spawn("create log", async move { registry.create_now(new).await });
        // A panic of the task was logged where it happened.
        creating.await.ok().flatten().unwrap_or(Err(CreateError::OutcomeUnknown))
    }

    async fn create_now(&self, new: CreateLog) -> Result<Log, CreateError> {
        let inner = &self.inner;
        if inner.process.read_only {
            return Err(CreateError::ReadOnly);
        }
        if inner.stopping.load(Ordering::SeqCst) {
            return Err(CreateError::ShuttingDown);
        }
        let shared = inner.reserve(&new)?;
        let record = shared.record.clone();
        let row = Row::Log(record.clone());
        if let Err(error) = commit_rows(&shared, vec![row]).await {
            return Err(inner.not_created(&record, error));
        }
        let keys = shared.keys.as_ref().expect("a log is created with keys");
        inner.store_keys(&record.name, keys.file()).await?;
        sign_newest(&shared).await?;
        inner.adopt(&shared, false);
        ask(&shared, Wish::Now).await.map_err(publish_failed)?;
        let log = Log { shared };
        let mut logs = inner.logs.write().unwrap_or_else(PoisonError::into_inner);
        logs.insert(record.name, log.clone());
        Ok(log)
    }

    /// Publishes and archives the newest heads, as far as they may be: what a copy of the store then proves
    /// without signing. A log that cannot is left as it is.
    pub async fn archive(&self) {
        if self.inner.process.read_only {
            return;
        }
        let logs = self.list(None, usize::MAX);
        let asked = logs.iter().map(|log| ask(&log.shared, Wish::Now));
        for (log, result) in logs.iter().zip(futures_util::future::join_all(asked).await) {
            if let Err(error) = result {
                tracing::warn!(log = %log.name(), %error, "the newest head was not archived");
            }
        }
    }

    /// Stops taking appends, commits what is queued, publishes and archives the newest heads, and ends
    /// the writer threads. A second call stops at once: what is queued is refused, and nothing
    /// that was acknowledged is lost.
    pub async fn shutdown(&self) {
        let inner = &self.inner;
        if inner.stopping.swap(true, Ordering::SeqCst) {
            inner.abort();
            return;
        }
        let logs = self.list(None, usize::MAX);
        if !inner.process.read_only {
            let stops = logs.iter().map(|log| ask(&log.shared, Wish::Stop));
            for (log, result) in logs.iter().zip(futures_util::future::join_all(stops).await) {
                if let Err(error) = result {
                    tracing::warn!(log = %log.name(), %error, "the last head was not published");
                }
            }
        }
        inner.process.committer.finish();
        inner.process.signing.finish();
        inner.join().await;
        inner.abort();
    }
}

fn publish_failed(error: FreezeError) -> CreateError {
    match error {
        FreezeError::Sign(error) => CreateError::Sign(error),
        FreezeError::Append(AppendError::NotCommitted { source }) => {
            CreateError::NotCommitted { source }
        }
        FreezeError::Append(AppendError::OutcomeUnknown) => CreateError::OutcomeUnknown,
        FreezeError::Append(_) => CreateError::ShuttingDown,
    }
}

impl Inner {
    /// Writes the keys of a log whose row is committed. While the disk is full or no file can be
    /// opened this is tried again: the row is there, so a second call of the caller's would find
    /// the name taken.
    async fn store_keys(&self, log: &LogName, keys: &KeyFile) -> Result<(), KeyringError> {
        let mut said = false;
        loop {
            match self.keyring.store(log, keys) {
                Err(error) if error.is_passing() && !self.stopping.load(Ordering::SeqCst) => {
                    if !said {
                        tracing::warn!(%error, "the keys of a new log are written as soon as they can be");
                    }
                    said = true;
                    self.process.clock.sleep(STORE_KEYS_PAUSE).await;
                }
                stored => return stored,
            }
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the name and the origin of a new log, and makes its keys.
    fn reserve(&self, new: &CreateLog) -> Result<Arc<LogShared>, CreateError> {
        let name = LogName::new(&new.name)
            .map_err(|_| CreateError::BadName { name: excerpt(&new.name) })?;
        let origin = new.origin.as_deref().map(own_origin).transpose()?;
        let file = match self.keyring.load(&name)? {
            Some(file) => file,
            None => generate(&name, origin.as_ref(), &self.hostname)?,
        };
        let origin = origin.unwrap_or_else(|| file.name().clone().into());
        let keys = self.keyring.adopt(&name, &origin, file)?;
        let mut taken = self.taken();
        if taken.names.len() >= self.process.limits.logs_max {
            return Err(CreateError::TooManyLogs { logs_max: self.process.limits.logs_max });
        }
        if taken.names.contains(&name) {
            return Err(CreateError::NameTaken { name: new.name.clone() });
        }
        if !taken.origins.insert(origin_hash(origin.as_str())) {
            return Err(CreateError::OriginTaken { origin: origin.as_str().to_owned() });
        }
        let id = LogId::new(taken.next_id).expect("there are far fewer logs than numbers");
        taken.next_id += 1;
        taken.names.insert(name.clone());
        drop(taken);
        let created_ms = self.process.clock.unix_ms();
        let record = LogRecord {
            id,
            name,
            origin,
            created_ms,
            deduplicate_entries: new.deduplicate_entries,
            state: LogState::Active,
        };
        let tree = Arc::new(empty_tree(created_ms));
        let (signed, published) = unsigned(&tree);
        let parts = LogParts {
            record,
            time_floor_ms: created_ms,
            keys: Some(keys),
            signed,
            tree,
            published,
            exists: false,
            witnessed: None,
        };
        Ok(Arc::new(LogShared::new(Arc::clone(&self.process), parts)))
    }

    /// Gives the names back where nothing was written.
    fn not_created(&self, record: &LogRecord, error: AppendError) -> CreateError {
        if matches!(error, AppendError::OutcomeUnknown) {
            return CreateError::OutcomeUnknown;
        }
        let mut taken = self.taken();
        taken.names.remove(&record.name);
        taken.origins.remove(&origin_hash(record.origin.as_str()));
        match error {
            AppendError::NotCommitted { source } => CreateError::NotCommitted { source },
            _ => CreateError::ShuttingDown,
        }
    }

    /// Starts the publisher of a log.
    pub(crate) fn adopt(&self, shared: &Arc<LogShared>, archived: bool) {
        let publisher = Publisher::new(Arc::clone(shared), archived);
        let (process, runtime) = (&self.process, &self.process.runtime);
        let task = tasks::spawn_vital_on(runtime, "publisher", publisher.run(), on_panic(process));
        // It ends with its log, on `Wish::Stop` or with the runtime.
        drop(task);
        if shared.witnessing.is_some() {
            let rounds = witness::run(Arc::clone(shared));
            // It ends when the publisher does.
            drop(tasks::spawn_vital_on(runtime, "witness rounds", rounds, on_panic(process)));
        }
        shared.publisher.wake();
    }

    /// Ends the writers after what they are doing now, and refuses everything that waits.
    pub(crate) fn abort(&self) {
        self.process.committer.abort();
        self.process.signing.finish();
        self.close_queues();
        for log in self.all() {
            log.witnessing.as_ref().inspect(|witnessing| witnessing.stop());
        }
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watch) = &workers.disk_watch {
            watch.abort();
        }
    }

    pub(crate) fn logs(&self) -> RwLockReadGuard<'_, BTreeMap<LogName, Log>> {
        self.logs.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// All logs, by name.
    pub(crate) fn all(&self) -> Vec<Arc<LogShared>> {
        let logs = self.logs();
        logs.values().map(|log| Arc::clone(&log.shared)).collect()
    }

    pub(crate) fn close_queues(&self) {
        let logs = self.logs.read().unwrap_or_else(PoisonError::into_inner);
        logs.values().for_each(|log| log.shared.queue.close(&AppendError::ShuttingDown));
    }

    pub(crate) async fn join(&self) {
        let threads = {
            let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
            [workers.committer.take(), workers.signing.take()]
        };
        let join = || threads.into_iter().flatten().for_each(|thread| drop(thread.join()));
        drop(self.process.runtime.spawn_blocking(join).await);
    }
}

/// The beginning of a text from outside, for an error that says what is wrong with it: the whole may
/// have megabytes, and an error travels in headers.
fn excerpt(text: &str) -> String {
    text.chars().take(EXCERPT_CHARS).collect()
}

/// Our own origins name our keys, so they follow the rules of key names.
fn own_origin(origin: &str) -> Result<Origin, CreateError> {
    let bad = || CreateError::BadOrigin { origin: excerpt(origin) };
    let origin = Origin::new(origin).map_err(|_| bad())?;
    origin.key_name().map_err(|_| bad())?;
    Ok(origin)
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.abort();
    }
}

/// Ends the process through its owner when a thread or task is gone that a log cannot do without.
pub(crate) fn on_panic(process: &Arc<Process>) -> impl FnOnce() + Send + 'static {
    let process = Arc::clone(process);
    move || process.fatal(Fatal::Panic)
}
