//! `scripts/tidy` finds what it says it finds.

#![expect(clippy::unwrap_used, reason = "a test fails where its fixtures do")]

use std::fs;
use std::path::Path;
use std::process::Command;

use e2e::stderr_of;

/// A repository with one file besides what tidy asks for; what tidy says of it.
fn said_of(name: &str, content: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir_all(root.join("scripts")).unwrap();
    fs::create_dir_all(root.join("docs")).unwrap();
    let tidy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/tidy");
    fs::copy(tidy, root.join("scripts/tidy")).unwrap();
    for document in
        ["README", "ARCHITECTURE", "CONTRIBUTING", "CHANGELOG", "SECURITY", "docs/formats"]
    {
        fs::write(root.join(format!("{document}.md")), "text\n").unwrap();
    }
    fs::write(root.join("LICENSE"), "text\n").unwrap();
    fs::write(root.join(name), content).unwrap();
    for args in [&["init", "--quiet"][..], &["add", "--all"]] {
        assert!(Command::new("git").args(args).current_dir(root).status().unwrap().success());
    }
    let output = Command::new(root.join("scripts/tidy")).current_dir(root).output().unwrap();
    let said = stderr_of(&output);
    assert_eq!(output.status.success(), said.is_empty(), "{said}");
    said
}

#[test]
fn comments_pass_no_110_columns() {
    let line = |len: usize| format!("    // {}\n", "é".repeat(len - 7));
    assert_eq!(said_of("a.rs", &line(110)), "");
    assert!(said_of("a.rs", &line(111)).contains("a.rs line 1"));
    assert!(said_of("a.proto", &line(111)).contains("a.proto line 1"));
    let code = format!("const A: &str = \"{}\";\n", "a".repeat(120));
    assert_eq!(said_of("a.rs", &code), "", "rustfmt's business");
}

#[test]
fn no_function_returns_an_option_of_nothing() {
    assert!(said_of("a.rs", "fn a() -> Option<()> {\n").contains("a.rs:1"));
    assert!(said_of("a.rs", "fn a(\n) -> Option<()> {\n").contains("a.rs:2"));
    assert_eq!(said_of("a.rs", "fn a(task: JoinHandle<Option<()>>) -> Option<u8> {\n"), "");
}
