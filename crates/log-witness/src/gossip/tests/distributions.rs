//! Who was shown which history, and who reaches whose tiles: all of it, for a ring of three.

use std::time::Duration;

use super::ring::{Ring, Shown, World, history};

/// A head that can be compared somewhere convicts its log everywhere within this time.
const WITHIN: Duration = Duration::from_secs(10);
/// Far beyond the time after which a log without proofs is a suspect.
const LONG: Duration = Duration::from_secs(90);

const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

/// All ways to give each of three witnesses one of `choices`.
fn thrice<T: Clone>(choices: &[T]) -> Vec<[T; 3]> {
    let mut all = Vec::new();
    for one in choices {
        for other in choices {
            all.extend(choices.iter().map(|third| [one.clone(), other.clone(), third.clone()]));
        }
    }
    all
}

/// All subsets of `0..histories`.
fn subsets(histories: usize) -> Vec<Vec<usize>> {
    let subset = |bits: usize| (0..histories).filter(|at| bits >> at & 1 == 1).collect();
    (0..1 << histories).map(subset).collect()
}

/// Shows each witness the head of a history, or none: those of history `late` some rounds after the others.
fn shown(histories: [Option<usize>; 3], sizes: &[usize], late: Option<usize>) -> Vec<Shown> {
    let shown = histories.iter().enumerate().filter_map(|(node, history)| {
        let history = (*history)?;
        let tick = if Some(history) == late { 20 } else { 0 };
        Some(Shown { node, tick, history, size: sizes[history] })
    });
    shown.collect()
}

/// The heads contradict each other. Whoever reaches the tiles of one that is larger than another one
/// convicts the log; of equal ones, everybody does.
fn check(
    world: &World,
    sizes: &[usize],
    shown: &[Shown],
    tiles: &[Vec<usize>; 3],
    order: [usize; 3],
) {
    let size = |history: &usize| sizes[*history];
    let heads = || shown.iter().map(|shown| &shown.history);
    let smallest = heads().map(size).min().unwrap();
    let comparable =
        |history: &usize| heads().any(|shown| shown == history) && size(history) > smallest;
    let reached = tiles.iter().flatten().any(comparable);
    let equal = heads().any(|one| heads().any(|other| one != other && size(one) == size(other)));
    let mut ring = Ring::new(world, tiles, order.to_vec());
    let start = shown.iter().map(|shown| shown.tick).max().unwrap();
    let case = format!("sizes {sizes:?}, shown {shown:?}, tiles {tiles:?}, order {order:?}");
    if reached || equal {
        let end = ring.run(shown, Duration::from_millis(500) * start + WITHIN);
        assert!(ring.nodes.iter().all(|node| node.convicted), "{end:?}: {case}");
        return;
    }
    ring.run(shown, Duration::from_millis(500) * start + LONG);
    assert!(ring.nodes.iter().all(|node| !node.convicted), "convicted without a proof: {case}");
    assert!(ring.nodes.iter().any(super::ring::Node::is_suspicious), "no suspect: {case}");
    // Whoever has an address asked it, and was told of all heads.
    let asked = ring.nodes.iter().zip(tiles).filter(|(_, tiles)| !tiles.is_empty());
    for (node, _) in asked {
        assert!(node.is_suspicious(), "not suspicious: {case}");
    }
}

/// Every way to show two histories to some of three witnesses, both of them to somebody.
fn shown_to() -> Vec<[Option<usize>; 3]> {
    let mut all = thrice(&[None, Some(0), Some(1)]);
    all.retain(|shown| shown.contains(&Some(0)) && shown.contains(&Some(1)));
    all
}

#[test]
fn two_histories_are_found_out_wherever_the_larger_ones_tiles_can_be_reached() {
    let sizes = [150, 170];
    let world = World::new(vec![history("one", 100, 170), history("other", 100, 170)]);
    let mut cases = 0;
    for histories in shown_to() {
        for tiles in thrice(&subsets(2)) {
            for order in ORDERS {
                for late in [None, Some(0), Some(1)] {
                    check(&world, &sizes, &shown(histories, &sizes, late), &tiles, order);
                    cases += 1;
                }
            }
        }
    }
    assert_eq!(cases, 12 * 64 * 6 * 3);
}

#[test]
fn so_are_histories_of_other_sizes() {
    for sizes in [
        [150, 150],
        [256, 256],
        [1, 2],
        [5, 9],
        [255, 256],
        [255, 257],
        [256, 257],
        [256, 512],
        [200, 65_537],
    ] {
        let shared = sizes[0] - 1;
        let world =
            World::new(vec![history("one", shared, sizes[1]), history("other", shared, sizes[1])]);
        for histories in shown_to() {
            for tiles in thrice(&subsets(2)) {
                check(&world, &sizes, &shown(histories, &sizes, None), &tiles, ORDERS[0]);
            }
        }
    }
}

#[test]
fn of_three_histories_any_two_that_can_be_compared_are() {
    let sizes = [150, 170, 200];
    let world = World::new(["a", "b", "c"].map(|name| history(name, 100, 200)).to_vec());
    for histories in ORDERS {
        for tiles in thrice(&subsets(3)) {
            let shown = shown(histories.map(Some), &sizes, None);
            check(&world, &sizes, &shown, &tiles, ORDERS[0]);
        }
    }
}

/// The tiles are of the log, of an older copy, of a fork that the log never signed, of another log: nobody
/// convicts a log that has one history, and whoever reaches its tiles suspects nothing.
#[test]
fn a_log_with_one_history_is_never_convicted() {
    const LOG: usize = 0;
    let sizes = [150, 170];
    let older = history("log", 0, 150);
    let fork = [history("log", 0, 140), history("fork", 0, 200).split_off(140)].concat();
    let world = World::new(vec![history("log", 0, 200), older, fork, history("other log", 0, 200)]);
    for heads in shown_to() {
        let shown = heads.iter().enumerate().filter_map(|(node, head)| {
            head.map(|head| Shown { node, tick: 0, history: LOG, size: sizes[head] })
        });
        let shown: Vec<Shown> = shown.collect();
        for tiles in thrice(&[vec![], vec![LOG], vec![1, 2, 3], vec![1, 2, 3, LOG]]) {
            let mut ring = Ring::new(&world, &tiles, ORDERS[0].to_vec());
            ring.run(&shown, LONG);
            for (node, tiles) in ring.nodes.iter().zip(&tiles) {
                assert!(!node.convicted, "heads {heads:?}, tiles {tiles:?}");
                if tiles.contains(&LOG) {
                    assert!(!node.is_suspicious(), "heads {heads:?}, tiles {tiles:?}");
                }
            }
        }
    }
}

/// Each pair of seven witnesses is shown two histories, and one of seven reaches the larger one's tiles.
#[test]
fn whoever_can_compare_hears_of_both_heads_around_a_ring_of_seven() {
    let world = World::new(vec![history("one", 100, 170), history("other", 100, 170)]);
    for one in 0..7 {
        for other in (0..7).filter(|other| *other != one) {
            for reaches in 0..7 {
                let shown = [(one, 0, 150), (other, 1, 170)].map(|(node, history, size)| Shown {
                    node,
                    tick: 0,
                    history,
                    size,
                });
                let mut tiles = vec![vec![]; 7];
                tiles[reaches].push(1);
                let mut ring = Ring::new(&world, &tiles, (0..7).collect());
                ring.run(&shown, LONG);
                let convicted = ring.nodes.iter().all(|node| node.convicted);
                assert!(convicted, "shown {shown:?}, reached by {reaches}");
            }
        }
    }
}
