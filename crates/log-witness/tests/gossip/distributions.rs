//! Who was shown which history, and who reaches whose tiles, between real processes: three witnesses in a
//! ring with default settings, and one log for each distribution.

use std::path::Path;

use formats::{Contradiction, Evidence};
use merkle::Hash;

use crate::nodes::{Node, Tiles, add_log, head_of, history, key_of, serve};

/// The names of addresses and histories.
const ONE: usize = 0;
const OTHER: usize = 1;
const GARBAGE: usize = 2;
const SILENT: usize = 3;

/// One log: what each witness was shown of it, and which addresses each has.
struct Case {
    origin: String,
    shown: [Vec<Hash>; 3],
    addresses: [Vec<usize>; 3],
    /// It contradicts itself.
    lies: bool,
    /// Somebody can show it, or prove that it does not.
    decided: bool,
}

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

/// Every way to show two heads to three witnesses, both of them to somebody.
fn shown() -> Vec<[usize; 3]> {
    let mut all = thrice(&[ONE, OTHER]);
    all.retain(|shown| shown.contains(&ONE) && shown.contains(&OTHER));
    all
}

/// The histories of logs that lie about what came after their first 100 leaves.
fn histories(size: usize) -> [Vec<Hash>; 2] {
    [history("one", 100, size), history("other", 100, size)]
}

fn lying(cases: &mut Vec<Case>, sizes: [usize; 2], addresses: &[[Vec<usize>; 3]]) {
    let heads = [ONE, OTHER].map(|at| histories(sizes[at])[at].clone());
    for shown in shown() {
        for addresses in addresses {
            let reached = addresses.iter().flatten().any(|address| *address == OTHER);
            cases.push(Case {
                origin: format!("lies.example/{}", cases.len()),
                shown: shown.map(|at| heads[at].clone()),
                addresses: addresses.clone(),
                lies: true,
                decided: reached || sizes[ONE] == sizes[OTHER],
            });
        }
    }
}

/// Their addresses hold the tiles, those of a fork, or nothing that is a tile of theirs.
fn honest(cases: &mut Vec<Case>, sizes: [usize; 2]) {
    let heads = sizes.map(|size| histories(size)[ONE].clone());
    let choices = [vec![], vec![ONE], vec![OTHER, GARBAGE], vec![OTHER, GARBAGE, ONE]];
    for shown in [[ONE, OTHER, OTHER], [OTHER, ONE, ONE]] {
        for addresses in thrice(&choices) {
            cases.push(Case {
                origin: format!("honest.example/{}", cases.len()),
                shown: shown.map(|at| heads[at].clone()),
                addresses,
                lies: false,
                decided: false,
            });
        }
    }
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let all = thrice(&[vec![], vec![ONE], vec![OTHER], vec![ONE, OTHER]]);
    lying(&mut cases, [150, 170], &all);
    // Whoever has it has it behind one that never answers.
    let silent = [0, 1, 2].map(|at| {
        let mut addresses = [vec![], vec![], vec![]];
        addresses[at] = vec![SILENT, OTHER];
        addresses
    });
    lying(&mut cases, [150, 170], &silent);
    // Across the borders of tiles, and of one size.
    let one = [0, 1, 2].map(|at| {
        let mut addresses = [vec![ONE], vec![ONE], vec![]];
        addresses[at].push(OTHER);
        addresses
    });
    for sizes in [[255, 257], [256, 512], [200, 300]] {
        lying(&mut cases, sizes, &one);
    }
    lying(&mut cases, [170, 170], &[[vec![], vec![], vec![]]]);
    honest(&mut cases, [150, 170]);
    cases
}

/// The addresses, in the order of their names.
fn addresses() -> (Vec<Tiles>, [String; 4]) {
    let tiles = [Tiles::start(), Tiles::start()];
    for size in [150, 170, 255, 256, 257, 200, 300, 512] {
        for (tiles, history) in tiles.iter().zip(histories(size)) {
            tiles.publish(&history);
        }
    }
    let garbage = serve(|path, _| {
        let width = path.rsplit_once(".p/").map_or(Ok(256), |(_, width)| width.parse::<usize>());
        Some(vec![7; 32 * width.unwrap_or(1)])
    });
    let silent = serve(|_, _| {
        loop {
            std::thread::park();
        }
    });
    let urls = [tiles[0].url.clone(), tiles[1].url.clone(), garbage, silent];
    (tiles.into(), urls)
}

fn start(dir: &Path, cases: &[Case], urls: &[String; 4]) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for number in 0..3 {
        let dir = dir.join(number.to_string());
        for case in cases {
            let addresses = case.addresses[number].iter();
            let addresses: Vec<&str> = addresses.map(|address| &*urls[*address]).collect();
            add_log(&dir, &case.origin, &addresses);
        }
        // A ring: each has the one before as its peer, and the last one has the first one too.
        let peers = match number {
            0 => vec![],
            1 => vec![&*nodes[0].url],
            _ => vec![&*nodes[1].url, &*nodes[0].url],
        };
        let node = Node::start_by_default(&dir, &peers, &["--suspect-after-ms", "5000"]);
        nodes.push(node);
    }
    nodes
}

/// How many of the logs a witness suspects, at least and at most.
///
/// It suspects a log that it has asked in vain, or cannot ask and has heard a larger head of than its own.
/// Whether it hears of a smaller head of an honest log depends on how soon others compare that.
fn suspects(cases: &[Case], number: usize) -> [u64; 2] {
    let (mut least, mut most) = (0, 0);
    for case in cases {
        let (shown, addresses) = (&case.shown, &case.addresses[number]);
        let behind = shown.iter().any(|other| other.len() > shown[number].len());
        let settled = if case.lies { case.decided } else { addresses.contains(&ONE) };
        let hears = behind || case.lies;
        least += u64::from(!settled && hears && (behind || !addresses.is_empty()));
        most += u64::from(!settled && (behind || !addresses.is_empty()));
    }
    [least, most]
}

#[tokio::test]
async fn whatever_can_be_compared_is_and_no_honest_log_is_convicted() {
    let (dir, cases) = (tempfile::tempdir().unwrap(), cases());
    let (_tiles, urls) = addresses();
    let nodes = start(dir.path(), &cases, &urls);
    std::thread::scope(|scope| {
        for (number, node) in nodes.iter().enumerate() {
            let cases = &cases;
            scope.spawn(move || {
                for case in cases {
                    let head = head_of(&case.origin, &case.shown[number]);
                    let (status, body) = node.add_first(head);
                    // The other two may have found it out before.
                    let found_out = status == 403 && case.lies && case.decided;
                    assert!(status == 200 || found_out, "{}: {status} {body}", case.origin);
                }
            });
        }
    });
    let lies = cases.iter().filter(|case| case.lies && case.decided).count();
    for (number, node) in nodes.iter().enumerate() {
        node.shows("cairn_witness_logs_distrusted", |logs| logs == lies as u64).await;
        let [least, most] = suspects(&cases, number);
        node.shows("cairn_witness_logs_suspect", |logs| (least..=most).contains(&logs)).await;
    }
    for node in &nodes {
        for case in &cases {
            let evidence = node.evidence_against(&case.origin);
            assert_eq!(evidence.is_some(), case.lies && case.decided, "{}", case.origin);
            let Some(evidence) = evidence else { continue };
            let found =
                Evidence::parse(&evidence).unwrap().verify(&[key_of(&case.origin).verifier_key()]);
            assert_ne!(found.unwrap().contradiction(), Contradiction::EmptyRoot);
        }
    }
}
