//! A disk that takes no more, in the middle of a write.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use e2e::{Home, Server};
use log_proto::log_v1::log_service_client::LogServiceClient;
use log_proto::log_v1::{AppendBatchRequest, Entry, GetEntriesRequest};
use tonic::Status;
use tonic::transport::Channel;
use tonic_types::StatusExt as _;

use super::clean_report;

/// The documented exit status after a write whose outcome is not known.
const OUTCOME_UNKNOWN: i32 = 75;
const ENTRIES: u64 = 500;

/// What stands between a server and its disk.
struct Small {
    /// The command line it is run through.
    wrapper: Vec<String>,
    /// What a failed write is called there.
    reason: &'static str,
    /// Where its data are afterwards, if not in the data folder.
    kept: Option<PathBuf>,
}

impl Small {
    /// No file may grow beyond so many MiB: for any user, on any machine.
    fn files(mebibytes: u32) -> Self {
        let blocks = mebibytes * 2_048;
        let script = format!("ulimit -f {blocks}; trap '' XFSZ; exec \"$@\"");
        let wrapper = ["sh", "-c", &script, "sh"].map(str::to_owned).to_vec();
        Self { wrapper, reason: "File too large", kept: None }
    }

    /// A disk of 24 MiB of its own, whose content is kept beside it when the server ends. Where the kernel
    /// grants none to a user without rights, files that may not grow large fail the write instead.
    fn disk(home: &Home) -> Self {
        let unshare = ["unshare", "-rmpf", "--kill-child"];
        let granted = Command::new(unshare[0]).args(&unshare[1..]).arg("true").output();
        if !granted.is_ok_and(|output| output.status.success()) {
            return Self::files(6);
        }
        let (data, kept) = (home.data(), home.path("kept"));
        fs::create_dir(&data).unwrap();
        let script = format!(
            "mount -t tmpfs -o size=24m none {data} && \"$@\"; code=$?; cp -a {data} {kept}; exit $code",
            data = data.display(),
            kept = kept.display()
        );
        let wrapper = [&unshare[..], &["sh", "-c", &script, "sh"]].concat();
        let wrapper = wrapper.into_iter().map(str::to_owned).collect();
        Self { wrapper, reason: "No space left", kept: Some(kept) }
    }

    /// Fills it, and looks at what is there afterwards.
    async fn test(self, home: &Home) {
        let Self { wrapper, reason, kept } = self;
        let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
        let server = home.start_under(&wrapper, &["--min-free-bytes", "0"]).unwrap();
        let (acknowledged, refusal) = fill(&server).await;
        assert!(acknowledged > 0, "{refusal}");
        assert_unknown(&refusal);
        assert_eq!(server.end().unwrap(), Some(OUTCOME_UNKNOWN));
        let said = fs::read_to_string(home.path("server.stderr")).unwrap();
        assert!(said.contains(reason), "{reason} is named: {said}");
        assert!(said.contains("restart"), "the way out is named: {said}");
        if let Some(kept) = kept {
            fs::remove_dir(home.data()).unwrap();
            fs::rename(kept, home.data()).unwrap();
        }
        check(home, acknowledged).await;
    }
}

fn entry(number: u64) -> Vec<u8> {
    let mut data = format!("entry {number} ").into_bytes();
    data.resize(2_000, b'.');
    data
}

async fn connect(server: &Server) -> LogServiceClient<Channel> {
    let endpoint = Channel::from_shared(server.url().to_owned()).unwrap();
    LogServiceClient::new(endpoint.connect().await.unwrap())
}

/// Appends until the server cannot: how many entries it acknowledged, and what it said then.
async fn fill(server: &Server) -> (u64, Status) {
    let mut client = connect(server).await;
    let mut acknowledged = 0;
    loop {
        let entries = (acknowledged..acknowledged + ENTRIES)
            .map(|number| Entry { data: entry(number).into(), dedup_key: Vec::new().into() });
        let request = AppendBatchRequest {
            log: "default".to_owned(),
            entries: entries.collect(),
            ..Default::default()
        };
        match client.append_batch(request).await {
            Ok(answer) => {
                acknowledged += ENTRIES;
                assert_eq!(answer.into_inner().tree_size, acknowledged);
            }
            Err(refusal) => return (acknowledged, refusal),
        }
    }
}

/// Everything acknowledged is there, and nothing half: the call that failed is there whole or not at all.
async fn check(home: &Home, acknowledged: u64) {
    let server = home.start();
    let request = GetEntriesRequest { log: "default".to_owned(), ..Default::default() };
    let mut stream = connect(&server).await.get_entries(request).await.unwrap().into_inner();
    let mut found = 0;
    while let Some(answer) = stream.message().await.unwrap() {
        for data in answer.entries.unwrap().entries {
            assert_eq!(data, entry(found));
            found += 1;
        }
    }
    assert!(found == acknowledged || found == acknowledged + ENTRIES, "{found}, {acknowledged}");
    server.stop().unwrap();
    let report = clean_report(&home.data());
    assert_eq!(report["logs"][0]["entries"], found, "{report}");
}

/// Nobody is told that the write failed for certain, and the process stays until that has been said.
fn assert_unknown(refusal: &Status) {
    let info = refusal.get_details_error_info();
    assert_eq!(info.map(|info| info.reason).as_deref(), Some("OUTCOME_UNKNOWN"), "{refusal:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_fails_half_way_ends_the_process_and_loses_nothing_acknowledged() {
    Small::files(12).test(&Home::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_ends_the_process_and_loses_nothing_acknowledged() {
    let home = Home::new();
    Small::disk(&home).test(&home).await;
}
