//! Where in an event a member stands.

use std::fmt;

/// Characters of a member's name that a message shows: names come from outside.
const NAME_SHOWN_MAX: usize = 64;

/// One step from a value to one of its parts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Step {
    Member(String),
    Item(usize),
}

/// The way from an event to a member: `targets[3].id` for people, `/targets/3/id` as a pointer.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Vec<Step>);

impl Path {
    /// The event itself.
    pub const TOP: Self = Self(Vec::new());

    /// A member of the event itself.
    pub fn of(name: &str) -> Self {
        Self::TOP.member(name)
    }

    /// A member of what stands here.
    #[must_use]
    pub fn member(&self, name: &str) -> Self {
        let mut path = self.clone();
        path.push_member(name);
        path
    }

    /// An item of the list that stands here, from 0.
    #[must_use]
    pub fn item(&self, index: usize) -> Self {
        let mut path = self.clone();
        path.push_item(index);
        path
    }

    pub(crate) fn push_member(&mut self, name: &str) {
        self.0.push(Step::Member(name.to_owned()));
    }

    pub(crate) fn push_item(&mut self, index: usize) {
        self.0.push(Step::Item(index));
    }

    pub(crate) fn pop(&mut self) {
        self.0.pop();
    }

    /// What a pointer made by [`Path::pointer`] names. Digits are taken for the item of a list.
    pub(crate) fn from_pointer(pointer: &str) -> Self {
        let step = |step: &str| match step.parse() {
            Ok(index) => Step::Item(index),
            Err(_) => Step::Member(step.replace("~1", "/").replace("~0", "~")),
        };
        Self(pointer.split('/').skip(1).map(step).collect())
    }

    /// The RFC 6901 pointer: `/metadata/a~1b`.
    pub fn pointer(&self) -> String {
        let mut pointer = String::new();
        for step in &self.0 {
            pointer.push('/');
            match step {
                Step::Member(name) => pointer.push_str(&name.replace('~', "~0").replace('/', "~1")),
                Step::Item(index) => pointer.push_str(&index.to_string()),
            }
        }
        pointer
    }
}

/// `actor.id`, `targets[3].id`. Control characters of names are escaped, long names cut.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("the event");
        }
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Item(index) => write!(f, "[{index}]")?,
                Step::Member(name) => {
                    if position > 0 {
                        f.write_str(".")?;
                    }
                    fmt_name(name, f)?;
                }
            }
        }
        Ok(())
    }
}

fn fmt_name(name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (position, character) in name.chars().enumerate() {
        if position == NAME_SHOWN_MAX {
            return f.write_str("…");
        }
        if character.is_ascii_graphic() || character.is_alphanumeric() {
            write!(f, "{character}")?;
        } else {
            write!(f, "{}", character.escape_unicode())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_well() {
        assert_eq!(Path::of("targets").item(3).member("id").to_string(), "targets[3].id");
        assert_eq!(Path::of("actor").member("id").to_string(), "actor.id");
        assert_eq!(Path::TOP.to_string(), "the event");
    }

    #[test]
    fn hostile_names_are_escaped_and_cut() {
        assert_eq!(Path::of("a\r\n\u{202e}").to_string(), "a\\u{d}\\u{a}\\u{202e}");
        assert_eq!(Path::of(&"x".repeat(64)).to_string(), "x".repeat(64));
        assert_eq!(Path::of(&"x".repeat(65)).to_string(), "x".repeat(64) + "…");
    }

    #[test]
    fn pointers_escape_slash_and_tilde() {
        assert_eq!(Path::of("metadata").member("a/b~c").pointer(), "/metadata/a~1b~0c");
        assert_eq!(Path::of("targets").item(0).pointer(), "/targets/0");
        assert_eq!(Path::TOP.pointer(), "");
    }
}
