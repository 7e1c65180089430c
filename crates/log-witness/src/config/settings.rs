//! Every setting of the witness: its help, its default and its limits.

#![expect(clippy::doc_markdown, reason = "the comments of settings are the help of their flags")]

use clap::{ArgAction, Args as _};
use serde::Deserialize;
use serve::config::{
    Address, Bounded, ConnectionSettings, Millis, PortSettings, Sources, Span, Switch, Text,
};

const KIB: u64 = 1024;
const GIB: u64 = 1024 * 1024 * KIB;

/// Where the settings are read from.
pub const SOURCES: Sources = Sources {
    args: Settings::augment_args,
    environment: "CAIRN_WITNESS_",
    read_elsewhere: &[],
    example: "deploy/cairn-witness.toml",
};

/// The settings, each with a key of its own.
#[derive(Clone, Debug, clap::Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The address or host's name, and the port, to listen on; port 0 takes any free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6963")]
    pub listen: Address,
    /// Accept a listen address that other machines can reach: the port speaks TLS, and plain HTTP
    /// as well.
    #[arg(long, default_value = "false")]
    pub insecure_listen: Switch,
    /// Where db/ and keys/ are. Empty: $XDG_DATA_HOME/cairn-witness, or
    /// ~/.local/share/cairn-witness.
    #[arg(long, value_name = "DIR", default_value = "")]
    pub data_dir: Text,
    /// Where the logs' keys are: files NAME.vkey, one log each. Empty: logs/ in data_dir.
    #[arg(long, value_name = "DIR", default_value = "")]
    pub logs_dir: Text,
    /// Accept key files of another user that their group can read, as Kubernetes mounts them with
    /// fsGroup.
    #[arg(long, default_value = "false")]
    pub allow_group_readable_keys: Switch,
    /// The name to make keys under at a first start. Empty: HOSTNAME/witness/HASH.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub name: Text,
    /// How often logs_dir is looked at; less often where a look takes long.
    #[arg(long, value_name = "N", default_value = "1000")]
    pub logs_poll_ms: Millis<10>,
    /// How far the clock may step, forward or back, and still be believed; beyond it, see `clock
    /// accept`.
    #[arg(long, value_name = "TIME", default_value = "1d")]
    pub clock_step_max: Span,
    /// Threads that serve requests. 0: one for each core, but one fewer from 2 to 4 cores.
    #[arg(long, value_name = "N", default_value = "0")]
    pub worker_threads: Bounded<0, 1_024>,
    /// Threads that decide and sign; a log belongs to one of them. 0: one for each core.
    #[arg(long, value_name = "N", default_value = "0")]
    pub signer_threads: Bounded<0, 1_024>,
    #[command(flatten)]
    pub connections: ConnectionSettings,
    /// Requests worked on at a time, over all connections.
    #[arg(long, value_name = "N", default_value = "1024")]
    pub requests_max: Bounded<1, 1_000_000>,
    /// How long a request may take, its body included.
    #[arg(long, value_name = "N", default_value = "30000")]
    pub http_timeout_ms: Millis<1>,
    #[command(flatten)]
    pub port: PortSettings,
    /// Memory of the store for what it reads and writes.
    #[arg(long, value_name = "N", default_value = "8388608")]
    pub cache_bytes: Bounded<{ 64 * KIB }, { 64 * GIB }>,
    /// Other witnesses to gossip with, separated by blanks: https://HOST:PORT#sha256//PIN, as they
    /// print it at start; without #PIN the machine's certificate authorities decide; http:// on
    /// this machine.
    #[arg(long, value_name = "TEXT", action = ArgAction::Append, default_value = "")]
    pub peer: Text,
    /// Accept http:// peers on other machines, to which the connection is not encrypted.
    #[arg(long, default_value = "false")]
    pub insecure_peers: Switch,
    /// The mean time between two rounds of gossip with one peer.
    #[arg(long, value_name = "N", default_value = "2000")]
    pub gossip_interval_ms: Millis<10>,
    /// How long a log may give no proof that its heads are of one history before it is a suspect.
    #[arg(long, value_name = "N", default_value = "60000")]
    pub suspect_after_ms: Millis<0>,
    /// The http:// or https:// URL that evidence is posted to when it is first held. Empty: none.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub webhook: Text,
}
