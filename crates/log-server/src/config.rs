//! The server's settings: what each of [`Settings`] means.

mod command;
mod destination;
mod receive;
mod settings;
mod witness;

pub use command::{Command, parse};
pub use destination::DestinationList;
pub use receive::{ReceiveConfig, SyslogConfig};
pub use settings::{LogKey, LogSettings, SOURCES, Settings};
pub use witness::WitnessConfig;

use std::path::PathBuf;
use std::time::Duration;

use base::keys::Readers;
use serve::config::{self, ConfigError, Listen, PortConfig};
use serve::files::TooFewFiles;

use audit_api::audit::AuditOptions;
use audit_stream::Destination;
use log_api::receipts::Waits;
use log_api::service::ServiceOptions;
use log_core::Limits;
use storage_rocksdb::RocksOptions;

/// The settings of one process, checked.
#[derive(Clone, Debug)]
pub struct Config {
    pub port: PortConfig,
    pub data_dir: PathBuf,
    /// Who beside this process may read private keys.
    pub key_readers: Readers,
    pub heads_dir: PathBuf,
    pub read_only: bool,
    pub adopt_journal: bool,
    pub worker_threads: usize,
    pub requests_max: usize,
    pub http_timeout: Duration,
    pub tile_cache_bytes: usize,
    pub bundle_cache_bytes: usize,
    pub leaf_index_busy_rate: u64,
    pub service: ServiceOptions,
    pub audit: AuditOptions,
    pub receive: ReceiveConfig,
    pub destinations: Vec<Destination>,
    pub limits: Limits,
    pub storage: RocksOptions,
    pub witness: WitnessConfig,
}

impl Config {
    /// The same settings within the limit on open files: connections never take the store's files.
    pub fn within_open_files(&self) -> Result<Self, TooFewFiles> {
        // Connections of syslog are files that nobody else may count on.
        let syslog = self.receive.syslog.connections_max;
        let wanted = self.storage.open_files_max.saturating_add(syslog);
        let (port, open_files_max) = self.port.within_open_files(wanted)?;
        let open_files_max = open_files_max.saturating_sub(syslog).max(open_files_max / 2);
        let storage = RocksOptions { open_files_max, ..self.storage };
        Ok(Self { port, storage, ..self.clone() })
    }

    /// The database.
    pub fn db_dir(&self) -> PathBuf {
        self.data_dir.join("db")
    }

    /// Private keys, one file a log, and their `.vkey` files.
    pub fn keys_dir(&self) -> PathBuf {
        self.data_dir.join("keys")
    }

    /// Search indexes.
    pub fn index_dir(&self) -> PathBuf {
        self.data_dir.join("index")
    }

    /// Evidence files that were asked for.
    pub fn exports_dir(&self) -> PathBuf {
        self.data_dir.join("exports")
    }

    /// What destinations remember.
    pub fn destinations_dir(&self) -> PathBuf {
        self.data_dir.join("destinations")
    }

    /// Marks of erasures under way.
    pub fn erasing_dir(&self) -> PathBuf {
        self.data_dir.join("erasing")
    }

    /// Checkpoints of witnesses that contradict the store.
    pub fn evidence_dir(&self) -> PathBuf {
        self.data_dir.join("evidence")
    }

    /// The settings as a whole. Checks those that depend on one another, and reads the files that
    /// they name.
    pub fn new(
        settings: &Settings,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let why = "callers have no identities yet";
        let listen = Listen::new(&settings.listen, settings.insecure_listen, why)?;
        let data_dir = config::data_dir(&settings.data_dir, "cairn", variable)?;
        let receive = ReceiveConfig::new(settings, &data_dir)?;
        Ok(Self {
            port: PortConfig::new(listen, &settings.connections, &settings.port),
            heads_dir: settings.heads_dir.path().unwrap_or_else(|| data_dir.join("heads")),
            data_dir,
            key_readers: Readers::of_setting(settings.allow_group_readable_keys.get()),
            read_only: settings.read_only.get(),
            adopt_journal: settings.adopt_journal.get(),
            worker_threads: settings.worker_threads.count(),
            requests_max: settings.requests_max.count(),
            http_timeout: settings.http_timeout_ms.millis(),
            tile_cache_bytes: settings.tile_cache_bytes.count(),
            bundle_cache_bytes: settings.bundle_cache_bytes.count(),
            leaf_index_busy_rate: settings.leaf_index_busy_rate.get(),
            service: service(settings),
            audit: AuditOptions {
                waits: waits(settings),
                event_bytes_max: settings.event_bytes_max.count(),
                streams_max: settings.streams_max.count(),
            },
            receive,
            destinations: settings.destination.0.destinations(),
            limits: limits(settings),
            storage: storage(settings),
            witness: WitnessConfig::new(settings)?,
        })
    }
}

fn service(settings: &Settings) -> ServiceOptions {
    ServiceOptions { waits: waits(settings), streams_max: settings.streams_max.count() }
}

fn waits(settings: &Settings) -> Waits {
    Waits {
        default: settings.receipt_wait_default_ms.millis(),
        max: settings.receipt_wait_max_ms.millis(),
    }
}

