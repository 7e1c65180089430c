//! The server's side.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use rustix::fs::{AtFlags, Mode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{SOCKET, WORDS_MAX, Words, framed, length, short_path};
use base::clock::Clock;
use base::durable::{self, FileError};
use base::tasks::Supervisor;

/// The socket's name until its mode is set. Under its right name the socket is never open to other
/// users.
const NEW_SOCKET: &str = ".admin.sock.tmp";
/// Callers that are served at a time; others wait.
const CALLERS_MAX: usize = 8;
/// A caller that sends nothing for so long is dropped, so that it cannot keep others out.
const REQUEST_WAIT: Duration = Duration::from_secs(5);
/// The pause after a caller could not be accepted, for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a command answers: what it did, or why it did not.
pub type Answer = Result<String, String>;

type Run = Arc<dyn Fn(Words) -> BoxFuture<'static, Answer> + Send + Sync>;

/// The commands that a server takes.
#[derive(Clone)]
pub struct Commands {
    program: &'static str,
    rows: BTreeMap<&'static str, Run>,
}

impl fmt::Debug for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Commands").field(&self.program).field(&self.rows.keys()).finish()
    }
}

impl Commands {
    /// A table for this program, without commands.
    pub fn new(program: &'static str) -> Self {
        Self { program, rows: BTreeMap::new() }
    }

    /// Adds a command. `run` gets the arguments; it goes on if its caller goes away.
    #[must_use]
    pub fn with<F>(
        mut self,
        name: &'static str,
        run: impl Fn(Vec<OsString>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        self.rows.insert(name, Arc::new(move |words| Box::pin(run(words))));
        self
    }

    async fn run(&self, mut words: Words) -> Answer {
        if words.len() < 2 {
            return Err("a request names a program and a command".to_owned());
        }
        let arguments = words.split_off(2);
        let (program, name) = (&words[0], &words[1]);
        if program != self.program {
            let (found, asked) = (self.program, program.display());
            return Err(format!("{found} runs here, not {asked}: name another --data-dir"));
        }
        let row = name.to_str().and_then(|name| self.rows.get(name));
        let Some(run) = row else {
            let name = name.display();
            return Err(format!(
                "the server does not know the command {name}: are both of one version?"
            ));
        };
        run(arguments).await
    }
}

/// Answers operators until it is stopped.
#[derive(Debug)]
pub struct AdminServer {
    folder: File,
    /// Device and number of the socket's inode.
    inode: (u64, u64),
    stopping: CancellationToken,
    /// `None` once it was waited for.
    accepting: Option<JoinHandle<()>>,
    /// One place for each caller that is being answered, and one for the next caller.
    places: Arc<Semaphore>,
}

impl AdminServer {
    /// Starts answering. The caller holds the store of `data_dir`, so no other server runs there: a
    /// socket that is there already was left behind, and is replaced.
    pub fn start(
        data_dir: &Path,
        commands: Commands,
        clock: Arc<dyn Clock>,
        supervisor: &Supervisor,
    ) -> Result<Self, FileError> {
        durable::create_dir_all(data_dir, 0o700)?;
        let path = data_dir.join(SOCKET);
        let failed = |source: io::Error| FileError::new(&path, source);
        let folder = File::open(data_dir).map_err(failed)?;
        let (listener, inode) = bind(&folder).map_err(failed)?;
        let (stopping, places) = (CancellationToken::new(), Arc::new(Semaphore::new(CALLERS_MAX)));
        let office = Office {
            commands,
            clock,
            stopping: stopping.clone(),
            places: Arc::clone(&places),
            supervisor: supervisor.clone(),
        };
        let (stopped, listener) = (stopping.clone(), Arc::new(listener));
        let accepting = supervisor.helper("admin", move || {
            let accept = office.clone().accept(Arc::clone(&listener));
            let stopped = stopped.clone();
            async move {
                stopped.run_until_cancelled_owned(accept).await;
            }
        });
        Ok(Self { folder, inode, stopping, accepting: Some(accepting), places })
    }

