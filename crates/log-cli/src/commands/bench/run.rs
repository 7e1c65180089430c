//! The order of a bench run: disk, floor, load, floor, and the check of the log's size.

use std::sync::Arc;
use std::time::Duration;

use formats::trust::Trust;
use log_client::verify::VerifiedCheckpoints;
use log_proto::log_v1::Receipt;
use tonic::transport::Channel;

use super::audit::AuditLoad;
use super::report::{Floor, Report, Results};
use super::{BenchArgs, Mode};
use crate::args::Server;
use crate::bench::grpc::{Unary, connect};
use crate::bench::http::{Authority, Counted, Poster, Prepared};
use crate::bench::load::{self, Call, Measured, Schedule, float};
use crate::bench::publication::{Published, UntilPublished};
use crate::bench::read::Reader;
use crate::bench::stream::{self, Producer};
use crate::bench::template::{Shape, Template};
use crate::bench::{probe, receipts};
use crate::commands::client;
use crate::error::CliError;
use crate::trust;
use crate::ui::Ui;

/// Warm-up of a floor measurement.
const FLOOR_WARMUP: Duration = Duration::from_millis(300);
/// How many verified checkpoints are remembered.
const CHECKPOINTS_MAX: std::num::NonZeroUsize =
    std::num::NonZeroUsize::new(1024).expect("it is not zero");

pub(super) async fn measure(
    args: &BenchArgs,
    server: &Server,
    ui: &Ui,
) -> Result<Report, CliError> {
    let admin = client(server)?;
    let before = admin.log(&args.log).await?;
    let probed = probe::fdatasync_per_s(&args.probe_dir);
    let fdatasync_per_s =
        probed.map_err(|source| CliError::Write { path: args.probe_dir.clone(), source })?;

    let channels = connect(&server.server, args.channels()).await?;
    let bench = Bench { args, server, channels };
    ui.note("measuring the floor, then the load, then the floor again");
    let floor_before = bench.floor(ui).await?;
    let cpu_before = args.server_pid.map(probe::cpu_time).transpose();
    let measured = bench.load(&before.vkeys, before.tree_size.get()).await?;
    let cpu_after = args.server_pid.map(probe::cpu_time).transpose();
    let after = admin.log(&args.log).await?;
    let floor_after = bench.floor(ui).await?;

    let floor = floor_before.zip(floor_after);
    let unreadable = |source| CliError::Read { path: "/proc".into(), source };
    let cpu = cpu_before.and_then(|before| Ok(before.zip(cpu_after?))).map_err(unreadable)?;
    let results = Results {
        server_cpu_us_per_call: cpu.map(|(from, to)| cpu_us_per_call(from, to, &measured)),
        measured,
        floor: floor.map(|(before_per_s, after_per_s)| Floor { before_per_s, after_per_s }),
        fdatasync_per_s,
        size_before: before.tree_size.get(),
        size_after: after.tree_size.get(),
    };
    Ok(Report::new(args, results))
}

/// CPU time of the server over the whole run, divided by all calls of the whole run.
fn cpu_us_per_call(from: Duration, to: Duration, measured: &Measured) -> f64 {
    let spent = to.saturating_sub(from).as_secs_f64();
    spent * 1e6 / float(measured.calls_whole_run.max(1))
}

impl BenchArgs {
    fn channels(&self) -> usize {
        // Modes over HTTP have one gRPC channel for watching, and for the size of the log.
        if self.mode.is_http() { 1 } else { self.connections.min(self.in_flight()).into() }
    }

    pub(super) fn connections(&self) -> u16 {
        if self.mode.is_http() { self.in_flight() } else { self.connections.min(self.in_flight()) }
    }

    fn schedule(&self) -> Schedule {
        Schedule { warmup: self.warmup, duration: self.duration, rate: self.rate }
    }

    fn shape(&self) -> Result<Shape, CliError> {
        let run = random_run()?;
        let entries = self.batch().unwrap_or(1);
        Ok(Shape {
            log: self.log.clone(),
            entries,
            entry_bytes: self.size.into(),
            receipt: self.receipt.into(),
            dedup: self.dedup,
            run,
        })
    }
}

/// A run with its connections.
struct Bench<'a> {
    args: &'a BenchArgs,
    server: &'a Server,
    channels: Vec<Channel>,
}

