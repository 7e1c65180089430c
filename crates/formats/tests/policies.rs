//! Policies: the rules on names, duplicates and thresholds, and what a quorum is.

#![expect(clippy::unwrap_used, reason = "what fails to unwrap fails the test")]

use formats::policy::{
    GROUPS_MAX, LOGS_MAX, LineError, POLICY_BYTES_MAX, QuorumError, WITNESSES_MAX,
};
use formats::{
    Checkpoint, CheckpointError, KeyError, KeyName, NoteError, NumberError, Policy, PolicyError,
    PrivateKey, SignedCheckpoint, Signer, Timestamp, Trust, TrustError, sign,
};
use merkle::{Hash, TreeSize};

fn seed(number: u16) -> [u8; 32] {
    let mut seed = [7; 32];
    seed[..2].copy_from_slice(&number.to_be_bytes());
    seed
}

fn log(number: u16) -> PrivateKey {
    PrivateKey::ed25519(KeyName::new("example.com/log").unwrap(), &seed(number))
}

fn witness(number: u16) -> PrivateKey {
    let name = KeyName::new(&format!("witness.example/w{number}")).unwrap();
    PrivateKey::cosigner_ed25519(name, &seed(1_000 + number))
}

/// A policy in which `LOG` stands for a log's vkey and `W1` to `W9` for those of witnesses.
fn text(policy: &str) -> String {
    let text = policy.replace("LOG", &log(0).verifier_key().to_string());
    (1..=9).fold(text, |text, number| {
        text.replace(&format!("W{number}"), &witness(number).verifier_key().to_string())
    })
}

fn parse(policy: &str) -> Result<Policy, PolicyError> {
    Policy::parse(text(policy).as_bytes())
}

fn line_error(policy: &str) -> (usize, LineError) {
    match parse(policy).unwrap_err() {
        PolicyError::Line { line, source } => (line, source),
        other => panic!("{other:?}"),
    }
}

/// A checkpoint signed by the log and these witnesses.
fn cosigned(witnesses: &[u16]) -> SignedCheckpoint {
    let (log, witnesses) = (log(0), witnesses.iter().map(|&number| witness(number)));
    let witnesses: Vec<PrivateKey> = witnesses.collect();
    let signers: Vec<&dyn Signer> =
        std::iter::once(&log).chain(&witnesses).map(|key| key as &dyn Signer).collect();
    let origin = log.verifier_key().name().clone().into();
    let head = Checkpoint::new(origin, TreeSize::ZERO, Hash::EMPTY_ROOT);
    SignedCheckpoint::parse(&sign(&head, &signers, Timestamp::new(77).unwrap()).unwrap()).unwrap()
}

fn holds(policy: &Policy, witnesses: &[u16]) -> bool {
    policy.verify(&cosigned(witnesses)).is_ok()
}

/// The example of the specification, with keys in place of `<vkey>`.
const EXAMPLE: &str = "\
log LOG

witness X1 W1
witness X2 W2
witness X3 W3
group X-witnesses 2 X1 X2 X3

witness Y1 W4
witness Y2 W5
witness Y3 W6
group Y-witnesses any Y1 Y2 Y3

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
";

#[test]
fn the_example_policy_wants_two_of_x_and_one_of_y() {
    let policy = parse(EXAMPLE).unwrap();
    assert_eq!((policy.logs().len(), policy.witnesses().len()), (1, 6));
    for subset in 0u16..64 {
        let witnesses: Vec<u16> =
            (1..=6).filter(|number| subset >> (number - 1) & 1 == 1).collect();
        let of_x = witnesses.iter().filter(|&&number| number <= 3).count();
        let expected = of_x >= 2 && witnesses.len() > of_x;
        assert_eq!(holds(&policy, &witnesses), expected, "{witnesses:?}");
    }
    let refused = Trust::Policy(policy).verify(&cosigned(&[1, 4]));
    let quorum = QuorumError { cosigned: 2, witnesses: 6 };
    assert_eq!(refused, Err(TrustError::Quorum(quorum)));
}

