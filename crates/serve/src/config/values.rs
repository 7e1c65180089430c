//! Settings merged by key: defaults, then a file, then the environment, then flags.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches};
use serde::de::DeserializeOwned;
use toml::Value;

use super::tree::Node;
use super::{ConfigError, Sources};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The file at this path.
    File(PathBuf),
    /// The variable of this name in the environment.
    Variable(String),
    /// The flag of this name, without the dashes in front.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the defaults"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "the variable {name}"),
            Self::Flag(name) => write!(f, "the flag --{name}"),
        }
    }
}

/// Who set what, by the paths of keys. What is below a key has its origin, unless it has its own.
#[derive(Clone, Debug, Default)]
pub(super) struct Origins(BTreeMap<String, Origin>);

impl Origins {
    /// The origin of the value at `path`.
    pub(super) fn of(&self, path: &str) -> &Origin {
        let covers = |key: &str| {
            let below = path.strip_prefix(key);
            below.is_some_and(|below| below.is_empty() || below.starts_with(['.', '[']))
        };
        let covering = self.0.iter().filter(|(key, _)| covers(key));
        covering.max_by_key(|(key, _)| key.len()).map_or(&Origin::Default, |(_, origin)| origin)
    }
}

/// Values by key, each with its origin. A later one replaces an earlier one.
#[derive(Clone, Debug)]
pub struct Values {
    sources: Sources,
    table: toml::Table,
    origins: Origins,
}

impl Values {
    /// Every setting has its default.
    pub fn new(sources: &Sources) -> Self {
        let (table, origins) = (toml::Table::new(), Origins::default());
        let mut new = Self { sources: *sources, table, origins };
        for key in sources.keys() {
            new.put(&[key.get_id().as_str()], value_of(&key, default_of(&key)), Origin::Default);
        }
        new
    }

    /// Reads every value that is set: in the file that `--config` or the environment names, in the
    /// environment, and by flags made by [`Sources::flags`].
    pub fn read(
        sources: &Sources,
        matches: &ArgMatches,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut values = Self::new(sources);
        let named = matches.get_one::<String>("config").cloned();
        if let Some(path) = named.or_else(|| variable(&sources.variable("config"))) {
            values.read_file(path.as_ref())?;
        }
        values.read_environment(variable);
        values.read_flags(matches);
        Ok(values)
    }

    fn read_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        self.read_text(path, &text)
    }

    /// Adds what the text of the file at `path` sets.
    pub fn read_text(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let table: toml::Table = toml::from_str(text).map_err(|source| ConfigError::Syntax {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        let origin = Origin::File(path.to_owned());
        for (key, value) in table {
            if self.key(&key).is_none() {
                return Err(ConfigError::UnknownKey { origin, key, example: self.sources.example });
            }
            self.put(&[&key], value, origin.clone());
        }
        Ok(())
    }

    /// Adds what the environment sets, as `variable` reads it.
    pub fn read_environment(&mut self, variable: impl Fn(&str) -> Option<String>) {
        for key in self.sources.keys() {
            let id = key.get_id().as_str();
            let name = self.sources.variable(id);
            if let Some(text) = variable(&name) {
                self.put(&[id], value_of(&key, text), Origin::Variable(name));
            }
        }
    }

    /// Adds what flags set. A subcommand takes only some of the flags.
    pub fn read_flags(&mut self, matches: &ArgMatches) {
        for key in self.sources.keys() {
            let id = key.get_id().as_str();
            if !matches.try_contains_id(id).unwrap_or_default() {
                continue;
            }
            let texts = matches.get_raw(id).into_iter().flatten();
            let texts: Vec<_> = texts.map(|text| text.to_string_lossy()).collect();
            let flag = key.get_long().unwrap_or(id).to_owned();
            self.put(&[id], Value::String(texts.join(" ")), Origin::Flag(flag));
        }
    }

    /// Sets one value as the flag of its key would.
    pub fn set(&mut self, key: &str, text: &str) -> Result<(), ConfigError> {
        let origin = Origin::Flag(key.replace('_', "-"));
        let Some(found) = self.key(key) else {
            let example = self.sources.example;
            return Err(ConfigError::UnknownKey { origin, key: key.to_owned(), example });
        };
        let value = value_of(&found, text.to_owned());
        self.put(&[key], value, origin);
        Ok(())
    }

    /// Sets the text at a path of keys. Tables on the way are made; a value that is no table is
    /// left, and refused by [`Self::settings`].
    pub fn insert(&mut self, path: &[&str], text: &str, origin: Origin) {
        self.put(path, Value::String(text.to_owned()), origin);
    }

    fn put(&mut self, path: &[&str], value: Value, origin: Origin) {
        let Some((last, tables)) = path.split_last() else { return };
        let mut table = &mut self.table;
        for key in tables {
            let below = table.entry(*key).or_insert_with(|| Value::Table(toml::Table::new()));
            let Some(below) = below.as_table_mut() else { return };
            table = below;
        }
        table.insert((*last).to_owned(), value);
        self.origins.0.insert(path.join("."), origin);
    }

    /// The settings of a server, checked one by one.
    pub fn settings<S: DeserializeOwned>(&self) -> Result<S, ConfigError> {
        let settings = S::deserialize(Node::root(self.table.clone(), &self.origins));
        settings.map_err(|refused| refused.of(&self.origins, self.sources.example))
    }

    fn key(&self, key: &str) -> Option<Arg> {
        self.sources.keys().into_iter().find(|known| known.get_id() == key)
    }
}

/// The default of a key, as a text.
pub(super) fn default_of(key: &Arg) -> String {
    let texts = key.get_default_values().iter().map(|text| text.to_string_lossy());
    texts.collect::<Vec<_>>().join(" ")
}

/// What a text means: most kinds are read from the text itself. A text that should be TOML and is not is
/// refused by [`Values::settings`].
fn value_of(key: &Arg, text: String) -> Value {
    let is_inline = key.is_hide_set();
    text.parse().ok().filter(|_| is_inline).unwrap_or(Value::String(text))
}
