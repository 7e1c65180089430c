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
use base::clock::checked::CheckedClock;
use base::keys::Readers;
use base::secret::Secret;
use base::tasks::{self, Supervisor};
use formats::KeyFile;
use merkle::Hash;
use tokio::task::JoinHandle;

use super::naming::{excerpt, own_origin};
use super::recover::unsigned;
use super::rooms::{Building, LogParts, Rooms};
use crate::Log;
use crate::error::{AppendError, CreateError, StartError};
use crate::growth::News;
use crate::health::{Health, OnFatal};
use crate::inbox::Stop;
use crate::observe::Observer;
use crate::publish::Wish;
use crate::sign::{Keyring, KeyringError, generate};
use crate::types::{CreateLog, Limits, TreeView};
use crate::witness::{self, WitnessOptions};
use storage::journal::origin_hash;
use storage::{LogId, LogKind, LogName, LogRecord, LogState, Row, SecretCheck, Store};

/// How long the keys of a new log wait for disk space or an open file before they are tried again.
const STORE_KEYS_PAUSE: Duration = Duration::from_secs(1);

/// What a registry is opened with.
#[derive(Clone)]
pub struct RegistryOptions {
    pub engine: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub limits: Limits,
    /// Private keys, one file a log, and their `.vkey` files.
    pub keys_dir: PathBuf,
    /// Who beside this process may read them.
    pub key_readers: Readers,
    /// The journal of signed heads, and what is known of the clock.
    pub heads_dir: PathBuf,
    /// The first part of the origin of a log that is created without one.
    pub hostname: String,
    /// Serve what is stored; write and sign nothing. The journal is not looked at.
    pub read_only: bool,
    /// Start without the journal that should be there. A rollback since can then go unnoticed.
    pub adopt_journal: bool,
    /// Who witnesses which log; `None` where no log has a policy.
    pub witness: Option<WitnessOptions>,
    pub observer: Arc<dyn Observer>,
    /// Watches over the tasks and threads of the logs.
    pub supervisor: Supervisor,
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

/// The logs, for as long as somebody else holds them. By default nobody does.
#[derive(Clone, Debug, Default)]
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
    pub(super) building: Building,
    pub(crate) keyring: Keyring,
    pub(crate) hostname: String,
    /// Written when a log has been created.
    pub(crate) logs: RwLock<BTreeMap<LogName, Log>>,
    pub(crate) taken: Mutex<Taken>,
    pub(crate) workers: Mutex<Workers>,
    pub(crate) stopping: AtomicBool,
}

/// Names, origins and numbers that are taken on this server, for good.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) names: BTreeSet<LogName>,
    /// By their hash in the journal: logs of this server, and those it once had.
    pub(crate) origins: BTreeSet<Hash>,
    pub(crate) next_id: u32,
}

