use proptest::prelude::*;

use super::*;
use crate::event::{Actor, ActorKind};
use crate::mapping::testing::{checked, flags, hold, intake, metadata, refusal, shown};

fn peer() -> Peer<'static> {
    Peer { address: "198.51.100.7", utc_offset_seconds: 0 }
}

fn frame(bytes: &[u8]) -> Frame {
    Frame { bytes: bytes.to_vec(), is_cut: false }
}

fn with<T>(text: &str, look: impl FnOnce(&Mapped<'_>) -> T) -> T {
    let frame = frame(text.as_bytes());
    let mapped = map(&frame, &peer(), &intake("/syslog")).unwrap();
    checked(&mapped);
    look(&mapped)
}

#[test]
fn a_message_keeps_its_parts() {
    let text = r#"<110>1 2026-03-04T09:10:11.123456Z nas1 files 42 READ [share@32473 user="corp\\ana" path="C:\\a\]b\"c" odd="x\y"][meta sequenceId="10"] read [this is message]: two: colons"#;
    with(text, |mapped| {
        assert_eq!(
            shown(&mapped.event),
            r#"{"action":"syslog.message","actor":{"id":"files@nas1","type":"service"},"description":"read [this is message]: two: colons","metadata":{"app_name":"files","facility":13,"meta.sequenceId":"10","msg_id":"READ","proc_id":"42","severity":6,"share@32473.odd":"x\\y","share@32473.path":"C:\\a]b\"c","share@32473.user":"corp\\ana"},"origin":{"host":"nas1"},"severity":"info","source":"/syslog","time":"2026-03-04T09:10:11.123456Z"}"#
        );
        assert_eq!((mapped.raw.as_ref(), mapped.id), (text.as_bytes(), IdFrom::Server));
        assert!(flags(mapped).is_empty());
    });
}

#[test]
fn nil_values_are_absent_and_a_mark_is_no_text() {
    with("<110>1 - - - - - -", |mapped| {
        assert_eq!(checked(mapped).actor(), &Actor::new(ActorKind::Service, "198.51.100.7"));
        assert_eq!(mapped.event.origin.ip.as_deref(), Some("198.51.100.7"));
        assert_eq!(mapped.event.description.as_deref(), Some(""));
        assert_eq!(flags(mapped), ["time_missing"]);
    });
    with("<110>1 2026-03-04T09:10:12Z nas1 files - - - \u{feff}{\"invoice\":7}", |mapped| {
        assert_eq!(mapped.event.description.as_deref(), Some("{\"invoice\":7}"));
    });
}

#[test]
fn priorities_give_severities() {
    use Severity::{Critical, High, Info, Low, Medium};
    for (priority, severity) in
        [(0, Critical), (2, Critical), (3, High), (4, Medium), (5, Low), (6, Info), (191, Info)]
    {
        with(&format!("<{priority}>1 - - - - - -"), |mapped| {
            assert_eq!(mapped.event.severity, Some(severity));
        });
    }
    for text in ["<192>1 - - - - - -", "<>1 - - - - - -", "<0013>1 - - - - - -", "no priority"] {
        with(text, |mapped| {
            assert_eq!(mapped.event.severity, None);
            assert_eq!(mapped.event.description.as_deref(), Some(text));
            assert_eq!(flags(mapped), ["syslog_malformed", "time_missing"]);
        });
    }
}

#[test]
fn a_header_that_breaks_off_is_text() {
    for rest in [
        "1 - - - -",
        "1 - - - - - [a",
        "1 - - - - - [a b=\"c]",
        "1 - - - - - [a b=c]",
        "1 - - - - - -x",
        "2 - - - - - -",
    ] {
        with(&format!("<13>{rest}"), |mapped| {
            assert_eq!(mapped.event.description.as_deref(), Some(rest));
            assert!(mapped.flags.contains(&Flag::SYSLOG_MALFORMED));
        });
    }
    with("<13>1 - - - - - [a][b c=\"\"]", |mapped| {
        assert_eq!(metadata(mapped, "b.c"), Some(""));
        assert!(!mapped.flags.contains(&Flag::SYSLOG_MALFORMED));
    });
}

#[test]
fn fine_times_are_cut_and_times_that_are_none_are_kept_as_text() {
    with("<13>1 2026-03-04T09:10:11.1234567891+01:00 h - - - -", |mapped| {
        assert_eq!(mapped.event.time.unwrap().to_string(), "2026-03-04T08:10:11.123456789Z");
        assert_eq!(flags(mapped), ["time_invalid"]);
    });
    with("<13>1 2026-02-30T09:10:11Z h - - - -", |mapped| {
        assert_eq!(metadata(mapped, "timestamp"), Some("2026-02-30T09:10:11Z"));
        assert_eq!(flags(mapped), ["time_invalid", "time_missing"]);
    });
}

#[test]
fn the_older_form_has_the_year_nearest_to_the_receipt() {
    let time = |text: &str, now: &str, offset: i32| {
        let frame = frame(text.as_bytes());
        let peer = Peer { utc_offset_seconds: offset, ..peer() };
        let known = Intake { now: Instant::parse(now).unwrap().instant, ..intake("/syslog") };
        let mapped = map(&frame, &peer, &known).unwrap();
        assert!(mapped.flags.is_superset(&[Flag::RFC3164, Flag::YEAR_GUESSED].into()));
        mapped.event.time.unwrap().to_string()
    };
    let old = "<13>Dec 31 23:59:59 gate1 sshd[99]: Failed password for ana";
    let new = "<13>Jan  1 00:00:01 gate1 sshd[99]: Accepted password for ana";
    for now in ["2027-01-01T00:00:02Z", "2026-12-31T23:59:58Z"] {
        assert_eq!(time(old, now, 0), "2026-12-31T23:59:59Z");
        assert_eq!(time(new, now, 0), "2027-01-01T00:00:01Z");
    }
    assert_eq!(time(new, "2026-12-31T23:00:00Z", 3_600), "2026-12-31T23:00:01Z");
    assert_eq!(
        time("<13>Feb 29 10:00:00 h x: y", "2025-03-01T00:00:00Z", 0),
        "2024-02-29T10:00:00Z"
    );
    with(old, |mapped| {
        assert_eq!(checked(mapped).actor().id, "sshd@gate1");
        assert_eq!(metadata(mapped, "proc_id"), Some("99"));
        assert_eq!(mapped.event.description.as_deref(), Some("Failed password for ana"));
    });
    with("<13>Feb 30 10:00:00 h x: y", |mapped| {
        assert_eq!(metadata(mapped, "timestamp"), Some("02-30 10:00:00"));
        assert!(mapped.flags.contains(&Flag::TIME_INVALID) && mapped.event.time.is_none());
    });
}

#[test]
fn relays_write_full_times_into_the_older_form() {
    with("<13>2026-03-04T09:10:11+01:00 gate1 kernel: up", |mapped| {
        assert_eq!(mapped.event.time.unwrap().to_string(), "2026-03-04T08:10:11Z");
        assert_eq!(checked(mapped).actor().id, "kernel@gate1");
        assert_eq!(flags(mapped), ["rfc3164"]);
    });
    with("<13>Mar  4 09:10:11 last message repeated", |mapped| {
        assert_eq!(mapped.event.origin.host.as_deref(), Some("last"));
        assert_eq!(mapped.event.description.as_deref(), Some("message repeated"));
    });
    with("<13>Mar 4 09:10:11 h x: y", |mapped| {
        assert!(mapped.flags.contains(&Flag::SYSLOG_MALFORMED));
    });
}

#[test]
fn parameters_may_repeat_and_bytes_may_be_no_text() {
    with("<13>1 - - - - - [a ip=\"1\" ip=\"2\"]", |mapped| {
        assert_eq!(metadata(mapped, "a.ip"), Some("1"));
        assert!(mapped.flags.contains(&Flag::DUPLICATE_KEYS));
    });
    let broken = Frame { bytes: b"<13>1 - h\xff - - - - caf\xe9".to_vec(), is_cut: true };
    let mapped = map(&broken, &peer(), &intake("/syslog")).unwrap();
    assert_eq!(flags(&mapped), ["characters_replaced", "raw_cut", "time_missing"]);
    assert_eq!(metadata(&mapped, "host"), Some("h\u{fffd}"));
    assert_eq!(mapped.raw.as_ref(), broken.bytes);
}

#[test]
fn an_empty_message_is_refused_and_defaults_count() {
    assert_eq!(refusal(map(&frame(b" \t"), &peer(), &intake("/syslog"))), "the event is empty");
    let actor = Actor::new(ActorKind::System, "firewall");
    let known = Intake { action: Some("fw.event"), actor: Some(&actor), ..intake("/syslog") };
    let frame = frame(b"<13>x");
    let mapped = map(&frame, &peer(), &known).unwrap();
    assert_eq!((checked(&mapped).action(), checked(&mapped).actor()), ("fw.event", &actor));
}

proptest! {
    #[test]
    fn arbitrary_messages_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), text in "<13>(1 )?[-A-Za-z0-9 :\\[\\]\"=\\\\é.]{0,60}") {
        hold(map(&frame(&bytes), &peer(), &intake("/syslog")));
        hold(map(&frame(text.as_bytes()), &peer(), &intake("/syslog")));
        hold(map(&frame(format!("<13>Jan  1 {text}").as_bytes()), &peer(), &intake("/syslog")));
    }
}
