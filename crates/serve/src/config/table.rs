//! Settings as rows of a table.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use clap::Arg;
use clap::builder::PossibleValue;

use super::ConfigError;
use super::listen::is_listen;

const DAY_S: u64 = 86_400;
/// A hundred years.
const DURATION_MAX_S: u64 = 36_500 * DAY_S;

/// What values a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An IP address or a host's name, and a port.
    Address,
    /// A path; empty for the default.
    Path,
    /// Any text; empty for the default.
    Text,
    /// Any number of texts without blanks, separated by blanks; the flag may be repeated.
    Texts,
    /// `true` or `false`.
    Flag,
    /// A number within bounds, both included.
    Number { min: u64, max: u64 },
    /// A number and its unit, such as `90s` or `1d`: from a second to a hundred years.
    Duration,
    /// Tables by name, each with some of these keys, all of them texts: `[KEY.NAME]` in the file. Has no
    /// flag; the environment takes an inline table.
    Tables { keys: &'static [&'static str] },
}

/// Tables by name, and their values by key.
pub type Tables = BTreeMap<String, BTreeMap<String, String>>;

impl Kind {
    /// If `value` is not of this kind, says what is expected.
    pub fn check(self, value: &str) -> Result<(), String> {
        match self {
            Self::Address if !is_listen(value) => {
                Err("an address or a host's name, and a port".to_owned())
            }
            Self::Flag if !matches!(value, "true" | "false") => Err("true or false".to_owned()),
            Self::Number { min, max } if !is_number(value, min, max) => {
                Err(format!("a number from {min} to {max}"))
            }
            Self::Duration if duration(value).is_none() => {
                Err("a number with s, m, h or d behind it, from 1s to 36500d".to_owned())
            }
            Self::Tables { keys } if tables(value, keys).is_none() => {
                Err(format!("tables of {}", keys.join(" and ")))
            }
            Self::Address
            | Self::Path
            | Self::Text
            | Self::Texts
            | Self::Flag
            | Self::Number { .. }
            | Self::Duration
            | Self::Tables { .. } => Ok(()),
        }
    }
}

/// What an inline table holds, if it is of the form that [`Kind::Tables`] says.
pub(super) fn tables(value: &str, keys: &[&str]) -> Option<Tables> {
    let root: toml::Table = toml::from_str(&format!("tables = {value}")).ok()?;
    let entry = |(key, value): (&String, &toml::Value)| {
        let known = keys.contains(&key.as_str());
        Some((key.clone(), value.as_str()?.to_owned())).filter(|_| known)
    };
    let table = |(name, value): (&String, &toml::Value)| {
        let entries = value.as_table()?.iter().map(entry).collect::<Option<_>>()?;
        Some((name.clone(), entries))
    };
    root.get("tables")?.as_table()?.iter().map(table).collect()
}

fn is_number(value: &str, min: u64, max: u64) -> bool {
    let digits = value.bytes().all(|b| b.is_ascii_digit());
    digits && value.parse().is_ok_and(|number: u64| (min..=max).contains(&number))
}

/// A number of seconds, minutes, hours or days, as [`Kind::Duration`] allows it.
pub(super) fn duration(value: &str) -> Option<Duration> {
    let (number, unit_s) = [('s', 1), ('m', 60), ('h', 3_600), ('d', DAY_S)]
        .into_iter()
        .find_map(|(unit, seconds)| Some((value.strip_suffix(unit)?, seconds)))?;
    let seconds = is_number(number, 1, DURATION_MAX_S).then(|| number.parse::<u64>().ok())??;
    let seconds = seconds.checked_mul(unit_s)?;
    (seconds <= DURATION_MAX_S).then(|| Duration::from_secs(seconds))
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub key: &'static str,
    pub kind: Kind,
    pub default: &'static str,
    pub help: &'static str,
}

impl Setting {
    /// An IP address or a host's name, and a port.
    pub const fn address(key: &'static str, default: &'static str, help: &'static str) -> Self {
        Self { key, kind: Kind::Address, default, help }
    }

    /// A number within bounds, both included.
    pub const fn number(
        key: &'static str,
        (min, max): (u64, u64),
        default: &'static str,
        help: &'static str,
    ) -> Self {
        Self { key, kind: Kind::Number { min, max }, default, help }
    }

    /// A number and its unit.
    pub const fn duration(key: &'static str, default: &'static str, help: &'static str) -> Self {
        Self { key, kind: Kind::Duration, default, help }
    }

    /// `true` or `false`; false by default.
    pub const fn flag(key: &'static str, help: &'static str) -> Self {
        Self { key, kind: Kind::Flag, default: "false", help }
    }

    /// A path; empty by default.
    pub const fn path(key: &'static str, help: &'static str) -> Self {
        Self { key, kind: Kind::Path, default: "", help }
    }

    /// Any text; empty by default.
    pub const fn text(key: &'static str, help: &'static str) -> Self {
        Self { key, kind: Kind::Text, default: "", help }
    }

    /// Tables by name; none by default.
    pub const fn tables(
        key: &'static str,
        keys: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { key, kind: Kind::Tables { keys }, default: "{}", help }
    }

    /// Any number of texts; none by default.
    pub const fn texts(key: &'static str, help: &'static str) -> Self {
        Self { key, kind: Kind::Texts, default: "", help }
    }

