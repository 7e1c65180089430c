//! The settings of the receivers: their limits, their ports, and what is configured of sources.

use std::path::{Path, PathBuf};

use audit_event::event::{Actor, ActorKind, Category, Word as _};
use audit_event::validate::{is_action, is_uri_reference};
use audit_receive::receive::ReceiveOptions;
use audit_receive::sources::{Source, Sources};
use serde::{Deserialize, Deserializer};
use serve::config::{ConfigError, Kind, Listen};

use super::{LogKey, Settings};

/// Bytes of a source.
const SOURCE_BYTES_MAX: usize = 256;
/// Bytes of an actor's id.
const ACTOR_BYTES_MAX: usize = 256;
/// Bytes of who is asked about a source: those of a detail of an event.
const OWNER_BYTES_MAX: usize = 1_024;

/// What the receivers are started with.
#[derive(Clone, Debug)]
pub struct ReceiveConfig {
    pub options: ReceiveOptions,
    pub syslog: SyslogConfig,
}

/// The ports of syslog.
#[derive(Clone, Debug)]
pub struct SyslogConfig {
    pub plain: Option<Listen>,
    pub tls: Option<Listen>,
    /// Certificate chain and private key in PEM; without them the server makes a key.
    pub files: Option<(PathBuf, PathBuf)>,
    /// The key that the server makes.
    pub key: PathBuf,
    /// Connections of both ports; 0 where neither is open.
    pub connections_max: usize,
}

impl ReceiveConfig {
    pub(super) fn new(settings: &Settings, data_dir: &Path) -> Result<Self, ConfigError> {
        let sources = settings.sources.0.iter();
        let sources = sources.map(|(uri, source)| (uri.0.clone(), source.source()));
        let remembers = !settings.read_only.get();
        let options = ReceiveOptions {
            sources: Sources::new(sources.collect()),
            kubernetes_bytes_max: settings.k8s_body_bytes_max.count(),
            otlp_http_bytes_max: settings.otlp_http_bytes_max.count(),
            otlp_grpc_bytes_max: settings.otlp_grpc_bytes_max.count(),
            body_bytes_max: settings.receive_body_bytes_max.count(),
            hec_acks: settings.hec_acks.get(),
            hec_acks_file: remembers.then(|| data_dir.join("hec-acks")),
        };
        Ok(Self { options, syslog: SyslogConfig::new(settings, data_dir)? })
    }
}

impl SyslogConfig {
    fn new(settings: &Settings, data_dir: &Path) -> Result<Self, ConfigError> {
        let why = "senders of syslog have no identities";
        let listen = |address| Listen::new(address, settings.insecure_listen, why);
        let plain = settings.syslog_listen.get().map(listen).transpose()?;
        let tls = settings.syslog_tls_listen.get().map(listen).transpose()?;
        let (certificate, key) =
            (settings.syslog_tls_certificate.path(), settings.syslog_tls_key.path());
        let files = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(_), None) => return Err(ConfigError::MissingFlag { flag: "syslog-tls-key" }),
            (None, Some(_)) => {
                return Err(ConfigError::MissingFlag { flag: "syslog-tls-certificate" });
            }
        };
        let is_open = plain.is_some() || tls.is_some();
        let connections_max = if is_open { settings.syslog_connections_max.count() } else { 0 };
        let key = data_dir.join("tls").join("syslog.key");
        Ok(Self { plain, tls, files, key, connections_max })
    }
}

/// What is configured of one source.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a table of log, action, actor, category, owner and utc_offset"
)]
pub struct SourceSettings {
    /// The log of its events.
    pub log: Option<LogKey>,
    /// The action of an item that states none.
    pub action: Option<ActionText>,
    /// The actor of an item that states none.
    pub actor: Option<ActorText>,
    /// The category of an item that shows none.
    pub category: Option<CategoryText>,
    /// Who is asked about it.
    pub owner: Option<OwnerText>,
    /// The zone of times that state none.
    pub utc_offset: Option<UtcOffset>,
}

impl SourceSettings {
    fn source(&self) -> Source {
        Source {
            log: self.log.as_ref().map(|LogKey(name)| name.as_str().to_owned()),
            action: self.action.as_ref().map(|ActionText(action)| action.clone()),
            actor: self.actor.as_ref().map(|ActorText(actor)| actor.clone()),
            category: self.category.as_ref().map(|CategoryText(category)| *category),
            owner: self.owner.as_ref().map(|OwnerText(owner)| owner.clone()),
            utc_offset_seconds: self.utc_offset.as_ref().map_or(0, |UtcOffset(seconds)| *seconds),
        }
    }
}

