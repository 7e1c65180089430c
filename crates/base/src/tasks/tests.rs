use std::sync::atomic::AtomicUsize;
use std::sync::mpsc;

use super::*;
use crate::clock::ManualClock;
use crate::clock::machine::{now, sleep};

fn panic_on_purpose() {
    std::panic::panic_any("on purpose");
}

#[tokio::test]
async fn a_panic_ends_only_its_task_and_is_counted() {
    let supervisor = Supervisor::new();
    let panics = supervisor.task("panics", async { panic_on_purpose() });
    assert_eq!(panics.await.unwrap(), None);
    assert_eq!(supervisor.task("fine", async { 7 }).await.unwrap(), Some(7));
    assert_eq!(supervisor.panics(), BTreeMap::from([("panics", 1)]));
    assert!(supervisor.down().is_empty() && supervisor.vital_down().is_none());
}

#[tokio::test]
async fn a_vital_task_that_panics_ends_the_process_and_one_that_ends_does_not() {
    let supervisor = Supervisor::new();
    let (sent, received) = mpsc::channel();
    let told = sent.clone();
    let fine = supervisor.vital("fine", async { 7 }, move || told.send("fine").unwrap());
    assert_eq!(fine.await.unwrap(), Some(7));
    assert_eq!(supervisor.vital_down(), None);

    let known = supervisor.clone();
    let on_panic = move || {
        assert_eq!(known.vital_down(), Some("panics"));
        sent.send("panics").unwrap();
    };
    let panics = supervisor.vital("panics", async { panic_on_purpose() }, on_panic);
    assert_eq!(panics.await.unwrap(), None);
    assert_eq!(supervisor.vital_panicked().await, "panics");
    assert_eq!(received.recv(), Ok("panics"));
    assert_eq!(supervisor.panics()["panics"], 1);
    // The first one is the reason.
    let later = supervisor.vital("later", async { panic_on_purpose() }, || ());
    assert_eq!(later.await.unwrap(), None);
    assert_eq!(supervisor.vital_panicked().await, "panics");
}

#[tokio::test]
async fn a_vital_thread_is_in_the_runtime_and_its_panic_is_told() {
    let supervisor = Supervisor::new();
    let (sent, received) = mpsc::channel();
    let body = || {
        drop(Handle::current());
        panic_on_purpose();
    };
    let thread = supervisor.vital_thread("t", body, move || sent.send(1).unwrap()).unwrap();
    assert_eq!(supervisor.vital_panicked().await, "t");
    thread.join().unwrap();
    assert_eq!(received.recv(), Ok(1));
}

/// Panics for the first `times` runs.
fn failing(times: usize) -> impl FnMut() -> std::future::Ready<()> + Send + 'static {
    let mut runs = 0;
    move || {
        runs += 1;
        if runs <= times {
            panic_on_purpose();
        }
        std::future::ready(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_helper_is_started_again_and_is_down_until_then() {
    let supervisor = Supervisor::new();
    let began = now();
    let helper = supervisor.helper("helper", failing(3));
    sleep(PAUSE_MIN / 2).await;
    assert_eq!(supervisor.down(), ["helper"]);
    helper.await.unwrap();
    assert!(supervisor.down().is_empty() && supervisor.vital_down().is_none());
    assert_eq!(supervisor.panics()["helper"], 3);
    // 1, 2 and 4 seconds, on a clock that only these pauses move.
    assert!(began.elapsed() >= PAUSE_MIN * 7);
}

#[tokio::test(start_paused = true)]
async fn two_helpers_of_a_name_are_down_until_both_are_back() {
    let supervisor = Supervisor::new();
    let (one, two) = (supervisor.helper("h", failing(1)), supervisor.helper("h", failing(2)));
    one.await.unwrap();
    sleep(PAUSE_MIN / 2).await;
    assert_eq!(supervisor.down(), ["h"]);
    two.await.unwrap();
    assert!(supervisor.down().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_pause_of_a_helper_and_a_panic_after_it_ends_the_helper() {
    let supervisor = Supervisor::new();
    let helper = supervisor.helper("helper", failing(usize::MAX));
    sleep(PAUSE_MIN / 2).await;
    supervisor.stop();
    helper.await.unwrap();
    assert!(supervisor.down().is_empty());
    assert_eq!(supervisor.panics()["helper"], 2);
}

#[test]
fn pauses_double_up_to_a_bound() {
    let clock = ManualClock::new(0);
    let mut pauses = Pauses::new(&clock);
    let seconds: Vec<u64> = (0..8).map(|_| pauses.next().as_secs()).collect();
    assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
    pauses.started();
    clock.advance(PAUSE_MAX / 2);
    assert_eq!(pauses.next(), PAUSE_MAX);
    clock.advance(PAUSE_MAX / 2);
    assert_eq!(pauses.next(), PAUSE_MIN, "it ran for long");
}

#[test]
fn a_helper_thread_is_started_again_and_stops_in_its_pause() {
    let supervisor = Supervisor::new();
    let (stopping, runs) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (sent, received) = mpsc::channel();
    let counted = Arc::clone(&runs);
    let body = move || {
        sent.send(()).unwrap();
        counted.fetch_add(1, Ordering::SeqCst);
        panic_on_purpose();
    };
    let thread = supervisor.helper_thread("helper", Arc::clone(&stopping), body).unwrap();
    received.recv().unwrap();
    received.recv().unwrap();
    stopping.store(true, Ordering::Release);
    thread.thread().unpark();
    thread.join().unwrap();
    assert!(supervisor.down().is_empty());
    let runs = u64::try_from(runs.load(Ordering::SeqCst)).unwrap();
    assert_eq!(supervisor.panics()["helper"], runs);
}

#[tokio::test]
async fn a_panic_of_blocking_work_is_its_callers() {
    let supervisor = Supervisor::new();
    let caller = supervisor.task("caller", blocking(panic_on_purpose));
    assert_eq!(caller.await.unwrap(), None);
    assert_eq!(supervisor.panics()["caller"], 1);
    assert_eq!(blocking(|| 7).await, 7);
}

#[tokio::test]
async fn what_background_helpers_hold_is_free_when_they_ended() {
    let (supervisor, stopping) = (Supervisor::new(), CancellationToken::new());
    let mut background = Background::new(supervisor.clone(), stopping.clone());
    let held = Arc::new(());
    for _ in 0..100 {
        let holds = Arc::clone(&held);
        background.helper("waits", move || {
            let holds = Arc::clone(&holds);
            async move {
                std::future::pending::<()>().await;
                drop(holds);
            }
        });
    }
    background.helper("panics", || async { panic_on_purpose() });
    stopping.cancel();
    background.ended().await;
    supervisor.ended().await;
    assert_eq!(Arc::strong_count(&held), 1);
}
