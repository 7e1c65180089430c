//! What errors say, and to whom.

use std::time::Duration;

use log_client::{Advice, Client, ClientError, ClientOptions};
use tonic::{Code, Status};

use crate::fake::status;

#[test]
fn statuses_are_sorted_by_what_the_caller_can_do() {
    let pause = Some(Duration::from_millis(250));
    let cases = [
        (status(Code::ResourceExhausted, "QUEUE_FULL", pause), Advice::Retry),
        (status(Code::ResourceExhausted, "DISK_LOW", pause), Advice::Retry),
        (status(Code::Unavailable, "OUTCOME_UNKNOWN", None), Advice::Retry),
        (status(Code::Unavailable, "SHUTTING_DOWN", pause), Advice::Retry),
        (status(Code::DeadlineExceeded, "DEADLINE", None), Advice::Retry),
        (status(Code::InvalidArgument, "EMPTY_ENTRY", None), Advice::FixRequest),
        (status(Code::NotFound, "LOG_NOT_FOUND", None), Advice::FixRequest),
        (status(Code::OutOfRange, "BEYOND_SIZE", None), Advice::FixRequest),
        (status(Code::AlreadyExists, "DEDUP_KEY_CONFLICT", None), Advice::FixRequest),
        (status(Code::FailedPrecondition, "LOG_FROZEN", None), Advice::FixRequest),
        (status(Code::Aborted, "PRODUCER_FENCED", None), Advice::FixRequest),
        (status(Code::DataLoss, "CORRUPT", None), Advice::Operator),
        (status(Code::Internal, "INTERNAL", None), Advice::Operator),
    ];
    let lines: Vec<String> = cases
        .into_iter()
        .map(|(status, advice)| {
            let error = ClientError::from(status);
            assert_eq!(error.advice(), advice, "{error}");
            format!("{error} -> {}", error.hint())
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    server cannot take the call now: told to: QUEUE_FULL [QUEUE_FULL] -> send again after the pause the server asked for
    server cannot take the call now: told to: DISK_LOW [DISK_LOW] -> send again later; the operator has to free disk space
    outcome of the call is not known: told to: OUTCOME_UNKNOWN [OUTCOME_UNKNOWN] -> send again with the same deduplication key to find out
    server cannot take the call now: told to: SHUTTING_DOWN [SHUTTING_DOWN] -> send again after a pause
    outcome of the call is not known: told to: DEADLINE [DEADLINE] -> send again after a pause
    server refused the request: told to: EMPTY_ENTRY [EMPTY_ENTRY] -> an entry has at least one byte
    server refused the request: told to: LOG_NOT_FOUND [LOG_NOT_FOUND] -> list the server's logs, or create this one
    server refused the request: told to: BEYOND_SIZE [BEYOND_SIZE] -> ask for less, or wait until the log has grown and signed a head
    server refused the request: told to: DEDUP_KEY_CONFLICT [DEDUP_KEY_CONFLICT] -> this key belongs to another entry: never use a key twice
    server refused the request: told to: LOG_FROZEN [LOG_FROZEN] -> the log is final: append to another one
    server refused the request: told to: PRODUCER_FENCED [PRODUCER_FENCED] -> another process opened this producer id: let one of them go
    server failed: told to: CORRUPT [CORRUPT] -> call the operator: stored data is damaged; run `cairn-server fsck`
    server failed: told to: INTERNAL [INTERNAL] -> call the operator of the server
    ");
}

#[test]
fn the_pause_of_retry_info_is_read_and_a_foreign_reason_is_not() {
    let pause = Duration::from_millis(250);
    let error = ClientError::from(status(Code::ResourceExhausted, "QUEUE_FULL", Some(pause)));
    assert_eq!(error.retry_after(), Some(pause));
    let error = ClientError::from(Status::resource_exhausted("from a proxy"));
    assert_eq!(error.retry_after(), None);
    assert_eq!(error.to_string(), "server cannot take the call now: from a proxy [ResourceExhausted]");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_as_such() {
    let client = Client::connect("http://127.0.0.1:9", &ClientOptions::default()).unwrap();
    let error = client.checkpoint("default").await.unwrap_err();
    assert_eq!(error.advice(), Advice::Retry);
    assert_eq!(error.hint(), "check that the server runs and that its address is right");
    let error = Client::connect("not a url", &ClientOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), r#"server address "not a url" is not valid"#);
    assert_eq!(error.hint(), "give the server as http://HOST:PORT");
}
