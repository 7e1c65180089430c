//! `cairn bench`: load, and the floors it is measured against.

mod audit;
mod report;
mod run;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use log_proto::log_v1::Receipt;

use crate::args::Server;
use crate::error::{CliError, Exit};
use crate::ui::Ui;

const AFTER_HELP: &str = "\
Each worker sends, waits, sends again. With --rate calls have an intended time instead, and
latencies run from there, so that a stall is charged to every call it held up. Before and after
the run the same client code with the same settings makes empty calls
(grpc.health.v1.Health/Check, in mode http a POST to /healthz): the higher rate is the floor,
and `ratio` is calls over it. `fdatasync/s` is what the disk under --probe-dir does: 4 KiB
appended and synced, again and again, for one second.

In mode http each call in flight has a connection of its own. In mode stream each connection
carries one append stream, and --in-flight messages of --batch entries are open in all. Mode
read fetches and verifies inclusion proofs of random entries. Calls the server sheds are counted
apart and are no leaves. It is an error if the log grew by less than is reported.

Of an audit log: events records batches over gRPC, events-json one event a call over HTTP, k8s posts of
an apiserver and otlp of a collector, which take the way of those into the log that is named. search
asks for pages by filters in turn, counts for events by day. --events FILE gives what is sent, a line
each: AuditEvents, items of an EventList or records of OTLP as JSON. They are sent again and again,
under fresh ids. `events_per_s` and `bytes_per_event` are of what was new, or was found or counted.

Examples:
  cairn bench default --connections 8 --in-flight 256
  cairn bench default --mode batch --batch 1000 --in-flight 8 --duration 30
  cairn bench default --rate 10000 --receipt signed --verify --json
  cairn bench default --mode http --in-flight 256 --server-pid $(pidof cairn-server)
  cairn bench audit --mode events --batch 50 --in-flight 4 --json
  cairn bench audit --mode search --duration 30";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct BenchArgs {
    /// The log; it grows
    log: String,
    /// What a call is
    #[arg(long, value_enum, default_value_t = Mode::Unary)]
    mode: Mode,
    /// Connections
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=4096))]
    connections: u16,
    /// Calls in flight over all connections [default: 256; batch, stream, events, k8s and otlp 8;
    /// events-json 64; search and counts 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=16384))]
    in_flight: Option<u16>,
    /// Entries of one batch, or of one message of a stream, or events of a call [default: 1000; events
    /// and otlp 500; k8s 400]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    batch: Option<u64>,
    /// Events, items of Kubernetes or records of OTLP, one a line [default: invented ones of 1.2 kB]
    #[arg(long, value_name = "FILE.ndjson")]
    events: Option<PathBuf>,
    /// Bytes of one entry
    #[arg(long, value_name = "BYTES", default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..))]
    size: u16,
    /// How long to measure, warm-up not included
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    duration: Duration,
    /// How long to run before that
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    warmup: Duration,
    /// How long to measure the floor, each time; 0 leaves it out
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    floor: Duration,
    /// What each append waits for
    #[arg(long, value_enum, default_value_t = Level::Index)]
    receipt: Level,
    /// Verify every receipt (modes unary and batch), remembering checkpoints already verified
    #[arg(long)]
    verify: bool,
    /// Give each entry a deduplication key
    #[arg(long)]
    dedup: bool,
    /// Wait until the published checkpoint covers the entry (modes unary and http)
    #[arg(long)]
    until_published: bool,
    /// Calls a second in all: an open loop
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,
    /// Client threads
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// Folder whose disk is probed: choose one on the server's volume
    #[arg(long, value_name = "DIR", default_value = ".")]
    probe_dir: PathBuf,
    /// The server's process, on this machine: its CPU time per call is then reported
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    /// One entry a call
    Unary,
    /// A batch of --batch entries a call
    Batch,
    /// An append stream, --batch entries a message
    Stream,
    /// POST /logs/<log>/add, one entry a call
    Http,
    /// The inclusion proof of a random entry, verified
    Read,
    /// gRPC, --batch events a call
    Events,
    /// POST /v1/logs/<log>/events, one event a call
    EventsJson,
    /// POST /v1/k8s/bench/audit, --batch items a call
    K8s,
    /// POST /v1/logs of OpenTelemetry as JSON, --batch records a call
    Otlp,
    /// GET /v1/logs/<log>/events, a page by filters in turn
    Search,
    /// GET /v1/logs/<log>/events/counts by day
    Counts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Index,
    Signed,
    Witnessed,
}

impl From<Level> for Receipt {
    fn from(level: Level) -> Self {
        match level {
            Level::Index => Self::Index,
            Level::Signed => Self::Signed,
            Level::Witnessed => Self::Witnessed,
        }
    }
}

impl Mode {
    /// Whether calls go over HTTP/1.1, each with a connection of its own.
    fn is_http(self) -> bool {
        match self {
            Self::Http
            | Self::EventsJson
            | Self::K8s
            | Self::Otlp
            | Self::Search
            | Self::Counts => true,
            Self::Unary | Self::Batch | Self::Stream | Self::Read | Self::Events => false,
        }
    }

    /// Whether it is about the events of an audit log.
    fn is_audit(self) -> bool {
        match self {
            Self::Events
            | Self::EventsJson
            | Self::K8s
            | Self::Otlp
            | Self::Search
            | Self::Counts => true,
            Self::Unary | Self::Batch | Self::Stream | Self::Http | Self::Read => false,
        }
    }
}

impl BenchArgs {
    /// Entries of one call, where a call has more than one.
    fn batch(&self) -> Option<u64> {
        let default = match self.mode {
            Mode::Batch | Mode::Stream => 1_000,
            Mode::Events | Mode::Otlp => 500,
            Mode::K8s => 400,
            Mode::Unary
            | Mode::Http
            | Mode::Read
            | Mode::EventsJson
            | Mode::Search
            | Mode::Counts => return None,
        };
        Some(self.batch.unwrap_or(default))
    }

    fn in_flight(&self) -> u16 {
        let default = match self.mode {
            Mode::Unary | Mode::Http | Mode::Read => 256,
            Mode::Batch | Mode::Stream | Mode::Events | Mode::K8s | Mode::Otlp => 8,
            Mode::EventsJson => 64,
            Mode::Search | Mode::Counts => 1,
        };
        self.in_flight.unwrap_or(default)
    }
}

pub(crate) fn run(args: &BenchArgs, server: &Server, ui: &Ui) -> Result<Exit, CliError> {
    let runtime = if args.threads == 1 {
        tokio::runtime::Builder::new_current_thread().enable_all().build()
    } else {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(args.threads.into())
            .enable_all()
            .build()
    };
    let runtime = runtime.map_err(|source| CliError::Runtime { source })?;
    let report = runtime.block_on(run::measure(args, server, ui))?;
    ui.result(report.table(), &report)?;
    report.check()
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 =
        text.parse().map_err(|_| "give seconds, for example 10 or 0.5".to_owned())?;
    if !(0.0..=86_400.0).contains(&seconds) {
        return Err("give 0 to 86400 seconds".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "give calls a second, for example 5000".to_owned())?;
    if !(0.001..=10_000_000.0).contains(&rate) {
        return Err("give 0.001 to 10000000 calls a second".to_owned());
    }
    Ok(rate)
}
