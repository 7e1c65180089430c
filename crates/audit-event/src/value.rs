//! What a member of an event may hold: JSON without its traps.

use std::collections::BTreeMap;

/// The largest integer that every reader of JSON keeps exactly: 2^53 - 1.
pub const INTEGER_MAX: i64 = (1 << 53) - 1;

/// An integer of ±(2^53 − 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Integer(i64);

impl Integer {
    /// The integer, or `None` beyond ±(2^53 − 1).
    pub fn new(value: i64) -> Option<Self> {
        (-INTEGER_MAX..=INTEGER_MAX).contains(&value).then_some(Self(value))
    }

    /// The integer as a number.
    pub fn get(self) -> i64 {
        self.0
    }
}

impl From<u32> for Integer {
    fn from(value: u32) -> Self {
        Self(value.into())
    }
}

/// The members of an object, ascending by code point, which is the order of a block's text.
pub type Object = BTreeMap<String, Value>;

/// A JSON value. Numbers that are no integer stand as their spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer that keeps its value everywhere.
    Integer(Integer),
    /// A text, or the spelling of another number.
    Text(String),
    /// An array.
    List(Vec<Self>),
    /// An object.
    Object(Object),
}

impl Value {
    /// Whether a member of this value is left out: `null`, `[]` and `{}` say nothing. An empty text
    /// is a value.
    pub fn is_absent(&self) -> bool {
        match self {
            Self::Null => true,
            Self::List(items) => items.is_empty(),
            Self::Object(members) => members.is_empty(),
            Self::Bool(_) | Self::Integer(_) | Self::Text(_) => false,
        }
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The members, if it is an object.
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The items, if it is a list.
    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// How many levels of objects and lists it has: 0 for all other values. Looks no deeper than
    /// `max` + 1 levels.
    pub(crate) fn depth(&self, max: usize) -> usize {
        let deepest = |inner: &mut dyn Iterator<Item = &Self>| {
            let below = max.checked_sub(1);
            1 + below.map_or(0, |max| inner.map(|value| value.depth(max)).max().unwrap_or(0))
        };
        match self {
            Self::List(items) => deepest(&mut items.iter()),
            Self::Object(members) => deepest(&mut members.values()),
            Self::Null | Self::Bool(_) | Self::Integer(_) | Self::Text(_) => 0,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<Integer> for Value {
    fn from(value: Integer) -> Self {
        Self::Integer(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_end_at_2_53_minus_1() {
        for value in [0, 1, -1, INTEGER_MAX, -INTEGER_MAX] {
            assert_eq!(Integer::new(value).unwrap().get(), value);
        }
        for value in [INTEGER_MAX + 1, -INTEGER_MAX - 1, i64::MAX, i64::MIN] {
            assert_eq!(Integer::new(value), None);
        }
    }

    #[test]
    fn an_empty_text_is_a_value() {
        for absent in [Value::Null, Value::List(vec![]), Value::Object(Object::new())] {
            assert!(absent.is_absent());
        }
        let list = Value::List(vec![Value::Null]);
        for present in [Value::from(""), Value::from(false), Integer::from(0).into(), list] {
            assert!(!present.is_absent());
        }
    }

    #[test]
    fn depth_counts_lists_and_objects() {
        let nested =
            |levels: usize| (0..levels).fold(Value::Null, |inner, _| Value::List(vec![inner]));
        for levels in 0..10 {
            assert_eq!(nested(levels).depth(9), levels);
        }
        assert_eq!(nested(1_000).depth(32), 33);
    }
}
