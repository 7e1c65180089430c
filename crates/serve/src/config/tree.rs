//! Merged settings become a struct. Whatever does not fit is told with the path of its key.

use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, Error, Expected, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use toml::Value;

use super::values::Origins;
use super::{ConfigError, Origin};

/// A value, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    value: Value,
    /// Keys with dots between, such as `logs.default.policy`; empty for the settings as a whole.
    path: String,
    origins: &'a Origins,
}

impl<'a> Node<'a> {
    /// The settings as a whole.
    pub(super) fn root(values: toml::Table, origins: &'a Origins) -> Self {
        Self { value: Value::Table(values), path: String::new(), origins }
    }

    fn below(&self, key: &str, value: Value) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        Self { value, path: format!("{}{dot}{key}", self.path), origins: self.origins }
    }

    fn item(&self, at: usize, value: Value) -> Self {
        Self { value, path: format!("{}[{at}]", self.path), origins: self.origins }
    }

    /// Its own error is placed here; one of a value inside has its place already.
    fn placed<T>(self, read: impl FnOnce(Self) -> Result<T, Refused>) -> Result<T, Refused> {
        let found = self.value.as_str().map_or_else(|| self.value.to_string(), ToOwned::to_owned);
        let place = Place { path: self.path.clone(), found };
        read(self).map_err(|refused| Refused { place: refused.place.or(Some(place)), ..refused })
    }

    fn visit<'de, V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
        match std::mem::replace(&mut self.value, Value::Boolean(false)) {
            Value::String(text) => visitor.visit_string(text),
            Value::Integer(number) => visitor.visit_i64(number),
            Value::Float(number) => visitor.visit_f64(number),
            Value::Boolean(value) => visitor.visit_bool(value),
            Value::Datetime(time) => visitor.visit_string(time.to_string()),
            Value::Array(items) => {
                let items = items.into_iter().enumerate();
                visitor.visit_seq(SeqDeserializer::new(items.map(|(at, item)| self.item(at, item))))
            }
            Value::Table(table) => {
                let entries = table.into_iter().map(|(key, value)| {
                    let value = self.below(&key, value);
                    (Node { value: Value::String(key), ..value.clone() }, value)
                });
                visitor.visit_map(MapDeserializer::new(entries))
            }
        }
    }
}

impl<'de> Deserializer<'de> for Node<'_> {
    type Error = Refused;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.placed(|node| node.visit(visitor))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.placed(|node| match node.value {
            Value::String(variant) => visitor.visit_enum(variant.into_deserializer()),
            _ => Err(Refused::unknown_variant("", variants)),
        })
    }

    /// A [`super::Given`]: the value, and whether anybody set it.
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        let is_set = *self.origins.of(&self.path) != Origin::Default;
        let is_set = Node { value: Value::Boolean(is_set), ..self.clone() };
        visitor.visit_seq(SeqDeserializer::new([self, is_set].into_iter()))
    }

    /// Every key has a value, as each has a default. So a field of the whole that is not a key is a
    /// struct with more keys of the same level, which several servers share.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        let Some(whole) = self.value.as_table().filter(|_| self.path.is_empty()) else {
            return self.deserialize_any(visitor);
        };
        let field = |field: &&'static str| match whole.get(*field) {
            Some(value) => (*field, self.below(field, value.clone())),
            None => (*field, self.clone()),
        };
        visitor.visit_map(MapDeserializer::new(fields.iter().map(field)))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple map identifier ignored_any
    }
}

impl IntoDeserializer<'_, Refused> for Node<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// Why settings do not fit their struct.
#[derive(Debug)]
pub(super) struct Refused {
    problem: Problem,
    place: Option<Place>,
}

#[derive(Debug)]
enum Problem {
    Unfit { expected: String },
    UnknownKey,
    MissingKey(&'static str),
}

#[derive(Debug, Default)]
struct Place {
    path: String,
    found: String,
}

impl Refused {
    /// With the origin of the value, and the example that shows every key.
    pub(super) fn of(self, origins: &Origins, example: &'static str) -> ConfigError {
        let Place { path: key, found } = self.place.unwrap_or_default();
        let origin = origins.of(&key).clone();
        match self.problem {
            Problem::Unfit { expected } => ConfigError::BadValue { key, found, origin, expected },
            Problem::UnknownKey => ConfigError::UnknownKey { origin, key, example },
            Problem::MissingKey(missing) => ConfigError::MissingKey { origin, key, missing },
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Refused {}

impl Error for Refused {
    /// `message` says what is expected.
    fn custom<T: fmt::Display>(message: T) -> Self {
        let expected = match message.to_string().as_str() {
            "a map" => "tables by name".to_owned(),
            "a sequence" => "a list".to_owned(),
            other => other.to_owned(),
        };
        Self { problem: Problem::Unfit { expected }, place: None }
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(expected)
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(expected)
    }

    fn invalid_length(_: usize, expected: &dyn Expected) -> Self {
        Self::custom(expected)
    }

    fn unknown_variant(_: &str, variants: &'static [&'static str]) -> Self {
        let variants: Vec<String> = variants.iter().map(|name| format!("{name:?}")).collect();
        Self::custom(variants.join(" or "))
    }

    fn unknown_field(_: &str, _: &'static [&'static str]) -> Self {
        Self { problem: Problem::UnknownKey, place: None }
    }

    fn missing_field(field: &'static str) -> Self {
        Self { problem: Problem::MissingKey(field), place: None }
    }
}
