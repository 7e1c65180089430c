//! Settings: built-in defaults, then a file, then the environment, then flags; the later one wins.
//!
//! Every setting is one row of [`SETTINGS`], which the file, the environment (`CAIRN_` and the key in
//! capitals), the flags (`--` and the key with dashes), the limits and the documented example all follow.
//! A key the table does not have is refused in the file and as a flag.

mod command;
mod table;

pub use command::{Command, Refusal, parse};
pub use table::{Kind, SETTINGS, Setting};

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::log::Limits;
use crate::service::ServiceOptions;
use crate::storage::rocksdb::RocksOptions;

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{path}: {source}", path = path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}: {source}", path = path.display())]
    Syntax { path: PathBuf, source: Box<toml::de::Error> },
    #[error("{path}: unknown key {key}", path = path.display())]
    UnknownKey { path: PathBuf, key: String },
    #[error("{key} is {found:?} in {origin}, it must be {expected}")]
    BadValue { key: &'static str, found: String, origin: Origin, expected: String },
    #[error(
        "listen is {listen}, which other machines can reach, and callers have no identities yet: \
         use a loopback address, or accept it with --insecure-listen"
    )]
    InsecureListen { listen: SocketAddr },
    #[error("data_dir is not set, and neither XDG_DATA_HOME nor HOME is: use --data-dir DIR")]
    NoDataDir,
    #[error("--{flag} is needed")]
    MissingFlag { flag: &'static str },
}

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    File,
    Environment,
    Flag,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::File => "the configuration file",
            Self::Environment => "the environment",
            Self::Flag => "a flag",
        })
    }
}

/// The settings of one process, checked.
#[derive(Clone, Debug)]
pub struct Config {
    pub listen: SocketAddr,
    pub data_dir: PathBuf,
    pub heads_dir: PathBuf,
    pub read_only: bool,
    pub adopt_journal: bool,
    pub worker_threads: usize,
    pub connections_max: usize,
    pub requests_max: usize,
    pub http_timeout: Duration,
    pub header_bytes_max: usize,
    pub shutdown_timeout: Duration,
    pub tile_cache_bytes: usize,
    pub bundle_cache_bytes: usize,
    pub leaf_index_busy_rate: u64,
    pub service: ServiceOptions,
    pub limits: Limits,
    pub storage: RocksOptions,
}

impl Config {
    /// The database.
    pub fn db_dir(&self) -> PathBuf {
        self.data_dir.join("db")
    }

    /// Private keys, one file a log, and their `.vkey` files.
    pub fn keys_dir(&self) -> PathBuf {
        self.data_dir.join("keys")
    }
}

