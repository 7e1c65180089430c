//! The table of settings.

use std::net::SocketAddr;

/// What values a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An IP address and a port.
    Address,
    /// A path; empty for the default.
    Path,
    /// `true` or `false`.
    Flag,
    /// A number within bounds, both included.
    Number { min: u64, max: u64 },
}

impl Kind {
    /// Says what is expected where `value` is not.
    pub fn check(self, value: &str) -> Result<(), String> {
        match self {
            Self::Address if value.parse::<SocketAddr>().is_err() => {
                Err("an address and a port".to_owned())
            }
            Self::Flag if !matches!(value, "true" | "false") => Err("true or false".to_owned()),
            Self::Number { min, max } if !is_number(value, min, max) => {
                Err(format!("a number from {min} to {max}"))
            }
            Self::Address | Self::Path | Self::Flag | Self::Number { .. } => Ok(()),
        }
    }
}

fn is_number(value: &str, min: u64, max: u64) -> bool {
    let digits = value.bytes().all(|b| b.is_ascii_digit());
    digits && value.parse().is_ok_and(|number: u64| (min..=max).contains(&number))
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub key: &'static str,
    pub kind: Kind,
    pub default: &'static str,
    pub help: &'static str,
}

impl Setting {
    /// The setting with this key.
    pub fn named(key: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.key == key)
    }

    /// Its flag, without the dashes in front.
    pub fn flag_name(&self) -> String {
        self.key.replace('_', "-")
    }
}

const fn number(
    key: &'static str,
    (min, max): (u64, u64),
    default: &'static str,
    help: &'static str,
) -> Setting {
    Setting { key, kind: Kind::Number { min, max }, default, help }
}

const fn flag(key: &'static str, help: &'static str) -> Setting {
    Setting { key, kind: Kind::Flag, default: "false", help }
}

const fn path(key: &'static str, help: &'static str) -> Setting {
    Setting { key, kind: Kind::Path, default: "", help }
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;
const HOUR_MS: u64 = 3_600_000;

/// Every setting there is.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "listen",
        kind: Kind::Address,
        default: "127.0.0.1:6962",
        help: "The address and port of gRPC and HTTP; port 0 takes any free one.",
    },
    flag(
        "insecure_listen",
        "Accept a listen address that other machines can reach, though callers have no identities yet.",
    ),
    path(
        "data_dir",
        "Where db/, heads/ and keys/ are. Empty: $XDG_DATA_HOME/cairn, or ~/.local/share/cairn.",
    ),
    path(
        "heads_dir",
        "Where the journal of signed heads is. Empty: heads/ in data_dir. Another volume is safer.",
    ),
    flag("read_only", "Serve what is stored; write and sign nothing."),
    flag(
        "adopt_journal",
        "Start without the journal that should be there; a rollback since then goes unnoticed.",
    ),
    number(
        "worker_threads",
        (0, 1_024),
        "0",
        "Threads that serve requests. 0: one for each core, but one fewer from 2 to 4 cores.",
    ),
    number("connections_max", (1, 1_000_000), "4096", "Connections open at a time."),
    number(
        "requests_max",
        (1, 1_000_000),
        "1024",
        "Requests worked on at a time, over all connections. Beyond about 512 only latency grows.",
    ),
    number(
        "streams_max",
        (1, 1_000_000),
        "1024",
        "Streams open at a time: appends, watches and ranges of entries.",
    ),
    number(
        "http_timeout_ms",
        (1, HOUR_MS),
        "30000",
        "How long a plain HTTP request may take, its body included.",
    ),
    number("header_bytes_max", (KIB, MIB), "16384", "Bytes of a request's headers."),
    number(
        "shutdown_timeout_ms",
        (0, HOUR_MS),
        "10000",
        "How long requests in flight may take to end after a signal to stop.",
    ),
    number(
        "receipt_wait_default_ms",
        (0, HOUR_MS),
        "5000",
        "How long a call waits for its receipt where it does not say.",
    ),
    number("receipt_wait_max_ms", (0, HOUR_MS), "60000", "The longest wait for a receipt."),
    number(
        "queue_entries_max",
        (10_000, 100_000_000),
        "100000",
        "Entries that may wait in one log's queue; beyond it appends are refused at once.",
    ),
    number(
        "queue_bytes_max",
        (8 * MIB, 64 * GIB),
        "67108864",
        "Entry bytes that may wait in one log's queue.",
    ),
    number(
        "batch_entries_max",
        (10_000, 10_000_000),
        "20000",
        "Entries of one log in one commit. At least one call's, as a call is never split.",
    ),
    number(
        "batch_bytes_max",
        (8 * MIB, GIB),
        "8388608",
        "Entry bytes of one log in one commit. At least one call's.",
    ),
    number(
        "linger_max_us",
        (0, 10_000),
        "1000",
        "How long a commit may wait for more calls, only while many are in flight.",
    ),
    number(
        "publish_interval_min_ms",
        (1, HOUR_MS),
        "5",
        "The least time between two published checkpoints of a log.",
    ),
    number(
        "history_interval_ms",
        (1, HOUR_MS),
        "1000",
        "The least time between two archived checkpoints of a log.",
    ),
    number(
        "min_free_bytes",
        (0, 1024 * GIB),
        "268435456",
        "Below this much free disk appends are refused.",
    ),
    number("logs_max", (1, 1_000_000), "10000", "Logs of this server."),
    number(
        "tile_cache_bytes",
        (0, 1024 * GIB),
        "134217728",
        "Memory for tiles that proofs are made from; 61 MB hold a million leaves.",
    ),
    number("bundle_cache_bytes", (0, 64 * GIB), "33554432", "Memory for compressed entry bundles."),
    number(
        "leaf_index_busy_rate",
        (0, 10_000_000),
        "20000",
        "Leaves indexed in a second while a log is busy; look-ups scan what is not indexed yet.",
    ),
    number(
        "block_cache_bytes",
        (MIB, 1024 * GIB),
        "67108864",
        "Memory of the database for blocks, indexes and filters.",
    ),
    number(
        "wal_bytes_max",
        (8 * MIB, 64 * GIB),
        "100663296",
        "Write-ahead log that is replayed after a crash, at some 100 MB/s.",
    ),
    number(
        "memtable_bytes",
        (MIB, 4 * GIB),
        "33554432",
        "Memory of a table being written; up to four for entries and four for look-up rows.",
    ),
];
