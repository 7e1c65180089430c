//! What the witnesses' times decide about the server's clock.

use std::sync::Arc;

use base::clock::steps::Standing;
use base::clock::{Clock as _, ManualClock};
use formats::Timestamp;

use super::*;

/// What the fake witnesses' clocks show at first.
const START_S: u64 = 1_700_000_000;
const DAY_S: u64 = 86_400;
const YEAR_S: u64 = 365 * DAY_S;

/// Sets the clock of a witness.
fn shows(witness: &Witness, unix_s: u64) {
    witness.with(|state| state.time = Timestamp::new(unix_s).unwrap());
}

fn all_show(witnesses: &[Witness], unix_s: u64) {
    for witness in witnesses {
        shows(witness, unix_s);
    }
}

impl Site {
    async fn start_on(&self, clock: &Arc<ManualClock>) -> Running {
        self.settled().await;
        let config = self.config();
        let engine = Arc::new(RocksEngine::open(&config.db_dir(), &config.storage).unwrap());
        let server = Server::start_on(&config, engine, Arc::<ManualClock>::clone(clock)).await;
        connected(server.unwrap()).await
    }
}

async fn connected(server: Server) -> Running {
    let url = format!("http://{}", server.address());
    let channel = Channel::from_shared(url).unwrap().connect().await.unwrap();
    let client = LogServiceClient::new(channel.clone());
    Running { server, client, health: HealthClient::new(channel) }
}

impl Running {
    fn standing(&self) -> Standing {
        self.server.registry().clock().reading().standing
    }

    /// The seconds that the newest head states.
    fn head_s(&self) -> u64 {
        self.server.registry().log("default").unwrap().tree().head.time_ms / 1_000
    }

    /// Moves the clock until the witnesses were asked and `wanted` is what is believed.
    async fn until(&self, clock: &ManualClock, wanted: Standing) {
        let reached = async {
            while self.standing() != wanted {
                clock.advance(Duration::from_millis(100));
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(LONG, reached).await.unwrap();
    }
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(START_S * 1_000))
}

/// One witnessed entry by a clock that is right; the server is stopped.
async fn one_entry(site: &Site, clock: &Arc<ManualClock>) {
    let mut running = site.start_on(clock).await;
    running.witnessed("one").await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_ahead_of_the_store_is_believed_where_the_witnesses_agree() {
    let witnesses = three().await;
    let site = Site::new(&policy(&witnesses, 2));
    let clock = clock();
    one_entry(&site, &clock).await;
    clock.set_unix_ms((START_S + YEAR_S) * 1_000);
    all_show(&witnesses, START_S + YEAR_S - 5);
    let mut running = site.start_on(&clock).await;
    assert_eq!(running.standing(), Standing::Agrees);
    running.witnessed("two").await;
    assert_eq!(running.head_s(), START_S + YEAR_S);
    assert!(!running.server.registry().clock().reading().is_in_question());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_ahead_of_the_store_is_not_believed_where_the_witnesses_contradict_it() {
    let witnesses = three().await;
    let site = Site::new(&policy(&witnesses, 2));
    let clock = clock();
    one_entry(&site, &clock).await;
    clock.set_unix_ms((START_S + YEAR_S) * 1_000);
    let mut running = site.start_on(&clock).await;
    assert_eq!(running.standing(), Standing::Contradicted);
    running.witnessed("two").await;
    assert_eq!(running.head_s() / 60, START_S / 60, "from the last time signed on");
    assert_eq!(running.metric("cairn_clock_offset_seconds") / 60, YEAR_S / 60);
    // They come to agree: it was the witnesses' clocks that were wrong.
    all_show(&witnesses, START_S + YEAR_S);
    running.until(&clock, Standing::Agrees).await;
    running.witnessed("three").await;
    assert!(running.head_s() >= START_S + YEAR_S);
    running.stop().await;
    for witness in &witnesses {
        assert_eq!(witness.with(|state| state.breaches.clone()), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_witness_of_a_quorum_of_two_changes_nothing() {
    let witnesses = three().await;
    let site = Site::new(&policy(&witnesses, 2));
    let clock = clock();
    one_entry(&site, &clock).await;
    clock.set_unix_ms((START_S + YEAR_S) * 1_000);
    shows(&witnesses[1], START_S + YEAR_S);
    witnesses[2].set(Mode::Down);
    let mut running = site.start_on(&clock).await;
    assert_eq!(running.standing(), Standing::Agrees);
    running.witnessed("two").await;
    assert_eq!(running.head_s(), START_S + YEAR_S);
    assert!(running.server.registry().clock().reading().unconfirmed);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_is_accepted_once_a_quorum_agrees_with_it() {
    let witnesses = three().await;
    let site = Site::new(&policy(&witnesses, 2));
    let clock = clock();
    let mut running = site.start_on(&clock).await;
    running.witnessed("one").await;
    let step = 2 * DAY_S;
    clock.set_unix_ms((START_S + step) * 1_000);
    assert_eq!(running.standing(), Standing::Stepped);
    running.witnessed("two").await;
    assert_eq!(running.standing(), Standing::Stepped);
    assert_eq!(running.head_s() / 60, START_S / 60);
    shows(&witnesses[0], START_S + step);
    running.witnessed("three").await;
    assert_eq!(running.standing(), Standing::Stepped, "one of them is no quorum");
    shows(&witnesses[1], START_S + step);
    // Asked by the server itself: nothing is appended.
    running.until(&clock, Standing::Agrees).await;
    running.witnessed("four").await;
    assert!(running.head_s() >= START_S + step);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_behind_the_store_is_accepted_where_the_witnesses_agree() {
    let witnesses = three().await;
    let site = Site::new(&policy(&witnesses, 2));
    let clock = clock();
    let mut running = site.start_on(&clock).await;
    clock.set_unix_ms((START_S + YEAR_S) * 1_000);
    running.server.registry().clock().accept();
    running.witnessed("by a wrong clock").await;
    running.stop().await;

    clock.set_unix_ms(START_S * 1_000);
    all_show(&witnesses, START_S + 5);
    let mut running = site.start_on(&clock).await;
    assert_eq!(running.standing(), Standing::Agrees);
    running.witnessed("two").await;
    assert_eq!(running.head_s(), START_S + YEAR_S, "never back");
    assert_eq!(running.metric("cairn_clock_offset_seconds"), 0);
    running.stop().await;

    // With witnesses that are away the next start has what was written down.
    for witness in &witnesses[1..] {
        witness.set(Mode::Down);
    }
    let running = site.set("accept_unwitnessed_start", "true").start_on(&clock).await;
    assert_eq!(running.standing(), Standing::Agrees);
    assert_eq!(running.server.registry().clock().monotonic(), clock.monotonic());
    running.stop().await;
}