#[test]
fn a_policy_formats_to_one_form() {
    let policy = parse(EXAMPLE).unwrap();
    let formatted = policy.format();
    assert_eq!(Policy::parse(&formatted).unwrap(), policy);
    assert_eq!(Policy::parse(&formatted).unwrap().format(), formatted);
    let loose = EXAMPLE.replace(' ', " \t ").replace('\n', "\t\n  # a comment\n \n");
    assert_eq!(parse(&loose).unwrap(), policy);
    let urls =
        parse("log LOG https://log.example/\nwitness w W1 http://w.example\nquorum w\n").unwrap();
    assert_eq!(urls.logs()[0].url(), Some(&b"https://log.example/"[..]));
    assert_eq!(urls.witnesses()[0].url(), Some(&b"http://w.example"[..]));
    assert_eq!(urls.witnesses()[0].name(), b"w");
    assert_eq!(Policy::parse(&urls.format()).unwrap(), urls);
}

#[test]
fn a_quorum_may_be_nobody_or_one_witness() {
    let nobody = parse("log LOG\nquorum none\n").unwrap();
    assert!(nobody.needs_no_witness() && holds(&nobody, &[]));
    assert_eq!(Policy::parse(&nobody.format()).unwrap(), nobody);
    let one = parse("log LOG\nwitness w W1\nquorum w\nwitness v W2\n").unwrap();
    assert!(!one.needs_no_witness());
    assert!(holds(&one, &[1]) && holds(&one, &[1, 2]) && holds(&one, &[1, 3]));
    assert!(!holds(&one, &[]) && !holds(&one, &[2]));
    let needed = |policy: &Policy| Trust::Policy(policy.clone()).needs_witnesses();
    assert!(needed(&one) && !needed(&nobody));
    assert!(!Trust::Keys(vec![log(0).verifier_key().clone()]).needs_witnesses());
    // A witness that signs twice counts once.
    let two = parse("log LOG\nwitness w W1\nwitness v W2\ngroup g 2 w v\nquorum g\n").unwrap();
    assert!(!holds(&two, &[1, 1]) && holds(&two, &[1, 2]));
}

#[test]
fn a_log_of_the_policy_has_to_sign() {
    let policy = parse("witness w W1\nquorum w\n").unwrap();
    let signed = cosigned(&[1]);
    let origin = signed.origin().clone();
    let no_log = TrustError::Checkpoint(CheckpointError::NoLogSignature { origin });
    assert_eq!(policy.verify(&signed), Err(no_log.clone()));
    let known_elsewhere = policy.verify_of_log(&signed, &[log(0).verifier_key()]);
    assert_eq!(known_elsewhere.unwrap().signatures().len(), 2);
    assert_eq!(policy.verify_of_log(&signed, &[log(1).verifier_key()]), Err(no_log.clone()));

    // A witness named as the log is no log.
    let name = KeyName::new("example.com/log").unwrap();
    let double = PrivateKey::cosigner_ed25519(name, &seed(2_000));
    let head = signed.checkpoint();
    let note = sign(head, &[&double], Timestamp::ZERO).unwrap();
    let text =
        format!("log {}\nwitness w {}\nquorum w\n", log(0).verifier_key(), double.verifier_key());
    let policy = Policy::parse(text.as_bytes()).unwrap();
    assert_eq!(policy.verify(&SignedCheckpoint::parse(&note).unwrap()), Err(no_log));
    let note = sign(head, &[&log(0), &double], Timestamp::ZERO).unwrap();
    assert!(policy.verify(&SignedCheckpoint::parse(&note).unwrap()).is_ok());
}

#[test]
fn any_one_of_the_logs_is_enough() {
    let ml_dsa = PrivateKey::ml_dsa_44(KeyName::new("example.com/log").unwrap(), &seed(2_001));
    let text =
        format!("log {}\nlog {}\nquorum none\n", log(0).verifier_key(), ml_dsa.verifier_key());
    let policy = Policy::parse(text.as_bytes()).unwrap();
    let signed = cosigned(&[]);
    assert!(policy.verify(&signed).is_ok());
    let note = sign(signed.checkpoint(), &[&ml_dsa], Timestamp::ZERO).unwrap();
    assert!(policy.verify(&SignedCheckpoint::parse(&note).unwrap()).is_ok());
    let note = sign(signed.checkpoint(), &[&log(5)], Timestamp::ZERO).unwrap();
    assert!(policy.verify(&SignedCheckpoint::parse(&note).unwrap()).is_err());
}

