//! Times along an audit log, whatever the clock, the disk and the process do.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::types::{CommittedLeaves, NewLeaf, StampedLeaf};

/// One turn: what the clock shows, how many leaves are appended, how the write fails, and whether the
/// process is killed after it.
#[derive(Debug, Clone)]
struct Turn {
    clock_ms: u64,
    leaves: usize,
    fault: Option<Fault>,
    killed: bool,
}

fn turn() -> impl Strategy<Value = Turn> {
    let clock_ms = START_MS - 1_000..START_MS + 1_000;
    let fault = option::weighted(0.3, proptest::sample::select(Fault::ALL.to_vec()));
    (clock_ms, 1..4_usize, fault, any::<bool>())
        .prop_map(|(clock_ms, leaves, fault, killed)| Turn { clock_ms, leaves, fault, killed })
}

fn append(sim: &mut Sim, leaves: usize) -> Result<CommittedLeaves, AppendError> {
    let leaf = NewLeaf { leaf: Bytes::from_static(&[0; 20]), once: None, attachments: vec![] };
    let append = sim.append.clone();
    let mut call = Box::pin(async move { append.append_stamped(vec![leaf; leaves]).await });
    assert!(call.as_mut().now_or_never().is_none(), "answered before any write");
    sim.step();
    call.now_or_never().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn they_never_decrease_and_are_those_that_callers_were_told(turns in vec(turn(), 1..16)) {
        let runtime = Runtime::new().unwrap();
        let _inside = runtime.enter();
        let engine = FaultyEngine::new(Arc::new(MemoryEngine::new()));
        let mut sim = Sim::of_kind(LogKind::Audit, engine);
        let mut told: Vec<StampedLeaf> = Vec::new();
        for turn in &turns {
            sim.clock.set_unix_ms(turn.clock_ms);
            if let Some(fault) = turn.fault {
                sim.engine.fail_commit(fault, 0);
            }
            let answer = append(&mut sim, turn.leaves);
            prop_assert_eq!(answer.is_err(), turn.fault.is_some());
            told.extend(answer.into_iter().flat_map(|done| done.outcomes).map(Result::unwrap));
            if sim.ended || turn.killed {
                sim = sim.restarted();
            }
        }
        let stored = sim.restarted().stored();
        let times: Vec<u64> = stored.iter().map(|leaf| stamp::time_ns(leaf).unwrap()).collect();
        prop_assert!(times.is_sorted(), "{:?}", times);
        for leaf in told {
            let at = usize::try_from(leaf.index.get()).unwrap();
            prop_assert_eq!(leaf.time_ns, times[at]);
            prop_assert_eq!(leaf.leaf_hash, merkle::leaf_hash(&stored[at]));
        }
    }
}
