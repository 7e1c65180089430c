//! The commands that an operator gives a running server: for each a row in the table of
//! [`commands`], and a function that sends it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base::clock::Clock as _;
use base::durable::FileError;
use base::tasks::Supervisor;
use log_core::{Registry, WeakRegistry};
use serve::admin::{self, AdminServer, Answer, CallError, Commands};
use storage_rocksdb::RocksEngine;
use storage_rocksdb::backup::{self, Secrets};

use crate::config::Config;
use crate::copies::Copies;
use crate::erase::{self, Order};
use crate::system::System;

/// The name of this server on its socket.
const PROGRAM: &str = "cairn-server";
const CLOCK_ACCEPT: &str = "clock accept";
const BACKUP: &str = "backup";
const BACKUP_WITH_SECRETS: &str = "backup with secrets";
const ERASE: &str = "erase";
/// How long a backup waits for its checkpoints, at most.
const ARCHIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an operator waits for the answer to a command that takes no time.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Answers operators, unless the server is read-only: a server that writes may use the same folder.
pub(crate) fn start(
    config: &Config,
    registry: &Registry,
    engine: Option<Arc<RocksEngine>>,
    (system, copies): (Option<System>, Option<Copies>),
    supervisor: &Supervisor,
) -> Result<Option<AdminServer>, FileError> {
    if config.read_only {
        return Ok(None);
    }
    let commands =
        commands(registry.downgrade(), engine, (system, copies), config.data_dir.clone());
    let clock = Arc::clone(registry.clock());
    AdminServer::start(&config.data_dir, commands, clock, supervisor).map(Some)
}

/// The table. Without `engine` there is no store that could be backed up.
pub(crate) fn commands(
    registry: WeakRegistry,
    engine: Option<Arc<RocksEngine>>,
    (system, copies): (Option<System>, Option<Copies>),
    data_dir: PathBuf,
) -> Commands {
    let (clock_registry, erase_registry) = (registry.clone(), registry.clone());
    let table = Commands::new(PROGRAM).with(CLOCK_ACCEPT, move |arguments| {
        let (registry, system) = (clock_registry.clone(), system.clone());
        async move {
            admin::none(&arguments)?;
            let said = accept_clock(registry).await?;
            if let Some(system) = system {
                system.clock_accepted().await;
            }
            Ok(said)
        }
    });
    let table = table.with(ERASE, move |arguments| {
        let (registry, copies) = (erase_registry.clone(), copies.clone());
        async move {
            let order = Order::read(&arguments).map_err(|error| error.to_string())?;
            let registry = registry.upgrade().ok_or_else(stopping)?;
            let copies = copies.ok_or_else(stopping)?;
            erase::erase(&registry, &copies, &order).await.map_err(|error| error.to_string())
        }
    });
    let Some(engine) = engine else { return table };
    let own = (registry.clone(), Arc::clone(&engine), data_dir.clone());
    let table = with_backup(table, BACKUP, Secrets::Leave, own);
    with_backup(table, BACKUP_WITH_SECRETS, Secrets::Take, (registry, engine, data_dir))
}

fn with_backup(
    table: Commands,
    name: &'static str,
    secrets: Secrets,
    (registry, engine, data_dir): (WeakRegistry, Arc<RocksEngine>, PathBuf),
) -> Commands {
    table.with(name, move |arguments| {
        let (registry, engine) = (registry.clone(), Arc::clone(&engine));
        let data_dir = data_dir.clone();
        async move {
            let out = admin::only(&arguments)?.into();
            back_up(registry, engine, data_dir, out, secrets).await
        }
    })
}

async fn accept_clock(registry: WeakRegistry) -> Answer {
    let registry = registry.upgrade().ok_or_else(stopping)?;
    let accept = move || registry.clock().accept_for_operator();
    // It is cancelled only when the runtime ends.
    tokio::task::spawn_blocking(accept).await.unwrap_or_else(|_| Err(stopping()))
}

/// Archives the newest heads, so that the copy can prove its entries, and copies the store.
async fn back_up(
    registry: WeakRegistry,
    engine: Arc<RocksEngine>,
    data_dir: PathBuf,
    out: PathBuf,
    secrets: Secrets,
) -> Answer {
    if let Some(registry) = registry.upgrade() {
        let late = registry.clock().sleep(ARCHIVE_TIMEOUT);
        tokio::select! {
            () = registry.archive() => {}
            () = late => tracing::warn!("the newest heads were not archived in time for the backup"),
        }
    }
    let write =
        move || backup::write(&engine, &data_dir, &out, secrets).map_err(|error| error.to_string());
    let written = tokio::task::spawn_blocking(write).await.unwrap_or_else(|_| Err(stopping()));
    written.map(|written| written.warning().unwrap_or_default())
}

