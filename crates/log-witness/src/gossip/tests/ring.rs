//! Witnesses in a ring, each of which calls the next one. They use the books, messages and judgements of
//! the real ones; time passes when the test says so.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use formats::{Checkpoint, KeyName, Origin, PrivateKey, SignedCheckpoint, Timestamp, sign};
use merkle::{Hash, NodeId, TreeSize, leaf_hash, plan_prefix, root_of};

use crate::gossip::book::{Book, Kept, Offered};
use crate::gossip::compare::{Compared, judge, judge_same_size};
use crate::gossip::exchange::{self, Given, Handed};
use crate::gossip::head::Head;

/// How often heads that wait are compared.
const TICK: Duration = Duration::from_millis(500);
/// Between two rounds of one witness: the default and the quarter by which it may be longer.
const ROUND_TICKS: u32 = 5;
const SUSPECT_AFTER: Duration = Duration::from_mins(1);

pub(super) fn origin() -> Origin {
    Origin::new("example.com/log").unwrap()
}

type Proof = Option<Vec<Hash>>;

/// The histories of one log, and what was computed from them.
pub(super) struct World {
    histories: Vec<Vec<Hash>>,
    heads: RefCell<HashMap<(usize, usize), Head>>,
    /// By history and the two sizes; `None` where the history is too short.
    proofs: RefCell<HashMap<(usize, u64, u64), Proof>>,
}

/// `shared` leaves that all histories have, then leaves of its own.
pub(super) fn history(name: &str, shared: usize, size: usize) -> Vec<Hash> {
    let leaf = |at: usize| {
        let name = if at < shared { "" } else { name };
        leaf_hash(format!("{name} {at}").as_bytes())
    };
    (0..size).map(leaf).collect()
}

impl World {
    pub(super) fn new(histories: Vec<Vec<Hash>>) -> Self {
        Self { histories, heads: RefCell::default(), proofs: RefCell::default() }
    }

    /// The signed head of the first `size` leaves of a history.
    fn head(&self, history: usize, size: usize) -> Head {
        let mut heads = self.heads.borrow_mut();
        let head = heads.entry((history, size)).or_insert_with(|| {
            let key = PrivateKey::ed25519(KeyName::new("example.com/log").unwrap(), &[1; 32]);
            let root = root_of(&self.histories[history][..size]);
            let size = TreeSize::new(u64::try_from(size).unwrap()).unwrap();
            let note = sign(&Checkpoint::new(origin(), size, root), &[&key], Timestamp::ZERO);
            let signed = SignedCheckpoint::parse(&note.unwrap()).unwrap();
            Head::of(&signed.verify(&[key.verifier_key()]).unwrap())
        });
        head.clone()
    }

    /// What an address says that serves the tiles of a history.
    fn ask(&self, history: usize, one: &SignedCheckpoint, other: &SignedCheckpoint) -> Compared {
        let (smaller, larger) = if one.size() < other.size() { (one, other) } else { (other, one) };
        let (from, to) = (smaller.size(), larger.size());
        let mut proofs = self.proofs.borrow_mut();
        let proof = proofs.entry((history, from.get(), to.get())).or_insert_with(|| {
            let leaves = &self.histories[history];
            let plan = plan_prefix(from, to).unwrap();
            let node = |node: &NodeId| {
                let range = node.leaves();
                let [start, end] = [range.start, range.end].map(|at| usize::try_from(at).unwrap());
                leaves.get(start..end).map(root_of)
            };
            let nodes: Option<Vec<Hash>> = plan.nodes().iter().map(node).collect();
            nodes.map(|nodes| plan.build(&nodes).unwrap())
        });
        proof.clone().map_or(Compared::Unproven, |proof| judge(smaller, larger, proof))
    }
}

pub(super) struct Node {
    book: Book,
    handed: Handed,
    /// The histories whose tiles its addresses serve.
    tiles: Vec<usize>,
    /// The history and size that it cosigned.
    held: Option<(usize, usize)>,
    pub(super) convicted: bool,
}

impl Node {
    fn new(tiles: Vec<usize>) -> Self {
        let mut book = Book::default();
        book.keep(vec![origin()]);
        Self { book, handed: Handed::default(), tiles, held: None, convicted: false }
    }

    pub(super) fn is_suspicious(&self) -> bool {
        self.book.counts().1 > 0
    }

    fn convict(&mut self) {
        self.convicted = true;
        self.book.stop_waiting(&origin());
    }

    fn offer(&mut self, head: Head, now: Duration) {
        if self.convicted {
            return;
        }
        match self.book.offer(&origin(), head, now) {
            Offered::WrongEmptyRoot
            | Offered::ContradictsNewest(_)
            | Offered::ContradictsPending(_) => self.convict(),
            Offered::Known
            | Offered::Pending { .. }
            | Offered::Dropped
            | Offered::Convicted
            | Offered::UnknownLog => {}
        }
    }