/// The threads and tasks that must end before the process does.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    pub(crate) committer: Option<thread::JoinHandle<()>>,
    pub(crate) signing: Option<thread::JoinHandle<()>>,
    pub(crate) disk_watch: Option<JoinHandle<()>>,
    pub(crate) clock_watch: Option<JoinHandle<()>>,
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

    /// A handle that does not keep the logs, and with them the store, alive.
    pub fn downgrade(&self) -> WeakRegistry {
        WeakRegistry { inner: Arc::downgrade(&self.inner) }
    }

    /// Asks the witnesses of all logs what they hold. Until enough of them have answered, logs with a
    /// policy take no entries; reads go on. Waits ten seconds at most.
    ///
    /// # Errors
    /// A witness holds a newer head of a log than the store: signing on would fork it.
    pub async fn ask_witnesses(&self) -> Result<(), StartError> {
        self.inner.warn_of_unused_policies();
        let logs = self.inner.all();
        let witnesses = logs.iter().filter_map(|rooms| rooms.witnesses.clone()).collect();
        witness::ask_all(witnesses, &*self.inner.building.around.clock).await
    }

    /// Whether some log has a witness policy, and no log with one lacks its quorum.
    pub fn is_witnessing(&self) -> bool {
        if self.inner.building.witness.is_none() {
            return false;
        }
        let logs = self.inner.all();
        let mut logs = logs.iter().filter_map(|rooms| rooms.witnesses.as_ref()).peekable();
        logs.peek().is_some() && logs.all(|witnesses| witnesses.is_fresh())
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
        self.inner.building.read_only
    }

    /// A write failed with an unknown outcome, or a writer thread is gone: nothing is committed.
    pub fn can_commit(&self) -> bool {
        !self.health().is_halted()
    }

    /// False once the journal could not be written: signed receipts fail until a restart.
    pub fn can_sign(&self) -> bool {
        !self.health().is_halted() && !self.health().journaling.has_given_up()
    }

    /// Appends are refused until there is more free disk.
    pub fn is_disk_low(&self) -> bool {
        self.health().disk.check().is_err()
    }

    /// Audit logs that take no events because their secret is missing, or another one is there. A log
    /// that is frozen or retired takes none with its secret either.
    pub fn without_secret(&self) -> Vec<LogName> {
        let lacks = |log: &&Log| {
            let takes = matches!(log.state(), LogState::Active | LogState::Draining);
            takes && log.record().kind == LogKind::Audit && log.secret().is_none()
        };
        self.inner.logs().values().filter(lacks).map(|log| log.name().clone()).collect()
    }

    /// Bytes free on the store's disk, as read some seconds ago at most; `None` before that.
    pub fn free_bytes(&self) -> Option<u64> {
        self.health().disk.free_bytes()
    }

    /// For how long writes of the store have been tried without success; zero if none waits.
    pub fn commits_stalled_for(&self) -> Duration {
        self.health().commits.stalled_for(self.inner.building.around.clock.monotonic())
    }

    /// For how long syncs of the head journal have been tried without success; zero if none waits.
    pub fn journal_stalled_for(&self) -> Duration {
        self.health().journaling.stalled_for(self.inner.building.around.clock.monotonic())
    }

    /// The clock that signatures go by.
    pub fn clock(&self) -> &Arc<CheckedClock> {
        &self.inner.building.around.clock
    }

    /// Entries and entry bytes that wait in the queues of all logs.
    pub fn queued(&self) -> (usize, usize) {
        let logs = self.inner.logs.read().unwrap_or_else(PoisonError::into_inner);
        let depths = logs.values().map(|log| log.rooms.append.queued());
        depths.fold((0, 0), |sum, depth| (sum.0 + depth.0, sum.1 + depth.1))
    }

    /// Tells `news` of every log that grows from here on.
    pub(crate) fn follow_growth(&self, news: &Arc<News>) {
        self.inner.building.around.growth.follow(news);
    }

    fn health(&self) -> &Health {
        &self.inner.building.around.health
    }

    #[cfg(test)]
    pub(crate) fn around(&self) -> &Arc<crate::health::Surroundings> {
        &self.inner.building.around
    }

    /// Creates a log: its row, its keys, and its signed and published head of size 0, in this order.
    /// The row is the commit point: if we crash after it, the next start completes the creation.
    ///
    /// A creation that has begun goes on even if this future is dropped. If it did not, a caller
    /// that gives up would leave a name that is taken, and no log.
    pub async fn create(&self, new: CreateLog) -> Result<Log, CreateError> {
        let registry = self.clone();
        let create = async move { registry.create_now(new).await };
        let creating = self.inner.building.around.supervisor.task("create log", create);
        // A panic of the task was logged where it happened.
        creating.await.ok().flatten().unwrap_or(Err(CreateError::OutcomeUnknown))
    }

    async fn create_now(&self, new: CreateLog) -> Result<Log, CreateError> {
        let inner = &self.inner;
        if inner.building.read_only {
            return Err(CreateError::ReadOnly);
        }
        if inner.stopping.load(Ordering::SeqCst) {
            return Err(CreateError::ShuttingDown);
        }
        let rooms = Arc::new(inner.reserve(&new)?);
        let record = rooms.append.record();
        let row = Row::Log(LogRecord::clone(record));
        if let Err(error) = rooms.append.commit_rows(vec![row]).await {
            return Err(inner.not_created(record, error));
        }
        let keys = rooms.sign.seal().keys.as_ref().expect("a log is created with keys");
        inner.store_keys(&record.name, keys.file(), rooms.append.secret()).await?;
        rooms.sign.newest().await?;
        inner.building.start(&rooms, false);
        rooms.publish.ask(Wish::Now).await?;
        let name = record.name.clone();
        let log = Log { rooms };
        let mut logs = inner.logs.write().unwrap_or_else(PoisonError::into_inner);
        logs.insert(name, log.clone());
        Ok(log)
    }

    /// Publishes and archives the newest heads, so that a copy of the store proves them without signing. A
    /// log that cannot publish now stays as it is.
    pub async fn archive(&self) {
        if self.inner.building.read_only {
            return;
        }
        let logs = self.list(None, usize::MAX);
        let asked = logs.iter().map(|log| log.rooms.publish.ask(Wish::Now));
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
        inner.building.around.supervisor.stop();
        if inner.stopping.swap(true, Ordering::SeqCst) {
            inner.abort();
            return;
        }
        let logs = self.list(None, usize::MAX);
        if !inner.building.read_only {
            let stops = logs.iter().map(|log| log.rooms.publish.ask(Wish::Stop));
            for (log, result) in logs.iter().zip(futures_util::future::join_all(stops).await) {
                if let Err(error) = result {
                    tracing::warn!(log = %log.name(), %error, "the last head was not published");
                }
            }
        }
        inner.building.committer.stop(Stop::WhenDone);
        inner.building.signer.stop(Stop::WhenDone);
        inner.join().await;
        inner.abort();
    }

    /// Ends the writer threads after what they are doing now, and returns once they are gone, and the
    /// store with them. For a process that must end: what is queued is refused.
    pub async fn abandon(&self) {
        self.inner.stopping.store(true, Ordering::SeqCst);
        self.inner.building.around.supervisor.stop();
        self.inner.abort();
        self.inner.join().await;
    }
}

