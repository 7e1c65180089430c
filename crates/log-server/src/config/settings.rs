//! Every setting of the server: its help, its default and its limits.

#![expect(clippy::doc_markdown, reason = "the comments of settings are the help of their flags")]

use std::collections::BTreeMap;

use clap::Args as _;
use log_core::witness::OnQuorumLoss;
use serde::{Deserialize, Deserializer};
use serve::config::{
    Address, Bounded, ConnectionSettings, Inline, Kind, Maybe, Millis, PortSettings, Sources, Span,
    Switch, Text,
};
use storage::LogName;

use super::destination::DestinationList;
use super::receive::{SourceSettings, SourceUri};

const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;

/// Where the settings are read from.
pub const SOURCES: Sources = Sources {
    args: Settings::augment_args,
    environment: "CAIRN_",
    read_elsewhere: &["CAIRN_LOG", "CAIRN_SERVER", "CAIRN_STATE", "CAIRN_WITNESS_"],
    example: "deploy/cairn-server.toml",
};

/// The settings, each with a key of its own.
#[derive(Clone, Debug, clap::Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The address or host's name, and the port, of gRPC and HTTP; port 0 takes any free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6962")]
    pub listen: Address,
    /// Accept a listen address that other machines can reach, though callers have no identities
    /// yet.
    #[arg(long, default_value = "false")]
    pub insecure_listen: Switch,
    /// Where db/, heads/ and keys/ are. Empty: $XDG_DATA_HOME/cairn, or ~/.local/share/cairn.
    #[arg(long, value_name = "DIR", default_value = "")]
    pub data_dir: Text,
    /// Where the journal of signed heads is. Empty: heads/ in data_dir. Another volume is safer.
    #[arg(long, value_name = "DIR", default_value = "")]
    pub heads_dir: Text,
    /// Accept key files of another user that their group can read, as Kubernetes mounts them with
    /// fsGroup.
    #[arg(long, default_value = "false")]
    pub allow_group_readable_keys: Switch,
    /// Serve what is stored; write and sign nothing.
    #[arg(long, default_value = "false")]
    pub read_only: Switch,
    /// Start without the journal that should be there; a rollback since then goes unnoticed.
    #[arg(long, default_value = "false")]
    pub adopt_journal: Switch,
    /// Threads that serve requests. 0: one for each core, but one fewer from 2 to 4 cores.
    #[arg(long, value_name = "N", default_value = "0")]
    pub worker_threads: Bounded<0, 1_024>,
    #[command(flatten)]
    pub connections: ConnectionSettings,
    /// Requests worked on at a time, over all connections. Beyond about 512 only latency grows.
    #[arg(long, value_name = "N", default_value = "1024")]
    pub requests_max: Bounded<1, 1_000_000>,
    /// Streams open at a time: appends, watches and ranges of entries.
    #[arg(long, value_name = "N", default_value = "1024")]
    pub streams_max: Bounded<1, 1_000_000>,
    /// How long a plain HTTP request may take, its body included.
    #[arg(long, value_name = "N", default_value = "30000")]
    pub http_timeout_ms: Millis<1>,
    #[command(flatten)]
    pub port: PortSettings,
    /// How long a call waits for its receipt where it does not say.
    #[arg(long, value_name = "N", default_value = "5000")]
    pub receipt_wait_default_ms: Millis<0>,
    /// The longest wait for a receipt.
    #[arg(long, value_name = "N", default_value = "60000")]
    pub receipt_wait_max_ms: Millis<0>,
    /// The largest event of the server's own API; items of other formats may be larger.
    #[arg(long, value_name = "N", default_value = "262144")]
    pub event_bytes_max: Bounded<1_024, MIB>,
    /// The largest post of a kube-apiserver's audit webhook, which does not bound its posts in bytes.
    #[arg(long, value_name = "N", default_value = "33554432")]
    pub k8s_body_bytes_max: Bounded<1_024, { 256 * MIB }>,
    /// The largest request of OTLP logs over HTTP, decompressed.
    #[arg(long, value_name = "N", default_value = "67108864")]
    pub otlp_http_bytes_max: Bounded<1_024, { 256 * MIB }>,
    /// The largest message of OTLP logs over gRPC, decompressed.
    #[arg(long, value_name = "N", default_value = "4194304")]
    pub otlp_grpc_bytes_max: Bounded<1_024, { 256 * MIB }>,
    /// The largest body of every other receiver, decompressed.
    #[arg(long, value_name = "N", default_value = "67108864")]
    pub receive_body_bytes_max: Bounded<1_024, { 256 * MIB }>,
    /// Acknowledge events of the HTTP Event Collector on channels, where a request names one.
    #[arg(long, default_value = "true")]
    pub hec_acks: Switch,
    /// The address and port of syslog over TCP. Empty: none.
    #[arg(long, value_name = "ADDR", default_value = "")]
    pub syslog_listen: Maybe<Address>,
    /// The address and port of syslog over TLS. Empty: none.
    #[arg(long, value_name = "ADDR", default_value = "")]
    pub syslog_tls_listen: Maybe<Address>,
    /// The certificate chain of syslog over TLS, in PEM. Empty: one made at each start for
    /// tls/syslog.key in data_dir, whose pin is beside it.
    #[arg(long, value_name = "FILE", default_value = "")]
    pub syslog_tls_certificate: Text,
    /// The private key of that certificate, in PEM.
    #[arg(long, value_name = "FILE", default_value = "")]
    pub syslog_tls_key: Text,
    /// Connections of syslog open at a time; one beyond is closed at once.
    #[arg(long, value_name = "N", default_value = "256")]
    pub syslog_connections_max: Bounded<1, 100_000>,
    /// Entries that may wait in one log's queue; beyond it appends are refused at once.
    #[arg(long, value_name = "N", default_value = "100000")]
    pub queue_entries_max: Bounded<10_000, 100_000_000>,
    /// Entry bytes that may wait in one log's queue.
    #[arg(long, value_name = "N", default_value = "67108864")]
    pub queue_bytes_max: Bounded<{ 8 * MIB }, { 64 * GIB }>,
    /// Entries of one log in one commit. At least one call's, as a call is never split.
    #[arg(long, value_name = "N", default_value = "20000")]
    pub batch_entries_max: Bounded<10_000, 10_000_000>,
    /// Entry bytes of one log in one commit. At least one call's.
    #[arg(long, value_name = "N", default_value = "8388608")]
    pub batch_bytes_max: Bounded<{ 8 * MIB }, GIB>,
    /// How long a commit may wait for more calls, only while many are in flight.
    #[arg(long, value_name = "N", default_value = "1000")]
    pub linger_max_us: Bounded<0, 10_000>,
    /// The least time between two published checkpoints of a log.
    #[arg(long, value_name = "N", default_value = "4")]
    pub publish_interval_min_ms: Millis<1>,
    /// The least time between two archived checkpoints of a log.
    #[arg(long, value_name = "N", default_value = "1000")]
    pub history_interval_ms: Millis<1>,
    /// How far the clock may step, forward or back, and still be believed; beyond it, see `clock
    /// accept`.
    #[arg(long, value_name = "TIME", default_value = "1d")]
    pub clock_step_max: Span,
    /// Below this much free disk appends are refused.
    #[arg(long, value_name = "N", default_value = "268435456")]
    pub min_free_bytes: Bounded<0, { 1024 * GIB }>,
    /// Logs of this server.
    #[arg(long, value_name = "N", default_value = "10000")]
    pub logs_max: Bounded<1, 16_384>,
    /// Memory for tiles that proofs are made from; 61 MB hold a million leaves.
    #[arg(long, value_name = "N", default_value = "134217728")]
    pub tile_cache_bytes: Bounded<0, { 1024 * GIB }>,
    /// Memory for compressed entry bundles.
    #[arg(long, value_name = "N", default_value = "33554432")]
    pub bundle_cache_bytes: Bounded<0, { 64 * GIB }>,
    /// Leaves indexed in a second while a log is busy; look-ups scan what is not indexed yet.
    #[arg(long, value_name = "N", default_value = "20000")]
    pub leaf_index_busy_rate: Bounded<0, 10_000_000>,
    /// Memory of the database for blocks, indexes and filters.
    #[arg(long, value_name = "N", default_value = "67108864")]
    pub block_cache_bytes: Bounded<MIB, { 1024 * GIB }>,
    /// Write-ahead log that is replayed after a crash, at some 100 MB/s.
    #[arg(long, value_name = "N", default_value = "100663296")]
    pub wal_bytes_max: Bounded<{ 8 * MIB }, { 64 * GIB }>,
    /// Memory of a table being written; up to four for entries and four for look-up rows.
    #[arg(long, value_name = "N", default_value = "33554432")]
    pub memtable_bytes: Bounded<MIB, { 4 * GIB }>,
    /// How long one call to a witness may take.
    #[arg(long, value_name = "N", default_value = "5000")]
    pub witness_timeout_ms: Millis<1>,
    /// How long late cosignatures are waited for once there is a quorum.
    #[arg(long, value_name = "N", default_value = "20")]
    pub witness_grace_ms: Millis<0>,
    /// The least time between two heads sent to witnesses while nobody waits for a witnessed
    /// receipt.
    #[arg(long, value_name = "N", default_value = "100")]
    pub witness_interval_min_ms: Millis<1>,
    /// The longest pause after a witness failed; pauses begin at 100 ms and double.
    #[arg(long, value_name = "N", default_value = "15000")]
    pub witness_pause_max_ms: Millis<1>,
    /// How long a witness that contradicts the log or itself is left alone.
    #[arg(long, value_name = "N", default_value = "60000")]
    pub witness_quarantine_ms: Millis<1>,
    /// How long witnesses may take to form a quorum before it counts as lost.
    #[arg(long, value_name = "N", default_value = "10000")]
    pub quorum_timeout_ms: Millis<1>,
    /// Take entries though too few witnesses say what they hold; a rollback may go unnoticed.
    #[arg(long, default_value = "false")]
    pub accept_unwitnessed_start: Switch,
    /// Settings of single logs.
    #[arg(
        long,
        hide = true,
        default_value = "{}",
        help = "Settings of one log, under [logs.NAME]: policy = \"FILE\", who witnesses it \
                (c2sp.org/tlog-policy, with addresses); on_quorum_loss = \"wait\", or \
                \"publish_unwitnessed\" to go on without witnesses."
    )]
    pub logs: Inline<BTreeMap<LogKey, LogSettings>>,
    /// Settings of single sources of events.
    #[arg(
        long,
        hide = true,
        default_value = "{}",
        help = "What is known of one source of events, under [sources.\"URI\"]: log = \"NAME\", where \
                its events go (audit); action, actor = \"TYPE:ID\" and category, which stand for what \
                an item does not say; owner, who is asked about it; utc_offset = \"+02:00\", the zone \
                of times without one."
    )]
    pub sources: Inline<BTreeMap<SourceUri, SourceSettings>>,
    /// Who else gets events.
    #[arg(
        long,
        hide = true,
        default_value = "[]",
        help = "Who else gets events, each under [[destination]]: name; kind = \"elasticsearch\", \
                \"splunk\", \"webhook\" or \"otlp\"; url; logs = [\"audit\"]; filter = {}, a search's \
                members; secret_file; pin = \"sha256//...\"; timeout_ms = 30000. elasticsearch: index = \
                \"cairn-audit\", format = \"event\" or \"ocsf\". splunk: index, format, sourcetype = \
                \"audit:json\", ack = \"auto\", \"required\" or \"off\", ack_wait_ms = 120000. webhook: \
                domain = \"com.example\"."
    )]
    pub destination: Inline<DestinationList>,
}

/// The settings of one log.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table of policy and on_quorum_loss")]
pub struct LogSettings {
    /// The file that says who witnesses it; nobody without one.
    pub policy: Option<String>,
    /// What happens when witnesses no longer form a quorum.
    #[serde(with = "QuorumLoss")]
    pub on_quorum_loss: OnQuorumLoss,
}

/// How the file names the variants.
#[derive(Deserialize)]
#[serde(remote = "OnQuorumLoss", rename_all = "snake_case")]
enum QuorumLoss {
    Wait,
    PublishUnwitnessed,
}

/// The name of a log, as a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogKey(pub LogName);

impl Kind for LogKey {
    fn expected() -> String {
        format!("a log's name: 1 to {} of a-z, 0-9 and -, and no - in front", LogName::LEN_MAX)
    }

    fn of(text: &str) -> Option<Self> {
        LogName::new(text).ok().map(Self)
    }
}

impl<'de> Deserialize<'de> for LogKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(deserializer)
    }
}
