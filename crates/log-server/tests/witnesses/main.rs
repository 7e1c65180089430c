//! A log and its witnesses over real sockets: honest ones, and every other kind.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails where its fixtures do, and a fake's own tasks end with it"
)]

mod clock;
mod fake;
mod hostile;
mod quorum;
mod rollback;

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use fake::{Mode, Witness};
use formats::{Policy, SignedCheckpoint, TlogProof, Trust};
use log_proto::log_v1 as pb;
use log_proto::log_v1::log_service_client::LogServiceClient;
use log_server::config::{Config, SOURCES};
use log_server::server::{Server, StartError, WITNESSED_HEALTH};
use serve::config::Values;
use storage::StorageError;
use storage_rocksdb::RocksEngine;
use tempfile::TempDir;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;

/// Longer than any wait of these tests takes, unless it waits for what never comes.
const LONG: Duration = Duration::from_mins(2);

/// A data folder with a policy, over any number of servers.
struct Site {
    dir: TempDir,
    settings: Vec<(&'static str, String)>,
    distrusted: Vec<String>,
}

impl Site {
    fn new(policy: &str) -> Self {
        Self::with_loss(policy, "wait")
    }

    fn with_loss(policy: &str, on_quorum_loss: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("policy");
        std::fs::write(&file, policy).unwrap();
        let logs = format!(
            "{{ default = {{ policy = {:?}, on_quorum_loss = {on_quorum_loss:?} }} }}",
            file.display().to_string()
        );
        let settings = vec![
            ("logs", logs),
            ("witness_pause_max_ms", "50".to_owned()),
            ("witness_quarantine_ms", "50".to_owned()),
            ("witness_interval_min_ms", "1".to_owned()),
        ];
        Self { dir, settings, distrusted: Vec::new() }
    }

    fn set(mut self, key: &'static str, value: &str) -> Self {
        self.settings.push((key, value.to_owned()));
        self
    }

    fn data(&self) -> std::path::PathBuf {
        self.dir.path().join("data")
    }

    fn config(&self) -> Config {
        let mut values = Values::new(&SOURCES);
        let data = self.data().display().to_string();
        let own = [
            ("listen", "127.0.0.1:0".to_owned()),
            ("data_dir", data),
            ("min_free_bytes", "0".to_owned()),
        ];
        for (key, value) in own.iter().chain(&self.settings) {
            values.set(key, value).unwrap();
        }
        let mut config = Config::new(&values.settings().unwrap(), |_| None).unwrap();
        config.witness.distrusted = self.distrusted.iter().cloned().collect();
        config
    }

    async fn start(&self) -> Running {
        self.try_start().await.unwrap()
    }