/// Raw values by key, each with its origin. Later ones replace earlier ones.
#[derive(Debug, Default)]
pub struct Values(BTreeMap<&'static str, (String, Origin)>);

impl Values {
    /// Adds what a TOML file sets.
    pub fn read_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        self.read_text(path, &text)
    }

    fn read_text(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let table: toml::Table = toml::from_str(text).map_err(|source| ConfigError::Syntax {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        for (key, value) in table {
            let Some(setting) = Setting::named(&key) else {
                return Err(ConfigError::UnknownKey { path: path.to_owned(), key });
            };
            let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
            self.set(setting, text, Origin::File)?;
        }
        Ok(())
    }

    /// Adds what the environment sets, as `variable` reads it.
    pub fn read_environment(
        &mut self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<(), ConfigError> {
        for setting in SETTINGS {
            let name = format!("CAIRN_{}", setting.key.to_uppercase());
            if let Some(value) = variable(&name) {
                self.set(setting, value, Origin::Environment)?;
            }
        }
        Ok(())
    }

    /// Sets one value, after checking it.
    pub fn set(
        &mut self,
        setting: &'static Setting,
        value: String,
        origin: Origin,
    ) -> Result<(), ConfigError> {
        if let Err(expected) = setting.kind.check(&value) {
            return Err(ConfigError::BadValue { key: setting.key, found: value, origin, expected });
        }
        self.0.insert(setting.key, (value, origin));
        Ok(())
    }

    fn text(&self, key: &'static str) -> &str {
        let default = || Setting::named(key).map_or("", |setting| setting.default);
        self.0.get(key).map_or_else(default, |(value, _)| value)
    }

    fn number(&self, key: &'static str) -> u64 {
        self.text(key).parse().expect("numbers are checked when they are set, defaults by a test")
    }

    fn count(&self, key: &'static str) -> usize {
        usize::try_from(self.number(key)).unwrap_or(usize::MAX)
    }

    fn millis(&self, key: &'static str) -> Duration {
        Duration::from_millis(self.number(key))
    }

    fn flag(&self, key: &'static str) -> bool {
        self.text(key) == "true"
    }

    fn path(&self, key: &'static str) -> Option<PathBuf> {
        Some(self.text(key)).filter(|path| !path.is_empty()).map(PathBuf::from)
    }

    /// The settings as a whole, with what one says about another checked.
    pub fn config(&self, variable: impl Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        let listen: SocketAddr =
            self.text("listen").parse().expect("addresses are checked when they are set");
        if !listen.ip().is_loopback() && !self.flag("insecure_listen") {
            return Err(ConfigError::InsecureListen { listen });
        }
        let data_dir = match self.path("data_dir") {
            Some(path) => path,
            None => default_data_dir(variable)?,
        };
        Ok(Config {
            listen,
            heads_dir: self.path("heads_dir").unwrap_or_else(|| data_dir.join("heads")),
            data_dir,
            read_only: self.flag("read_only"),
            adopt_journal: self.flag("adopt_journal"),
            worker_threads: self.count("worker_threads"),
            connections_max: self.count("connections_max"),
            requests_max: self.count("requests_max"),
            http_timeout: self.millis("http_timeout_ms"),
            header_bytes_max: self.count("header_bytes_max"),
            shutdown_timeout: self.millis("shutdown_timeout_ms"),
            tile_cache_bytes: self.count("tile_cache_bytes"),
            bundle_cache_bytes: self.count("bundle_cache_bytes"),
            leaf_index_busy_rate: self.number("leaf_index_busy_rate"),
            service: self.service(),
            limits: self.limits(),
            storage: self.storage(),
        })
    }

    fn service(&self) -> ServiceOptions {
        ServiceOptions {
            receipt_wait_default: self.millis("receipt_wait_default_ms"),
            receipt_wait_max: self.millis("receipt_wait_max_ms"),
            streams_max: self.count("streams_max"),
        }
    }

    fn limits(&self) -> Limits {
        Limits {
            queue_entries_max: self.count("queue_entries_max"),
            queue_bytes_max: self.count("queue_bytes_max"),
            batch_entries_max: self.count("batch_entries_max"),
            batch_bytes_max: self.count("batch_bytes_max"),
            logs_max: self.count("logs_max"),
            linger_max: Duration::from_micros(self.number("linger_max_us")),
            min_free_bytes: self.number("min_free_bytes"),
            publish_interval_min: self.millis("publish_interval_min_ms"),
            history_interval: self.millis("history_interval_ms"),
        }
    }

    fn storage(&self) -> RocksOptions {
        RocksOptions {
            block_cache_bytes: self.count("block_cache_bytes"),
            wal_bytes_max: self.number("wal_bytes_max"),
            memtable_bytes: self.count("memtable_bytes"),
        }
    }
}

/// `$XDG_DATA_HOME/cairn`, by default `~/.local/share/cairn`.
fn default_data_dir(variable: impl Fn(&str) -> Option<String>) -> Result<PathBuf, ConfigError> {
    let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_DATA_HOME").filter(|path| path.is_absolute());
    let base = base.or_else(|| set("HOME").map(|home| home.join(".local/share")));
    base.map(|base| base.join("cairn")).ok_or(ConfigError::NoDataDir)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../deploy/cairn-server.toml");

    fn home(name: &str) -> Option<String> {
        (name == "HOME").then(|| "/home/a".to_owned())
    }

    fn error(text: &str) -> String {
        let mut values = Values::default();
        let read = values.read_text(Path::new("a.toml"), text);
        read.and_then(|()| values.config(home)).unwrap_err().to_string()
    }

    #[test]
    fn the_defaults_are_a_configuration() {
        let config = Values::default().config(home).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:6962");
        assert_eq!(config.data_dir, Path::new("/home/a/.local/share/cairn"));
        assert_eq!(config.heads_dir, config.data_dir.join("heads"));
        for setting in SETTINGS {
            assert!(setting.kind.check(setting.default).is_ok(), "{}", setting.key);
        }
    }

    #[test]
    fn the_example_lists_every_setting_with_its_default() {
        let mut commented = String::new();
        for line in EXAMPLE.lines() {
            commented.push_str(line.strip_prefix("#= ").unwrap_or(line));
            commented.push('\n');
        }
        let table: toml::Table = toml::from_str(&commented).unwrap();
        for setting in SETTINGS {
            let value = table.get(setting.key).unwrap_or_else(|| panic!("{}", setting.key));
            let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
            assert_eq!(text, setting.default, "{}", setting.key);
        }
        assert_eq!(table.len(), SETTINGS.len());
        let mut values = Values::default();
        values.read_text(Path::new("deploy/cairn-server.toml"), EXAMPLE).unwrap();
        values.config(home).unwrap();
    }

    /// The documented example after its first paragraph: every setting, commented out.
    fn example() -> String {
        let one = |setting: &Setting| {
            let limits = match setting.kind {
                Kind::Number { min, max } => format!(" From {min} to {max}."),
                Kind::Address | Kind::Path | Kind::Flag => String::new(),
            };
            let value = match setting.kind {
                Kind::Number { .. } | Kind::Flag => setting.default.to_owned(),
                Kind::Address | Kind::Path => format!("{:?}", setting.default),
            };
            format!("# {}{limits}\n#= {} = {value}\n", setting.help, setting.key)
        };
        SETTINGS.iter().map(one).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_example_is_what_the_table_says() {
        let settings = EXAMPLE.find("# The address").map(|at| &EXAMPLE[at..]);
        let expected = example();
        assert!(settings == Some(&*expected), "deploy/cairn-server.toml needs:\n{expected}");
    }

    #[test]
    fn later_sources_win() {
        let mut values = Values::default();
        values.read_text(Path::new("a.toml"), "logs_max = 1\nstreams_max = 2").unwrap();
        let environment = |name: &str| (name == "CAIRN_LOGS_MAX").then(|| "3".to_owned());
        values.read_environment(environment).unwrap();
        let config = values.config(home).unwrap();
        assert_eq!((config.limits.logs_max, config.service.streams_max), (3, 2));
        let setting = Setting::named("logs_max").unwrap();
        values.set(setting, "4".to_owned(), Origin::Flag).unwrap();
        assert_eq!(values.config(home).unwrap().limits.logs_max, 4);
    }

    #[test]
    fn numbers_are_taken_up_to_their_limits() {
        for setting in SETTINGS {
            let Kind::Number { min, max } = setting.kind else { continue };
            let takes = |value: u64| setting.kind.check(&value.to_string()).is_ok();
            assert!(takes(min) && takes(max), "{}", setting.key);
            assert!(!takes(max + 1), "{}", setting.key);
            assert!(min == 0 || !takes(min - 1), "{}", setting.key);
        }
    }

    #[test]
    fn refusals_say_what_is_wrong_and_where() {
        insta::assert_snapshot!(
            error("listen_to = 1"),
            @"a.toml: unknown key listen_to"
        );
        insta::assert_snapshot!(
            error("logs_max = 0"),
            @r#"logs_max is "0" in the configuration file, it must be a number from 1 to 1000000"#
        );
        insta::assert_snapshot!(
            error("listen = \"localhost\""),
            @r#"listen is "localhost" in the configuration file, it must be an address and a port"#
        );
        insta::assert_snapshot!(
            error("read_only = 1"),
            @r#"read_only is "1" in the configuration file, it must be true or false"#
        );
        insta::assert_snapshot!(
            error("listen = \"0.0.0.0:1\""),
            @"listen is 0.0.0.0:1, which other machines can reach, and callers have no identities yet: use a loopback address, or accept it with --insecure-listen"
        );
        let nowhere = Values::default().config(|_| None).unwrap_err();
        insta::assert_snapshot!(
            nowhere,
            @"data_dir is not set, and neither XDG_DATA_HOME nor HOME is: use --data-dir DIR"
        );
    }

    #[test]
    fn an_open_address_needs_consent() {
        let text = "listen = \"0.0.0.0:0\"\ninsecure_listen = true";
        let mut values = Values::default();
        values.read_text(Path::new("a.toml"), text).unwrap();
        assert!(values.config(home).is_ok());
    }
}
