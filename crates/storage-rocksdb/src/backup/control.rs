//! How a running server is asked for a backup: a socket in the data folder that only its owner can open.
//!
//! ```text
//! request   length u32 BE ‖ path of the backup to write
//! answer    0 if it was written, else 1 ‖ length u32 BE ‖ what went wrong
//! ```

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use base::tasks::{self, Supervisor};

use super::BackupError;
use crate::RocksEngine;
use storage::StorageError;

/// The socket's name in the data folder.
const SOCKET: &str = "control.sock";
/// Longest path or message, in bytes: what Linux allows for a path.
const TEXT_BYTES_MAX: u32 = 4_096;
/// A caller that sends nothing for so long is dropped, so that it cannot keep others out.
const REQUEST_WAIT: Duration = Duration::from_secs(5);

/// Answers requests for backups, on a thread of its own, until dropped.
#[derive(Debug)]
pub struct ControlServer {
    socket: PathBuf,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    _folder: File,
}

impl ControlServer {
    /// Starts answering for the store `engine` of `data_dir`; `prepare` runs before each backup.
    /// The caller has the store open, so a socket that is there already is left from a server that
    /// is gone, and replaced.
    pub fn start(
        engine: Arc<RocksEngine>,
        data_dir: &Path,
        prepare: impl Fn() + Send + 'static,
        supervisor: &Supervisor,
    ) -> Result<Self, StorageError> {
        let path = data_dir.join(SOCKET);
        let failed = |error| StorageError::io(&path, error);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let folder = File::open(data_dir).map_err(failed)?;
        let socket = short_path(&folder);
        let listener = UnixListener::bind(&socket).map_err(failed)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        let stopping = Arc::new(AtomicBool::new(false));
        let (stop, data_dir) = (Arc::clone(&stopping), data_dir.to_path_buf());
        let serve = move || {
            for caller in listener.incoming() {
                if stop.load(Ordering::Acquire) {
                    break;
                }
                tasks::trip("backup");
                if let Err(error) =
                    caller.and_then(|caller| answer(caller, &engine, &data_dir, &prepare))
                {
                    tracing::warn!(%error, "a request for a backup was not answered");
                }
            }
        };
        let thread = supervisor.helper_thread("backup", Arc::clone(&stopping), serve);
        let thread = thread.map_err(failed)?;
        Ok(Self { socket, stopping, thread: Some(thread), _folder: folder })
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        // It may be in the pause after a panic.
        self.thread.as_ref().inspect(|thread| thread.thread().unpark());
        // Wakes the thread; if nobody can connect any more, it is gone already.
        let woken = UnixStream::connect(&self.socket).is_ok();
        if let (true, Some(thread)) = (woken, self.thread.take()) {
            drop(thread.join());
        }
        drop(fs::remove_file(&self.socket));
    }
}

/// Asks the server of a data folder to write a backup. `false` if no server runs.
pub(super) fn ask(data_dir: &Path, out: &Path) -> Result<bool, BackupError> {
    let socket = data_dir.join(SOCKET);
    let Ok(folder) = File::open(data_dir) else { return Ok(false) };
    let Ok(mut server) = UnixStream::connect(short_path(&folder)) else { return Ok(false) };
    let mut exchange = || -> io::Result<Option<String>> {
        write_text(&mut server, out.as_os_str().as_bytes())?;
        let mut verdict = [0];
        server.read_exact(&mut verdict)?;
        if verdict == [0] {
            return Ok(None);
        }
        let message = read_text(&mut server)?;
        Ok(Some(String::from_utf8_lossy(&message).into_owned()))
    };
    match exchange() {
        Ok(None) => Ok(true),
        Ok(Some(message)) => Err(BackupError::Server { message }),
        Err(error) => Err(StorageError::io(socket, error).into()),
    }
}

fn answer(
    mut caller: UnixStream,
    engine: &RocksEngine,
    data_dir: &Path,
    prepare: &impl Fn(),
) -> io::Result<()> {
    caller.set_read_timeout(Some(REQUEST_WAIT))?;
    let out = PathBuf::from(std::ffi::OsString::from_vec(read_text(&mut caller)?));
    prepare();
    match super::write(engine, data_dir, &out) {
        Ok(()) => caller.write_all(&[0]),
        Err(error) => {
            tracing::warn!(%error, "a backup failed");
            caller.write_all(&[1])?;
            write_text(&mut caller, error.to_string().as_bytes())
        }
    }
}

fn write_text(to: &mut UnixStream, text: &[u8]) -> io::Result<()> {
    let len = u32::try_from(text.len()).ok().filter(|len| *len <= TEXT_BYTES_MAX);
    let len = len.ok_or(io::ErrorKind::InvalidInput)?;
    to.write_all(&len.to_be_bytes())?;
    to.write_all(text)
}

fn read_text(from: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut len = [0; 4];
    from.read_exact(&mut len)?;
    let len = u32::from_be_bytes(len);
    if len > TEXT_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut text = vec![0; usize::try_from(len).expect("at most 4,096")];
    from.read_exact(&mut text)?;
    Ok(text)
}

/// The socket's path by way of an open folder: a socket's address has room for 107 bytes only.
fn short_path(folder: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd()))
}
