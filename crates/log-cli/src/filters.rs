//! Which events are meant: the members of a query, as they stand in an address and in a filter.

use clap::Args;
use serde_json::{Map, Value};

/// The filters of search, count and export. The server says what is wrong with a value.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Filters, of which all must match; one given twice matches either")]
pub(crate) struct Filters {
    /// From this time on: 2026-01-31T09:15:00Z, or a date
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Which time: when the log received an event, or when it happened [default: received]
    #[arg(long, value_name = "received|event")]
    time: Option<String>,
    /// The time zone of dates and days, as Europe/London [default: UTC]
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// The event's own id
    #[arg(long, value_name = "ID")]
    id: Vec<String>,
    /// The action, as invoice.deleted
    #[arg(long, value_name = "ACTION")]
    action: Vec<String>,
    /// auth, access, data, config, transaction, admin or system
    #[arg(long, value_name = "CATEGORY")]
    category: Vec<String>,
    /// create, read, update, delete, execute, login, logout, approve or other
    #[arg(long, value_name = "OPERATION")]
    operation: Vec<String>,
    /// success, failure, denied or unknown
    #[arg(long, value_name = "OUTCOME")]
    outcome: Vec<String>,
    /// info, low, medium, high or critical
    #[arg(long, value_name = "SEVERITY")]
    severity: Vec<String>,
    /// What it came from, the whole URI
    #[arg(long, value_name = "URI")]
    source: Vec<String>,
    /// Who did it: the whole id or e-mail, or words of the name
    #[arg(long, value_name = "ACTOR")]
    actor: Vec<String>,
    /// To what it was done: the whole id or name
    #[arg(long, value_name = "TARGET")]
    target: Vec<String>,
    /// The address that it came from
    #[arg(long, value_name = "ADDRESS")]
    ip: Vec<String>,
    /// Words, all of which an event says somewhere
    #[arg(long, value_name = "WORDS")]
    text: Vec<String>,
    /// What the server noticed, as `clock_skew`
    #[arg(long, value_name = "FLAG")]
    flag: Vec<String>,
    /// A label
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<String>,
}

impl Filters {
    fn single(&self) -> [(&'static str, Option<&str>); 4] {
        [
            ("from", self.from.as_deref()),
            ("to", self.to.as_deref()),
            ("time", self.time.as_deref()),
            ("zone", self.zone.as_deref()),
        ]
    }

    fn lists(&self) -> [(&'static str, &[String]); 13] {
        [
            ("id", &self.id),
            ("action", &self.action),
            ("category", &self.category),
            ("operation", &self.operation),
            ("outcome", &self.outcome),
            ("severity", &self.severity),
            ("source", &self.source),
            ("actor", &self.actor),
            ("target", &self.target),
            ("ip", &self.ip),
            ("text", &self.text),
            ("flag", &self.flag),
            ("label", &self.label),
        ]
    }

    /// As parameters of an address.
    pub(crate) fn parameters(&self) -> Vec<(&'static str, &str)> {
        let single = self.single().into_iter().filter_map(|(name, value)| Some((name, value?)));
        let lists = self.lists().into_iter();
        let lists = lists.flat_map(|(name, list)| list.iter().map(move |it| (name, it.as_str())));
        single.chain(lists).collect()
    }

    /// As the filter of an evidence file.
    pub(crate) fn object(&self) -> Map<String, Value> {
        let single = self.single().into_iter().filter_map(|(name, it)| Some((name, it?.into())));
        let lists = self.lists().into_iter().filter(|(_, list)| !list.is_empty());
        let lists = lists.map(|(name, list)| (name, list.to_vec().into()));
        single.chain(lists).map(|(name, value)| (name.to_owned(), value)).collect()
    }
}
