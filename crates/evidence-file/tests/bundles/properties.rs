//! Whatever the writer makes holds.

use audit_event::evidence::Status;
use audit_event::evidence::view::Separator;
use audit_event::{Tag, Tags};
use evidence_file::write::{Csv, Target};
use evidence_file::{Options, verify};
use formats::Trust;
use proptest::prelude::*;

use crate::kit::log::{Export, Log, erase, key};

fn options() -> impl Strategy<Value = Options> {
    let csv = (any::<bool>(), any::<bool>()).prop_map(|(semicolon, mark)| Csv {
        separator: if semicolon { Separator::Semicolon } else { Separator::Comma },
        mark,
    });
    (prop::option::of(csv), any::<bool>(), any::<bool>(), any::<bool>())
        .prop_map(|(csv, json, parquet, deflate)| Options { csv, json, parquet, deflate })
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    let text = prop_oneof![any::<String>(), "[=+@'\\-,;\"\r\n\t\u{0}-\u{1f}\u{202e}é😀]{0,9}"];
    prop::collection::vec(text, 1..7)
}

fn tags() -> impl Strategy<Value = Vec<Tag>> {
    prop::collection::vec(prop::sample::select(&Tag::ALL[1..6]), 0..3)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_the_writer_makes_holds(
        texts in texts(),
        shown in prop::collection::vec(any::<bool>(), 6),
        withheld in tags(),
        erased in tags(),
        options in options(),
        zip in any::<bool>(),
    ) {
        let event = |number: u64| {
            let text = serde_json::Value::from(&*texts[usize::try_from(number).unwrap()]);
            format!(
                r#"{{"id":"e-{number}","source":"/s","time":"2026-03-04T09:10:11Z","action":"invoice.updated","outcome":"success",
                "actor":{{"type":"user","id":"u","name":{text}}},"description":{text},"metadata":{{"m":{text}}}}}"#
            )
        };
        let log = Log::with(texts.len().try_into().unwrap(), event, |_, _, _| {});
        let lines = log.lines.iter().zip(&shown).filter(|(_, shown)| **shown);
        let mut lines: Vec<_> = lines.map(|(line, _)| line.clone()).collect();
        let mut tags: Tags = withheld.into_iter().collect();
        if !tags.is_empty() {
            tags.insert(Tag::Raw);
        }
        for line in &mut lines {
            line.withhold(tags);
            for tag in &erased {
                if line.leaf.tags().contains(*tag) {
                    erase(line, *tag);
                }
            }
        }
        let export = Export { withheld: tags, ..Export::whole(&lines) };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e");
        let target = if zip { Target::Zip(&path) } else { Target::Folder(&path) };
        let written = log.write(target, options, &export);
        prop_assert_eq!(written.events, u64::try_from(lines.len()).unwrap());
        let trust = Trust::Keys(vec![key().verifier_key().clone()]);
        let verdict = verify(&path, &trust, |_| {}).unwrap();
        prop_assert_eq!(verdict.status(), Status::Holds, "{:?}", verdict);
    }
}
