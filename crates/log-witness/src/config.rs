//! The witness's settings: what each of [`Settings`] means.

mod command;
mod settings;

pub use command::{Command, parse};
pub use settings::{SOURCES, Settings};

use std::path::PathBuf;
use std::time::Duration;

use base::keys::Readers;
use serve::config::{self, ConfigError, Listen, PortConfig};
use serve::files::TooFewFiles;

/// The store is one file; what else the witness opens of its folders is read and closed.
const STORE_FILES: usize = 16;

/// The settings of one process, checked.
#[derive(Clone, Debug)]
pub struct Config {
    pub port: PortConfig,
    pub data_dir: PathBuf,
    /// Who beside this process may read private keys.
    pub key_readers: Readers,
    pub logs_dir: PathBuf,
    /// The name to make keys under at a first start.
    pub name: Option<String>,
    pub logs_poll: Duration,
    /// How far the wall clock may move against the boot-time clock and still be believed.
    pub clock_step_max: Duration,
    pub worker_threads: usize,
    pub signer_threads: usize,
    pub requests_max: usize,
    pub http_timeout: Duration,
    pub cache_bytes: usize,
    /// Addresses of other witnesses, separated by blanks.
    pub peers: String,
    pub insecure_peers: bool,
    pub gossip_interval: Duration,
    pub suspect_after: Duration,
    pub webhook: Option<String>,
}

impl Config {
    /// The settings as a whole. Checks those that depend on one another.
    pub fn new(
        settings: &Settings,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let why = "the port takes plain HTTP beside TLS";
        let listen = Listen::new(&settings.listen, settings.insecure_listen, why)?;
        let data_dir = config::data_dir(&settings.data_dir, "cairn-witness", variable)?;
        Ok(Self {
            port: PortConfig::new(listen, &settings.connections, &settings.port),
            logs_dir: settings.logs_dir.path().unwrap_or_else(|| data_dir.join("logs")),
            data_dir,
            key_readers: Readers::of_setting(settings.allow_group_readable_keys.get()),
            name: settings.name.get().map(ToOwned::to_owned),
            logs_poll: settings.logs_poll_ms.millis(),
            clock_step_max: settings.clock_step_max.get(),
            worker_threads: settings.worker_threads.count(),
            signer_threads: settings.signer_threads.count(),
            requests_max: settings.requests_max.count(),
            http_timeout: settings.http_timeout_ms.millis(),
            cache_bytes: settings.cache_bytes.count(),
            peers: settings.peer.get().unwrap_or_default().to_owned(),
            insecure_peers: settings.insecure_peers.get(),
            gossip_interval: settings.gossip_interval_ms.millis(),
            suspect_after: settings.suspect_after_ms.millis(),
            webhook: settings.webhook.get().map(ToOwned::to_owned),
        })
    }

    /// The same within what the process may open: connections never take the store's files.
    pub fn within_open_files(&self) -> Result<Self, TooFewFiles> {
        let (port, _) = self.port.within_open_files(STORE_FILES)?;
        Ok(Self { port, ..self.clone() })
    }

    /// The store.
    pub fn store_path(&self) -> PathBuf {
        self.data_dir.join("db/witness.redb")
    }

    /// The private keys; their public halves are beside them.
    pub fn keys_path(&self) -> PathBuf {
        self.data_dir.join("keys/witness")
    }

    /// What is remembered of an accepted clock.
    pub fn clock_path(&self) -> PathBuf {
        self.data_dir.join("clock-accepted")
    }

    /// The private key of the port's TLS; its pin is beside it.
    pub fn tls_key_path(&self) -> PathBuf {
        self.data_dir.join("keys/tls")
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serve::config::Values;

    use super::*;

    const EXAMPLE: &str = include_str!("../../../deploy/cairn-witness.toml");

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
        assert_eq!(config.port.listen.to_string(), "127.0.0.1:6963");
        assert_eq!(config.data_dir, Path::new("/home/a/.local/share/cairn-witness"));
        assert_eq!(config.logs_dir, config.data_dir.join("logs"));
        assert_eq!((config.name, config.webhook, config.peers), (None, None, String::new()));
    }

    #[test]
    fn the_example_is_what_the_settings_say_and_a_configuration() {
        let settings = EXAMPLE.find("# The address").map(|at| &EXAMPLE[at..]);
        let expected = SOURCES.example_settings::<Settings>();
        assert!(settings == Some(&*expected), "deploy/cairn-witness.toml needs:\n{expected}");
        for text in [EXAMPLE, &EXAMPLE.replace("#= ", "")] {
            assert_eq!(of(text).unwrap().logs_poll, Duration::from_secs(1));
        }
    }

    #[test]
    fn an_open_address_needs_consent() {
        assert!(of("listen = \"0.0.0.0:0\"\ninsecure_listen = true").is_ok());
        insta::assert_snapshot!(
            of("listen = \"0.0.0.0:1\"").unwrap_err(),
            @"listen is 0.0.0.0:1, which other machines can reach, and the port takes plain HTTP beside TLS: use a loopback address, or accept it with --insecure-listen"
        );
    }
}
