//! All destinations of a server.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use audit_trail::Trail;
use base::durable::FileError;
use base::tasks::Background;
use futures_util::future::join_all;
use log_core::WeakRegistry;

use crate::destination::Destination;
use crate::lane::{Lane, Running};
use crate::metrics::DestinationCollector;
use crate::state::{Files, StateError};

/// The destinations of a server. Cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Destinations {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    trail: Trail,
    /// In the order of the configuration, a lane for each log.
    destinations: Vec<(Arc<Destination>, Vec<Arc<Lane>>)>,
}

/// Which dead letters are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Which {
    /// Those of this log; of all without one.
    pub(crate) log: Option<String>,
    /// These; all without any.
    pub(crate) indexes: Option<BTreeSet<u64>>,
}

impl Destinations {
    /// Nothing is sent before [`Self::start`]. What they remember is below `root`.
    pub fn new(root: PathBuf, trail: Trail, destinations: Vec<Destination>) -> Self {
        let lanes = |destination: Destination| {
            let destination = Arc::new(destination);
            let logs = destination.logs.iter();
            let lanes = logs.map(|log| Arc::new(Lane::new(&root, Arc::clone(&destination), log)));
            (Arc::clone(&destination), lanes.collect())
        };
        let destinations = destinations.into_iter().map(lanes).collect();
        Self { inner: Arc::new(Inner { root, trail, destinations }) }
    }

    /// Starts a task for each destination, so that none waits for another.
    pub fn start(&self, background: &mut Background) {
        for (_, lanes) in &self.inner.destinations {
            let (lanes, trail) = (lanes.clone(), self.inner.trail.clone());
            background.helper("destination", move || {
                let running =
                    lanes.iter().map(|lane| Running::new(Arc::clone(lane), trail.clone()));
                let running: Vec<_> = running.map(Running::run).collect();
                async move {
                    join_all(running).await;
                }
            });
        }
    }

    /// What a scrape reads.
    pub fn collector(&self) -> DestinationCollector {
        let lanes = self.lanes().cloned().collect();
        let registry: WeakRegistry = self.inner.trail.registry().downgrade();
        let clock = Arc::clone(self.inner.trail.registry().clock());
        DestinationCollector::new(lanes, registry, clock)
    }

    pub(crate) fn trail(&self) -> &Trail {
        &self.inner.trail
    }

    pub(crate) fn all(&self) -> &[(Arc<Destination>, Vec<Arc<Lane>>)] {
        &self.inner.destinations
    }

    fn lanes(&self) -> impl Iterator<Item = &Arc<Lane>> {
        self.inner.destinations.iter().flat_map(|(_, lanes)| lanes)
    }

    /// The lanes that are meant; `None` without a destination of this name, or without such a log.
    pub(crate) fn named(&self, name: &str, which: &Which) -> Option<Vec<Arc<Lane>>> {
        let all = self.inner.destinations.iter();
        let (_, lanes) = { all }.find(|(destination, _)| destination.name == name)?;
        let is_meant = |lane: &&Arc<Lane>| which.log.as_ref().is_none_or(|log| *log == lane.log);
        let meant: Vec<Arc<Lane>> = lanes.iter().filter(is_meant).cloned().collect();
        (!meant.is_empty()).then_some(meant)
    }

    /// Something of an event was erased: its dead letters go, and nothing that was read of it before is
    /// sent again. A call under way may still end. Blocks.
    pub fn forget(&self, log: &str, index: u64) -> Result<(), FileError> {
        for lane in self.lanes().filter(|lane| lane.log == log) {
            lane.forget(index)?;
        }
        let is_here =
            |name: &str| self.lanes().any(|it| it.log == log && it.destination.name == name);
        forget_where(&self.inner.root, log, index, |name| !is_here(name))
    }
}

/// As [`Destinations::forget`], in a folder that no server has. Blocks.
pub fn forget_stored(root: &Path, log: &str, index: u64) -> Result<(), FileError> {
    forget_where(root, log, index, |_| true)
}

fn forget_where(
    root: &Path,
    log: &str,
    index: u64,
    is_meant: impl Fn(&str) -> bool,
) -> Result<(), FileError> {
    let folders = match std::fs::read_dir(root) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        folders => folders.map_err(|error| FileError::new(root, error))?,
    };
    for folder in folders {
        let name = folder.map_err(|error| FileError::new(root, error))?.file_name();
        let Some(name) = name.to_str().filter(|name| is_meant(name)) else { continue };
        let files = Files::new(root, name, log);
        let mut dead = files.dead().map_err(FileError::from)?;
        if dead.remove(&index).is_some() {
            files.put_dead(&dead)?;
        }
    }
    Ok(())
}

impl From<StateError> for FileError {
    fn from(error: StateError) -> Self {
        match error {
            StateError::File(error) => error,
            StateError::Form { path } => Self::new(path, ErrorKind::InvalidData.into()),
        }
    }
}
