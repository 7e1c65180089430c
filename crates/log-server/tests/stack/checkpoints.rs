//! The published checkpoint: now, its history, and every new one as it comes.

use log_proto::log_v1 as pb;
use log_proto::log_v1::watch_checkpoints_response::Message as Watched;
use log_proto::log_v1::watch_checkpoints_response::NewCheckpoint;
use tonic::{Code, Streaming};

use crate::harness::{
    LOG, Stack, at_fault, because, hashes, numbered, refused, refused_field, root_of_numbered,
    size, verified,
};

#[tokio::test(flavor = "multi_thread")]
async fn the_checkpoint_is_that_of_the_empty_log_and_then_of_the_newest() {
    let mut stack = Stack::new().await;
    let ask = pb::GetCheckpointRequest { log: LOG.to_owned() };
    let trust = stack.trust(LOG).await;
    let empty = stack.client.get_checkpoint(ask.clone()).await.unwrap().into_inner();
    let head = verified(&empty.checkpoint, &trust);
    assert_eq!((head.size().get(), *head.root()), (0, merkle::Hash::EMPTY_ROOT));
    assert!(empty.published_at.is_some());
    stack.fill(0, 5).await;
    let note = stack.published(LOG, 5).await;
    let newest = stack.client.get_checkpoint(ask).await.unwrap().into_inner();
    assert_eq!(newest.checkpoint, note);
    let head = verified(&note, &trust);
    assert_eq!((head.size().get(), *head.root()), (5, root_of_numbered(5)));
    assert_eq!(head.signatures().len(), 2, "Ed25519, and ML-DSA-44 beside it");
    let missing = pb::GetCheckpointRequest { log: "nothing".to_owned() };
    let missing = stack.client.get_checkpoint(missing).await.unwrap_err();
    assert_eq!(refused(&missing), because(Code::NotFound, "LOG_NOT_FOUND"));
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_paged_and_outlives_a_restart() {
    let settings = [("history_interval_ms", "1"), ("publish_interval_min_ms", "1")];
    let mut stack = Stack::with(&settings).await;
    let mut published = Vec::new();
    for number in 0..8 {
        stack.fill(number, 1).await;
        published.push(stack.published(LOG, number + 1).await);
    }
    let data = stack.stop().await;
    let mut stack = Stack::over(data, &settings).await;
    let trust = stack.trust(LOG).await;
    let ask = |from_size, page_size, page_token: &str| pb::ListCheckpointsRequest {
        log: LOG.to_owned(),
        from_size,
        page_size,
        page_token: page_token.to_owned(),
    };
    let whole = stack.client.list_checkpoints(ask(0, 0, "")).await.unwrap().into_inner();
    assert!(whole.next_page_token.is_empty());
    let notes: Vec<_> = whole.checkpoints.iter().map(|one| one.checkpoint.clone()).collect();
    let sizes: Vec<_> = notes.iter().map(|note| verified(note, &trust).size().get()).collect();
    assert!(sizes.is_sorted() && sizes.len() > 2, "{sizes:?}");
    assert_eq!(sizes.last(), Some(&8), "the last one is archived at shutdown");
    assert!(
        notes
            .iter()
            .filter(|note| verified(note, &trust).size().get() > 0)
            .any(|note| published.contains(note)),
        "byte for byte as they were published"
    );

    let (mut paged, mut token) = (Vec::new(), String::new());
    loop {
        let page = stack.client.list_checkpoints(ask(0, 2, &token)).await.unwrap().into_inner();
        assert!(page.checkpoints.len() <= 2);
        paged.extend(page.checkpoints.into_iter().map(|one| one.checkpoint));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(paged, notes);
    let late = stack.client.list_checkpoints(ask(8, 0, "")).await.unwrap().into_inner();
    let late = late.checkpoints.iter().map(|one| verified(&one.checkpoint, &trust).size().get());
    assert!(late.into_iter().all(|size| size == 8));

    for (request, reason, field) in [
        (ask(0, 1_001, ""), "BAD_FIELD", "page_size"),
        (ask(0, 0, "no token"), "BAD_FIELD", "page_token"),
        (ask(1 << 63, 0, ""), "BAD_RANGE", "from_size"),
    ] {
        let refusal = stack.client.list_checkpoints(request).await.unwrap_err();
        assert_eq!(refused_field(&refusal), at_fault(Code::InvalidArgument, reason, field));
    }
    stack.stop().await;
}

/// A watcher that keeps what it was sent, as a client would.
struct Watcher {
    stream: Streaming<pb::WatchCheckpointsResponse>,
    trust: formats::Trust,
    size: u64,
    entries: Vec<Vec<u8>>,
}

impl Watcher {
    async fn open(stack: &mut Stack, from_size: u64, entries: bool) -> Self {
        let trust = stack.trust(LOG).await;
        let request = pb::WatchCheckpointsRequest { log: LOG.to_owned(), from_size, entries };
        let stream = stack.client.watch_checkpoints(request).await.unwrap().into_inner();
        Self { stream, trust, size: from_size, entries: Vec::new() }
    }

    /// The next checkpoint, once its proof from the one before holds.
    async fn next(&mut self) -> u64 {
        loop {
            match self.stream.message().await.unwrap().unwrap().message.unwrap() {
                Watched::Entries(range) => {
                    assert_eq!(range.first_index, self.entries.len() as u64, "in order");
                    self.entries.extend(range.entries.iter().map(|entry| entry.to_vec()));
                }
                Watched::Checkpoint(next) => return self.check(&next),
            }
        }
    }

    fn check(&mut self, next: &NewCheckpoint) -> u64 {
        let head = verified(&next.checkpoint, &self.trust);
        assert_eq!(next.from_size, self.size, "a proof starts at what was sent before");
        let (from, proof) = (root_of_numbered(self.size), hashes(&next.consistency));
        merkle::verify_consistency(size(self.size), head.size(), &from, head.root(), &proof)
            .unwrap();
        self.size = head.size().get();
        self.size
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_gets_each_checkpoint_with_a_proof_and_the_entries_between() {
    let mut stack = Stack::new().await;
    stack.fill(0, 3).await;
    stack.published(LOG, 3).await;
    let mut watcher = Watcher::open(&mut stack, 0, true).await;
    assert_eq!(watcher.next().await, 3, "the first is sent at once");
    assert_eq!(watcher.entries.len(), 3);
    let mut filled = 3;
    for count in [1, 300, 2_000] {
        stack.fill(filled, count).await;
        filled += count;
        while watcher.next().await < filled {}
        assert_eq!(watcher.entries.len() as u64, filled);
    }
    assert!(watcher.entries.iter().eq((0..filled).map(numbered).collect::<Vec<_>>().iter()));

    let mut late = Watcher::open(&mut stack, 100, false).await;
    assert_eq!(late.next().await, filled, "from a size that the caller trusts");
    assert!(late.entries.is_empty());
    let mut same = Watcher::open(&mut stack, filled, false).await;
    assert_eq!(same.next().await, filled);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_from_beyond_the_log_is_refused_and_one_that_runs_ends_with_the_server() {
    let mut stack = Stack::new().await;
    stack.fill(0, 3).await;
    let ask =
        |from_size| pb::WatchCheckpointsRequest { log: LOG.to_owned(), from_size, entries: false };
    let beyond = stack.client.watch_checkpoints(ask(4)).await.unwrap_err();
    assert_eq!(refused_field(&beyond), at_fault(Code::OutOfRange, "BEYOND_SIZE", "from_size"));
    let beyond = stack.client.watch_checkpoints(ask(u64::MAX)).await.unwrap_err();
    assert_eq!(refused_field(&beyond), at_fault(Code::InvalidArgument, "BAD_RANGE", "from_size"));
    let mut watcher = Watcher::open(&mut stack, 0, false).await;
    while watcher.next().await < 3 {}
    stack.stop().await;
    let end = watcher.stream.message().await.unwrap_err();
    assert_eq!(refused(&end), because(Code::Unavailable, "SHUTTING_DOWN"));
}
