//! The parameters of a request's address.

use log_api::receipts::Level;
use serve::refusal::{Kind, Refusal};

use crate::refusal::bad_field;

/// Name and value of each parameter, in their order, decoded when they are asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameters<'a>(&'a str);

impl<'a> Parameters<'a> {
    pub(crate) fn of(query: Option<&'a str>) -> Self {
        Self(query.unwrap_or(""))
    }

    /// All of them.
    pub(crate) fn pairs(self) -> impl Iterator<Item = (String, String)> + 'a {
        let pairs = form_urlencoded::parse(self.0.as_bytes());
        pairs.map(|(name, value)| (name.into_owned(), value.into_owned()))
    }

    /// The one value of a parameter.
    pub(crate) fn one(self, name: &'static str) -> Result<Option<String>, Refusal> {
        let mut values = self.pairs().filter(|(found, _)| found == name);
        let first = values.next().map(|(_, value)| value);
        match values.next() {
            None => Ok(first),
            Some(_) => Err(bad_field(name, "given once")),
        }
    }

    /// `true` or `false`; false if it is not there.
    pub(crate) fn flag(self, name: &'static str) -> Result<bool, Refusal> {
        match self.one(name)?.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(bad_field(name, "true or false")),
        }
    }

    /// The receipt level that is asked for.
    pub(crate) fn level(self) -> Result<Level, Refusal> {
        match self.one("receipt")?.as_deref() {
            None | Some("index") => Ok(Level::Index),
            Some("signed") => Ok(Level::Signed),
            Some("witnessed") => Ok(Level::Witnessed),
            Some(_) => Err(bad_field("receipt", "index, signed or witnessed")),
        }
    }

    /// Refuses what the route does not know.
    pub(crate) fn only(self, known: &[&str]) -> Result<(), Refusal> {
        match self.pairs().find(|(name, _)| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some((name, _)) => Err(unknown(&name)),
        }
    }
}

/// A parameter that nobody reads: a filter that is misspelled must not find more than was meant.
pub(crate) fn unknown(name: &str) -> Refusal {
    let shown: String = name.chars().filter(|it| !it.is_control()).take(64).collect();
    Refusal::new(Kind::Invalid, "UNKNOWN_PARAMETER")
        .says(format!("parameter {shown} is not known here"))
        .field(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_those_that_stand_once_are_held_to_it() {
        let of = |query| Parameters::of(Some(query));
        assert_eq!(of("a=%2B&a=x+y").pairs().map(|it| it.1).collect::<Vec<_>>(), ["+", "x y"]);
        assert_eq!(of("receipt=signed").level().unwrap(), Level::Signed);
        assert_eq!(of("").level().unwrap(), Level::Index);
        assert!(of("raw=true").flag("raw").unwrap() && !of("").flag("raw").unwrap());
        for bad in ["receipt=now", "receipt=index&receipt=index"] {
            assert_eq!(of(bad).level().unwrap_err().field.as_deref(), Some("receipt"), "{bad}");
        }
        assert!(of("raw=1").flag("raw").is_err());
        assert!(of("raw=true").only(&["raw"]).is_ok());
        let refusal = of("rav=true").only(&["raw"]).unwrap_err();
        assert_eq!(refusal.message, "parameter rav is not known here");
    }
}
