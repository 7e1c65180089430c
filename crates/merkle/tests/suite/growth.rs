//! Growing a tree leaf by leaf, range by range and tile by tile, against the recursive definition.

use merkle::{
    CompactRange, Frontier, FrontierError, Hash, LeafIndex, NodeId, RangeError, TreeSize, tile,
};

use crate::reference::{Tree, index, leaves, size};

fn range(tree: &Tree, start: usize, end: usize) -> CompactRange {
    let mut range = CompactRange::new(index(start));
    (start..end).for_each(|leaf| range.append(tree.leaf(leaf)));
    range
}

#[test]
fn ranges_merge_at_every_point() {
    let tree = Tree::new(leaves(40));
    for end in 0..=40 {
        for start in 0..=end {
            let whole = range(&tree, start, end);
            assert_eq!((whole.start(), whole.end()), (start as u64, size(end)));
            for (node, hash) in whole.nodes() {
                assert_eq!(hash, tree.node(node), "{node} of [{start}, {end})");
            }
            for middle in start..=end {
                let mut left = range(&tree, start, middle);
                left.merge(&range(&tree, middle, end)).unwrap();
                assert_eq!(left, whole, "[{start}, {middle}) and [{middle}, {end})");
            }
        }
    }
}

#[test]
fn every_node_is_visited_once_and_after_its_children() {
    let tree = Tree::new(leaves(100));
    let (mut range, mut visited) = (CompactRange::empty(), Vec::new());
    for leaf in 0..100 {
        range.append_with(tree.leaf(leaf), &mut |node, hash| visited.push((node, hash)));
    }
    for (position, (node, hash)) in visited.iter().enumerate() {
        assert_eq!(*hash, tree.node(*node));
        let before: Vec<NodeId> = visited[..position].iter().map(|(node, _)| *node).collect();
        assert!(!before.contains(node));
        if let Some(below) = node.level().checked_sub(1) {
            for child in [2 * node.index(), 2 * node.index() + 1] {
                assert!(before.contains(&NodeId::new(below, child).unwrap()));
            }
        }
    }
    let nodes = (0..7).map(|level| 100 >> level).sum::<usize>();
    assert_eq!(visited.len(), nodes);
}

#[test]
fn a_range_is_rebuilt_from_its_hashes_and_goes_on() {
    let tree = Tree::new(leaves(70));
    for n in 0..70 {
        let hashes = range(&tree, 0, n).hashes().to_vec();
        let mut again = CompactRange::from_parts(size(n), hashes.clone()).unwrap();
        again.append(tree.leaf(n));
        assert_eq!(again.root(), tree.mth(0..n + 1));
        for wrong in [[hashes.clone(), vec![Hash::EMPTY_ROOT]].concat(), vec![Hash::EMPTY_ROOT; 9]]
        {
            let (expected, found) = (hashes.len(), wrong.len());
            assert_eq!(
                CompactRange::from_parts(size(n), wrong),
                Err(RangeError::HashCount { size: size(n), expected, found })
            );
        }
    }
}

#[test]
fn gaps_and_overlaps_are_refused_and_change_nothing() {
    let tree = Tree::new(leaves(10));
    let mut left = range(&tree, 0, 5);
    for start in [4, 6] {
        let gap = RangeError::Gap { end: size(5), start: start as u64 };
        assert_eq!(left.merge(&range(&tree, start, 8)), Err(gap.clone()));
        let node = NodeId::leaf(index(start));
        assert_eq!(left.append_node_with(node, Hash::EMPTY_ROOT, &mut |_, _| ()), Err(gap));
    }
    assert_eq!(left, range(&tree, 0, 5));
}

#[test]
#[should_panic(expected = "only a range that starts at leaf 0 has a root")]
fn a_range_from_elsewhere_has_no_root() {
    let _root = range(&Tree::new(leaves(4)), 2, 4).root();
}

#[test]
fn the_largest_tree_is_reached_and_not_passed() {
    let hashes = vec![Hash::EMPTY_ROOT; 63];
    let full = CompactRange::from_parts(TreeSize::MAX, hashes).unwrap();
    assert_eq!(full.nodes().count(), 63);
    let mut range = CompactRange::new(LeafIndex::new(TreeSize::MAX.get() - 1).unwrap());
    range.append(Hash::EMPTY_ROOT);
    assert_eq!(range.end(), TreeSize::MAX);
    let beyond = std::panic::catch_unwind(move || range.append(Hash::EMPTY_ROOT));
    assert!(beyond.is_err());
}

#[test]
fn sizes_and_indexes_lead_to_each_other() {
    let (last, max) = (LeafIndex::new(TreeSize::MAX.get() - 1).unwrap(), TreeSize::MAX);
    assert_eq!((index(4).size_through(), last.size_through()), (size(5), max));
    assert_eq!((size(5).next_index(), max.next_index()), (Some(index(5)), None));
    assert!(size(5).contains(index(4)) && max.contains(last));
    assert!(!size(5).contains(index(5)) && !TreeSize::ZERO.contains(index(0)));
    assert_eq!(size(5).checked_add(7), Some(size(12)));
    assert_eq!(size(5).checked_add(max.get() - 5), Some(max));
    assert_eq!((size(5).checked_add(max.get() - 4), size(5).checked_add(u64::MAX)), (None, None));
}

