//! The table of settings.

use serve::config::{Setting, Table};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;
const HOUR_MS: u64 = 3_600_000;

/// The settings, and where they are read from.
pub const TABLE: Table = Table {
    settings: SETTINGS,
    environment: "CAIRN_WITNESS_",
    read_elsewhere: &[],
    example: "deploy/cairn-witness.toml",
};

/// Every setting there is.
pub const SETTINGS: &[Setting] = &[
    Setting::address(
        "listen",
        "127.0.0.1:6963",
        "The address or host's name, and the port, to listen on; port 0 takes any free one.",
    ),
    Setting::flag(
        "insecure_listen",
        "Accept a listen address that other machines can reach: the port speaks TLS, and plain HTTP as well.",
    ),
    Setting::path(
        "data_dir",
        "Where db/ and keys/ are. Empty: $XDG_DATA_HOME/cairn-witness, or ~/.local/share/cairn-witness.",
    ),
    Setting::path(
        "logs_dir",
        "Where the logs' keys are: files NAME.vkey, one log each. Empty: logs/ in data_dir.",
    ),
    Setting::flag(
        "allow_group_readable_keys",
        "Accept key files of another user that their group can read, as Kubernetes mounts them with fsGroup.",
    ),
    Setting::text(
        "name",
        "The name to make keys under at a first start. Empty: HOSTNAME/witness/HASH.",
    ),
    Setting::number(
        "logs_poll_ms",
        (10, HOUR_MS),
        "1000",
        "How often logs_dir is looked at; less often where a look takes long.",
    ),
    Setting::duration(
        "clock_step_max",
        "1d",
        "How far the clock may step, forward or back, and still be believed; beyond it, see `clock accept`.",
    ),
    Setting::number(
        "worker_threads",
        (0, 1_024),
        "0",
        "Threads that serve requests. 0: one for each core, but one fewer from 2 to 4 cores.",
    ),
    Setting::number(
        "signer_threads",
        (0, 1_024),
        "0",
        "Threads that decide and sign; a log belongs to one of them. 0: one for each core.",
    ),
    Setting::CONNECTIONS_MAX,
    Setting::CONNECTIONS_PER_ADDRESS_MAX,
    Setting::number(
        "requests_max",
        (1, 1_000_000),
        "1024",
        "Requests worked on at a time, over all connections.",
    ),
    Setting::number(
        "http_timeout_ms",
        (1, HOUR_MS),
        "30000",
        "How long a request may take, its body included.",
    ),
    Setting::number("header_bytes_max", (KIB, MIB), "16384", "Bytes of a request's headers."),
    Setting::number(
        "shutdown_timeout_ms",
        (0, HOUR_MS),
        "10000",
        "How long requests in flight may take to end after the port is closed.",
    ),
    Setting::DRAIN_MS,
    Setting::number(
        "cache_bytes",
        (64 * KIB, 64 * GIB),
        "8388608",
        "Memory of the store for what it reads and writes.",
    ),
    Setting::texts(
        "peer",
        "Other witnesses to gossip with, separated by blanks: https://HOST:PORT#sha256//PIN, as they print it at start; without #PIN the machine's certificate authorities decide; http:// on this machine.",
    ),
    Setting::flag(
        "insecure_peers",
        "Accept http:// peers on other machines, to which the connection is not encrypted.",
    ),
    Setting::number(
        "gossip_interval_ms",
        (10, HOUR_MS),
        "2000",
        "The mean time between two rounds of gossip with one peer.",
    ),
    Setting::number(
        "suspect_after_ms",
        (0, HOUR_MS),
        "60000",
        "How long a log may give no proof that its heads are of one history before it is a suspect.",
    ),
    Setting::text(
        "webhook",
        "The http:// or https:// URL that evidence is posted to when it is first held. Empty: none.",
    ),
];
