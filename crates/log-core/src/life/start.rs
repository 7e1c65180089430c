//! Start-up: the store, the journal and the keys must agree before anything is signed.
//!
//! A first start makes the store, then the journal, then the keys. So keys or journaled heads without a
//! store always mean that the store was lost, and a start that was cut short simply goes on.

mod secrets;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, RwLock, Weak};
use std::time::Duration;

use base::clock::checked::CheckedClock;
use base::clock::{Clock as _, boot_ms};
use base::tasks::Supervisor;
use formats::SignedCheckpoint;
use merkle::{Hash, TreeSize};

use super::recover::{Reader, unsigned};
use super::registry::{Inner, RegistryOptions, Taken, Workers};
use super::rooms::{Building, LogParts, Rooms};
use crate::Log;
use crate::append::Committer;
use crate::erase;
use crate::error::StartError;
use crate::growth::Growth;
use crate::health::{Health, Surroundings};
use crate::inbox::{Doorbell, Inbox};
use crate::publish::Wish;
use crate::sign::{Keyring, KeyringError, LogKeys, Signer, WAITING_MAX, generate};
use crate::types::{CALL_BYTES_MAX, CALL_ENTRIES_MAX, Limits, Published, SignedHead, TreeView};
use crate::witness::{self, Witnesses};
use storage::journal::{HEADS_MAX, Journal, JournalHead, JournalHeads, origin_hash};
use storage::{Engine, LogRecord, LogState, Store};

/// The file beside the journal that remembers the clock that was accepted last.
const CLOCK_ACCEPTED: &str = "clock-accepted";
/// How often the free space of the store's disk is read.
const DISK_WATCH_INTERVAL: Duration = Duration::from_secs(1);

pub(crate) fn open(options: RegistryOptions) -> Result<Arc<Inner>, StartError> {
    check_limits(&options.limits)?;
    let keyring = Keyring::new(options.keys_dir.clone(), options.key_readers);
    if !options.read_only {
        // The replayed rows may so far be in the page cache alone. We sync them before we sign
        // anything.
        options.engine.flush()?;
    }
    let records = options.engine.logs()?;
    let journal = open_journal(&options, &records, &keyring)?;
    let heads = journal.as_ref().map(|journal| journal.heads().clone()).unwrap_or_default();
    check_origins(&records, &heads, options.read_only)?;
    let (building, owner) = building(&options, records.len());
    let opening =
        Opening { options: &options, keyring: &keyring, heads: &heads, building: &building };
    let opened = records.iter().map(|record| opening.log(record)).collect::<Result<Vec<_>, _>>()?;
    if let Some(newest_ms) = opened.iter().map(|opened| opened.time_floor_ms).max() {
        building.around.clock.open(newest_ms);
    }
    let inner = Arc::new(Inner {
        taken: Mutex::new(taken(&records, &heads)),
        logs: RwLock::new(by_name(&opened)),
        workers: Mutex::new(Workers::default()),
        stopping: AtomicBool::new(false),
        hostname: options.hostname,
        building,
        keyring,
    });
    // Set before the writer threads start, as only they report a fatal error to it.
    owner.set(Arc::downgrade(&inner)).expect("set only here");
    if let Some(journal) = journal {
        erase::finish_all(&*inner.building.store);
        start_writers(&inner, journal, &opened)?;
    }
    Ok(inner)
}

fn check_limits(limits: &Limits) -> Result<(), StartError> {
    if limits.logs_max > HEADS_MAX {
        return Err(StartError::LogsMaxTooHigh { found: limits.logs_max, max: HEADS_MAX });
    }
    let at_least = |name, found, min| {
        if found < min { Err(StartError::LimitTooLow { name, found, min }) } else { Ok(()) }
    };
    at_least("batch_entries_max", limits.batch_entries_max, CALL_ENTRIES_MAX)?;
    at_least("batch_bytes_max", limits.batch_bytes_max, CALL_BYTES_MAX)?;
    at_least("queue_entries_max", limits.queue_entries_max, limits.batch_entries_max)?;
    at_least("queue_bytes_max", limits.queue_bytes_max, limits.batch_bytes_max)
}

