//! The witness's settings: what each row of [`TABLE`] means.

mod command;
mod table;

pub use command::{Command, parse};
pub use table::{SETTINGS, TABLE};

use std::path::PathBuf;
use std::time::Duration;

use base::keys::Readers;
use serve::config::{CallerLimits, ConfigError, Listen, Values};
use serve::files::TooFewFiles;
use serve::port::PortOptions;

/// The store is one file; what else the witness opens of its folders is read and closed.
const STORE_FILES: usize = 16;

/// The settings of one process, checked.
#[derive(Clone, Debug)]
pub struct Config {
    pub listen: Listen,
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
    pub callers: CallerLimits,
    pub drain: Duration,
    pub cache_bytes: usize,
    /// Addresses of other witnesses, separated by blanks.
    pub peers: String,
    pub insecure_peers: bool,
    pub gossip_interval: Duration,
    pub suspect_after: Duration,
    pub webhook: Option<String>,
}

impl Config {
    /// The settings as a whole, with what one says about another checked.
    pub fn new(
        values: &Values,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let listen = values.listen("the port takes plain HTTP beside TLS")?;
        let data_dir = values.data_dir("cairn-witness", variable)?;
        Ok(Self {
            drain: values.drain(&listen),
            listen,
            logs_dir: values.path("logs_dir").unwrap_or_else(|| data_dir.join("logs")),
            data_dir,
            key_readers: Readers::of_setting(values.flag("allow_group_readable_keys")),
            name: Some(values.text("name").to_owned()).filter(|name| !name.is_empty()),
            logs_poll: values.millis("logs_poll_ms"),
            clock_step_max: values.duration("clock_step_max"),
            worker_threads: values.count("worker_threads"),
            signer_threads: values.count("signer_threads"),
            callers: CallerLimits::of(values),
            cache_bytes: values.count("cache_bytes"),
            peers: values.text("peer").to_owned(),
            insecure_peers: values.flag("insecure_peers"),
            gossip_interval: values.millis("gossip_interval_ms"),
            suspect_after: values.millis("suspect_after_ms"),
            webhook: Some(values.text("webhook").to_owned()).filter(|url| !url.is_empty()),
        })
    }

    /// The port. Looks up the name that it listens on, which blocks.
    pub fn port(&self) -> Result<PortOptions, ConfigError> {
        self.callers.port(&self.listen)
    }

    /// The same within what the process may open: connections never take the store's files.
    pub fn within_open_files(&self) -> Result<Self, TooFewFiles> {
        let (callers, _) = self.callers.within_open_files(STORE_FILES)?;
        Ok(Self { callers, ..self.clone() })
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

    use super::*;

    const EXAMPLE: &str = include_str!("../../../deploy/cairn-witness.toml");

    fn home(name: &str) -> Option<String> {
        (name == "HOME").then(|| "/home/a".to_owned())
    }

    #[test]
    fn the_defaults_are_a_configuration() {
        let config = Config::new(&Values::new(&TABLE), home).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:6963");
        assert_eq!(config.data_dir, Path::new("/home/a/.local/share/cairn-witness"));
        assert_eq!(config.logs_dir, config.data_dir.join("logs"));
        assert_eq!(config.name, None);
        for setting in SETTINGS {
            assert!(setting.kind.check(setting.default).is_ok(), "{}", setting.key);
        }
    }

    #[test]
    fn the_example_is_what_the_table_says_and_a_configuration() {
        let settings = EXAMPLE.find("# The address").map(|at| &EXAMPLE[at..]);
        let expected = TABLE.example_settings();
        assert!(settings == Some(&*expected), "deploy/cairn-witness.toml needs:\n{expected}");
        let every = EXAMPLE.replace("#= ", "");
        for text in [EXAMPLE, &every] {
            let mut values = Values::new(&TABLE);
            values.read_text(Path::new("deploy/cairn-witness.toml"), text).unwrap();
            Config::new(&values, home).unwrap();
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
            @"listen is 0.0.0.0:1, which other machines can reach, and the port takes plain HTTP beside TLS: use a loopback address, or accept it with --insecure-listen"
        );
    }
}
