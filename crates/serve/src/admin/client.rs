//! The operator's side: one command, to the server of a data folder.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{SOCKET, length, request, short_path};

/// Why a command was not carried out, or why nobody knows whether it was.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("{path}: not a data folder of {program}: name the right one with --data-dir", path = path.display())]
    NotADataFolder { path: PathBuf, program: &'static str },
    #[error(
        "no {program} runs over {path}: start it first, or name its data folder with --data-dir", path = path.display()
    )]
    NoServer { path: PathBuf, program: &'static str },
    #[error(
        "{path}: permission denied: run the command as the user that {program} runs as (sudo -u USER …)", path = path.display()
    )]
    Denied { path: PathBuf, program: &'static str },
    /// The server's own words.
    #[error("{reason}")]
    Refused { reason: String },
    #[error(
        "{program} does not answer within {} seconds: look at its log; the command may still be carried out",
        within.as_secs()
    )]
    Late { program: &'static str, within: Duration },
    #[error("{path}: {source}", path = path.display())]
    Broken { path: PathBuf, source: io::Error },
}

/// Has the server of a data folder carry out a command: `words` are its name and its arguments.
/// Gives what the server says. Waits `within`, or for as long as the command takes.
pub fn call(
    data_dir: &Path,
    program: &'static str,
    words: &[&OsStr],
    within: Option<Duration>,
) -> Result<String, CallError> {
    let path = data_dir.join(SOCKET);
    let mut server = connect(data_dir, program)?;
    let mut exchange = || -> io::Result<(u8, String)> {
        server.set_read_timeout(within)?;
        let words = [OsStr::new(program)].into_iter().chain(words.iter().copied());
        server.write_all(&request(words.map(OsStr::as_bytes))?)?;
        let mut verdict = [0; 5];
        server.read_exact(&mut verdict)?;
        let [verdict, bytes @ ..] = verdict;
        let mut text = vec![0; length(bytes)?];
        server.read_exact(&mut text)?;
        Ok((verdict, String::from_utf8_lossy(&text).into_owned()))
    };
    match exchange() {
        Ok((0, text)) => Ok(text),
        Ok((_, reason)) => Err(CallError::Refused { reason }),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(CallError::Late { program, within: within.unwrap_or_default() })
        }
        Err(source) => Err(CallError::Broken { path, source }),
    }
}

fn connect(data_dir: &Path, program: &'static str) -> Result<UnixStream, CallError> {
    let path = data_dir.to_path_buf();
    let folder = match File::open(data_dir) {
        Ok(folder) => folder,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(CallError::Denied { path, program });
        }
        Err(_) => return Err(CallError::NotADataFolder { path, program }),
    };
    let connected = UnixStream::connect(short_path(&folder, SOCKET));
    connected.map_err(|source| match source.kind() {
        io::ErrorKind::PermissionDenied => CallError::Denied { path, program },
        // A server that was killed left the socket behind.
        io::ErrorKind::ConnectionRefused => CallError::NoServer { path, program },
        io::ErrorKind::NotFound if data_dir.join("keys").is_dir() => {
            CallError::NoServer { path, program }
        }
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            CallError::NotADataFolder { path, program }
        }
        _ => CallError::Broken { path: data_dir.join(SOCKET), source },
    })
}