/// The journal, `None` if the process is read-only.
fn open_journal(
    options: &RegistryOptions,
    records: &[LogRecord],
    keyring: &Keyring,
) -> Result<Option<Journal>, StartError> {
    if options.read_only {
        return Ok(None);
    }
    let heads_dir = || options.heads_dir.clone();
    let there = Journal::exists(&options.heads_dir)?;
    if !records.is_empty() && !there && !options.adopt_journal {
        return Err(StartError::JournalMissing { heads_dir: heads_dir() });
    }
    let journal = Journal::open(&options.heads_dir)?;
    if records.is_empty() {
        if !journal.heads().is_empty() {
            return Err(StartError::JournalWithoutStore { heads_dir: heads_dir() });
        }
        if !keyring.is_empty()? {
            return Err(StartError::KeysWithoutStore { keys_dir: keyring.dir().to_path_buf() });
        }
    }
    Ok(Some(journal))
}

/// Every journaled log must be in the store.
fn check_origins(
    records: &[LogRecord],
    heads: &JournalHeads,
    read_only: bool,
) -> Result<(), StartError> {
    let known =
        |hash: &Hash| records.iter().any(|record| origin_hash(record.origin.as_str()) == *hash);
    let lost = |(hash, head): &(&Hash, &JournalHead)| !head.retired && !known(hash);
    match heads.iter().find(lost) {
        Some((origin_hash, _)) if !read_only => {
            Err(StartError::UnknownOrigin { origin_hash: *origin_hash })
        }
        _ => Ok(()),
    }
}

type Owner = Arc<OnceLock<Weak<Inner>>>;

/// What the logs are built with. When the process must end, whatever waits in a queue is refused.
fn building(options: &RegistryOptions, logs: usize) -> (Building, Owner) {
    let owner = Owner::default();
    let (to_close, on_fatal) = (Arc::clone(&owner), Arc::clone(&options.on_fatal));
    let clock = CheckedClock::new(
        Arc::clone(&options.clock),
        options.limits.clock_step_max,
        options.heads_dir.join(CLOCK_ACCEPTED),
    );
    let around = Surroundings {
        clock: Arc::new(clock),
        observer: Arc::clone(&options.observer),
        supervisor: options.supervisor.clone(),
        health: Health::new(options.limits.min_free_bytes),
        growth: Growth::default(),
        on_fatal: Arc::new(move |fatal| {
            if let Some(inner) = to_close.get().and_then(Weak::upgrade) {
                inner.close_queues();
            }
            on_fatal(fatal);
        }),
    };
    let logs_max = options.limits.logs_max.max(logs);
    let building = Building {
        store: Arc::clone(&options.engine),
        committer: Arc::new(Inbox::new(logs_max, Doorbell::new())),
        signer: Arc::new(Inbox::new(WAITING_MAX, Doorbell::new())),
        limits: Arc::new(options.limits.clone()),
        witness: options.witness.clone().map(Arc::new),
        around: Arc::new(around),
        read_only: options.read_only,
    };
    (building, owner)
}

fn taken(records: &[LogRecord], heads: &JournalHeads) -> Taken {
    let mut taken = Taken::default();
    taken.origins.extend(heads.keys().copied());
    for record in records {
        taken.names.insert(record.name.clone());
        taken.origins.insert(origin_hash(record.origin.as_str()));
        taken.next_id = taken.next_id.max(record.id.get().saturating_add(1));
    }
    taken
}

/// A log with what its publisher must know.
struct Opened {
    rooms: Arc<Rooms>,
    /// The latest time that is signed.
    time_floor_ms: u64,
    archived: bool,
}

fn by_name(opened: &[Opened]) -> BTreeMap<storage::LogName, Log> {
    let log = |opened: &Opened| {
        let name = opened.rooms.append.record().name.clone();
        (name, Log { rooms: Arc::clone(&opened.rooms) })
    };
    opened.iter().map(log).collect()
}

/// What every log is opened with.
struct Opening<'a> {
    options: &'a RegistryOptions,
    keyring: &'a Keyring,
    heads: &'a JournalHeads,
    building: &'a Building,
}

