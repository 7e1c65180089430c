//! The rooms of one log, and how they are connected.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use base::secret::Secret;
use storage::{Engine, LogRecord, LogState, Store};

use crate::append::{Append, CommitterInbox, Gate, Line, LineParts};
use crate::erase::Eraser;
use crate::health::Surroundings;
use crate::publish::{self, Publish, PublisherParts};
use crate::sign::{LogKeys, Seal, Sign, SignerInbox};
use crate::types::{Limits, Published, SignedHead, TreeView};
use crate::watch::Watch;
use crate::witness::{self, WitnessOptions, Witnesses, Witnessing, WitnessingParts};

/// One log: a handle to each room.
pub(crate) struct Rooms {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) append: Append,
    pub(crate) eraser: Eraser,
    pub(crate) sign: Sign,
    pub(crate) publish: Publish,
    /// `None` if the log has no witness policy, or the process is read-only.
    pub(crate) witnesses: Option<Witnesses>,
}

impl fmt::Debug for Rooms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rooms").field("append", &self.append).finish_non_exhaustive()
    }
}

/// What every log of a process is built with.
pub(super) struct Building {
    pub(super) store: Arc<dyn Store>,
    pub(super) committer: Arc<CommitterInbox>,
    pub(super) signer: Arc<SignerInbox>,
    pub(super) limits: Arc<Limits>,
    pub(super) witness: Option<Arc<WitnessOptions>>,
    pub(super) around: Arc<Surroundings>,
    pub(super) read_only: bool,
}

impl fmt::Debug for Building {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Building").field("read_only", &self.read_only).finish_non_exhaustive()
    }
}

/// What a log is opened with.
#[derive(Debug)]
pub(super) struct LogParts {
    pub(super) record: LogRecord,
    pub(super) time_floor_ms: u64,
    pub(super) keys: Option<LogKeys>,
    /// Of an audit log, unless it is missing or another one is there.
    pub(super) secret: Option<Arc<Secret>>,
    pub(super) signed: SignedHead,
    pub(super) tree: Arc<TreeView>,
    /// The time of the newest leaf of an audit log, in nanoseconds; 0 if there is none.
    pub(super) newest_ns: u64,
    pub(super) published: Published,
    pub(super) exists: bool,
    /// The newest head known to satisfy the witness policy.
    pub(super) witnessed: Option<Arc<SignedHead>>,
}

impl Building {
    /// Builds the rooms of a log. Nothing runs yet.
    pub(super) fn rooms(&self, parts: LogParts) -> Rooms {
        let LogParts {
            record,
            time_floor_ms,
            keys,
            secret,
            signed,
            tree,
            newest_ns,
            published,
            exists,
            witnessed,
        } = parts;
        let record = Arc::new(record);
        let policy = self.policy(&record);
        // A log that existed before this process takes no entries until its witnesses were asked.
        let waits = policy.is_some() && exists;
        let gate = Arc::new(if waits { Gate::waiting() } else { Gate::open() });
        let own = Arc::clone(&record);
        let line = LineParts { record: own, time_floor_ms, tree, newest_ns, exists, secret };
        let append = Append::new(
            Arc::new(Line::new(line)),
            Arc::clone(&self.committer),
            Arc::clone(&gate),
            Arc::clone(&self.limits),
            Arc::clone(&self.around),
            self.read_only,
        );
        let tree = Arc::clone(append.tree());
        let sign = self.sign(Arc::clone(&record), keys, &tree, signed);
        let witnesses = policy.map(|(options, policy)| {
            let (sign, around) = (sign.clone(), Arc::clone(&self.around));
            let head = witnessed;
            Arc::new(Witnessing::new(WitnessingParts {
                options,
                policy,
                record,
                tree,
                sign,
                gate,
                head,
                around,
            }))
        });
        let engine: Arc<dyn Engine> = Arc::<dyn Store>::clone(&self.store);
        let eraser = Eraser::new(Arc::clone(&self.store), append.clone());
        let publish = Publish::new(published);
        Rooms { engine, append, eraser, sign, publish, witnesses }
    }

    fn sign(
        &self,
        record: Arc<LogRecord>,
        keys: Option<LogKeys>,
        tree: &Arc<Watch<TreeView>>,
        signed: SignedHead,
    ) -> Sign {
        let (tree, signed) = (Arc::clone(tree), ArcSwap::from_pointee(signed));
        let seal = Seal { record, keys, tree, signed };
        Sign::new(Arc::new(seal), Arc::clone(&self.signer), self.read_only)
    }

    fn policy(&self, record: &LogRecord) -> Option<(Arc<WitnessOptions>, witness::LogPolicy)> {
        let asks = !self.read_only && record.state != LogState::Retired;
        let options = self.witness.as_ref().filter(|_| asks)?;
        Some((Arc::clone(options), options.policies.get(&record.name)?.clone()))
    }

    /// Starts the tasks of a log. `archived`: its published checkpoint is in the archive.
    pub(super) fn start(&self, rooms: &Rooms, archived: bool) {
        let parts = PublisherParts {
            publish: rooms.publish.clone(),
            append: rooms.append.clone(),
            sign: rooms.sign.clone(),
            witnesses: rooms.witnesses.clone(),
            limits: Arc::clone(&self.limits),
            around: Arc::clone(&self.around),
        };
        let supervisor = &self.around.supervisor;
        // It ends with its log, on `Wish::Stop` or with the runtime.
        drop(supervisor.start("publisher", publish::keep(parts, archived)));
        if let Some(witnesses) = &rooms.witnesses {
            let witnesses = Arc::clone(witnesses);
            // It ends when the publisher does.
            drop(supervisor.helper("witness rounds", move || witness::run(Arc::clone(&witnesses))));
        }
    }
}

#[cfg(test)]
mod idle {
    use super::*;
    use crate::life::recover::unsigned;
    use crate::{Log, Registry};
    use formats::Origin;
    use storage::{LogId, LogKind, LogName};

    impl Registry {
        /// Adds a log that is empty, has neither keys nor tasks and is not in the store.
        pub(crate) fn add_idle(&self, id: u32) {
            let name = LogName::new(&format!("idle-{id}")).unwrap();
            let record = LogRecord {
                id: LogId::new(id).unwrap(),
                name: name.clone(),
                origin: Origin::new(name.as_str()).unwrap(),
                created_ms: 0,
                kind: LogKind::Plain,
                secret_check: None,
                deduplicate_entries: false,
                state: LogState::Active,
            };
            let tree = Arc::new(TreeView::empty(0));
            let (signed, published) = unsigned(&tree);
            let rooms = Arc::new(self.inner.building.rooms(LogParts {
                record,
                time_floor_ms: 0,
                keys: None,
                secret: None,
                signed,
                tree,
                newest_ns: 0,
                published,
                exists: true,
                witnessed: None,
            }));
            self.inner.logs.write().unwrap().insert(name, Log { rooms });
        }
    }
}