impl Inner {
    /// Writes the keys of a log whose row is committed. While the disk is full or no file can be
    /// opened this is tried again: the row is there, so a second call of the caller's would find
    /// the name taken.
    async fn store_keys(
        &self,
        log: &LogName,
        keys: &KeyFile,
        secret: Option<&Secret>,
    ) -> Result<(), KeyringError> {
        let mut said = false;
        loop {
            match self.keyring.store(log, keys, secret) {
                Err(error) if error.is_passing() && !self.stopping.load(Ordering::SeqCst) => {
                    if !said {
                        tracing::warn!(%error, "the keys of a new log are written as soon as they can be");
                    }
                    said = true;
                    self.building.around.clock.sleep(STORE_KEYS_PAUSE).await;
                }
                stored => return stored,
            }
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the name and the origin of a new log, and makes its keys.
    fn reserve(&self, new: &CreateLog) -> Result<Rooms, CreateError> {
        let name = LogName::new(&new.name)
            .map_err(|_| CreateError::BadName { name: excerpt(&new.name) })?;
        let origin = new.origin.as_deref().map(own_origin).transpose()?;
        if new.kind == LogKind::Audit && new.deduplicate_entries {
            return Err(CreateError::AuditDeduplicates);
        }
        let file = match self.keyring.load(&name)? {
            Some(file) => file,
            None => generate(&name, origin.as_ref(), &self.hostname)?,
        };
        let origin = origin.unwrap_or_else(|| file.name().clone().into());
        let keys = self.keyring.adopt(&name, &origin, file)?;
        let is_audit = new.kind == LogKind::Audit;
        let secret = is_audit.then(|| self.keyring.new_secret(&name)).transpose()?;
        let mut taken = self.taken();
        let logs_max = self.building.limits.logs_max;
        if taken.names.len() >= logs_max {
            return Err(CreateError::TooManyLogs { logs_max });
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
        let created_ms = self.building.around.clock.unix_ms();
        let record = LogRecord {
            id,
            name,
            origin,
            created_ms,
            kind: new.kind,
            secret_check: secret.as_ref().map(|secret| SecretCheck::of(secret.as_bytes())),
            deduplicate_entries: new.deduplicate_entries,
            state: LogState::Active,
        };
        let tree = Arc::new(TreeView::empty(created_ms));
        let (signed, published) = unsigned(&tree);
        let parts = LogParts {
            record,
            time_floor_ms: created_ms,
            keys: Some(keys),
            secret: secret.map(Arc::new),
            signed,
            tree,
            newest_ns: 0,
            published,
            exists: false,
            witnessed: None,
        };
        Ok(self.building.rooms(parts))
    }

    /// Gives the names back if nothing was written.
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

    fn warn_of_unused_policies(&self) {
        let options = self.building.witness.iter();
        for name in options.flat_map(|options| options.policies.keys()) {
            if !self.logs().contains_key(name) {
                tracing::warn!(log = %name, "a witness policy is set for a log that does not exist yet");
            }
        }
    }

    /// Ends the writers after what they are doing now, and refuses everything that waits.
    pub(crate) fn abort(&self) {
        self.building.committer.stop(Stop::Now);
        self.building.signer.stop(Stop::WhenDone);
        self.close_queues();
        for rooms in self.all() {
            rooms.witnesses.as_ref().inspect(|witnesses| witnesses.stop());
        }
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        for watch in [&workers.disk_watch, &workers.clock_watch].into_iter().flatten() {
            watch.abort();
        }
    }

    fn logs(&self) -> RwLockReadGuard<'_, BTreeMap<LogName, Log>> {
        self.logs.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// All logs, by name.
    pub(super) fn all(&self) -> Vec<Arc<Rooms>> {
        self.logs().values().map(|log| Arc::clone(&log.rooms)).collect()
    }

    pub(crate) fn close_queues(&self) {
        self.logs().values().for_each(|log| log.rooms.append.close());
    }

    pub(crate) async fn join(&self) {
        let threads = {
            let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
            [workers.committer.take(), workers.signing.take()]
        };
        let join = || threads.into_iter().flatten().for_each(|thread| drop(thread.join()));
        tasks::blocking(join).await;
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.abort();
    }
}
