//! Settings of a binary: built-in defaults, then a file, then the environment, then flags; the later one
//! wins.
//!
//! A binary has one struct of settings, each field a key. Clap's derive gives the flag (the key with
//! dashes), its help (the doc comment) and the default; the type of the field gives the limits. The
//! file, the environment (a prefix and the key in capitals), the flags and the documented example all
//! follow it. [`Values`] merges them by key and remembers who set what, so that whatever does not fit
//! is told with its key and its origin. A key that the struct does not have is refused in the file and
//! as a flag. In the environment, which others fill too, [`Sources::unknown_variables`] finds it.

mod kinds;
mod listen;
mod shared;
mod sources;
mod tree;
mod values;

pub use kinds::{Bounded, Given, Inline, Kind, Maybe, Millis, Span, Switch, Text, Unfit};
pub use listen::{Address, Listen};
pub use shared::{
    ClockWords, ConnectionSettings, PortConfig, PortSettings, clock_command, data_dir, subcommand,
};
pub use sources::Sources;
pub use values::{Origin, Values};

use std::path::PathBuf;

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{path}: {source}", path = path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}: {source}", path = path.display())]
    Syntax { path: PathBuf, source: Box<toml::de::Error> },
    #[error("{origin}: unknown key {key}: {example} lists the known keys")]
    UnknownKey { origin: Origin, key: String, example: &'static str },
    #[error("{origin}: {key} needs the key {missing}")]
    MissingKey { origin: Origin, key: String, missing: &'static str },
    #[error("{key} is {found:?} in {origin}, it must be {expected}")]
    BadValue { key: String, found: String, origin: Origin, expected: String },
    #[error(
        "listen is {listen}, which other machines can reach, and {why}: \
         use a loopback address, or accept it with --insecure-listen"
    )]
    InsecureListen { listen: String, why: &'static str },
    #[error("listen is {listen}, whose name has no address: {source}")]
    Unresolved { listen: String, source: std::io::Error },
    #[error("data_dir is not set, and neither XDG_DATA_HOME nor HOME is: use --data-dir DIR")]
    NoDataDir,
    #[error(
        "the variable {name} is not UTF-8, as settings must be: to use a folder whose name is not, \
         start in it and name it by a relative path, or make a symbolic link to it"
    )]
    NotUtf8 { name: String },
    #[error("{path}: {source}", path = path.display())]
    Contents { path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("--{flag} is needed")]
    MissingFlag { flag: &'static str },
}

/// Why there is no command to run.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Help or the version, which are no failure, or flags that do not parse.
    #[error(transparent)]
    CommandLine(#[from] clap::Error),
    #[error(transparent)]
    Config(#[from] ConfigError),
}

#[cfg(test)]
mod tests;