/// Past two levels of tiles, in steps that start and end everywhere in a tile.
#[test]
fn a_frontier_grows_by_any_steps() {
    let steps = [1, 254, 1, 1, 255, 256, 257, 511, 512, 513, 1000, 3, 65_536, 2, 700];
    let tree = Tree::new(leaves(steps.iter().sum()));
    let (mut frontier, mut slow) = (Frontier::new(), CompactRange::empty());
    let mut end = 0;
    for step in steps {
        let before = frontier.clone();
        let new: Vec<Hash> = (end..end + step).map(|leaf| tree.leaf(leaf)).collect();
        let mut full = frontier.append(&new);
        for leaf in &new {
            slow.append(*leaf);
        }

        assert_eq!((before.size(), frontier.size()), (size(end), size(end + step)));
        assert_eq!(before.root(), tree.mth(0..end), "a clone does not grow along");
        end += step;
        assert_eq!(frontier.compact_range(), &slow);
        assert_eq!(frontier.root(), tree.mth(0..end));

        full.sort_by_key(|(coord, _)| *coord);
        let coords: Vec<_> = full.iter().map(|(coord, _)| *coord).collect();
        let expected: Vec<_> = tile::full_tiles_between(before.size(), frontier.size()).collect();
        assert_eq!(coords, expected);
        for (coord, row) in &full {
            assert_row(&tree, *coord, row.as_slice());
        }
        for (coord, width) in tile::partial_tiles(frontier.size()) {
            assert_eq!(frontier.partial(coord.level).len(), usize::from(width));
            assert_row(&tree, coord, frontier.partial(coord.level));
        }
        assert_rebuilds(&frontier);
    }
}

/// The hashes of a tile are the nodes of its level of the tree.
fn assert_row(tree: &Tree, coord: tile::TileCoord, row: &[Hash]) {
    for (index, hash) in (coord.index << tile::HEIGHT..).zip(row) {
        let node = NodeId::new(coord.level * tile::HEIGHT, index).unwrap();
        assert_eq!(*hash, tree.node(node), "{node}");
    }
}

fn levels(frontier: &Frontier) -> Vec<Vec<Hash>> {
    (0..tile::LEVELS).map(|level| frontier.partial(level).to_vec()).collect()
}

fn assert_rebuilds(frontier: &Frontier) {
    let again = Frontier::from_levels(frontier.size(), levels(frontier)).unwrap();
    assert_eq!(again.compact_range(), frontier.compact_range());
    let (mut one, mut other) = (frontier.clone(), again);
    let more = leaves(300);
    assert_eq!(one.append(&more), other.append(&more));
    assert_eq!(one.root(), other.root());
}

#[test]
fn a_frontier_answers_exactly_the_nodes_it_has() {
    for n in [0, 1, 5, 255, 256, 257, 600, 70_000] {
        let tree = Tree::new(leaves(n));
        let mut frontier = Frontier::new();
        frontier.append(&(0..n).map(|leaf| tree.leaf(leaf)).collect::<Vec<_>>());
        for level in 0..20 {
            let nodes = n as u64 >> level;
            for index in nodes.saturating_sub(600)..nodes + 2 {
                let node = NodeId::new(level, index).unwrap();
                let Some(hash) = frontier.node(node) else { continue };
                assert_eq!(hash, tree.node(node), "{node} at size {n}");
            }
        }
        for (coord, width) in tile::partial_tiles(frontier.size()) {
            let first = coord.index << tile::HEIGHT;
            for index in first..first + u64::from(width) {
                let node = NodeId::new(coord.level * tile::HEIGHT, index).unwrap();
                assert!(frontier.node(node).is_some(), "{node} at size {n}");
            }
        }
        for (peak, hash) in frontier.compact_range().nodes() {
            assert_eq!(frontier.node(peak), Some(hash));
        }
    }
}

#[test]
fn a_frontier_of_wrong_widths_is_refused() {
    let mut frontier = Frontier::new();
    frontier.append(&leaves(600));
    let right = levels(&frontier);
    for level in 0..right.len() {
        let mut wrong = right.clone();
        wrong[level].push(Hash::EMPTY_ROOT);
        let expected = u16::try_from(right[level].len()).unwrap();
        let found = wrong[level].len();
        let refused = Frontier::from_levels(size(600), wrong).map(|_| ());
        assert_eq!(refused, Err(FrontierError::Width { level, expected, found }));
    }
    let mut nine = levels(&frontier);
    nine.push(vec![Hash::EMPTY_ROOT]);
    let refused = Frontier::from_levels(size(600), nine).map(|_| ());
    assert_eq!(refused, Err(FrontierError::Width { level: 8, expected: 0, found: 1 }));
}