impl Opening<'_> {
    fn log(&self, record: &LogRecord) -> Result<Opened, StartError> {
        let engine: &dyn Engine = &*self.options.engine;
        let reader = Reader { engine, record };
        let view = Arc::new(reader.tree()?);
        let newest_ns = reader.newest_ns(view.head.size)?;
        let journaled = self.heads.get(&origin_hash(record.origin.as_str()));
        let mut record = record.clone();
        if journaled.is_some_and(|head| head.retired) {
            record.state = LogState::Retired;
        }
        if record.state != LogState::Retired && !self.options.read_only {
            self.check(&reader, &view, journaled)?;
        }
        let secret = self.secret(&mut record, &view.head)?;
        let mut archived = reader.archived(&view)?;
        if let Some(archived) = &mut archived {
            archived.published_boot_ms = published_boot_ms(&self.building.around.clock, archived);
        }
        let (keys, signed) = self.keys_and_head(&reader, &record, &view, archived.as_ref())?;
        let witnessed = self.witnessed(&reader, keys.as_ref(), archived.as_mut())?;
        let published = archived.clone().unwrap_or_else(|| unsigned(&view).1);
        let time_floor_ms = journaled.map_or(0, |head| head.time_ms).max(view.head.time_ms);
        let parts = LogParts {
            time_floor_ms,
            record,
            keys,
            secret: secret.map(Arc::new),
            signed,
            tree: view,
            newest_ns,
            published,
            exists: true,
            witnessed,
        };
        let rooms = Arc::new(self.building.rooms(parts));
        Ok(Opened { rooms, time_floor_ms, archived: archived.is_some() })
    }

    /// The archived checkpoint as a witnessed head, if it satisfies the log's policy. If it does,
    /// it is marked as witnessed.
    fn witnessed(
        &self,
        reader: &Reader<'_>,
        keys: Option<&LogKeys>,
        archived: Option<&mut Published>,
    ) -> Result<Option<Arc<SignedHead>>, StartError> {
        let policies = self.options.witness.as_ref().map(|witness| &witness.policies);
        let policy = policies.and_then(|policies| policies.get(&reader.record.name));
        if let (None, Some(keys), Some(archived)) = (policy, keys, archived.as_deref()) {
            warn_of_lost_policy(reader, keys, archived);
        }
        let (Some(policy), Some(keys), Some(archived)) = (policy, keys, archived) else {
            return Ok(None);
        };
        let signed = SignedCheckpoint::parse(&archived.note).ok();
        let holds = |signed: SignedCheckpoint| {
            policy.policy().verify_of_log(&signed, &keys.verifier_keys()).is_ok()
        };
        archived.witnessed = archived.head.size > TreeSize::ZERO && signed.is_some_and(holds);
        let head = archived.witnessed.then(|| reader.archived_head(archived)).transpose()?;
        Ok(head.map(Arc::new))
    }

    fn check(
        &self,
        reader: &Reader<'_>,
        view: &TreeView,
        journaled: Option<&JournalHead>,
    ) -> Result<(), StartError> {
        match journaled {
            Some(head) => reader.check_journal(view, head),
            None if view.head.size == TreeSize::ZERO || self.options.adopt_journal => Ok(()),
            None => Err(StartError::JournalLacksLog { log: reader.record.name.to_string() }),
        }
    }

    fn keys_and_head(
        &self,
        reader: &Reader<'_>,
        record: &LogRecord,
        view: &Arc<TreeView>,
        archived: Option<&Published>,
    ) -> Result<(Option<LogKeys>, SignedHead), StartError> {
        if !self.options.read_only && record.state != LogState::Retired {
            // Until the newest head is signed, the archived one is the newest that was.
            let signed = match archived {
                Some(archived) => reader.archived_head(archived)?,
                None => unsigned(view).0,
            };
            return Ok((Some(self.keys(record, view.head.size)?), signed));
        }
        let nothing = || StartError::NothingSigned { log: record.name.to_string() };
        let head = reader.archived_head(archived.ok_or_else(nothing)?)?;
        // This process may not sign, so it only needs the public halves of the keys.
        let file = self.keyring.load(&record.name).ok().flatten();
        let keys =
            file.and_then(|file| self.keyring.adopt(&record.name, &record.origin, file).ok());
        Ok((keys, head))
    }

    /// If a log has neither entries nor keys, its creation was cut short, and it gets new keys.
    fn keys(&self, record: &LogRecord, size: TreeSize) -> Result<LogKeys, StartError> {
        let file = match self.keyring.load(&record.name)? {
            Some(file) => file,
            None if size == TreeSize::ZERO => {
                generate(&record.name, Some(&record.origin), &self.options.hostname)?
            }
            None => {
                let path = self.keyring.dir().join(record.name.as_str());
                return Err(KeyringError::Missing { path }.into());
            }
        };
        self.keyring.store(&record.name, &file, None)?;
        Ok(self.keyring.adopt(&record.name, &record.origin, file)?)
    }
}