#[test]
fn a_bad_signature_of_a_known_witness_refuses_a_full_quorum() {
    let policy = parse("log LOG\nwitness w W1\nwitness v W2\nquorum w\n").unwrap();
    let good = cosigned(&[1, 2]);
    assert!(policy.verify(&good).is_ok());
    let note = String::from_utf8(good.as_bytes().to_vec()).unwrap();
    let (rest, line) = note.trim_end().rsplit_once('\n').unwrap();
    let flipped = if line.ends_with("A==") { "B" } else { "A" };
    let at = line.len() - 10;
    let line = format!("{}{flipped}{}", &line[..at], &line[at + 1..]);
    let bad = SignedCheckpoint::parse(format!("{rest}\n{line}\n").as_bytes()).unwrap();
    let refused = policy.verify(&bad);
    assert!(matches!(
        refused,
        Err(TrustError::Checkpoint(CheckpointError::Note(NoteError::BadSignature { .. })))
    ));
}

#[test]
fn names_are_defined_once_and_above() {
    let name = |name: &str| name.as_bytes().into();
    let error = |policy: &str, line, error| {
        assert_eq!(line_error(policy), (line, error), "{policy:?}");
    };
    let unknown = |text: &str| LineError::UnknownName { name: name(text) };
    error("quorum w\n", 1, unknown("w"));
    error("quorum w\nwitness w W1\n", 1, unknown("w"));
    error("group g any w\nwitness w W1\nquorum g\n", 1, unknown("w"));
    error("group g any g\nquorum g\n", 1, unknown("g"));
    error("witness w W1\ngroup g any h\ngroup h any w\nquorum g\n", 2, unknown("h"));
    let again = |text: &str| LineError::DuplicateName { name: name(text) };
    error("witness w W1\nwitness w W2\nquorum w\n", 2, again("w"));
    error("witness w W1\ngroup w any w\nquorum w\n", 2, again("w"));
    error("witness w W1\nwitness v W2\ngroup g any w\ngroup g any v\nquorum g\n", 4, again("g"));
    error("witness none W1\nquorum none\n", 1, LineError::NameIsNone);
    error("witness w W1\ngroup none any w\nquorum none\n", 2, LineError::NameIsNone);
    error("witness w W1\ngroup g any w none\nquorum g\n", 2, LineError::NameIsNone);
    let twice = |text: &str| LineError::MemberTwice { name: name(text) };
    error("witness w W1\ngroup g 2 w w\nquorum g\n", 2, twice("w"));
    error("witness w W1\ngroup g any w\ngroup h any w\nquorum h\n", 3, twice("w"));
    let nested = "witness w W1\ngroup g any w\ngroup h any g\ngroup i any h g\nquorum i\n";
    error(nested, 4, twice("g"));
    // A member may be the quorum itself; names are octets, and case matters.
    assert!(parse("witness w W1\ngroup g any w\nquorum w\n").is_ok());
    assert!(parse("witness K W1\nwitness k W2\nwitness \u{212a} W3\nquorum \u{212a}\n").is_ok());
    assert!(
        parse("witness quorum W1\nwitness any W2\ngroup all any quorum any\nquorum all\n").is_ok()
    );
    let vkey = witness(1).verifier_key().to_string();
    let octets = [&b"witness \xff\xfe "[..], vkey.as_bytes(), b"\nquorum \xff\xfe\n"];
    let octets = Policy::parse(&octets.concat()).unwrap();
    assert_eq!(octets.witnesses()[0].name(), b"\xff\xfe");
    assert_eq!(Policy::parse(&octets.format()).unwrap(), octets);
}

