//! The seeds of the fuzz targets, run through the functions of the targets. Names say what is expected:
//! `accept-*` by at least one reader of the target, `refuse-*` by none. Included by the tests of the crates
//! that are fuzzed.

use std::path::Path;

pub(crate) fn run(target: &str, accepts: fn(&[u8]) -> bool) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let (mut accepted, mut refused) = (0, 0);
    for file in std::fs::read_dir(corpus).unwrap() {
        let path = file.unwrap().path();
        let found = accepts(&std::fs::read(&path).unwrap());
        let name = path.file_name().unwrap().to_str().unwrap();
        // Names without a prefix are what a fuzzer found.
        assert!(found || !name.starts_with("accept-"), "{target} refuses {name}");
        assert!(!found || !name.starts_with("refuse-"), "{target} accepts {name}");
        if found { accepted += 1 } else { refused += 1 }
    }
    assert!(accepted > 0 && refused > 0, "{target}: {accepted} accepted, {refused} refused");
}