impl Bench<'_> {
    /// One worker for each call in flight, spread over the connections.
    fn workers<W>(&self, mut worker: impl FnMut(Channel) -> W) -> Vec<W> {
        let in_flight = usize::from(self.args.in_flight());
        let channels = self.channels.iter().cycle().take(in_flight);
        channels.map(|channel| worker(channel.clone())).collect()
    }

    /// Empty calls a second; `None` if left out, or the server has no empty POST.
    async fn floor(&self, ui: &Ui) -> Result<Option<f64>, CliError> {
        let duration = self.args.floor;
        if duration.is_zero() {
            return Ok(None);
        }
        let schedule = Schedule { warmup: FLOOR_WARMUP, duration, rate: None };
        let measured = if self.args.mode.is_http() {
            let posters = self.posters("/healthz", Counted::Nothing)?;
            if !self.has_empty_post(ui).await? {
                return Ok(None);
            }
            load::run(posters, schedule).await
        } else {
            let empty = Arc::new(Template::empty());
            let calls = self.workers(|channel| Unary::empty(channel, Arc::clone(&empty)));
            load::run(calls, schedule).await
        };
        Ok(Some(float(measured.calls) / duration.as_secs_f64()))
    }

    async fn load(&self, vkeys: &[String], size: u64) -> Result<Measured, CliError> {
        let shape = self.args.shape()?;
        let schedule = self.args.schedule();
        let receipt = shape.receipt;
        let verifier = receipts::Verifier::new(remembered(vkeys)?, self.args.verify, receipt);
        Ok(match self.args.mode {
            Mode::Unary => {
                let template = Arc::new(Template::append(&shape));
                let call =
                    |channel| Unary::append(channel, Arc::clone(&template), verifier.clone());
                self.run_published(self.workers(call), schedule).await?
            }
            Mode::Batch => {
                let template = Arc::new(Template::append_batch(&shape));
                let call =
                    |channel| Unary::append_batch(channel, Arc::clone(&template), verifier.clone());
                load::run(self.workers(call), schedule).await
            }
            Mode::Http => {
                let path = format!("/logs/{}/add", self.args.log);
                self.run_published(self.posters(&path, Counted::Sent)?, schedule).await?
            }
            Mode::Events
            | Mode::EventsJson
            | Mode::K8s
            | Mode::Otlp
            | Mode::Search
            | Mode::Counts => self.audit_load(verifier, schedule).await?,
            Mode::Stream => stream::run(self.producers(&shape)?, schedule).await,
            Mode::Read => {
                let remembered = remembered(vkeys)?;
                let reader = |channel| {
                    Reader::new(channel, self.args.log.clone(), size, Arc::clone(&remembered))
                };
                load::run(self.workers(reader), schedule).await
            }
        })
    }

    /// The calls of an audit log.
    async fn audit_load(
        &self,
        verifier: receipts::Verifier,
        schedule: Schedule,
    ) -> Result<Measured, CliError> {
        Ok(match AuditLoad::prepare(self.args, self.server)? {
            AuditLoad::Messages(templates) => {
                let call = |channel| {
                    Unary::record_events(channel, Arc::clone(&templates), verifier.clone())
                };
                load::run(self.workers(call), schedule).await
            }
            AuditLoad::Requests { requests, counted } => {
                load::run(self.workers_over_http(&requests, counted)?, schedule).await
            }
        })
    }

    /// Runs the calls. If asked for, a call ends only when its entry is published.
    async fn run_published<C: Call>(
        &self,
        calls: Vec<C>,
        schedule: Schedule,
    ) -> Result<Measured, CliError> {
        if !self.args.until_published {
            return Ok(load::run(calls, schedule).await);
        }
        let published = Published::watch(&client(self.server)?, &self.args.log).await?;
        let waiting = calls.into_iter().map(|call| UntilPublished::new(call, published.sizes()));
        Ok(load::run(waiting.collect(), schedule).await)
    }

    /// Workers that post one entry to `path`.
    fn posters(&self, path: &str, counted: Counted) -> Result<Vec<Poster>, CliError> {
        let authority = Authority::of(&self.server.server)?;
        let body = Template::bare(&self.args.shape()?);
        let requests = [Prepared::post(&authority, path, None, body)].into();
        self.workers_over_http(&requests, counted)
    }

    fn workers_over_http(
        &self,
        requests: &Arc<[Prepared]>,
        counted: Counted,
    ) -> Result<Vec<Poster>, CliError> {
        let authority = Authority::of(&self.server.server)?;
        let poster = || Poster::new(authority.clone(), Arc::clone(requests), counted);
        Ok((0..self.args.in_flight()).map(|_| poster()).collect())
    }

    /// One stream on each connection; the window is shared out among them, at least one each.
    fn producers(&self, shape: &Shape) -> Result<Vec<Producer>, CliError> {
        let template = Arc::new(Template::stream_items(shape));
        let window = (usize::from(self.args.in_flight()) / self.channels.len()).max(1);
        let mut producers = Vec::with_capacity(self.channels.len());
        for channel in &self.channels {
            let mut id = [0; 16];
            getrandom::fill(&mut id).map_err(|source| CliError::Random { source })?;
            producers.push(Producer {
                channel: channel.clone(),
                log: self.args.log.clone(),
                id,
                receipt: Receipt::from(self.args.receipt),
                template: Arc::clone(&template),
                window,
            });
        }
        Ok(producers)
    }

    /// Whether the server answers the empty POST; said on stderr if not.
    async fn has_empty_post(&self, ui: &Ui) -> Result<bool, CliError> {
        let mut posters = self.posters("/healthz", Counted::Nothing)?;
        let Some(mut poster) = posters.pop() else { return Ok(false) };
        let status = poster.probe().await.map_err(|source| CliError::Post { source })?;
        if status != 200 {
            ui.note(format_args!(
                "note: no floor, as the server answers POST /healthz with status {status}"
            ));
        }
        Ok(status == 200)
    }
}

/// What makes the entries of this run differ from those of all others.
pub(super) fn random_run() -> Result<[u8; 8], CliError> {
    let mut run = [0; 8];
    getrandom::fill(&mut run).map_err(|source| CliError::Random { source })?;
    Ok(run)
}

fn remembered(vkeys: &[String]) -> Result<Arc<VerifiedCheckpoints>, CliError> {
    let keys = vkeys.iter().map(|vkey| trust::vkey(vkey)).collect::<Result<Vec<_>, _>>()?;
    Ok(Arc::new(VerifiedCheckpoints::new(Trust::Keys(keys), CHECKPOINTS_MAX)))
}
