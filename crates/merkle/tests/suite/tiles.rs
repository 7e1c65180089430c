//! Tiles, bundles and their paths.

use merkle::tile::{self, BundlePath, ExpandedTile, PathError, TileCoord, TilePath};
use merkle::{Hash, NodeId, TreeSize, bundle};

use crate::reference::{Tree, leaves, size};

#[test]
fn tile_widths_follow_from_the_size() {
    let at = |level, index, size| {
        tile::width_at(TileCoord { level, index }, TreeSize::new(size).unwrap())
    };
    assert_eq!(at(0, 0, 0), None);
    assert_eq!(at(0, 0, 1), Some(1));
    assert_eq!(at(0, 0, 255), Some(255));
    assert_eq!((at(0, 0, 256), at(0, 1, 256), at(1, 0, 256)), (Some(256), None, Some(1)));
    assert_eq!((at(0, 1, 257), at(1, 0, 257)), (Some(1), Some(1)));
    assert_eq!((at(1, 0, 65_536), at(1, 1, 65_536), at(2, 0, 65_536)), (Some(256), None, Some(1)));
    assert_eq!(at(7, 0, TreeSize::MAX.get()), Some(127));
    assert_eq!((at(8, 0, TreeSize::MAX.get()), at(255, 0, TreeSize::MAX.get())), (None, None));
    assert_eq!(at(0, u64::MAX, TreeSize::MAX.get()), None);
}

#[test]
fn partial_tiles_are_those_with_a_partial_width() {
    for n in (0..700).chain(65_530..65_540).chain([1 << 24, (1 << 24) + 256, (1 << 40) + 1]) {
        let listed: Vec<_> = tile::partial_tiles(size(n)).collect();
        let expected: Vec<_> = (0..tile::LEVELS)
            .filter_map(|level| {
                let coord = TileCoord { level, index: n as u64 >> (8 * level) >> 8 };
                Some((coord, tile::width_at(coord, size(n)).filter(|width| *width < 256)?))
            })
            .collect();
        assert_eq!(listed, expected, "size {n}");
    }
}

#[test]
fn every_node_is_found_in_its_tile() {
    let tree = Tree::new(leaves(1024));
    for level in 0..=10 {
        for index in 0..1024 >> level {
            let node = NodeId::new(level, index).unwrap();
            let location = tile::locate(node);
            let width = tile::width_at(location.coord, size(1024)).unwrap();
            let row: Vec<Hash> = (0..u64::from(width))
                .map(|hash| {
                    let index = (location.coord.index << tile::HEIGHT) + hash;
                    tree.node(NodeId::new(location.coord.level * tile::HEIGHT, index).unwrap())
                })
                .collect();
            let slice = location.slice(&row).unwrap();
            assert_eq!(slice.len(), usize::from(location.count));
            assert_eq!(tile::root_of(slice), tree.node(node), "{node}");
            if let Ok(full) = <&tile::FullRow>::try_from(row.as_slice()) {
                assert_eq!(ExpandedTile::from_full(full).at(&location), tree.node(node), "{node}");
            }
        }
    }
    let last_leaf = NodeId::new(0, TreeSize::MAX.get() - 1).unwrap();
    let location = tile::locate(last_leaf);
    assert_eq!((location.coord.index, location.first), ((1 << 55) - 1, 254));
    assert_eq!(tile::locate(NodeId::new(62, 0).unwrap()).count, 64);
}

#[test]
fn a_slice_beyond_a_partial_tile_is_none() {
    let location = tile::locate(NodeId::new(2, 1).unwrap());
    let row = leaves(8);
    assert_eq!(location.slice(&row), Some(&row[4..8]));
    assert_eq!(location.slice(&row[..7]), None);
}

#[test]
fn an_expanded_tile_has_its_511_nodes_and_no_more() {
    let tree = Tree::new(leaves(256));
    let row: Box<tile::FullRow> = leaves(256).into_boxed_slice().try_into().unwrap();
    let expanded = ExpandedTile::from_full(&row);
    for height in 0..=8 {
        for index in 0..256_usize >> height {
            let node = NodeId::new(height, index as u64).unwrap();
            assert_eq!(expanded.node(height, index), Some(tree.node(node)));
        }
        assert_eq!(expanded.node(height, 256 >> height), None);
    }
    assert_eq!((expanded.node(9, 0), expanded.node(255, 0)), (None, None));
    assert_eq!(expanded.root(), tree.mth(0..256));
    assert_eq!(expanded.row(), row.as_slice());
}

#[test]
fn tile_bytes_round_trip_and_other_lengths_are_refused() {
    let row = leaves(256);
    let bytes = tile::encode(&row);
    assert_eq!(bytes.len(), tile::BYTES);
    assert_eq!(tile::decode(&bytes, 256).unwrap(), row);
    assert_eq!(tile::decode_full(&bytes).unwrap().as_slice(), row);
    for (length, width) in
        [(0, 1), (31, 1), (33, 1), (64, 1), (8160, 256), (8191, 256), (8192, 255)]
    {
        let refused = tile::decode(&bytes[..length], width);
        assert_eq!(refused, Err(tile::TileError::Length { width, found: length }));
    }
    assert!(tile::decode_full(&bytes[..8160]).is_err());
}