    fn head(&self, world: &World, kept: Kept) -> Head {
        match kept {
            Kept::Heard(head) => head,
            Kept::Held(..) => {
                let (history, size) = self.held.unwrap();
                world.head(history, size)
            }
        }
    }

    fn heads(&self, world: &World, given: Vec<Given>) -> Vec<Head> {
        given.into_iter().map(|(_, kept)| self.head(world, kept)).collect()
    }

    fn compare(&mut self, world: &World, now: Duration) {
        let due = self.book.due(now, &HashSet::new(), usize::MAX);
        for due in due.into_iter().flat_map(|(_, due)| due) {
            let newest = self.head(world, due.newest.clone()).signed();
            let tiles = &self.tiles;
            let ask = |one: &SignedCheckpoint, other: &SignedCheckpoint| {
                if one.size() == other.size() {
                    return judge_same_size(one, other);
                }
                let answers = tiles.iter().map(|history| world.ask(*history, one, other));
                let mut answers = answers.filter(|answer| *answer != Compared::Unproven);
                answers.next().unwrap_or(Compared::Unproven)
            };
            let head = due.head.signed();
            let mut compared = ask(&newest, &head);
            for smaller in &due.smaller {
                if compared == Compared::Unproven {
                    compared = ask(&smaller.signed(), &head).without_consistency();
                }
            }
            match compared {
                Compared::Consistent => self.book.consistent(due),
                Compared::Contradiction(_) => self.convict(),
                Compared::Unproven => {
                    let asked = !self.tiles.is_empty();
                    self.book.unproven(&due, now, SUSPECT_AFTER, asked);
                }
            }
        }
    }
}

/// When a witness was shown which head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) node: usize,
    pub(super) tick: u32,
    pub(super) history: usize,
    pub(super) size: usize,
}

pub(super) struct Ring<'w> {
    world: &'w World,
    pub(super) nodes: Vec<Node>,
    /// In which order the witnesses have their rounds.
    order: Vec<usize>,
    tick: u32,
}

impl<'w> Ring<'w> {
    pub(super) fn new(world: &'w World, tiles: &[Vec<usize>], order: Vec<usize>) -> Self {
        let nodes = tiles.iter().cloned().map(Node::new).collect();
        Self { world, nodes, order, tick: 0 }
    }

    /// Lets time pass until `end`, or until all are convicted. Gives the number of ticks.
    pub(super) fn run(&mut self, shown: &[Shown], end: Duration) -> Duration {
        while TICK * self.tick < end && !self.nodes.iter().all(|node| node.convicted) {
            let now = TICK * self.tick;
            let tick = self.tick;
            for shown in shown.iter().filter(|shown| shown.tick == tick) {
                self.show(*shown, now);
            }
            // Each has its rounds at a time of its own.
            for position in 0..self.order.len() {
                let phase = u32::try_from(position).unwrap();
                if self.tick % ROUND_TICKS == phase % ROUND_TICKS {
                    self.round(self.order[position], now);
                }
            }
            for node in &mut self.nodes {
                node.compare(self.world, now);
            }
            self.push_evidence();
            self.tick += 1;
        }
        TICK * self.tick
    }

    fn show(&mut self, shown: Shown, now: Duration) {
        let node = &mut self.nodes[shown.node];
        let head = self.world.head(shown.history, shown.size);
        node.held = Some((shown.history, shown.size));
        node.book.held(&origin(), head.size(), *head.root(), now);
    }

    fn round(&mut self, from: usize, now: Duration) {
        let peer = (from + 1) % self.nodes.len();
        let accused = |node: &Node| node.convicted.then(|| (origin(), true)).into_iter().collect();
        for request in exchange::pulls(&self.nodes[from].book, &accused(&self.nodes[from]), now) {
            let known = exchange::known(&request).unwrap();
            let node = &self.nodes[peer];
            let answer = exchange::answer(&node.book, &accused(node), &known, now, 0);
            if !answer.convicted.is_empty() {
                self.nodes[from].convict();
            }
            for head in self.nodes[peer].heads(self.world, answer.heads) {
                self.nodes[from].offer(head, now);
            }
            let asked_for = exchange::asked_for(&self.nodes[from].book, &answer.wanted, now);
            for head in self.nodes[from].heads(self.world, asked_for) {
                self.nodes[peer].offer(head, now);
            }
        }
        let node = &mut self.nodes[from];
        let untold = node.handed.untold(exchange::stuck(&node.book, now), now);
        node.handed.told(&untold);
        for head in self.nodes[from].heads(self.world, untold) {
            self.nodes[peer].offer(head, now);
        }
    }

    /// Who convicts tells those whom it calls at once.
    fn push_evidence(&mut self) {
        for _ in 0..self.nodes.len() {
            for from in 0..self.nodes.len() {
                let peer = (from + 1) % self.nodes.len();
                if self.nodes[from].convicted && !self.nodes[peer].convicted {
                    self.nodes[peer].convict();
                }
            }
        }
    }
}
