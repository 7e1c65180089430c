//! The committed code is what `proto/` gives today.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a generator: what fails fails the test, and git keeps what it wrote"
)]

use std::{env, fs, path::Path};

use prost::Message as _;

/// Each API by itself, with its descriptors: a server describes the one it serves.
const APIS: &[(&str, &str)] = &[
    // It imports the API of logs and so generates that too, in another form: the next one writes it anew.
    ("cairn/audit/v1/audit.proto", "audit_descriptors.bin"),
    ("cairn/log/v1/log.proto", "descriptors.bin"),
    ("cairn/gossip/v1/gossip.proto", "gossip_descriptors.bin"),
];
/// Requests whose events stay bytes until they are read: see `log_proto::events`.
const EXTERNAL: &[(&str, &str)] = &[
    (".cairn.log.v1", "crate::log_v1"),
    (".cairn.audit.v1.RecordEventRequest", "crate::events::RecordEventRequest"),
    (".cairn.audit.v1.RecordEventsRequest", "crate::events::RecordEventsRequest"),
    (".cairn.audit.v1.RecordStreamItems", "crate::events::RecordStreamItems"),
];
const FILES: &[&str] = &[
    "cairn.log.v1.rs",
    "descriptors.bin",
    "cairn.audit.v1.rs",
    "audit_descriptors.bin",
    "cairn.gossip.v1.rs",
    "gossip_descriptors.bin",
];

#[test]
fn generated_code_is_current() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join("gen");
    fs::create_dir_all(&fresh).unwrap();
    for (proto, descriptors) in APIS {
        generate(&here.join("../../proto"), proto, &fresh, descriptors);
    }

    for file in FILES {
        let new = fs::read(fresh.join(file)).unwrap();
        let committed = here.join("src/gen").join(file);
        if env::var_os("CAIRN_BLESS").is_some() {
            fs::write(&committed, &new).unwrap();
        }
        let old = fs::read(&committed).unwrap_or_default();
        assert!(
            old == new,
            "{} is not what proto/ gives: run CAIRN_BLESS=1 cargo test -p log-proto",
            committed.display()
        );
    }
}

fn generate(protos: &Path, proto: &str, out: &Path, name: &str) {
    let descriptors = protox::compile([proto], [protos]).expect("proto/ compiles");
    fs::write(out.join(name), descriptors.encode_to_vec()).unwrap();
    let external: &[_] = if proto.starts_with("cairn/audit/") { EXTERNAL } else { &[] };
    let builder = tonic_prost_build::configure();
    external
        .iter()
        .fold(builder, |builder, (name, path)| builder.extern_path(*name, *path))
        .bytes(".")
        .out_dir(out)
        .client_mod_attribute(".", "#[cfg(feature = \"client\")]")
        .server_mod_attribute(".", "#[cfg(feature = \"server\")]")
        .compile_fds(descriptors)
        .expect("the descriptors generate");
}