    /// Takes no more commands, and waits for those that run. After that none of them holds the
    /// store.
    pub async fn stop(mut self) {
        self.stopping.cancel();
        if let Some(accepting) = self.accepting.take() {
            // A panic was logged where it happened.
            drop(accepting.await);
        }
        let all = u32::try_from(CALLERS_MAX).expect("a few");
        // Never closed: all places are free once nobody is being answered.
        drop(self.places.acquire_many(all).await);
    }
}

impl Drop for AdminServer {
    fn drop(&mut self) {
        self.stopping.cancel();
        // Another server may have taken its place.
        if inode(&self.folder, SOCKET).is_ok_and(|found| found == self.inode) {
            let _gone = rustix::fs::unlinkat(&self.folder, SOCKET, AtFlags::empty()).is_ok();
        }
    }
}

/// Binds under a temporary name, and gives the socket its own once its mode is set.
fn bind(folder: &File) -> io::Result<(UnixListener, (u64, u64))> {
    match rustix::fs::unlinkat(folder, NEW_SOCKET, AtFlags::empty()) {
        Err(error) if error != rustix::io::Errno::NOENT => return Err(error.into()),
        _ => {}
    }
    let listener = UnixListener::bind(short_path(folder, NEW_SOCKET))?;
    let mode = Mode::RUSR | Mode::WUSR;
    rustix::fs::chmodat(folder, NEW_SOCKET, mode, AtFlags::empty())?;
    rustix::fs::renameat(folder, NEW_SOCKET, folder, SOCKET)?;
    Ok((listener, inode(folder, SOCKET)?))
}

fn inode(folder: &File, name: &str) -> io::Result<(u64, u64)> {
    let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok((stat.st_dev, stat.st_ino))
}

/// Where commands are taken. Cloned for each caller.
#[derive(Clone)]
struct Office {
    commands: Commands,
    clock: Arc<dyn Clock>,
    stopping: CancellationToken,
    places: Arc<Semaphore>,
    supervisor: Supervisor,
}

impl Office {
    async fn accept(self, listener: Arc<UnixListener>) {
        loop {
            // The semaphore is never closed.
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return };
            let caller = match listener.accept().await {
                Ok((caller, _)) => caller,
                Err(error) => {
                    tracing::warn!(%error, "an operator's command could not be taken");
                    self.clock.sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let office = self.clone();
            drop(self.supervisor.task("admin command", async move {
                if let Err(error) = office.answer(caller).await {
                    tracing::warn!(%error, "an operator's command was not answered");
                }
                drop(office);
                drop(place);
            }));
        }
    }

    async fn answer(&self, mut caller: UnixStream) -> io::Result<()> {
        let words = tokio::select! {
            words = read_request(&mut caller) => words?,
            () = self.clock.sleep(REQUEST_WAIT) => return Err(io::ErrorKind::TimedOut.into()),
            () = self.stopping.cancelled() => return Ok(()),
        };
        let name = words.get(1).map(|name| name.display().to_string()).unwrap_or_default();
        let (verdict, text) = match self.commands.run(words).await {
            Ok(text) => (0, text),
            Err(text) => {
                tracing::warn!(command = name, reason = text, "an operator's command was refused");
                (1, text)
            }
        };
        let mut answer = vec![verdict];
        answer.extend(framed(text.as_bytes()));
        caller.write_all(&answer).await
    }
}

async fn read_request(caller: &mut UnixStream) -> io::Result<Words> {
    let count = usize::from(caller.read_u8().await?);
    if count > WORDS_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut words = Vec::with_capacity(count);
    for _ in 0..count {
        let mut bytes = [0; 4];
        caller.read_exact(&mut bytes).await?;
        let mut word = vec![0; length(bytes)?];
        caller.read_exact(&mut word).await?;
        words.push(OsString::from_vec(word));
    }
    Ok(words)
}

/// Checks that a command got no argument.
///
/// # Errors
/// There is one.
pub fn none(arguments: &[OsString]) -> Result<(), String> {
    if arguments.is_empty() { Ok(()) } else { Err("the command takes no argument".to_owned()) }
}

/// The one argument of a command.
///
/// # Errors
/// There is none, or there are more.
pub fn only(arguments: &[OsString]) -> Result<&OsStr, String> {
    match arguments {
        [argument] => Ok(argument),
        _ => Err(format!("the command takes one argument, not {}", arguments.len())),
    }
}
