//! What errors say, and to whom.

use std::time::Duration;

use log_client::{Advice, Client, ClientError, ClientOptions, NewEntry, Wanted};
use tokio::net::TcpListener;
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
        (status(Code::NotFound, "ENTRY_NOT_FOUND", None), Advice::FixRequest),
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
    server refused the request: told to: ENTRY_NOT_FOUND [ENTRY_NOT_FOUND] -> the log has no such entry as far as it is signed: check every byte, the last line feed too
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
    assert_eq!(
        error.to_string(),
        "server cannot take the call now: from a proxy [ResourceExhausted]"
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_as_such() {
    let client = Client::connect("http://127.0.0.1:9", &ClientOptions::default()).unwrap();
    let error = client.checkpoint("default").await.unwrap_err();
    assert_eq!(error.advice(), Advice::Retry);
    assert!(matches!(error, ClientError::Unreachable(_)), "{error}");
    assert_eq!(error.hint(), "check that the server runs and that its address is right");
    let append = client.append("default", NewEntry::new("a"), Wanted::default()).await;
    let error = append.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable(_)), "nothing was sent: {error}");
    let error = Client::connect("not a url", &ClientOptions::default()).unwrap_err();
    let form = "http://HOST:PORT, https://HOST:PORT or https://HOST:PORT#sha256//PIN";
    let said = format!("server address \"not a url\" is not of the form {form}");
    assert_eq!(error.to_string(), said);
    assert_eq!(error.hint(), "give the server as http://HOST:PORT or https://HOST:PORT");
}

#[tokio::test]
async fn a_broken_call_is_in_doubt_only_where_it_changes_something() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // Takes every connection, and leaves it.
    let leaving = tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let client = Client::connect(&url, &ClientOptions::default()).unwrap();
    let read = client.checkpoint("default").await.unwrap_err();
    assert!(matches!(read, ClientError::NoAnswer(_)), "{read:?}");
    let append = client.append("default", NewEntry::new("a"), Wanted::default()).await;
    let append = append.unwrap_err();
    assert!(matches!(append, ClientError::OutcomeUnknown(_)), "{append:?}");
    leaving.abort();
}

#[test]
fn the_outcome_is_unknown_only_where_it_is() {
    let unknown = |code, reason| ClientError::from(status(code, reason, None)).outcome_is_unknown();
    for (code, reason) in [
        (Code::Unavailable, "OUTCOME_UNKNOWN"),
        (Code::DeadlineExceeded, "DEADLINE"),
        // The entry is committed before its head is signed.
        (Code::Unavailable, "JOURNAL_UNAVAILABLE"),
    ] {
        assert!(unknown(code, reason), "{reason}");
    }
    for (code, reason) in [
        // "nothing was written, the store refused"
        (Code::Unavailable, "INTERNAL"),
        (Code::Unavailable, "SHUTTING_DOWN"),
        (Code::Unavailable, "WITNESSES_PENDING"),
        (Code::ResourceExhausted, "QUEUE_FULL"),
        (Code::FailedPrecondition, "LOG_FROZEN"),
        (Code::Internal, "INTERNAL"),
    ] {
        assert!(!unknown(code, reason), "{reason}");
    }
    // From a proxy that lost its server: the call may have reached it.
    assert!(ClientError::from(Status::unavailable("bad gateway")).outcome_is_unknown());
}

#[test]
fn errors_on_this_side_name_what_is_wrong() {
    use log_client::{
        appender::AppendError, error::AnswerError, producer::StreamError, tiles::SourceError,
        verified::ReadError, verify::VerifyError,
    };
    let lines = [
        AppendError::Length { len: 65_536 }.to_string(),
        AppendError::Stopped.to_string(),
        AppendError::Closed.to_string(),
        StreamError::Fenced.to_string(),
        StreamError::Sequence { found: 9, first: 1, last: 4 }.to_string(),
        AnswerError::Missing { field: "tlog_proof" }.to_string(),
        AnswerError::HashLength { field: "leaf_hash", len: 31 }.to_string(),
        AnswerError::OutOfRange { field: "tree_size", value: 1 << 63 }.to_string(),
        AnswerError::Range { start: 5, end: 5 }.to_string(),
        AnswerError::Count { field: "results", expected: 2, found: 1 }.to_string(),
        AnswerError::Other { field: "leaf_index", expected: 3, found: 4 }.to_string(),
        AnswerError::LeafHash.to_string(),
        AnswerError::UnknownValue { field: "state", value: 99 }.to_string(),
        AnswerError::Sequence { found: "opened", expected: "committed" }.to_string(),
        VerifyError::OtherIndexes { entries: 3 }.to_string(),
        VerifyError::OtherIndex { expected: crate::fake::index(1), found: crate::fake::index(2) }
            .to_string(),
        VerifyError::OtherSize { expected: crate::fake::size(1), found: crate::fake::size(2) }
            .to_string(),
        ReadError::BeyondSize { index: crate::fake::index(7), size: crate::fake::size(7) }
            .to_string(),
        SourceError::Status { path: "tile/0/000".into(), status: 503 }.to_string(),
        SourceError::Length { path: "tile/0/000".into(), found: 31, min: 32, max: 32 }.to_string(),
        SourceError::Timeout { path: "checkpoint".into() }.to_string(),
        SourceError::Encoding { path: "checkpoint".into(), encoding: "br".into() }.to_string(),
    ];
    insta::assert_snapshot!(lines.join("\n"), @r#"
    entry has 65536 bytes; 1 to 65535 are allowed
    appender was stopped before the entry was delivered
    appender has ended
    another stream with this producer id was opened
    server has committed up to sequence 9; 1 to 4 are possible
    tlog_proof is missing
    leaf_hash has 31 bytes, which is no SHA-256 hash
    tree_size is 9223372036854775808, beyond what a tree can hold
    range [5, 5) is empty or not ascending
    results has 1 items where 2 were asked for
    leaf_index is 4 where 3 was asked for
    leaf hash is not that of the entry
    state has the unknown value 99
    stream sent opened where committed must come
    receipt proves other indexes than those of the 3 entries
    proof is about index 2, not 1
    proof is for a tree of size 2, the checkpoint for one of 1
    log has 7 entries, and none at index 7
    tile/0/000 cannot be fetched: the server answered 503
    tile/0/000 has 31 bytes, where 32 to 32 are possible
    checkpoint cannot be fetched: no whole answer within 60 s
    checkpoint came with the encoding "br", which was not asked for
    "#);
}