#[test]
fn paths_have_one_spelling() {
    let canonical = [
        ("tile/0/000", 0, 0, 256),
        ("tile/0/000.p/1", 0, 0, 1),
        ("tile/0/999.p/255", 0, 999, 255),
        ("tile/1/x001/000", 1, 1000, 256),
        ("tile/2/x001/x234/067", 2, 1_234_067, 256),
        ("tile/5/x001/x234/067.p/8", 5, 1_234_067, 8),
        ("tile/63/x018/x446/x744/x073/x709/x551/615.p/255", 63, u64::MAX, 255),
    ];
    for (text, level, index, width) in canonical {
        let path: TilePath = text.parse().unwrap();
        assert_eq!(path, TilePath::new(TileCoord { level, index }, width).unwrap());
        assert_eq!(
            (path.to_string(), path.coord().index, path.width()),
            (text.into(), index, width)
        );
        let (_, position) = text.strip_prefix("tile/").unwrap().split_once('/').unwrap();
        let beside = format!("tile/entries/{position}");
        let path: BundlePath = beside.parse().unwrap();
        assert_eq!((path.to_string(), path.index(), path.width()), (beside, index, width));
    }
}

/// What follows `tile/0/` or `tile/entries/`, and is no path of any tile.
const REFUSED: [&str; 30] = [
    "",
    "0",
    "00",
    "0000",
    "1",
    "x000/000",
    "x001",
    "x001/x002",
    "001/002",
    "x1/000",
    "x001/00",
    "x001//000",
    "/000",
    "000/",
    "x001/000/",
    "+01",
    "-01",
    " 000",
    "000 ",
    "000\n",
    "000.p",
    "000.p/",
    "000.p/0",
    "000.p/256",
    "000.p/01",
    "000.p/+1",
    "000.p/1/",
    "000.p/1.p/1",
    "0x0",
    "０００",
];

#[test]
fn other_spellings_are_refused() {
    for position in REFUSED {
        assert!(format!("tile/0/{position}").parse::<TilePath>().is_err(), "{position:?}");
        assert!(format!("tile/entries/{position}").parse::<BundlePath>().is_err(), "{position:?}");
    }
    let tiles = [
        "",
        "/",
        "tile",
        "tile/",
        "tile/0",
        "tile//000",
        "tile/00/000",
        "tile/01/000",
        "tile/64/000",
        "tile/256/000",
        "tile/-1/000",
        "tile/+1/000",
        "/tile/0/000",
        "tile/0/000?",
        "Tile/0/000",
        "tile/entries/000",
        "tile/data/000",
        "tile/8/0/000",
        "tile/0/x018/x446/x744/x073/x709/x551/616", // 2^64
        "tile/0/x999/x999/x999/x999/x999/x999/999",
    ];
    for text in tiles {
        assert!(text.parse::<TilePath>().is_err(), "{text:?}");
    }
    for text in ["", "tile/entries", "tile/entries/", "tile/entries000", "tile/0/000"] {
        assert!(text.parse::<BundlePath>().is_err(), "{text:?}");
    }
}

#[test]
fn path_errors_say_what_is_wrong() {
    let error = |text: &str| text.parse::<TilePath>().unwrap_err();
    assert_eq!(error(&"x".repeat(53)), PathError::TooLong { found: 53 });
    assert!(matches!(error(&"x".repeat(52)), PathError::Syntax { .. }));
    assert_eq!(error("tile/64/000"), PathError::Level { level: 64 });
    assert_eq!(error("tile/0/000.p/0"), PathError::Width { width: 0 });
    assert_eq!(
        error("tile/0/x000/067"),
        PathError::NotCanonical { path: "tile/0/x000/067".into(), canonical: "tile/0/067".into() }
    );
    let coord = TileCoord { level: 0, index: 0 };
    assert_eq!(TilePath::new(coord, 257), Err(PathError::Width { width: 257 }));
    assert_eq!(BundlePath::new(0, 0), Err(PathError::Width { width: 0 }));
}

#[test]
fn bundles_round_trip() {
    let longest = vec![7; bundle::ENTRY_BYTES_MAX];
    let entries: [&[u8]; 4] = [b"a", b"", &longest, b"last"];
    let bytes = bundle::encode(entries).unwrap();
    assert_eq!(&bytes[..5], [0, 1, b'a', 0, 0]);
    assert_eq!(bundle::decode(&bytes, 4).unwrap(), entries);
    assert_eq!(bundle::decode(&[], 0).unwrap(), Vec::<&[u8]>::new());
}

#[test]
fn a_bundle_holds_exactly_its_entries() {
    use bundle::BundleError::{EntryTooLong, Surplus, Truncated};
    let bytes = bundle::encode(["one", "two"]).unwrap();
    for length in 0..bytes.len() {
        let position = u16::from(length >= 5);
        assert_eq!(
            bundle::decode(&bytes[..length], 2),
            Err(Truncated { position }),
            "{length} bytes"
        );
    }
    assert_eq!(bundle::decode(&bytes, 3), Err(Truncated { position: 2 }));
    assert_eq!(bundle::decode(&bytes, 1), Err(Surplus { width: 1, surplus: 5 }));
    let found = bundle::ENTRY_BYTES_MAX + 1;
    let mut unchanged = bytes.clone();
    assert_eq!(bundle::push(&mut unchanged, &vec![0; found]), Err(EntryTooLong { found }));
    assert_eq!(unchanged, bytes);
}