fn limits(settings: &Settings) -> Limits {
    Limits {
        queue_entries_max: settings.queue_entries_max.count(),
        queue_bytes_max: settings.queue_bytes_max.count(),
        batch_entries_max: settings.batch_entries_max.count(),
        batch_bytes_max: settings.batch_bytes_max.count(),
        logs_max: settings.logs_max.count(),
        linger_max: Duration::from_micros(settings.linger_max_us.get()),
        min_free_bytes: settings.min_free_bytes.get(),
        publish_interval_min: settings.publish_interval_min_ms.millis(),
        history_interval: settings.history_interval_ms.millis(),
        clock_step_max: settings.clock_step_max.get(),
    }
}

fn storage(settings: &Settings) -> RocksOptions {
    RocksOptions {
        block_cache_bytes: settings.block_cache_bytes.count(),
        wal_bytes_max: settings.wal_bytes_max.get(),
        memtable_bytes: settings.memtable_bytes.count(),
        open_files_max: RocksOptions::default().open_files_max,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serve::config::Values;

    use super::*;

    const EXAMPLE: &str = include_str!("../../../deploy/cairn-server.toml");

    fn home(name: &str) -> Option<String> {
        (name == "HOME").then(|| "/home/a".to_owned())
    }

    fn of(text: &str) -> Result<Config, ConfigError> {
        let mut values = Values::new(&SOURCES);
        values.read_text(Path::new("a.toml"), text)?;
        Config::new(&values.settings()?, home)
    }

    #[test]
    fn the_defaults_are_a_configuration() {
        let config = of("").unwrap();
        assert_eq!(config.port.listen.to_string(), "127.0.0.1:6962");
        assert_eq!(config.port.drain, Duration::ZERO);
        assert_eq!(config.data_dir, Path::new("/home/a/.local/share/cairn"));
        assert_eq!(config.heads_dir, config.data_dir.join("heads"));
    }

    #[test]
    fn the_example_is_what_the_settings_say_and_a_configuration() {
        let settings = EXAMPLE.find("# The address").map(|at| &EXAMPLE[at..]);
        let expected = SOURCES.example_settings::<Settings>();
        assert!(settings == Some(&*expected), "deploy/cairn-server.toml needs:\n{expected}");
        for text in [EXAMPLE, &EXAMPLE.replace("#= ", "")] {
            assert_eq!(of(text).unwrap().limits.logs_max, 10_000);
        }
    }

    #[test]
    fn settings_are_where_they_are_used() {
        let config = of("linger_max_us = 10000\nclock_step_max = \"2d\"\nread_only = true\n\
                         connections_max = 5\nmemtable_bytes = 1048576\nstreams_max = 6");
        let config = config.unwrap();
        assert_eq!(config.limits.linger_max, Duration::from_millis(10));
        assert_eq!(config.limits.clock_step_max, Duration::from_hours(48));
        assert_eq!((config.read_only, config.port.connections_max), (true, 5));
        assert_eq!((config.storage.memtable_bytes, config.service.streams_max), (1 << 20, 6));
        for beyond in ["linger_max_us = 10001", "memtable_bytes = 1048575", "logs_max = 16385"] {
            assert!(of(beyond).is_err(), "{beyond}");
        }
    }

    #[test]
    fn sources_are_configured_by_their_uris() {
        let text = "[sources.\"/gate\"]\nlog = \"doors\"\naction = \"gate.event\"\n\
                    actor = \"service:gate\"\ncategory = \"access\"\nowner = \"ana\"\n\
                    utc_offset = \"-01:30\"";
        let sources = of(text).unwrap().receive.options.sources;
        let gate = sources.of("/gate");
        assert_eq!((gate.log(), gate.action.as_deref()), ("doors", Some("gate.event")));
        assert_eq!((gate.owner.as_deref(), gate.utc_offset_seconds), (Some("ana"), -5_400));
        assert_eq!(sources.of("/other").log(), "audit");
        for bad in
            ["log = \"A\"", "action = \"A\"", "actor = \"x\"", "category = \"x\"", "loq = \"a\""]
        {
            let error = of(&format!("[sources.\"/gate\"]\n{bad}")).unwrap_err().to_string();
            assert!(error.contains("sources./gate"), "{error}");
        }
        assert!(of("[sources.\"cairn:x\"]").is_err());
    }

    #[test]
    fn syslog_is_off_until_it_has_an_address() {
        let syslog = of("").unwrap().receive.syslog;
        assert!(syslog.plain.is_none() && syslog.tls.is_none() && syslog.connections_max == 0);
        let syslog = of("syslog_listen = \"127.0.0.1:0\"").unwrap().receive.syslog;
        assert!(syslog.plain.is_some() && syslog.connections_max == 256);
        for bad in [
            "syslog_listen = \"here\"",
            "syslog_tls_listen = \"0.0.0.0:1\"",
            "syslog_tls_key = \"k\"",
            "syslog_tls_certificate = \"c\"",
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_open_address_needs_consent() {
        assert!(of("listen = \"0.0.0.0:0\"\ninsecure_listen = true").is_ok());
        insta::assert_snapshot!(
            of("listen = \"0.0.0.0:1\"").unwrap_err(),
            @"listen is 0.0.0.0:1, which other machines can reach, and callers have no identities yet: use a loopback address, or accept it with --insecure-listen"
        );
    }
}
