//! The server's settings: what each row of [`TABLE`] means.

mod command;
mod table;
mod witness;

pub use command::{Command, parse};
pub use table::{SETTINGS, TABLE};
pub use witness::{WitnessConfig, WitnessFlags};

use std::path::PathBuf;
use std::time::Duration;

use base::keys::Readers;
use serve::config::{CallerLimits, ConfigError, Listen, Values};
use serve::files::TooFewFiles;
use serve::port::PortOptions;

use log_api::service::ServiceOptions;
use log_core::Limits;
use storage_rocksdb::RocksOptions;

/// The settings of one process, checked.
#[derive(Clone, Debug)]
pub struct Config {
    pub listen: Listen,
    pub data_dir: PathBuf,
    /// Who beside this process may read private keys.
    pub key_readers: Readers,
    pub heads_dir: PathBuf,
    pub read_only: bool,
    pub adopt_journal: bool,
    pub worker_threads: usize,
    pub callers: CallerLimits,
    pub drain: Duration,
    pub tile_cache_bytes: usize,
    pub bundle_cache_bytes: usize,
    pub leaf_index_busy_rate: u64,
    pub service: ServiceOptions,
    pub limits: Limits,
    pub storage: RocksOptions,
    pub witness: WitnessConfig,
}

impl Config {
    /// The port. Looks up the name that it listens on, which blocks.
    pub fn port(&self) -> Result<PortOptions, ConfigError> {
        self.callers.port(&self.listen)
    }

    /// The same settings within the limit on open files: connections never take the store's files.
    pub fn within_open_files(&self) -> Result<Self, TooFewFiles> {
        let (callers, store) = self.callers.within_open_files(self.storage.open_files_max)?;
        let storage = RocksOptions { open_files_max: store, ..self.storage };
        Ok(Self { callers, storage, ..self.clone() })
    }

    /// The database.
    pub fn db_dir(&self) -> PathBuf {
        self.data_dir.join("db")
    }

    /// Private keys, one file a log, and their `.vkey` files.
    pub fn keys_dir(&self) -> PathBuf {
        self.data_dir.join("keys")
    }

    /// Checkpoints of witnesses that contradict the store.
    pub fn evidence_dir(&self) -> PathBuf {
        self.data_dir.join("evidence")
    }

    /// The settings as a whole. Checks those that depend on one another.
    pub fn new(
        values: &Values,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        Self::with_flags(values, &WitnessFlags::default(), variable)
    }

    /// As [`Self::new`], with the flags that may stand more than once.
    pub fn with_flags(
        values: &Values,
        witness: &WitnessFlags,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let listen = values.listen("callers have no identities yet")?;
        let data_dir = values.data_dir("cairn", variable)?;
        Ok(Self {
            drain: values.drain(&listen),
            listen,
            heads_dir: values.path("heads_dir").unwrap_or_else(|| data_dir.join("heads")),
            data_dir,
            key_readers: Readers::of_setting(values.flag("allow_group_readable_keys")),
            read_only: values.flag("read_only"),
            adopt_journal: values.flag("adopt_journal"),
            worker_threads: values.count("worker_threads"),
            callers: CallerLimits::of(values),
            tile_cache_bytes: values.count("tile_cache_bytes"),
            bundle_cache_bytes: values.count("bundle_cache_bytes"),
            leaf_index_busy_rate: values.number("leaf_index_busy_rate"),
            service: service(values),
            limits: limits(values),
            storage: storage(values),
            witness: WitnessConfig::new(values, witness)?,
        })
    }
}

fn service(values: &Values) -> ServiceOptions {
    ServiceOptions {
        receipt_wait_default: values.millis("receipt_wait_default_ms"),
        receipt_wait_max: values.millis("receipt_wait_max_ms"),
        streams_max: values.count("streams_max"),
    }
}

fn limits(values: &Values) -> Limits {
    Limits {
        queue_entries_max: values.count("queue_entries_max"),
        queue_bytes_max: values.count("queue_bytes_max"),
        batch_entries_max: values.count("batch_entries_max"),
        batch_bytes_max: values.count("batch_bytes_max"),
        logs_max: values.count("logs_max"),
        linger_max: Duration::from_micros(values.number("linger_max_us")),
        min_free_bytes: values.number("min_free_bytes"),
        publish_interval_min: values.millis("publish_interval_min_ms"),
        history_interval: values.millis("history_interval_ms"),
        clock_step_max: values.duration("clock_step_max"),
    }
}

fn storage(values: &Values) -> RocksOptions {
    RocksOptions {
        block_cache_bytes: values.count("block_cache_bytes"),
        wal_bytes_max: values.number("wal_bytes_max"),
        memtable_bytes: values.count("memtable_bytes"),
        open_files_max: RocksOptions::default().open_files_max,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serve::config::Kind;

    use super::*;

    const EXAMPLE: &str = include_str!("../../../deploy/cairn-server.toml");

    fn home(name: &str) -> Option<String> {
        (name == "HOME").then(|| "/home/a".to_owned())
    }

    #[test]
    fn the_defaults_are_a_configuration() {
        let config = Config::new(&Values::new(&TABLE), home).unwrap();
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
        let mut values = Values::new(&TABLE);
        values.read_text(Path::new("deploy/cairn-server.toml"), EXAMPLE).unwrap();
        Config::new(&values, home).unwrap();
    }

    #[test]
    fn the_example_is_what_the_table_says() {
        let settings = EXAMPLE.find("# The address").map(|at| &EXAMPLE[at..]);
        let expected = TABLE.example_settings();
        assert!(settings == Some(&*expected), "deploy/cairn-server.toml needs:\n{expected}");
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
    fn an_open_address_needs_consent() {
        let of = |text| {
            let mut values = Values::new(&TABLE);
            values.read_text(Path::new("a.toml"), text).unwrap();
            Config::new(&values, home)
        };
        assert!(of("listen = \"0.0.0.0:0\"\ninsecure_listen = true").is_ok());
        insta::assert_snapshot!(
            of("listen = \"0.0.0.0:1\"").unwrap_err(),
            @"listen is 0.0.0.0:1, which other machines can reach, and callers have no identities yet: use a loopback address, or accept it with --insecure-listen"
        );
    }
}
