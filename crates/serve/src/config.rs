//! Settings of a binary: built-in defaults, then a file, then the environment, then flags; the later one
//! wins.
//!
//! Every setting is one row of a [`Table`], which the file, the environment (a prefix and the key
//! in capitals), the flags (`--` and the key with dashes), the limits and the documented example
//! all follow. A key the table does not have is refused in the file and as a flag. In the
//! environment, which others fill too, [`Table::unknown_variables`] finds it. The settings
//! `listen`, `insecure_listen` and `data_dir` are known here; the binary gives the others their
//! meaning.

mod callers;
pub mod commands;
mod listen;
mod table;

pub use callers::CallerLimits;
pub use listen::Listen;
pub use table::{Kind, Setting, Table, Tables};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ArgMatches;

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{path}: {source}", path = path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}: {source}", path = path.display())]
    Syntax { path: PathBuf, source: Box<toml::de::Error> },
    #[error("{path}: unknown key {key}: {example} lists the known keys", path = path.display())]
    UnknownKey { path: PathBuf, key: String, example: &'static str },
    #[error("{key} is {found:?} in {origin}, it must be {expected}")]
    BadValue { key: &'static str, found: String, origin: Origin, expected: String },
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

/// Raw values by key, each with its origin. Later ones replace earlier ones.
#[derive(Debug)]
pub struct Values {
    table: Table,
    values: BTreeMap<&'static str, (String, Origin)>,
}

impl Values {
    /// No value is set: every setting has its default.
    pub fn new(table: &Table) -> Self {
        Self { table: *table, values: BTreeMap::new() }
    }

    /// Reads every value that is set: in the file that `--config` or the environment names, in the
    /// environment, and by flags made by [`Table::flags`].
    pub fn read(
        table: &Table,
        matches: &ArgMatches,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut values = Self::new(table);
        let named = matches.get_one::<String>("config").cloned();
        if let Some(path) = named.or_else(|| variable(&format!("{}CONFIG", table.environment))) {
            values.read_file(path.as_ref())?;
        }
        values.read_environment(variable)?;
        values.read_flags(matches)?;
        Ok(values)
    }

    fn read_flags(&mut self, matches: &ArgMatches) -> Result<(), ConfigError> {
        for setting in self.table.settings {
            // A subcommand takes only some of the flags.
            let given = matches.try_get_many::<String>(setting.key).ok().flatten();
            if let Some(values) = given {
                let values: Vec<&str> = values.map(String::as_str).collect();
                self.set(setting, values.join(" "), Origin::Flag)?;
            }
        }
        Ok(())
    }

    /// Adds what a TOML file sets.
    pub fn read_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        self.read_text(path, &text)
    }

    /// As [`Self::read_file`], from the text of the file.
    pub fn read_text(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let table: toml::Table = toml::from_str(text).map_err(|source| ConfigError::Syntax {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        for (key, value) in table {
            let Some(setting) = self.table.named(&key) else {
                let (path, example) = (path.to_owned(), self.table.example);
                return Err(ConfigError::UnknownKey { path, key, example });
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
        for setting in self.table.settings {
            let name = format!("{}{}", self.table.environment, setting.key.to_uppercase());
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
        self.values.insert(setting.key, (value, origin));
        Ok(())
    }

    /// A setting as text.
    pub fn text(&self, key: &'static str) -> &str {
        let default = || self.table.named(key).map_or("", |setting| setting.default);
        self.values.get(key).map_or_else(default, |(value, _)| value)
    }

    /// A setting that is a number.
    pub fn number(&self, key: &'static str) -> u64 {
        self.text(key).parse().expect("numbers are checked when they are set, defaults by a test")
    }

    /// A number of things in memory.
    pub fn count(&self, key: &'static str) -> usize {
        usize::try_from(self.number(key)).unwrap_or(usize::MAX)
    }

    /// A setting in milliseconds.
    pub fn millis(&self, key: &'static str) -> Duration {
        Duration::from_millis(self.number(key))
    }

    /// A setting that is a number with its unit.
    pub fn duration(&self, key: &'static str) -> Duration {
        table::duration(self.text(key))
            .expect("durations are checked when they are set, defaults by a test")
    }

    /// Whether a setting is `true`.
    pub fn flag(&self, key: &'static str) -> bool {
        self.text(key) == "true"
    }

    /// A path, `None` where it is left empty.
    pub fn path(&self, key: &'static str) -> Option<PathBuf> {
        Some(self.text(key)).filter(|path| !path.is_empty()).map(PathBuf::from)
    }

    /// A setting that is tables by name.
    pub fn tables(&self, key: &'static str) -> Tables {
        match self.table.named(key).map(|setting| setting.kind) {
            Some(Kind::Tables { keys }) => table::tables(self.text(key), keys)
                .expect("tables are checked when they are set, defaults by a test"),
            _ => Tables::new(),
        }
    }

    /// Where to listen. An address that other machines can reach needs consent; `why` says for
    /// what. A name is looked up at start, by [`Listen::resolve`], because the other commands do
    /// not need it.
    pub fn listen(&self, why: &'static str) -> Result<Listen, ConfigError> {
        let text = self.text("listen").to_owned();
        let listen = Listen { text, consent: self.flag("insecure_listen"), why };
        match listen.text.parse() {
            Ok(address) => listen.allow(&[address]).map(|()| listen),
            Err(_) => Ok(listen),
        }
    }

    /// How long the port stays open after a signal to stop: not at all on loopback, unless it is set.
    pub fn drain(&self, listen: &Listen) -> Duration {
        let key = Setting::DRAIN_MS.key;
        let is_set = self.values.contains_key(key);
        if listen.is_loopback() && !is_set { Duration::ZERO } else { self.millis(key) }
    }

    /// The data folder: by default the folder `name` under `$XDG_DATA_HOME` or `~/.local/share`.
    pub fn data_dir(
        &self,
        name: &str,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<PathBuf, ConfigError> {
        if let Some(path) = self.path("data_dir") {
            return Ok(path);
        }
        let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let base = set("XDG_DATA_HOME").filter(|path| path.is_absolute());
        let base = base.or_else(|| set("HOME").map(|home| home.join(".local/share")));
        base.map(|base| base.join(name)).ok_or(ConfigError::NoDataDir)
    }
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
mod tests {
    use super::*;

    const TABLE: Table = Table {
        settings: &[
            Setting::address("listen", "127.0.0.1:1", "Where."),
            Setting::flag("insecure_listen", "Anywhere."),
            Setting::path("data_dir", "What."),
            Setting::number("a_max", (1, 5), "2", "How many."),
            Setting::tables("parts", &["file", "mode"], "Which."),
            Setting::DRAIN_MS,
            Setting::duration("wait_max", "1d", "How long."),
        ],
        environment: "A_",
        read_elsewhere: &["A_LOG", "A_B_"],
        example: "a.toml",
    };

    fn home(name: &str) -> Option<String> {
        (name == "HOME").then(|| "/home/a".to_owned())
    }

    fn of(text: &str) -> Result<Values, ConfigError> {
        let mut values = Values::new(&TABLE);
        values.read_text(Path::new("a.toml"), text).map(|()| values)
    }

    fn error(text: &str) -> String {
        let listened = of(text).and_then(|values| values.listen("nothing is encrypted"));
        listened.unwrap_err().to_string()
    }

    #[test]
    fn later_sources_win() {
        let mut values = of("a_max = 3").unwrap();
        assert_eq!(values.number("a_max"), 3);
        values.read_environment(|name| (name == "A_A_MAX").then(|| "4".to_owned())).unwrap();
        assert_eq!(values.number("a_max"), 4);
        let matches = clap::Command::new("a").args(TABLE.flags(|_| true));
        let matches = matches.get_matches_from(["a", "--a-max", "5", "--insecure-listen"]);
        values.read_flags(&matches).unwrap();
        assert_eq!(values.count("a_max"), 5);
        assert!(values.flag("insecure_listen"));
        assert_eq!(Values::new(&TABLE).number("a_max"), 2);
    }

    #[test]
    fn the_example_shows_every_setting() {
        let example = TABLE.example_settings();
        assert!(example.starts_with("# Where.\n#= listen = \"127.0.0.1:1\"\n\n# Anywhere.\n"));
        assert!(example.contains("# How many. From 1 to 5.\n#= a_max = 2\n"));
        assert!(example.contains("# Which.\n#= parts = {}\n"));
        assert!(example.ends_with("# How long.\n#= wait_max = \"1d\"\n"));
    }

    #[test]
    fn a_port_that_others_reach_drains_and_one_on_loopback_only_if_it_is_set() {
        let listen = |text: &str, consent| Listen { text: text.to_owned(), consent, why: "" };
        let near = [listen("127.0.0.1:1", true), listen("host:1", false)];
        let far = [listen("192.0.2.1:1", true), listen("host:1", true)];
        let none = Values::new(&TABLE);
        assert_eq!(near.each_ref().map(|listen| none.drain(listen).as_millis()), [0, 0]);
        assert_eq!(far.each_ref().map(|listen| none.drain(listen).as_millis()), [3_000, 3_000]);
        let set = of("drain_ms = 20").unwrap();
        assert_eq!([set.drain(&near[0]), set.drain(&far[0])].map(|d| d.as_millis()), [20, 20]);
        assert!(of("drain_ms = 3600001").is_err());
    }

    #[test]
    fn durations_have_a_unit_and_limits() {
        assert_eq!(Values::new(&TABLE).duration("wait_max"), Duration::from_hours(24));
        for (text, seconds) in
            [("1s", 1), ("90s", 90), ("15m", 900), ("12h", 43_200), ("36500d", 3_153_600_000)]
        {
            let values = of(&format!("wait_max = {text:?}")).unwrap();
            assert_eq!(values.duration("wait_max"), Duration::from_secs(seconds));
        }
        for text in ["", "1", "s", "0s", "-1s", "+1s", "1.5h", "1 s", "1w", "36501d", "1d1h"] {
            assert!(of(&format!("wait_max = {text:?}")).is_err(), "{text}");
        }
        insta::assert_snapshot!(
            error("wait_max = 86400"),
            @r#"wait_max is "86400" in the configuration file, it must be a number with s, m, h or d behind it, from 1s to 36500d"#
        );
    }

    #[test]
    fn folders_have_a_default() {
        let none = Values::new(&TABLE);
        assert_eq!(none.data_dir("a", home).unwrap(), Path::new("/home/a/.local/share/a"));
        let xdg = |name: &str| (name == "XDG_DATA_HOME").then(|| "/x".to_owned());
        assert_eq!(none.data_dir("a", xdg).unwrap(), Path::new("/x/a"));
        let given = of("data_dir = \"/d\"").unwrap();
        assert_eq!(given.data_dir("a", home).unwrap(), Path::new("/d"));
        insta::assert_snapshot!(
            none.data_dir("a", |_| None).unwrap_err(),
            @"data_dir is not set, and neither XDG_DATA_HOME nor HOME is: use --data-dir DIR"
        );
    }

    #[test]
    fn tables_have_names_and_known_keys() {
        assert!(Values::new(&TABLE).tables("parts").is_empty());
        let parts = of("[parts.a]\nfile = \"x\"\n[parts.b-c]\n").unwrap().tables("parts");
        assert_eq!(parts.keys().collect::<Vec<_>>(), ["a", "b-c"]);
        assert_eq!(parts["a"]["file"], "x");
        insta::assert_snapshot!(
            error("[parts.a]\nfiles = \"x\""),
            @r#"parts is "{ a = { files = \"x\" } }" in the configuration file, it must be tables of file and mode"#
        );
        assert!(of("[parts.a]\nfile = 1").is_err());
        assert!(of("parts = 1").is_err());
        assert!(of("[parts]\nfile = \"x\"").is_err());
    }

    #[test]
    fn refusals_say_what_is_wrong_and_where() {
        insta::assert_snapshot!(error("b_max = 1"), @"a.toml: unknown key b_max: a.toml lists the known keys");
        insta::assert_snapshot!(
            error("a_max = 6"),
            @r#"a_max is "6" in the configuration file, it must be a number from 1 to 5"#
        );
        insta::assert_snapshot!(
            error("listen = \"localhost\""),
            @r#"listen is "localhost" in the configuration file, it must be an address or a host's name, and a port"#
        );
        insta::assert_snapshot!(
            error("insecure_listen = 1"),
            @r#"insecure_listen is "1" in the configuration file, it must be true or false"#
        );
        insta::assert_snapshot!(
            error("listen = \"0.0.0.0:1\""),
            @"listen is 0.0.0.0:1, which other machines can reach, and nothing is encrypted: use a loopback address, or accept it with --insecure-listen"
        );
        assert!(of("listen = \"0.0.0.0:1\"\ninsecure_listen = true").unwrap().listen("").is_ok());
        assert!(of("listen = \"log.example:1\"").unwrap().listen("").is_ok(), "looked up later");
    }

    #[test]
    fn variables_that_are_not_utf8_are_refused_where_they_are_read() {
        use std::ffi::OsString;
        use std::os::unix::ffi::OsStringExt as _;

        let check = |name: &str, value: &[u8]| {
            let variable = (OsString::from(name), OsString::from_vec(value.to_vec()));
            TABLE.check_utf8([variable]).map_err(|error| error.to_string())
        };
        for name in ["A_DATA_DIR", "A_CONFIG", "HOME", "XDG_DATA_HOME"] {
            assert_eq!(check(name, "/é".as_bytes()), Ok(()));
            let refusal = check(name, b"/\xe9").unwrap_err();
            assert!(refusal.contains(name) && refusal.contains("symbolic link"), "{refusal}");
        }
        assert_eq!(check("B_DATA_DIR", b"/\xe9"), Ok(()), "another program's");
    }

    #[test]
    fn variables_that_look_like_settings_are_found() {
        let names = ["A_A_MAX", "A_CONFIG", "A_LOG", "A_B_A_MAX", "B_A_MAX", "A", "HOME"];
        let unknown =
            |names: &[&str]| TABLE.unknown_variables(names.iter().map(ToString::to_string));
        assert!(unknown(&names).is_empty());
        let misspelt = ["A_A_MIN", "A_a_max", "A_LOGS", "A_B", "A_"];
        assert_eq!(unknown(&misspelt), misspelt);
    }
}
