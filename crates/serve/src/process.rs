//! The process around a server: its threads, and the signals that end it.

use std::io::IsTerminal as _;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Threads that serve requests. `setting` 0 means one for each core, but with few cores one is left to the
/// threads that write.
pub fn worker_threads(setting: usize) -> usize {
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
pub fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("CAIRN_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(!plain && std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}

/// The names of the variables in the environment, as far as they are UTF-8.
pub fn variable_names() -> impl Iterator<Item = String> {
    std::env::vars_os().filter_map(|(name, _)| name.into_string().ok())
}

/// SIGINT and SIGTERM. From its making on they end nothing by themselves.
#[derive(Debug)]
pub struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    /// Takes the signals over.
    ///
    /// # Errors
    /// The system refuses it.
    pub fn new() -> std::io::Result<Self> {
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { interrupt, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
