//! How a process stops.

use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::*;

/// So long that a test that waited for it would never end.
const HOUR: [&str; 2] = ["--drain-ms", "3600000"];

#[test]
fn every_signal_to_stop_is_one() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        for mut process in [Process::server(&[]), Process::witness(&[])] {
            process.signal(signal);
            assert_eq!(process.end().code(), Some(0), "{signal:?}: {}", process.stderr());
            assert!(process.get("/healthz").is_none());
        }
    }
}

#[test]
fn a_hangup_that_is_ignored_at_the_start_stays_ignored() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut child = Command::new("nohup")
        .arg(binary("cairn-server"))
        .args(["--listen", "127.0.0.1:0", "--data-dir"])
        .arg(data)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = [0; 10];
    child.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::HUP).unwrap();
    assert!(child.try_wait().unwrap().is_none());
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// The gRPC health of all names.
async fn health(server: &Process) -> Vec<ServingStatus> {
    let channel = Channel::from_shared(server.url()).unwrap().connect().await.unwrap();
    let mut client = HealthClient::new(channel);
    let mut statuses = Vec::new();
    for service in ["", "cairn.log.v1.LogService", "cairn.log.v1.LogService/witnessed"] {
        let service = service.to_owned();
        let answer = client.check(HealthCheckRequest { service }).await.unwrap();
        statuses.push(answer.into_inner().status());
    }
    statuses
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_says_so_before_it_closes_its_port() {
    let mut server = Process::server(&HOUR);
    assert_eq!(health(&server).await[..2], [ServingStatus::Serving; 2]);
    server.signal(Signal::TERM);
    server.eventually("stopping", || {
        let ready = server.get("/readyz").unwrap();
        ready.starts_with("HTTP/1.1 503") && ready.contains("the server is stopping")
    });
    server.eventually("said", || server.stderr().contains("or at a second signal"));
    assert_eq!(health(&server).await, [ServingStatus::NotServing; 3]);
    assert!(is_ok(&server.get("/healthz").unwrap()));
    // Whoever has not heard yet is served.
    append(&server);
    server.signal(Signal::TERM);
    assert_eq!(server.end().code(), Some(0), "{}", server.stderr());
    assert!(server.get("/healthz").is_none());
}

#[test]
fn a_witness_that_stops_says_so_before_it_closes_its_port() {
    let mut witness = Process::witness(&HOUR);
    witness.signal(Signal::HUP);
    witness.eventually("stopping", || {
        let ready = witness.get("/readyz").unwrap();
        ready.starts_with("HTTP/1.1 503") && ready.contains("the server is stopping")
    });
    assert!(is_ok(&witness.get("/healthz").unwrap()));
    witness.signal(Signal::INT);
    assert_eq!(witness.end().code(), Some(0), "{}", witness.stderr());
    assert!(witness.get("/healthz").is_none());
}