/// A source, as a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceUri(String);

/// An action.
#[derive(Clone, Debug)]
pub struct ActionText(String);

/// An actor.
#[derive(Clone, Debug)]
pub struct ActorText(Actor);

/// A category.
#[derive(Clone, Debug)]
pub struct CategoryText(Category);

/// Who is asked about a source.
#[derive(Clone, Debug)]
pub struct OwnerText(String);

/// Seconds east of UTC.
#[derive(Clone, Debug)]
pub struct UtcOffset(i32);

impl Kind for SourceUri {
    fn expected() -> String {
        format!("a URI reference of at most {SOURCE_BYTES_MAX} bytes, and not cairn:")
    }

    fn of(text: &str) -> Option<Self> {
        let fits = text.len() <= SOURCE_BYTES_MAX && is_uri_reference(text);
        let is_own = text.to_ascii_lowercase().starts_with("cairn:");
        (fits && !is_own).then(|| Self(text.to_owned()))
    }
}

impl Kind for ActionText {
    fn expected() -> String {
        "an action, such as invoice.updated".to_owned()
    }

    fn of(text: &str) -> Option<Self> {
        (text.len() <= 128 && is_action(text)).then(|| Self(text.to_owned()))
    }
}

impl Kind for ActorText {
    fn expected() -> String {
        format!("TYPE:ID with a type of {}", ActorKind::ALLOWED)
    }

    fn of(text: &str) -> Option<Self> {
        let (kind, id) = text.split_once(':')?;
        let is_id = (1..=ACTOR_BYTES_MAX).contains(&id.len()) && !id.contains(char::is_control);
        let kind = ActorKind::from_word(kind).filter(|_| is_id)?;
        Some(Self(Actor::new(kind, id)))
    }
}

impl Kind for CategoryText {
    fn expected() -> String {
        format!("one of {}", Category::ALLOWED)
    }

    fn of(text: &str) -> Option<Self> {
        Category::from_word(text).map(Self)
    }
}

impl Kind for OwnerText {
    fn expected() -> String {
        format!("a text of 1 to {OWNER_BYTES_MAX} bytes")
    }

    fn of(text: &str) -> Option<Self> {
        (1..=OWNER_BYTES_MAX).contains(&text.len()).then(|| Self(text.to_owned()))
    }
}

impl Kind for UtcOffset {
    fn expected() -> String {
        "an offset from UTC, such as +02:00 or -03:30".to_owned()
    }

    fn of(text: &str) -> Option<Self> {
        let (sign, digits) = match text.split_at_checked(1)? {
            ("+", digits) => (1, digits),
            ("-", digits) => (-1, digits),
            _ => return None,
        };
        let (hours, minutes) = digits.split_once(':')?;
        let part = |text: &str, max: i32| {
            let is_pair = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<i32>().ok().filter(|value| is_pair && *value <= max)
        };
        let seconds = part(hours, 14)? * 3_600 + part(minutes, 59)? * 60;
        Some(Self(sign * seconds))
    }
}

/// Reads a kind from merged settings.
macro_rules! read {
    ($($kind:ty)*) => {
        $(impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::read(deserializer)
            }
        })*
    };
}

read!(SourceUri ActionText ActorText CategoryText OwnerText UtcOffset);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_take_what_they_say_and_nothing_else() {
        assert_eq!(UtcOffset::of("+02:00").unwrap().0, 7_200);
        assert_eq!(UtcOffset::of("-03:30").unwrap().0, -12_600);
        for bad in ["", "02:00", "+2:00", "+15:00", "+02:60", "+0200", "é"] {
            assert!(UtcOffset::of(bad).is_none(), "{bad}");
        }
        assert_eq!(ActorText::of("service:gate:1").unwrap().0.id, "gate:1");
        for bad in ["gate", "robot:x", "service:", "service:a\n"] {
            assert!(ActorText::of(bad).is_none(), "{bad}");
        }
        assert!(SourceUri::of("hec://gate-1").is_some() && SourceUri::of("/billing").is_some());
        for bad in ["", "a b", "cairn:host/audit", "CAIRN:x", &"x".repeat(257)] {
            assert!(SourceUri::of(bad).is_none(), "{bad}");
        }
        assert!(ActionText::of("gate.event").is_some() && ActionText::of("Gate").is_none());
        assert!(CategoryText::of("access").is_some() && CategoryText::of("door").is_none());
        assert!(OwnerText::of("ana").is_some() && OwnerText::of("").is_none());
    }
}
