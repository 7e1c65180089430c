//! What is configured of a destination.

use std::path::PathBuf;
use std::time::Duration;

use audit_event::mapping::cloudevents::Domain;
use audit_index::Query;
use http::Uri;
use tls::Known;

/// Somebody who gets events.
#[derive(Debug, Clone)]
pub struct Destination {
    /// Its name: that of a folder, and a label.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Where it is asked.
    pub url: Uri,
    /// By what its server is known.
    pub known: Known,
    /// The logs whose events it gets.
    pub logs: Vec<String>,
    /// Which events it gets; without one all of them.
    pub filter: Option<Query>,
    /// Where its secret is.
    pub secret_file: Option<PathBuf>,
    /// How long one call may take.
    pub timeout: Duration,
}

/// What a destination is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A data stream, by the Bulk API.
    Elasticsearch {
        /// The data stream.
        index: String,
        /// How events are written.
        form: Form,
    },
    /// The HTTP Event Collector.
    Splunk {
        /// The index; that of the token without one.
        index: Option<String>,
        /// The type of the events' source.
        sourcetype: String,
        /// How events are written.
        form: Form,
        /// Whether acknowledgements are asked for.
        ack: Ack,
        /// How long an acknowledgement is waited for.
        ack_wait: Duration,
    },
    /// CloudEvents, signed.
    Webhook {
        /// What the type of each event begins with.
        domain: Domain,
    },
    /// OTLP logs over HTTP, as JSON.
    Otlp,
}

/// How events are written where a destination takes any object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As this server's API shows them.
    Event,
    /// By the Open Cybersecurity Schema Framework.
    Ocsf,
}

/// Whether acknowledgements are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ack {
    /// They are waited for where the collector gives them.
    Auto,
    /// A collector that gives none is a fault.
    Required,
    /// They are not asked for.
    Off,
}

impl Kind {
    /// Its name in the configuration.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Elasticsearch { .. } => "elasticsearch",
            Self::Splunk { .. } => "splunk",
            Self::Webhook { .. } => "webhook",
            Self::Otlp => "otlp",
        }
    }

    /// Records of one call.
    pub(crate) fn records_max(&self) -> usize {
        match self {
            Self::Webhook { .. } => 1,
            _ => crate::batch::RECORDS_MAX,
        }
    }
}

impl Destination {
    /// Scheme, host and path: a query may hold a secret.
    pub(crate) fn shown_url(&self) -> String {
        let authority = self.url.authority().map_or("", http::uri::Authority::as_str);
        format!("{}://{authority}{}", self.url.scheme_str().unwrap_or("http"), self.url.path())
    }
}
