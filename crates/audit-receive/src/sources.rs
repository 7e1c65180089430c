//! What is configured of sources: where their events go, and what stands for what they do not say.

use std::collections::BTreeMap;

use audit_event::Instant;
use audit_event::event::{Actor, Category};
use audit_event::mapping::Intake;
use audit_trail::AUDIT_LOG;

/// What is configured of one source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// The log of its events; `audit` if none is named.
    pub log: Option<String>,
    /// The action of an item that states none.
    pub action: Option<String>,
    /// The actor of an item that states none.
    pub actor: Option<Actor>,
    /// The category of an item that shows none.
    pub category: Option<Category>,
    /// Who is asked about it.
    pub owner: Option<String>,
    /// Seconds east of UTC of times that state no zone.
    pub utc_offset_seconds: i32,
}

impl Source {
    /// The name of its log.
    pub fn log(&self) -> &str {
        self.log.as_deref().unwrap_or(AUDIT_LOG)
    }

    /// What a mapping is told of an item that was received now from the source of this URI.
    pub fn intake<'a>(&'a self, now: Instant, uri: &'a str) -> Intake<'a> {
        Intake {
            now,
            source: uri,
            action: self.action.as_deref(),
            actor: self.actor.as_ref(),
            category: self.category,
        }
    }
}

/// The sources that are configured, by their URIs.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    by_uri: BTreeMap<String, Source>,
    other: Source,
}

impl Sources {
    /// These sources. Every other one has the defaults.
    pub fn new(by_uri: BTreeMap<String, Source>) -> Self {
        Self { by_uri, other: Source::default() }
    }

    /// Whether none is configured.
    pub fn is_empty(&self) -> bool {
        self.by_uri.is_empty()
    }

    /// What is configured of the source of this URI.
    pub fn of(&self, uri: &str) -> &Source {
        self.by_uri.get(uri).unwrap_or(&self.other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_what_is_configured_and_every_other_one_the_defaults() {
        let gate = Source {
            log: Some("doors".to_owned()),
            action: Some("gate.event".to_owned()),
            ..Source::default()
        };
        let sources = Sources::new([("/gate".to_owned(), gate)].into());
        let now = Instant::from_nanos(0);
        assert_eq!(sources.of("/gate").log(), "doors");
        assert_eq!(sources.of("/gate").intake(now, "/gate").action, Some("gate.event"));
        for other in ["/gate/", "/Gate", ""] {
            assert_eq!(sources.of(other), &Source::default(), "{other}");
            assert_eq!(sources.of(other).log(), "audit");
        }
    }
}
