//! What both servers have: settings of the port, and the command `clock accept`.

use std::path::PathBuf;
use std::time::Duration;

use clap::ArgMatches;

use super::{Bounded, ConfigError, Given, Listen, Millis, Sources, Text};
use crate::files::{self, TooFewFiles, Wanted};
use crate::port::PortOptions;

/// How many connections there may be.
#[derive(Clone, Debug, clap::Args, serde::Deserialize)]
pub struct ConnectionSettings {
    /// Connections open at a time, as far as the limit on open files allows; one beyond is closed at
    /// once.
    #[arg(long, value_name = "N", default_value = "4096")]
    pub connections_max: Bounded<1, 1_000_000>,
    /// Connections open at a time from one client's address; one beyond is closed at once.
    #[arg(long, value_name = "N", default_value = "2000")]
    pub connections_per_address_max: Bounded<1, 1_000_000>,
}

/// How requests come in, and how the port closes.
#[derive(Clone, Debug, clap::Args, serde::Deserialize)]
pub struct PortSettings {
    /// Bytes of a request's headers.
    #[arg(long, value_name = "N", default_value = "16384")]
    pub header_bytes_max: Bounded<1024, { 1024 * 1024 }>,
    /// How long requests in flight may take to end after the port is closed.
    #[arg(long, value_name = "N", default_value = "10000")]
    pub shutdown_timeout_ms: Millis<0>,
    /// How long the port stays open after a signal to stop, while /readyz says 503. On loopback 0
    /// unless set.
    #[arg(long, value_name = "N", default_value = "3000")]
    pub drain_ms: Given<Millis<0>>,
}

/// The port of a server, checked.
#[derive(Clone, Debug)]
pub struct PortConfig {
    pub listen: Listen,
    pub connections_max: usize,
    pub connections_per_address_max: usize,
    pub header_bytes_max: usize,
    pub shutdown_timeout: Duration,
    /// How long the port stays open after a signal to stop, so that those who send requests hear of
    /// it.
    pub drain: Duration,
}

impl PortConfig {
    /// The settings together with where to listen.
    pub fn new(listen: Listen, connections: &ConnectionSettings, port: &PortSettings) -> Self {
        let Given(drain_ms, is_set) = port.drain_ms;
        let no_drain = listen.is_loopback() && !is_set;
        Self {
            listen,
            connections_max: connections.connections_max.count(),
            connections_per_address_max: connections.connections_per_address_max.count(),
            header_bytes_max: port.header_bytes_max.count(),
            shutdown_timeout: port.shutdown_timeout_ms.millis(),
            drain: if no_drain { Duration::ZERO } else { drain_ms.millis() },
        }
    }

    /// What the port is opened with. Looks up the name that it listens on, which blocks.
    pub fn options(&self) -> Result<PortOptions, ConfigError> {
        Ok(PortOptions {
            listen: self.listen.resolve()?,
            connections_max: self.connections_max,
            connections_per_address_max: self.connections_per_address_max,
            header_bytes_max: self.header_bytes_max,
            shutdown_timeout: self.shutdown_timeout,
        })
    }

    /// The same within the limit on open files, and how many files the store may open of the
    /// `store` it wants: connections never take the store's files.
    pub fn within_open_files(&self, store: usize) -> Result<(Self, usize), TooFewFiles> {
        let share = files::share(Wanted { store, connections: self.connections_max })?;
        Ok((Self { connections_max: share.connections, ..self.clone() }, share.store))
    }
}

/// The data folder: by default the folder `name` under `$XDG_DATA_HOME` or `~/.local/share`.
pub fn data_dir(
    setting: &Text,
    name: &str,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<PathBuf, ConfigError> {
    if let Some(path) = setting.path() {
        return Ok(path);
    }
    let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_DATA_HOME").filter(|path| path.is_absolute());
    let base = base.or_else(|| set("HOME").map(|home| home.join(".local/share")));
    base.map(|base| base.join(name)).ok_or(ConfigError::NoDataDir)
}

/// The command to run, and the flags given to it: to the last word of two, as in `clock accept`.
/// Without a word the server serves.
pub fn subcommand(matches: &ArgMatches) -> (&str, &ArgMatches) {
    match matches.subcommand() {
        Some((name, below)) => (name, below.subcommand().map_or(below, |(_, last)| last)),
        None => ("serve", matches),
    }
}

/// How the help of `clock accept` speaks of a server.
#[derive(Clone, Copy, Debug)]
pub struct ClockWords {
    /// The name of the binary.
    pub program: &'static str,
    /// What the binary is: `server` or `witness`.
    pub server: &'static str,
    /// What states no earlier time once a time was signed.
    pub signature: &'static str,
}

/// The command `clock`, with `accept` below it.
pub fn clock_command(sources: &Sources, words: ClockWords) -> clap::Command {
    let ClockWords { program, server, signature } = words;
    let accept = clap::Command::new("accept")
        .about(format!("Has the running {server} believe its clock as it stands"))
        .after_help(format!(
            "The {server} says on /readyz why it does not believe the clock. A clock that is wrong needs no \
             command: once it is set right it is believed again. Whoever accepts a wrong one has its time \
             signed, and no {signature} states an earlier time afterwards.\n\n\
             Examples:\n  {program} clock accept --data-dir data",
        ));
    // Before or behind `accept`.
    let flags = sources.flags(|key| key == "data_dir").into_iter().map(|flag| flag.global(true));
    clap::Command::new("clock")
        .about(format!("Decides about the clock of the running {server} after it stepped"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .args(flags)
        .subcommand(accept)
}
