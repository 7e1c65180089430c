//! The process around a server: its command line, its threads, and the way it stops.
//!
//! ```text
//! signal ──► /readyz 503, health NOT_SERVING ──► drain ──► the port closes ──► answers in flight ──► end
//!                                  another signal └─ skips it      another one └─ ends at once
//! ```

use std::fmt::Display;
use std::future::Future;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use base::clock::{Clock, SystemClock};
use futures_util::FutureExt as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{Refusal, Sources};
use crate::{files, output};

/// How long answers may take to leave a process that must end.
const LAST_ANSWERS_WITHIN: Duration = Duration::from_secs(1);
/// How long the tasks of a server that has ended are waited for: only a read of a failing disk takes long.
const TASKS_END_WITHIN: Duration = Duration::from_secs(2);

/// The `main` of a binary with settings from `sources`: runs the command that `parse` finds, or says
/// why there is none.
pub fn main<C, E: Display>(
    program: &str,
    sources: &Sources,
    parse: impl FnOnce() -> Result<C, Refusal>,
    run: impl FnOnce(C) -> Result<ExitCode, E>,
) -> ExitCode {
    if let Err(error) = sources.check_utf8(std::env::vars_os()) {
        return output::refusal(program, error);
    }
    let command = match parse() {
        Ok(command) => command,
        Err(Refusal::CommandLine(error)) => return output::command_line(&error),
        Err(Refusal::Config(error)) => return output::refusal(program, error),
    };
    log_to_stderr();
    // A command that checks or copies a store opens as many files as a server does.
    files::raise_limit();
    run(command).unwrap_or_else(|error| output::refusal(program, error))
}

/// Why a process must end although nobody asked it to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fatal {
    /// What happened, and what to do next.
    pub reason: String,
    /// The documented exit status.
    pub exit_code: u8,
}

/// A server that serves, as its process sees it.
pub trait Serving: Send {
    /// Completes when the process must end.
    fn must_end(&self) -> impl Future<Output = Fatal> + Send;

    /// Says everywhere that the server stops. It goes on serving.
    fn announce_stop(&mut self) -> impl Future<Output = ()> + Send;

    /// Takes no new connection, and lets requests in flight end and what was accepted be written. May be
    /// dropped for [`Self::stop_at_once`]; nothing that was answered is lost either way.
    fn stop(&mut self) -> impl Future<Output = ()> + Send;

    /// Ends what [`Self::stop`] has begun without waiting for anybody.
    fn stop_at_once(&mut self) -> impl Future<Output = ()> + Send;

    /// Takes no new connection, and waits until the answers to requests in flight have left. Even
    /// if the process must end, its callers have to hear that nobody knows the outcome of their
    /// requests.
    fn last_answers(&mut self) -> impl Future<Output = ()> + Send;

    /// Ends the threads of a server that must end. If a thread still used the store's engine, a C++
    /// library, while the process takes that library down, a signal would end the process and not its
    /// exit code. The tasks end with the runtime.
    fn abandon(&mut self) -> impl Future<Output = ()> + Send;
}

/// How a server is run.
#[derive(Clone, Copy, Debug)]
pub struct RunOptions<'a> {
    /// Threads that serve requests; 0 for a number that follows from the cores.
    pub worker_threads: usize,
    /// How long the port stays open after a signal to stop, so that those who send requests hear of
    /// it.
    pub drain: Duration,
    /// Where settings come from. Variables of the environment that look like settings and are not
    /// are logged.
    pub sources: &'a Sources,
}

/// Runs what `start` gives until a signal stops it or it must end. `started` says where it listens.
///
/// # Errors
/// The server does not start.
pub fn serve<S: Serving, E: From<std::io::Error>>(
    options: RunOptions<'_>,
    start: impl Future<Output = Result<S, E>>,
    started: impl FnOnce(&S),
) -> Result<ExitCode, E> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(worker_threads(options.worker_threads))
        .enable_all()
        .build()?;
    let code = runtime.block_on(async {
        warn_of_variables(options.sources);
        let mut signals = StopSignals::new()?;
        let mut server = start.await?;
        started(&server);
        Ok(until_stopped(&mut server, &mut signals, options.drain).await)
    });
    // The tasks must release the store before the process ends: its engine, a C++ library, must not
    // be closed while the process takes that library down.
    runtime.shutdown_timeout(TASKS_END_WITHIN);
    code
}

async fn until_stopped(
    server: &mut impl Serving,
    signals: &mut StopSignals,
    drain: Duration,
) -> ExitCode {
    let clock: &dyn Clock = &SystemClock::new();
    tokio::select! {
        () = signals.next() => {}
        fatal = server.must_end() => return end(server, fatal, clock).await,
    }
    server.announce_stop().await;
    if drain.is_zero() {
        output::say("stopping; a second signal stops at once");
    } else {
        let ms = drain.as_millis();
        output::say(format_args!("stopping; the port closes in {ms} ms, or at a second signal"));
        tokio::select! {
            () = clock.sleep(drain) => {}
            () = signals.next() => {}
            fatal = server.must_end() => return end(server, fatal, clock).await,
        }
    }
    let said = tokio::select! {
        () = server.stop() => "stopped",
        () = signals.next() => {
            server.stop_at_once().await;
            "stopped at once"
        }
    };
    // What was queued is written only now, and may have failed.
    let fatal = server.must_end().now_or_never();
    output::say(fatal.as_ref().map_or(said, |fatal| fatal.reason.as_ref()));
    fatal.map_or(ExitCode::SUCCESS, |fatal| ExitCode::from(fatal.exit_code))
}

async fn end(server: &mut impl Serving, fatal: Fatal, clock: &dyn Clock) -> ExitCode {
    drop(clock.timeout(LAST_ANSWERS_WITHIN, server.last_answers()).await);
    output::say(format_args!("the process must end: {}", fatal.reason));
    drop(clock.timeout(TASKS_END_WITHIN, server.abandon()).await);
    ExitCode::from(fatal.exit_code)
}

/// Threads that serve requests. `setting` 0 means one for each core, but with few cores one is left to the
/// threads that write.
fn worker_threads(setting: usize) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    match (setting, cores) {
        (0, 1) => 1,
        (0, 2..=4) => cores - 1,
        (0, _) => cores,
        (threads, _) => threads,
    }
}

/// Sends what is logged to stderr, from the level `info` on or as `CAIRN_LOG` says (the syntax of
/// `tracing_subscriber::EnvFilter`). In colours on a terminal only, and not where `NO_COLOR` is set. Once a
/// process.
fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("CAIRN_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(!plain && std::io::stderr().is_terminal())
        .with_writer(output::remarks)
        .init();
}

/// Logs which variables in the environment look like settings and are not.
fn warn_of_variables(sources: &Sources) {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for variable in sources.unknown_variables(names) {
        tracing::warn!(variable, "the variable looks like a setting and is none: see serve --help");
    }
}

/// SIGINT, SIGTERM and SIGHUP. Once this exists, these signals do not end the process by
/// themselves.
#[derive(Debug)]
struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
    /// `None` if the process was started with SIGHUP ignored, as `nohup` does.
    hangup: Option<Signal>,
}

impl StopSignals {
    fn new() -> std::io::Result<Self> {
        let hangup = (!hangups_are_ignored()).then(|| signal(SignalKind::hangup()));
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: hangup.transpose()?,
        })
    }

    /// Waits for the next one.
    async fn next(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hangup => {}
        }
    }
}

/// Whether SIGHUP, signal 1, is among the signals that are ignored now: a mask in hexadecimal.
fn hangups_are_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).is_ok_and(|mask| mask & 1 == 1))
}
