//! The rooms use each other only as the table in the crate's documentation says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

type Uses = BTreeMap<String, BTreeSet<String>>;

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The rows of the table.
fn documented() -> Uses {
    let lib = std::fs::read_to_string(source().join("lib.rs")).unwrap();
    let rows = lib.lines().filter_map(|line| line.strip_prefix("//! | `"));
    let mut uses: Uses = rows
        .map(|row| {
            let cells: Vec<&str> = row.trim_end_matches(" |").split(" | ").collect();
            let [room, _, _, used] = cells[..] else { panic!("not four cells: {row}") };
            let used = used.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            (room.trim_end_matches('`').to_owned(), used)
        })
        .collect();
    let all: BTreeSet<String> = uses.keys().cloned().collect();
    // The last row says "all".
    uses.insert("life".to_owned(), all);
    uses
}

/// What stands behind `crate::` in a text: one name, or several in braces.
fn named(text: &str) -> BTreeSet<String> {
    let first = |path: &str| path.trim().split("::").next().unwrap_or_default().to_owned();
    let word = |text: &str| {
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        text[..end].to_owned()
    };
    let mut names = BTreeSet::new();
    for behind in text.split("crate::").skip(1) {
        match behind.strip_prefix('{') {
            Some(list) => {
                let list = list.split_once("};").map_or(list, |(list, _)| list);
                names.extend(list.split(',').map(first));
            }
            None => names.extend([word(behind)]),
        }
    }
    names
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn no_room_uses_another_that_its_row_does_not_name() {
    let documented = documented();
    let mut breaches = Vec::new();
    for (room, uses) in &documented {
        let mut paths = Vec::new();
        files(&source().join(room), &mut paths);
        assert!(!paths.is_empty(), "room {room} is not there");
        for path in paths {
            let used = named(&std::fs::read_to_string(&path).unwrap());
            let others = used.iter().filter(|name| documented.contains_key(*name) && *name != room);
            for other in others.filter(|other| !uses.contains(*other)) {
                breaches.push(format!("{} uses {other}", path.display()));
            }
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
}

#[test]
fn the_table_has_every_room_and_no_circle() {
    let documented = documented();
    let modules = ["tests", "health", "inbox"];
    for entry in std::fs::read_dir(source()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let is_room = entry.path().is_dir() && !modules.contains(&name.as_str());
        assert!(!is_room || documented.contains_key(&name), "room {name} has no row");
    }
    // Rooms that use nothing any more are taken away until none is left.
    let mut left = documented;
    left.get_mut("life").unwrap().remove("life");
    while let Some(done) =
        left.iter().find(|(_, uses)| uses.is_empty()).map(|(room, _)| room.clone())
    {
        left.remove(&done);
        for uses in left.values_mut() {
            uses.remove(&done);
        }
    }
    assert!(left.is_empty(), "a circle: {left:?}");
}

#[test]
fn paths_are_found_in_every_form() {
    let text =
        "use crate::sign::Sign;\nuse crate::{Log, life::Rooms};\nlet x = crate::witness::run();";
    let expected = ["Log", "life", "sign", "witness"].map(str::to_owned);
    assert_eq!(named(text), BTreeSet::from(expected));
}