fn stopping() -> String {
    "the server is stopping".to_owned()
}

/// Has the server of a data folder believe its clock as it stands. Gives what the server says.
pub fn clock_accept(data_dir: &Path) -> Result<String, CallError> {
    admin::call(data_dir, PROGRAM, &[OsStr::new(CLOCK_ACCEPT)], Some(ANSWER_WITHIN))
}

/// Has the server of a data folder write a backup to `out`, an absolute path, however long that takes. Gives
/// what the operator must know, empty if that is nothing; `None` if no server runs, so that nobody has the
/// store open.
pub fn back_up_live(
    data_dir: &Path,
    out: &Path,
    secrets: Secrets,
) -> Result<Option<String>, CallError> {
    let command = match secrets {
        Secrets::Leave => BACKUP,
        Secrets::Take => BACKUP_WITH_SECRETS,
    };
    unless_away(admin::call(data_dir, PROGRAM, &[OsStr::new(command), out.as_os_str()], None))
}

/// Has the server of a data folder erase blocks of an event, however long that takes. Gives what the
/// operator must know; `None` if no server runs, so that nobody has the store open.
pub fn erase_live(data_dir: &Path, order: &Order) -> Result<Option<String>, CallError> {
    let words = order.words();
    let words: Vec<&OsStr> =
        [OsStr::new(ERASE)].into_iter().chain(words.iter().map(OsString::as_os_str)).collect();
    unless_away(admin::call(data_dir, PROGRAM, &words, None))
}

/// `None` if no server runs over the folder.
fn unless_away(answer: Result<String, CallError>) -> Result<Option<String>, CallError> {
    match answer {
        Ok(text) => Ok(Some(text)),
        Err(CallError::NoServer { .. } | CallError::NotADataFolder { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use base::clock::SystemClock;
    use storage::LogName;
    use storage::testing::{Planner, SECRET};
    use storage_rocksdb::RocksOptions;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_running_server_writes_the_backup_and_a_stopped_one_leaves_it_to_the_caller() {
        let folder = tempfile::tempdir().unwrap();
        let (data, out) = (folder.path().join("data"), folder.path().join("out"));
        let engine = RocksEngine::open(&data.join("db"), &RocksOptions::default()).unwrap();
        let mut planner = Planner::audit(1);
        planner.record.name = LogName::new("trail").unwrap();
        storage::conformance::commit(&engine, &[planner.create()]);
        let commands =
            commands(WeakRegistry::default(), Some(Arc::new(engine)), (None, None), data.clone());
        let clock = Arc::new(SystemClock::new());
        let server = AdminServer::start(&data, commands, clock, &Supervisor::new()).unwrap();
        let ask = || tokio::task::block_in_place(|| back_up_live(&data, &out, Secrets::Leave));
        let warning = ask().unwrap().unwrap();
        assert!(warning.contains("trail"), "{warning}");
        let refused = ask().unwrap_err().to_string();
        assert!(refused.ends_with("nothing is ever overwritten"), "{refused}");
        let kept = data.join("keys/trail.audit");
        std::fs::create_dir_all(data.join("keys")).unwrap();
        base::durable::replace(&kept, &SECRET, 0o600).unwrap();
        for (secrets, found) in [(Secrets::Leave, false), (Secrets::Take, true)] {
            let out = folder.path().join(format!("{secrets:?}"));
            let ask = || back_up_live(&data, &out, secrets).unwrap().unwrap();
            let warning = tokio::task::block_in_place(ask);
            assert_eq!(warning.is_empty(), found, "{warning}");
            assert_eq!(out.join("keys/trail.audit").is_file(), found);
        }
        let gone = tokio::task::block_in_place(|| clock_accept(&data)).unwrap_err().to_string();
        assert_eq!(gone, "the server is stopping");
        server.stop().await;
        assert_eq!(ask().unwrap(), None);
        // As a killed server leaves it.
        drop(std::os::unix::net::UnixListener::bind(data.join("admin.sock")).unwrap());
        assert_eq!(ask().unwrap(), None);
    }
}