#[test]
fn keys_are_listed_once_and_of_the_right_kind() {
    let key = log(0);
    let other_name = PrivateKey::ed25519(KeyName::new("example.com/other").unwrap(), &seed(0));
    let cosigner = key.to_cosigner();
    let (a, b, c) = (key.verifier_key(), other_name.verifier_key(), cosigner.verifier_key());
    let error = |policy: String, error| {
        let refused = Policy::parse(policy.as_bytes()).unwrap_err();
        assert_eq!(refused, PolicyError::Line { line: 2, source: error }, "{policy}");
    };
    error(format!("log {a}\nlog {b}\nquorum none\n"), LineError::DuplicateKey { what: "log" });
    error(format!("log {a}\nlog {c}\nquorum none\n"), LineError::DuplicateKey { what: "log" });
    let renamed = PrivateKey::cosigner_ed25519(KeyName::new("v").unwrap(), &seed(0));
    let d = renamed.verifier_key();
    let twice = LineError::DuplicateKey { what: "witness" };
    error(format!("witness c {c}\nwitness d {d}\nquorum c\n"), twice);
    let no_cosigner = LineError::NotACosigner { signature_type: 1 };
    error(format!("log {a}\nwitness w {b}\nquorum w\n"), no_cosigner);
    error(
        "\nlog a+00000000+AA==\nquorum none\n".into(),
        LineError::Key(KeyError::UnknownType { signature_type: 0 }),
    );
    let bytes = [&b"\nlog \xff"[..], a.to_string().as_bytes(), b"\nquorum none\n"].concat();
    let refused = Policy::parse(&bytes).unwrap_err();
    assert_eq!(refused, PolicyError::Line { line: 2, source: LineError::KeyNotUtf8 });
    // One key as log and witness is two functions, not a duplicate.
    let both = format!("log {a}\nwitness w {c}\nquorum w\n");
    assert!(Policy::parse(both.as_bytes()).is_ok());
}

#[test]
fn thresholds_lie_between_one_and_all() {
    let group = |threshold: &str| {
        parse(&format!("witness w W1\nwitness v W2\nlog LOG\ngroup g {threshold} w v\nquorum g\n"))
    };
    let refused = |threshold: &str| match group(threshold).unwrap_err() {
        PolicyError::Line { line: 4, source } => source,
        other => panic!("{other:?}"),
    };
    for (threshold, needed) in [("1", 1), ("2", 2), ("any", 1), ("all", 2)] {
        let policy = group(threshold).unwrap();
        assert!(!holds(&policy, &[]));
        assert_eq!(holds(&policy, &[2]), needed == 1, "{threshold}");
        assert!(holds(&policy, &[1, 2]), "{threshold}");
    }
    let range = |threshold| LineError::ThresholdRange { threshold, members: 2 };
    assert_eq!(refused("0"), range(0));
    assert_eq!(refused("3"), range(3));
    assert_eq!(refused("18446744073709551615"), range(u64::MAX));
    for other in ["+1", "-1", "Any", "ALL", "1.0", "0x1"] {
        assert_eq!(refused(other), LineError::Threshold(NumberError::NotDecimal), "{other}");
    }
    assert_eq!(refused("01"), LineError::Threshold(NumberError::LeadingZero));
}

#[test]
fn lines_have_their_forms() {
    let form = |policy: &str, expected: &str| match line_error(policy) {
        (1, LineError::Form { form }) => assert_eq!(form, expected, "{policy:?}"),
        other => panic!("{policy:?}: {other:?}"),
    };
    form("log\nquorum none\n", "log <vkey> [<url>]");
    form("log LOG url more\nquorum none\n", "log <vkey> [<url>]");
    form("witness w\nquorum none\n", "witness <name> <vkey> [<url>]");
    form("witness w W1 url more\nquorum none\n", "witness <name> <vkey> [<url>]");
    form("group\nquorum none\n", "group <name> all|any|<k> <name>...");
    form("group g any\nquorum none\n", "group <name> all|any|<k> <name>...");
    form("quorum\n", "quorum <name>");
    form("quorum none none\n", "quorum <name>");
    let (line, error) = line_error("quorum none\nlogs LOG\n");
    assert_eq!((line, error), (2, LineError::UnknownWord { word: (*b"logs").into() }));
    assert_eq!(line_error("quorum none\nquorum none\n"), (2, LineError::SecondQuorum));
    assert_eq!(parse(""), Err(PolicyError::NoQuorum));
    assert_eq!(parse("# nothing\n"), Err(PolicyError::NoQuorum));
    assert_eq!(parse("log LOG\n"), Err(PolicyError::NoQuorum));
    assert_eq!(parse("quorum none"), Err(PolicyError::Unterminated));
    assert_eq!(parse("quorum none\n#"), Err(PolicyError::Unterminated));
}

