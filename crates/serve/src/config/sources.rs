//! Where the settings of a binary come from.

use std::ffi::OsString;

use clap::Arg;
use clap::builder::Resettable;
use serde::de::DeserializeOwned;

use super::values::default_of;
use super::{ConfigError, Values};

/// Where the settings of one binary come from.
#[derive(Clone, Copy, Debug)]
pub struct Sources {
    /// `Settings::augment_args` of its struct: every key as a flag, with its help and its default.
    pub args: fn(clap::Command) -> clap::Command,
    /// What the names of environment variables begin with; the key in capitals follows.
    pub environment: &'static str,
    /// Variables that begin with the same prefix and are read elsewhere. A name with `_` at its end
    /// stands for all that begin with it.
    pub read_elsewhere: &'static [&'static str],
    /// The documented example, which `--help` points to.
    pub example: &'static str,
}

impl Sources {
    /// Every key, as clap's derive describes it.
    pub(super) fn keys(&self) -> Vec<Arg> {
        (self.args)(clap::Command::new("settings")).get_arguments().cloned().collect()
    }

    /// The environment variable of a key.
    pub(super) fn variable(&self, key: &str) -> String {
        format!("{}{}", self.environment, key.to_uppercase())
    }

    /// Those of the variables `names` that look like settings and are not: most of them are
    /// misspelt.
    pub fn unknown_variables(&self, names: impl IntoIterator<Item = String>) -> Vec<String> {
        let keys = self.keys();
        let keys = keys.iter().map(|key| key.get_id().as_str()).chain(["config"]);
        let known: Vec<String> = keys.map(|key| self.variable(key)).collect();
        let is_read = |name: &str| {
            self.read_elsewhere.iter().any(|other| {
                if other.ends_with('_') { name.starts_with(other) } else { name == *other }
            })
        };
        let is_unknown = |name: &String| {
            name.starts_with(self.environment) && !known.contains(name) && !is_read(name)
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
        let keys = self.keys().into_iter().filter(|key| !key.is_hide_set());
        let keys = keys.filter(|key| takes(key.get_id().as_str())).enumerate();
        let help = format!("Settings in TOML; see {}", self.example);
        let config = Arg::new("config").long("config").value_name("FILE").help(help);
        keys.map(|(at, key)| flag(key).display_order(at)).chain([config]).collect()
    }

    /// What the documented example holds: every setting, commented out, with its help, limits and
    /// default.
    pub fn example_settings<S: DeserializeOwned>(&self) -> String {
        let example = |key: &Arg| {
            let (id, default) = (key.get_id().as_str(), default_of(key));
            let is_native = default.parse::<toml::Value>().is_ok();
            let default = if is_native { default } else { format!("{default:?}") };
            format!("# {}{}\n#= {id} = {default}\n", help_of(key), self.limits::<S>(id))
        };
        self.keys().iter().map(example).collect::<Vec<_>>().join("\n")
    }

    /// The limits of a number are in its type, which names them where it refuses an empty text.
    fn limits<S: DeserializeOwned>(&self, key: &str) -> String {
        let mut values = Values::new(self);
        let refused = values.set(key, "").and_then(|()| values.settings::<S>().map(drop));
        let Err(ConfigError::BadValue { expected, .. }) = refused else { return String::new() };
        let limits = expected.strip_prefix("a number from ");
        limits.map_or_else(String::new, |limits| format!(" From {limits}."))
    }
}

/// The merge knows the default, so the flag has none.
fn flag(key: Arg) -> Arg {
    let help = help_of(&key);
    let flag = key.help(help).default_value(Resettable::Reset);
    if flag.get_possible_values().is_empty() {
        return flag;
    }
    // `--read-only` alone means true.
    let name = flag.get_id().to_string();
    flag.value_name(name).num_args(0..=1).require_equals(true).default_missing_value("true")
}

/// The doc comment of a setting, as clap keeps it: without the full stop.
fn help_of(key: &Arg) -> String {
    let help = key.get_help().map(ToString::to_string).unwrap_or_default();
    if help.ends_with('.') { help } else { help + "." }
}
