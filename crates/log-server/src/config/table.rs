//! The table of settings.

use serve::config::{Setting, Table};

use super::witness::LOG_KEYS;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;
const HOUR_MS: u64 = 3_600_000;

/// The settings, and where they are read from.
pub const TABLE: Table = Table {
    settings: SETTINGS,
    environment: "CAIRN_",
    read_elsewhere: &["CAIRN_LOG", "CAIRN_SERVER", "CAIRN_STATE", "CAIRN_WITNESS_"],
    example: "deploy/cairn-server.toml",
};

/// Every setting there is.
pub const SETTINGS: &[Setting] = &[
    Setting::address(
        "listen",
        "127.0.0.1:6962",
        "The address or host's name, and the port, of gRPC and HTTP; port 0 takes any free one.",
    ),
    Setting::flag(
        "insecure_listen",
        "Accept a listen address that other machines can reach, though callers have no identities yet.",
    ),
    Setting::path(
        "data_dir",
        "Where db/, heads/ and keys/ are. Empty: $XDG_DATA_HOME/cairn, or ~/.local/share/cairn.",
    ),
    Setting::path(
        "heads_dir",
        "Where the journal of signed heads is. Empty: heads/ in data_dir. Another volume is safer.",
    ),
    Setting::flag(
        "allow_group_readable_keys",
        "Accept key files of another user that their group can read, as Kubernetes mounts them with fsGroup.",
    ),
    Setting::flag("read_only", "Serve what is stored; write and sign nothing."),
    Setting::flag(
        "adopt_journal",
        "Start without the journal that should be there; a rollback since then goes unnoticed.",
    ),
    Setting::number(
        "worker_threads",
        (0, 1_024),
        "0",
        "Threads that serve requests. 0: one for each core, but one fewer from 2 to 4 cores.",
    ),
    Setting::CONNECTIONS_MAX,
    Setting::CONNECTIONS_PER_ADDRESS_MAX,
    Setting::number(
        "requests_max",
        (1, 1_000_000),
        "1024",
        "Requests worked on at a time, over all connections. Beyond about 512 only latency grows.",
    ),
    Setting::number(
        "streams_max",
        (1, 1_000_000),
        "1024",
        "Streams open at a time: appends, watches and ranges of entries.",
    ),
    Setting::number(
        "http_timeout_ms",
        (1, HOUR_MS),
        "30000",
        "How long a plain HTTP request may take, its body included.",
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
        "receipt_wait_default_ms",
        (0, HOUR_MS),
        "5000",
        "How long a call waits for its receipt where it does not say.",
    ),
    Setting::number(
        "receipt_wait_max_ms",
        (0, HOUR_MS),
        "60000",
        "The longest wait for a receipt.",
    ),
    Setting::number(
        "queue_entries_max",
        (10_000, 100_000_000),
        "100000",
        "Entries that may wait in one log's queue; beyond it appends are refused at once.",
    ),
    Setting::number(
        "queue_bytes_max",
        (8 * MIB, 64 * GIB),
        "67108864",
        "Entry bytes that may wait in one log's queue.",
    ),
    Setting::number(
        "batch_entries_max",
        (10_000, 10_000_000),
        "20000",
        "Entries of one log in one commit. At least one call's, as a call is never split.",
    ),
    Setting::number(
        "batch_bytes_max",
        (8 * MIB, GIB),
        "8388608",
        "Entry bytes of one log in one commit. At least one call's.",
    ),
    Setting::number(
        "linger_max_us",
        (0, 10_000),
        "1000",
        "How long a commit may wait for more calls, only while many are in flight.",
    ),
    Setting::number(
        "publish_interval_min_ms",
        (1, HOUR_MS),
        "4",
        "The least time between two published checkpoints of a log.",
    ),
    Setting::number(
        "history_interval_ms",
        (1, HOUR_MS),
        "1000",
        "The least time between two archived checkpoints of a log.",
    ),
    Setting::duration(
        "clock_step_max",
        "1d",
        "How far the clock may step, forward or back, and still be believed; beyond it, see `clock accept`.",
    ),
    Setting::number(
        "min_free_bytes",
        (0, 1024 * GIB),
        "268435456",
        "Below this much free disk appends are refused.",
    ),
    Setting::number("logs_max", (1, 16_384), "10000", "Logs of this server."),
    Setting::number(
        "tile_cache_bytes",
        (0, 1024 * GIB),
        "134217728",
        "Memory for tiles that proofs are made from; 61 MB hold a million leaves.",
    ),
    Setting::number(
        "bundle_cache_bytes",
        (0, 64 * GIB),
        "33554432",
        "Memory for compressed entry bundles.",
    ),
    Setting::number(
        "leaf_index_busy_rate",
        (0, 10_000_000),
        "20000",
        "Leaves indexed in a second while a log is busy; look-ups scan what is not indexed yet.",
    ),
    Setting::number(
        "block_cache_bytes",
        (MIB, 1024 * GIB),
        "67108864",
        "Memory of the database for blocks, indexes and filters.",
    ),
    Setting::number(
        "wal_bytes_max",
        (8 * MIB, 64 * GIB),
        "100663296",
        "Write-ahead log that is replayed after a crash, at some 100 MB/s.",
    ),
    Setting::number(
        "memtable_bytes",
        (MIB, 4 * GIB),
        "33554432",
        "Memory of a table being written; up to four for entries and four for look-up rows.",
    ),
    Setting::number(
        "witness_timeout_ms",
        (1, HOUR_MS),
        "5000",
        "How long one call to a witness may take.",
    ),
    Setting::number(
        "witness_grace_ms",
        (0, HOUR_MS),
        "20",
        "How long late cosignatures are waited for once there is a quorum.",
    ),
    Setting::number(
        "witness_interval_min_ms",
        (1, HOUR_MS),
        "100",
        "The least time between two heads sent to witnesses while nobody waits for a witnessed receipt.",
    ),
    Setting::number(
        "witness_pause_max_ms",
        (1, HOUR_MS),
        "15000",
        "The longest pause after a witness failed; pauses begin at 100 ms and double.",
    ),
    Setting::number(
        "witness_quarantine_ms",
        (1, HOUR_MS),
        "60000",
        "How long a witness that contradicts the log or itself is left alone.",
    ),
    Setting::number(
        "quorum_timeout_ms",
        (1, HOUR_MS),
        "10000",
        "How long witnesses may take to form a quorum before it counts as lost.",
    ),
    Setting::flag(
        "accept_unwitnessed_start",
        "Take entries though too few witnesses say what they hold; a rollback may go unnoticed.",
    ),
    Setting::tables(
        "logs",
        LOG_KEYS,
        "Settings of one log, under [logs.NAME]: policy = \"FILE\", who witnesses it (c2sp.org/tlog-policy, \
         with addresses); on_quorum_loss = \"wait\", or \"publish_unwitnessed\" to go on without witnesses.",
    ),
];