#[test]
fn only_tabs_and_newlines_control() {
    for byte in (0..b' ').chain([0x7f]).filter(|byte| !b"\t\n".contains(byte)) {
        for policy in [[b"quorum none\n# ", &[byte][..], b"\n"], [b"quorum none\n", &[byte], b"\n"]]
        {
            let refused = Policy::parse(&policy.concat()).unwrap_err();
            let source = LineError::ControlCharacter { byte };
            assert_eq!(refused, PolicyError::Line { line: 2, source });
        }
    }
    assert!(Policy::parse(b"quorum\tnone\n# \x80\xff ~\n").is_ok());
}

#[test]
fn policies_have_limits() {
    let lines = |count: usize, line: &dyn Fn(u16) -> String| -> String {
        (0..u16::try_from(count).unwrap()).map(line).collect()
    };
    let logs = |count| lines(count, &|number| format!("log {}\n", log(number).verifier_key()));
    let witnesses = |count| {
        lines(count, &|number| format!("witness w{number} {}\n", witness(number).verifier_key()))
    };
    let groups = |count| lines(count, &|number| format!("group g{number} any w{number}\n"));
    let refused = |policy: String| match Policy::parse(policy.as_bytes()).unwrap_err() {
        PolicyError::Line { source, .. } => source,
        other => panic!("{other:?}"),
    };
    let most = [logs(LOGS_MAX), witnesses(WITNESSES_MAX), groups(GROUPS_MAX)].concat();
    let policy = Policy::parse(format!("{most}quorum g0\n").as_bytes()).unwrap();
    assert_eq!((policy.logs().len(), policy.witnesses().len()), (LOGS_MAX, WITNESSES_MAX));
    let too_many = |what, max| LineError::TooMany { what, max };
    assert_eq!(refused(logs(LOGS_MAX + 1)), too_many("log", LOGS_MAX));
    assert_eq!(refused(witnesses(WITNESSES_MAX + 1)), too_many("witness", WITNESSES_MAX));
    let group = format!("{most}group more any g0\n");
    assert_eq!(refused(group), too_many("group", GROUPS_MAX));

    let sized = |bytes: usize| format!("quorum none\n#{}\n", "a".repeat(bytes - 14));
    assert!(Policy::parse(sized(POLICY_BYTES_MAX).as_bytes()).is_ok());
    let bytes = POLICY_BYTES_MAX + 1;
    assert_eq!(Policy::parse(sized(bytes).as_bytes()), Err(PolicyError::TooLarge { bytes }));
}

#[test]
fn witnesses_that_may_count_twice_are_named() {
    let twice = |policy: &str| -> Vec<String> {
        let policy = parse(policy).unwrap();
        let name = |witness: &formats::policy::Witness| {
            String::from_utf8(witness.name().to_vec()).unwrap()
        };
        let pairs = policy.counted_twice();
        pairs.iter().map(|(one, other)| name(one) + " " + &name(other)).collect()
    };
    let (url, other) = ("https://w.example", "https://v.example");
    let lines =
        format!("log LOG\nwitness w-ed W1 {url}\nwitness w-pq W2 {url}\nwitness v W3 {other}\n");
    assert_eq!(twice(&format!("{lines}group q 2 w-ed w-pq v\nquorum q\n")), ["w-ed w-pq"]);
    assert_eq!(twice(&format!("{lines}quorum v\n")), ["w-ed w-pq"]);
    let grouped = format!("{lines}group w any w-ed w-pq\ngroup q all w v\nquorum q\n");
    assert!(twice(&grouped).is_empty());
    let apart = format!("{lines}group x any w-ed v\ngroup q all x w-pq\nquorum q\n");
    assert_eq!(twice(&apart), ["w-ed w-pq"]);
    assert!(twice("log LOG\nwitness w W1\nwitness v W2\ngroup q all w v\nquorum q\n").is_empty());
    // The name of the key tells as much as a URL.
    let [one, two] = [4, 5].map(|seed| {
        let name = KeyName::new("w.example").unwrap();
        PrivateKey::cosigner_ed25519(name, &[seed; 32]).verifier_key().to_string()
    });
    let named = format!("log LOG\nwitness a {one}\nwitness b {two}\ngroup q all a b\nquorum q\n");
    assert_eq!(twice(&named), ["a b"]);
}
