//! The logs of a store that nobody serves.

use std::sync::Arc;

use base::clock::{Clock, SystemClock};
use base::tasks::Supervisor;
use log_api::metrics::Metrics;
use log_core::Registry;
use log_core::read::Reads;
use storage::{StorageError, Store};
use storage_rocksdb::RocksEngine;

use super::{StartError, TASKS_END_WITHIN, open_engine, registry_options, witness_options};
use crate::config::Config;
use crate::routes;

/// Opens the logs of a store that nobody serves, as a server does but without a port, and stops when
/// `work` is done.
///
/// # Errors
/// There is no store, another process has it open, or a server would not start on it.
pub async fn with_logs<T>(
    config: &Config,
    work: impl AsyncFnOnce(&Registry) -> T,
) -> Result<T, StartError> {
    let path = config.db_dir();
    if !RocksEngine::exists(&path) {
        return Err(StorageError::NotAStore { path }.into());
    }
    let engine: Arc<dyn Store> = Arc::new(open_engine(config)?);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let metrics = Arc::new(Metrics::new(&routes::table(), Supervisor::on(Arc::clone(&clock))));
    let reads = Arc::new(Reads::new(Arc::<dyn Store>::clone(&engine), config.tile_cache_bytes));
    let (mut options, _fatal) = registry_options(config, &engine, &clock, &metrics);
    options.witness = witness_options(config, &reads, &clock)?;
    let registry = tokio::task::block_in_place(|| Registry::open(options))?;
    let asked = registry.ask_witnesses().await;
    let done = match asked {
        Ok(()) => Ok(work(&registry).await),
        Err(error) => Err(error.into()),
    };
    registry.shutdown().await;
    drop(clock.timeout(TASKS_END_WITHIN, metrics.supervisor().ended()).await);
    done
}