    /// The tasks of a server before this one let go of the store a moment after it has stopped.
    async fn open(&self) -> Result<Server, StartError> {
        let config = self.config();
        let opened = async {
            loop {
                match Server::start(&config).await {
                    Err(StartError::Storage(StorageError::InUse { .. })) => {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                    result => return result,
                }
            }
        };
        tokio::time::timeout(LONG, opened).await.unwrap()
    }

    /// Waits until the server before has let go of the store, so that its files can be copied.
    async fn settled(&self) {
        let config = self.config();
        let let_go = async {
            while RocksEngine::open(&config.db_dir(), &config.storage).is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(LONG, let_go).await.unwrap();
    }

    async fn try_start(&self) -> Result<Running, StartError> {
        let server = self.open().await?;
        let url = format!("http://{}", server.address());
        let channel = Channel::from_shared(url).unwrap().connect().await.unwrap();
        let client = LogServiceClient::new(channel.clone());
        Ok(Running { server, client, health: HealthClient::new(channel) })
    }
}

struct Running {
    server: Server,
    client: LogServiceClient<Channel>,
    health: HealthClient<Channel>,
}

fn wait(duration: Duration) -> prost_types::Duration {
    duration.try_into().unwrap()
}

fn entry(data: &str) -> pb::Entry {
    pb::Entry { data: data.to_owned().into(), dedup_key: Bytes::new() }
}

impl Running {
    async fn append(
        &mut self,
        data: &str,
        receipt: pb::Receipt,
        longest: Duration,
    ) -> Result<pb::AppendResponse, Status> {
        let request = pb::AppendRequest {
            log: "default".to_owned(),
            entry: Some(entry(data)),
            receipt: receipt.into(),
            receipt_wait: Some(wait(longest)),
        };
        self.client.append(request).await.map(tonic::Response::into_inner)
    }

    /// Appends, and gives the receipt that the witnesses cosigned.
    async fn witnessed(&mut self, data: &str) -> Bytes {
        let answer = self.append(data, pb::Receipt::Witnessed, LONG).await.unwrap();
        assert_eq!(answer.receipt_reached(), pb::Receipt::Witnessed);
        answer.tlog_proof
    }

    /// What an append asking for a witnessed receipt gets in a moment.
    async fn reached(&mut self, data: &str) -> pb::Receipt {
        let moment = Duration::from_millis(300);
        self.append(data, pb::Receipt::Witnessed, moment).await.unwrap().receipt_reached()
    }

    async fn checkpoint(&mut self) -> pb::GetCheckpointResponse {
        let request = pb::GetCheckpointRequest { log: "default".to_owned() };
        self.client.get_checkpoint(request).await.unwrap().into_inner()
    }

    async fn log(&mut self) -> pb::Log {
        let request = pb::GetLogRequest { log: "default".to_owned() };
        self.client.get_log(request).await.unwrap().into_inner().log.unwrap()
    }

    /// The policy that a verifier has: the log's key, and the witnesses'.
    async fn trust(&mut self, policy: &str) -> Trust {
        let vkeys = self.log().await.vkeys;
        let log = vkeys.iter().map(|vkey| format!("log {vkey}\n")).collect::<Vec<_>>().concat();
        Trust::Policy(Policy::parse((log + policy).as_bytes()).unwrap())
    }

    async fn is_serving(&mut self) -> bool {
        let request = HealthCheckRequest { service: WITNESSED_HEALTH.to_owned() };
        let status = self.health.check(request).await.unwrap().into_inner().status();
        status == tonic_health::pb::health_check_response::ServingStatus::Serving
    }

    async fn serving(&mut self, wanted: bool) {
        let reached = async {
            while self.is_serving().await != wanted {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(LONG, reached).await.unwrap();
    }

    /// The value of a metric, given as it stands in a scrape.
    fn metric(&self, name: &str) -> u64 {
        let text = self.server.metrics().encode();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let line = line.unwrap_or_else(|| panic!("{name}\n{text}"));
        line.trim_end_matches(".0").parse().unwrap()
    }

    async fn stop(mut self) {
        tokio::time::timeout(LONG, self.server.stop()).await.unwrap();
    }
}

fn verify(receipt: &[u8], data: &str, trust: &Trust) {
    let proof = TlogProof::parse(receipt).unwrap();
    proof.verify_entry(data.as_bytes(), trust).unwrap();
    assert!(proof.verify_entry(b"another", trust).is_err());
}

fn signers(note: &[u8]) -> Vec<String> {
    let signed = SignedCheckpoint::parse(note).unwrap();
    signed.signatures().map(|line| format!("{} {}", line.name, line.signature.len())).collect()
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().unwrap().reason
}

async fn three() -> [Witness; 3] {
    [Witness::start("w1").await, Witness::start("w2").await, Witness::start("w3").await]
}

/// `threshold` of the witnesses.
fn policy(witnesses: &[Witness], threshold: usize) -> String {
    let lines: String = witnesses.iter().map(Witness::policy_lines).collect();
    let names: Vec<&str> = witnesses.iter().map(|witness| witness.name).collect();
    format!("{lines}group q {threshold} {}\nquorum q\n", names.join(" "))
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn witnessed_receipts_verify_offline_on_every_path() {
    let witnesses = three().await;
    let policy = policy(&witnesses, 2);
    let site = Site::new(&policy);
    let mut running = site.start().await;
    let trust = running.trust(&policy).await;
    verify(&running.witnessed("one").await, "one", &trust);

    let request = pb::AppendBatchRequest {
        log: "default".to_owned(),
        entries: vec![entry("two"), entry("three")],
        receipt: pb::Receipt::Witnessed.into(),
        receipt_wait: Some(wait(LONG)),
    };
    let batch = running.client.append_batch(request).await.unwrap().into_inner();
    assert_eq!(batch.receipt_reached(), pb::Receipt::Witnessed);
    let note = batch.range_receipt.unwrap().checkpoint;
    trust.verify(&SignedCheckpoint::parse(&note).unwrap()).unwrap();

    let request = pb::GetReceiptRequest {
        log: "default".to_owned(),
        range: Some(pb::IndexRange { start: 0, end: 3 }),
        receipt: pb::Receipt::Witnessed.into(),
        receipt_wait: Some(wait(LONG)),
    };
    let fetched = running.client.get_receipt(request).await.unwrap().into_inner();
    assert_eq!(fetched.receipt_reached(), pb::Receipt::Witnessed);

    let published = running.checkpoint().await;
    assert_eq!(published.witnessed, Some(true));
    trust.verify(&SignedCheckpoint::parse(&published.checkpoint).unwrap()).unwrap();
    // The log's own, then the cosignatures in the policy's order.
    let origin = running.log().await.origin;
    let mut expected = vec![format!("{origin} 64"), format!("{origin} 2428")];
    for name in ["w1", "w2", "w3"] {
        expected.push(format!("{name}.example 72"));
        expected.push(format!("{name}.example 2428"));
    }
    let found = signers(&published.checkpoint);
    assert!(expected.iter().filter(|line| found.contains(line)).eq(&found), "{found:?}");
    assert!(found.len() >= 6, "two of the three have cosigned: {found:?}");
    running.serving(true).await;

    let archived = running.server.registry().log("default").unwrap().published();
    running.stop().await;
    assert!(archived.witnessed);
    let running = site.start().await;
    let reopened = running.server.registry().log("default").unwrap();
    // Byte for byte, cosignatures included.
    assert_eq!(reopened.published().note, archived.note);
    assert!(reopened.published().witnessed);
    running.stop().await;
    for witness in &witnesses {
        assert_eq!(witness.with(|state| state.breaches.clone()), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_gets_receipts_of_the_level_it_asked_for() {
    use log_proto::log_v1::append_stream_request as asked;
    use log_proto::log_v1::append_stream_response::Message as Answer;

    let witness = [Witness::start("w1").await];
    let policy = policy(&witness, 1);
    let site = Site::new(&policy);
    let mut running = site.start().await;
    let trust = running.trust(&policy).await;
    let message = |message| pb::AppendStreamRequest { message: Some(message) };
    let open = asked::Open {
        log: "default".to_owned(),
        producer_id: Bytes::from_static(&[1; 16]),
        receipt: pb::Receipt::Witnessed.into(),
    };
    let items = asked::Items { first_sequence: 1, entries: vec![entry("a"), entry("b")] };
    let requests = tokio_stream::iter([
        message(asked::Message::Open(open)),
        message(asked::Message::Items(items)),
    ]);
    let mut answers = running.client.append_stream(requests).await.unwrap().into_inner();
    let mut receipts = Vec::new();
    while let Some(answer) = answers.message().await.unwrap() {
        if let Some(Answer::Receipt(receipt)) = answer.message {
            receipts.push(receipt);
        }
    }
    assert!(!receipts.is_empty());
    for receipt in receipts {
        trust.verify(&SignedCheckpoint::parse(&receipt.checkpoint).unwrap()).unwrap();
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_without_a_policy_says_which_setting_it_lacks() {
    let witness = [Witness::start("w1").await];
    let mut site = Site::new(&policy(&witness, 1));
    site.settings.retain(|(key, _)| *key != "logs");
    let mut running = site.start().await;
    let refusal = running.append("a", pb::Receipt::Witnessed, LONG).await.unwrap_err();
    assert_eq!(refusal.code(), Code::FailedPrecondition);
    assert_eq!(reason(&refusal), "NO_WITNESS_POLICY");
    assert!(refusal.message().contains("policy"), "{}", refusal.message());
    assert!(!running.is_serving().await);
    running.stop().await;
}