/// A log that was witnessed and has no policy now may have lost the policy by mistake.
fn warn_of_lost_policy(reader: &Reader<'_>, keys: &LogKeys, archived: &Published) {
    let Ok(signed) = SignedCheckpoint::parse(&archived.note) else { return };
    let own = keys.verifier_keys();
    let foreign = signed
        .signatures()
        .any(|line| own.iter().all(|key| key.id() != line.id || key.name().as_str() != line.name));
    if foreign {
        tracing::warn!(
            log = %reader.record.name,
            "witnesses have cosigned this log, and it has no policy: from here on it publishes without them; \
             name the policy with --policy or under [logs.NAME] unless that is meant"
        );
    }
}

/// Signs every head, then starts the threads and tasks that write.
fn start_writers(
    inner: &Arc<Inner>,
    journal: Journal,
    opened: &[Opened],
) -> Result<(), StartError> {
    let Building { store, committer, signer, limits, around, .. } = &inner.building;
    let engine: Arc<dyn Engine> = Arc::<dyn Store>::clone(store);
    let mut signer = Signer::new(Arc::clone(signer), journal, Arc::clone(around));
    signer.sign_at_start(opened.iter().map(|opened| opened.rooms.sign.seal()))?;
    let committer = Committer::new(
        Arc::clone(&engine),
        Arc::clone(committer),
        Arc::clone(limits),
        Arc::clone(around),
    );
    let mut workers = inner.workers.lock().expect("nobody else has the registry yet");
    let thread = |name, result: std::io::Result<_>| {
        result.map_err(|source| StartError::Thread { name, source })
    };
    let supervisor = &around.supervisor;
    let run = move || committer.run();
    let spawned = supervisor.vital_thread("committer", run, around.on_panic());
    workers.committer = Some(thread("committer", spawned)?);
    let spawned = supervisor.vital_thread("signing", move || signer.run(), around.on_panic());
    workers.signing = Some(thread("signing", spawned)?);
    let watching = Arc::clone(around);
    let watch = move || watch_disk(Arc::clone(&engine), Arc::clone(&watching));
    workers.disk_watch = Some(supervisor.helper("disk watch", watch));
    let (owner, clock) = (Arc::downgrade(inner), Arc::clone(&around.clock));
    let watch = move || witness::watch_clock(witnesses_of(owner.clone()), Arc::clone(&clock));
    workers.clock_watch = Some(supervisor.helper("clock watch", watch));
    drop(workers);
    for Opened { rooms, archived, .. } in opened {
        inner.building.start(rooms, *archived);
        if rooms.append.state() == LogState::Draining {
            go_on_freezing(supervisor, rooms);
        }
    }
    Ok(())
}

/// The witnesses of all logs, for as long as somebody else holds the logs.
fn witnesses_of(inner: Weak<Inner>) -> impl Fn() -> Option<Vec<Witnesses>> + Send + use<> {
    move || {
        let logs = inner.upgrade()?.all();
        Some(logs.iter().filter_map(|rooms| rooms.witnesses.clone()).collect())
    }
}

/// A log that was being frozen when the last process ended is frozen now.
fn go_on_freezing(supervisor: &Supervisor, rooms: &Arc<Rooms>) {
    let rooms = Arc::clone(rooms);
    let freeze = async move {
        if let Err(error) = rooms.publish.ask(Wish::Freeze).await {
            let log = &rooms.append.record().name;
            tracing::warn!(%log, %error, "the log was not frozen");
        }
    };
    drop(supervisor.task("freeze", freeze));
}

async fn watch_disk(engine: Arc<dyn Engine>, around: Arc<Surroundings>) {
    loop {
        match engine.free_bytes() {
            Ok(free_bytes) => around.health.disk.set(free_bytes),
            Err(error) => tracing::warn!(%error, "free space cannot be read"),
        }
        around.clock.sleep(DISK_WATCH_INTERVAL).await;
    }
}

/// When a checkpoint of an earlier process was published, by the boot-time clock. If the wall clock
/// says that this lies ahead, it counts as published now.
fn published_boot_ms(clock: &CheckedClock, published: &Published) -> i64 {
    let age_ms = clock.unix_ms().saturating_sub(published.published_ms);
    boot_ms(clock).saturating_sub(i64::try_from(age_ms).unwrap_or(i64::MAX))
}