    /// What [`crate::port::PortOptions::connections_max`] is set by.
    pub const CONNECTIONS_MAX: Self = Self::number(
        "connections_max",
        (1, 1_000_000),
        "4096",
        "Connections open at a time, as far as the limit on open files allows; one beyond is closed at once.",
    );

    /// What [`crate::port::PortOptions::connections_per_address_max`] is set by.
    pub const CONNECTIONS_PER_ADDRESS_MAX: Self = Self::number(
        "connections_per_address_max",
        (1, 1_000_000),
        "2000",
        "Connections open at a time from one client's address; one beyond is closed at once.",
    );

    /// A server that stops waits this long, so that those who send requests hear of it.
    pub const DRAIN_MS: Self = Self::number(
        "drain_ms",
        (0, 3_600_000),
        "3000",
        "How long the port stays open after a signal to stop, while /readyz says 503. On loopback 0 unless set.",
    );

    /// Its flag, without the dashes in front.
    pub fn flag_name(&self) -> String {
        self.key.replace('_', "-")
    }

    fn to_arg(self) -> Arg {
        let arg = Arg::new(self.key).long(self.flag_name()).help(self.help);
        match self.kind {
            // `--read-only` alone means true.
            Kind::Flag => arg
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true")
                .value_parser([PossibleValue::new("true"), PossibleValue::new("false")]),
            Kind::Address => arg.value_name("ADDR"),
            Kind::Path => arg.value_name("DIR"),
            Kind::Text | Kind::Tables { .. } => arg.value_name("TEXT"),
            Kind::Texts => arg.value_name("TEXT").action(clap::ArgAction::Append),
            Kind::Number { .. } => arg.value_name("N"),
            Kind::Duration => arg.value_name("TIME"),
        }
    }

    /// How the documented example shows it: commented out, with its help, limits and default.
    fn example(&self) -> String {
        let limits = match self.kind {
            Kind::Number { min, max } => format!(" From {min} to {max}."),
            Kind::Address
            | Kind::Path
            | Kind::Text
            | Kind::Texts
            | Kind::Flag
            | Kind::Duration
            | Kind::Tables { .. } => String::new(),
        };
        let value = match self.kind {
            Kind::Number { .. } | Kind::Flag | Kind::Tables { .. } => self.default.to_owned(),
            Kind::Address | Kind::Path | Kind::Text | Kind::Texts | Kind::Duration => {
                format!("{:?}", self.default)
            }
        };
        format!("# {}{limits}\n#= {} = {value}\n", self.help, self.key)
    }
}

/// The settings of one binary.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    pub settings: &'static [Setting],
    /// What the names of environment variables begin with; the key in capitals follows.
    pub environment: &'static str,
    /// Variables that begin with the same prefix and are read elsewhere. A name with `_` at its end
    /// stands for all that begin with it.
    pub read_elsewhere: &'static [&'static str],
    /// The documented example, which `--help` points to.
    pub example: &'static str,
}

impl Table {
    /// The setting with this key.
    pub fn named(&self, key: &str) -> Option<&'static Setting> {
        self.settings.iter().find(|setting| setting.key == key)
    }

    /// Those of the variables `names` that look like settings and are not: most of them are
    /// misspelt.
    pub fn unknown_variables(&self, names: impl IntoIterator<Item = String>) -> Vec<String> {
        let is_setting = |key: &str| {
            key == "CONFIG" || self.settings.iter().any(|s| s.key.to_uppercase() == key)
        };
        let is_read = |name: &str| {
            self.read_elsewhere.iter().any(|other| {
                if other.ends_with('_') { name.starts_with(other) } else { name == *other }
            })
        };
        let is_unknown = |name: &String| {
            let key = name.strip_prefix(self.environment);
            key.is_some_and(|key| !is_setting(key)) && !is_read(name)
        };
        names.into_iter().filter(is_unknown).collect()
    }

    /// Refuses a variable of the environment that is read here and is not UTF-8. If we ignored it,
    /// the process would use another folder than the one that the variable names.
    pub fn check_utf8(
        &self,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<(), ConfigError> {
        let is_read = |name: &str| {
            name.starts_with(self.environment) || matches!(name, "XDG_DATA_HOME" | "HOME")
        };
        for (name, value) in variables {
            let name = name.to_string_lossy();
            if is_read(&name) && value.to_str().is_none() {
                return Err(ConfigError::NotUtf8 { name: name.into_owned() });
            }
        }
        Ok(())
    }

    /// The flags of the settings that `takes` names by key, and `--config`.
    pub fn flags(&self, takes: impl Fn(&str) -> bool) -> Vec<Arg> {
        let has_flag = |setting: &&Setting| !matches!(setting.kind, Kind::Tables { .. });
        let settings = self.settings.iter().filter(has_flag);
        let settings = settings.filter(|setting| takes(setting.key));
        let help = format!("Settings in TOML; see {}", self.example);
        let config = Arg::new("config").long("config").value_name("FILE").help(help);
        settings.map(|setting| setting.to_arg()).chain([config]).collect()
    }

    /// What the documented example holds: every setting, commented out.
    pub fn example_settings(&self) -> String {
        self.settings.iter().map(Setting::example).collect::<Vec<_>>().join("\n")
    }
}
