//! The crates use each other only as ARCHITECTURE.md says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

type Uses = BTreeMap<String, BTreeSet<String>>;

/// What no crate of the log itself may know: its interface is another crate's.
const PROTOCOLS: [&str; 5] = ["hyper", "http", "tonic", "tower", "clap"];
/// Crates that stay without I/O and asynchronous code.
const PURE: [&str; 3] = ["merkle", "formats", "audit-event"];
/// What they must not use.
const IMPURE: [&str; 6] = ["tokio", "futures-util", "getrandom", "rustix", "tracing", "tempfile"];
/// Programs and libraries that must not bring the storage engine along.
const SMALL: [&str; 3] = ["log-client", "log-cli", "log-witness"];

/// The rows of the table of crates.
fn documented() -> Result<Uses> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ARCHITECTURE.md");
    let text = std::fs::read_to_string(path)?;
    let table = text.split("| crate | what it is | uses |").nth(1).context("the table is gone")?;
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let [name, _, uses] = cells[..] else { anyhow::bail!("not three cells: {row}") };
        Ok((quoted(name).next().context("a row without a name")?, quoted(uses).collect()))
    })
    .collect()
}

fn quoted(cell: &str) -> impl Iterator<Item = String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned)
}

/// What every crate of the workspace depends on, its tests aside.
fn manifests() -> Result<Uses> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    let uses = packages.iter().map(|package| {
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        let normal = dependencies.filter(|dependency| dependency["kind"].as_str() != Some("dev"));
        (text(&package["name"]), normal.map(|dependency| text(&dependency["name"])).collect())
    });
    Ok(uses.collect())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Everything a crate of the workspace reaches through crates of the workspace.
fn reached(uses: &Uses, name: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![name.to_owned()];
    while let Some(name) = open.pop() {
        for used in uses.get(&name).into_iter().flatten() {
            if found.insert(used.clone()) {
                open.push(used.clone());
            }
        }
    }
    found
}

/// The arrows between crates that `documented` lacks, and the rows that no crate or arrow stands behind.
fn breaches(documented: &Uses, manifests: &Uses) -> Vec<String> {
    let none = BTreeSet::new();
    let mut breaches = Vec::new();
    for (name, used) in manifests {
        let Some(allowed) = documented.get(name) else {
            breaches.push(format!("{name} has no row"));
            continue;
        };
        let inside = |used: &&String| manifests.contains_key(*used);
        let new = used.iter().filter(inside).filter(|used| !allowed.contains(*used));
        breaches.extend(new.map(|used| format!("{name} uses {used}, its row does not say so")));
    }
    for (name, allowed) in documented {
        let used = manifests.get(name).unwrap_or(&none);
        let stale = allowed.iter().filter(|allowed| !used.contains(*allowed));
        breaches.extend(stale.map(|allowed| format!("{name} does not use {allowed}")));
    }
    breaches
}

#[test]
fn the_arrows_between_crates_are_the_documented_ones() -> Result<()> {
    let (documented, manifests) = (documented()?, manifests()?);
    assert_eq!(breaches(&documented, &manifests), Vec::<String>::new());
    Ok(())
}

#[test]
fn an_arrow_that_is_not_documented_is_named() {
    let uses = |rows: &[(&str, &[&str])]| -> Uses {
        let row = |(name, used): &(&str, &[&str])| {
            ((*name).to_owned(), used.iter().map(|used| (*used).to_owned()).collect())
        };
        rows.iter().map(row).collect()
    };
    let manifests = uses(&[("a", &["b", "serde"]), ("b", &[]), ("c", &[])]);
    let documented = uses(&[("a", &[]), ("b", &["a"])]);
    let expected = ["a uses b, its row does not say so", "c has no row", "b does not use a"];
    assert_eq!(breaches(&documented, &manifests), expected);
}

#[test]
fn the_log_knows_no_protocol_and_the_mathematics_no_machine() -> Result<()> {
    let manifests = manifests()?;
    let uses = |name: &str, used: &str| manifests[name].contains(used);
    for protocol in PROTOCOLS {
        assert!(!uses("log-core", protocol), "log-core uses {protocol}");
    }
    for (pure, impure) in PURE.iter().flat_map(|pure| IMPURE.map(|impure| (pure, impure))) {
        assert!(!uses(pure, impure), "{pure} uses {impure}");
    }
    Ok(())
}

#[test]
fn clients_and_the_witness_link_no_rocksdb() -> Result<()> {
    let manifests = manifests()?;
    assert!(reached(&manifests, "log-server").contains("rocksdb"), "the test sees nothing");
    for small in SMALL {
        assert!(!reached(&manifests, small).contains("rocksdb"), "{small} links RocksDB");
    }
    Ok(())
}
