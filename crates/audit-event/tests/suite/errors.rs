//! The text of every error. A change here is a change of what people read and search for.

use audit_event::blocks::BlockError;
use audit_event::commit::CommitError;
use audit_event::evidence::line::{FormError, LineError};
use audit_event::evidence::manifest::ManifestError;
use audit_event::evidence::proof::ProofError;
use audit_event::evidence::{Finding, Gap};
use audit_event::json::{EventError, JsonError};
use audit_event::leaf::LeafError;
use audit_event::text::TextError;
use audit_event::time::TimeError;
use audit_event::{FieldError, Path, Rule, Tag};

/// One line for each error: what it says, then what caused it.
fn texts<E: std::error::Error>(errors: &[E]) -> String {
    let line = |error: &E| {
        let mut line = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            line.push_str(" <- ");
            line.push_str(&error.to_string());
            cause = error.source();
        }
        let first = line.chars().next().unwrap();
        assert!(!first.is_uppercase() && !line.contains(". ") && !line.ends_with('.'), "{line}");
        line + "\n"
    };
    errors.iter().map(line).collect()
}

fn field(rule: Rule) -> FieldError {
    FieldError { path: Path::of("targets").item(3).member("id"), rule }
}

#[test]
fn texts_of_event_errors() {
    let rules = [
        Rule::Missing,
        Rule::Empty,
        Rule::NotText,
        Rule::NotObject,
        Rule::NotList,
        Rule::NotCount,
        Rule::NotSimple,
        Rule::Word { allowed: "a, b" },
        Rule::TooLong { max: 512 },
        Rule::TooMany { max: 32 },
        Rule::Control,
        Rule::Key,
        Rule::Action,
        Rule::Uri,
        Rule::Reserved,
        Rule::Time(TimeError::Form),
        Rule::Time(TimeError::Value),
        Rule::Time(TimeError::Range),
        Rule::TooDeep,
        Rule::Signature,
        Rule::Hex,
        Rule::Flag,
    ];
    let path = || Path::of("metadata").member("amount");
    let json = [
        JsonError::TooLarge { bytes: 2, max: 1 },
        JsonError::NotUtf8 { offset: 7 },
        JsonError::Syntax { offset: 7 },
        JsonError::LoneSurrogate { offset: 7 },
        JsonError::TooDeep { offset: 7 },
        JsonError::Duplicate { path: path() },
        JsonError::Number { path: path() },
    ];
    let event = [EventError::Field(field(Rule::Missing)), json[2].clone().into()];
    let all = texts(&rules.map(field)) + &texts(&json) + &texts(&event);
    insta::assert_snapshot!(all);
}

#[test]
fn texts_of_stored_forms() {
    let text = [
        TextError::Json(JsonError::Syntax { offset: 7 }),
        TextError::NotAnObject,
        TextError::NotCanonical { offset: 7 },
    ];
    let block = [
        BlockError::Text { tag: Tag::Actor, source: TextError::NotAnObject },
        BlockError::Field { tag: Tag::Detail, source: field(Rule::NotText) },
    ];
    let leaf = [
        LeafError::Magic,
        LeafError::Count { found: 8 },
        LeafError::Length { found: 45 },
        LeafError::Tag { found: 8 },
        LeafError::Order { found: 2 },
    ];
    let tag = Tag::Actor;
    let commit =
        [CommitError::Mismatch { tag }, CommitError::NotInLeaf { tag }, CommitError::Twice { tag }];
    insta::assert_snapshot!(texts(&text) + &texts(&block) + &texts(&leaf) + &texts(&commit));
}

#[test]
fn texts_of_evidence_errors() {
    let path = || Path::of("events");
    let form = [
        FormError::Unknown { path: path() },
        FormError::Missing { path: path() },
        FormError::Form { path: path(), expected: "a number" },
        FormError::Tags { path: path() },
        FormError::TooMany { path: path(), max: 10 },
    ];
    let name = || "more.txt".to_owned();
    let manifest = [
        ManifestError::Form(form[0].clone()),
        ManifestError::Unexpected { name: name() },
        ManifestError::Missing { name: name() },
        ManifestError::Unlisted { name: name() },
    ];
    let proof = [
        ProofError::TooLarge { bytes: 1 },
        ProofError::Header,
        ProofError::Size,
        ProofError::Hash { position: 1 },
        ProofError::Unterminated,
    ];
    insta::assert_snapshot!(texts(&form) + &texts(&manifest) + &texts(&proof));
}

#[test]
fn texts_of_findings() {
    let (line, tag, number) = (2, Tag::Actor, 1);
    let findings = [
        Finding::Line { line, source: LineError::Leaf(LeafError::Magic) },
        Finding::Unterminated { line },
        Finding::Proof { number, source: ProofError::Size },
        Finding::ProofMissing { number },
        Finding::Checkpoint { source: formats::CheckpointError::TooFewLines },
        Finding::NoKey,
        Finding::ReceiptForm { source: formats::ProofError::Header },
        Finding::Receipt { source: formats::ProofError::OtherCheckpoint },
        Finding::Index,
        Finding::File { name: "keys.txt".into() },
        Finding::Trust {
            source: formats::TrustError::Checkpoint(formats::CheckpointError::TooFewLines),
        },
        Finding::Origin,
        Finding::Size { name: "manifest.json".into() },
        Finding::Count { found: 1, expected: 2 },
        Finding::Order { line },
        Finding::Time { line },
        Finding::Block { line, source: CommitError::Mismatch { tag } },
        Finding::Tags { line },
        Finding::BothLists { line, tag },
        Finding::CoreWithheld { line },
        Finding::NotCanonical { line, tag, source: TextError::NotAnObject },
        Finding::Announced { line, tag },
        Finding::Unannounced { line, tag },
        Finding::Twice { line },
        Finding::Inclusion { number, source: merkle::ProofError::NoLeaves },
        Finding::Incomplete { reason: Gap::Beyond },
        Finding::Incomplete { reason: Gap::Line { line } },
        Finding::Incomplete { reason: Gap::Short },
        Finding::Incomplete { reason: Gap::NotWhole },
        Finding::Incomplete { reason: Gap::Start },
        Finding::Incomplete { reason: Gap::End },
        Finding::ShownUnmatched { line },
        Finding::WithheldMatched { line },
        Finding::View { name: "events.csv".into(), row: 1, column: "id" },
    ];
    insta::assert_snapshot!(texts(&findings));
}
