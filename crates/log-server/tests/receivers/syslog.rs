//! Syslog over TCP and TLS.

use std::sync::Arc;
use std::time::Duration;

use base::clock::ManualClock;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tower::Service as _;

use crate::harness::Rig;

const PLAIN: [(&str, &str); 1] = [("syslog_listen", "127.0.0.1:0")];

async fn connect(rig: &Rig) -> TcpStream {
    TcpStream::connect(rig.server.syslog_addresses()[0]).await.unwrap()
}

/// Sends bytes on one connection, and ends it.
async fn send(rig: &Rig, bytes: &[u8]) {
    let mut stream = connect(rig).await;
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_rfc_5424_are_taken_apart() {
    let rig = Rig::with(&PLAIN).await;
    let lines = concat!(
        r#"<110>1 2026-03-04T09:10:11.123456Z nas1 files - READ [share@32473 user="corp\\ana" "#,
        r#"path="C:\\a\]b\"c" odd="x\y"][meta sequenceId="10"] read [this is message]: two: colons"#,
        "\n<110>1 2026-03-04T09:10:12Z nas1 files 42 READ - \u{feff}{\"invoice\":7}\n",
        "<110>1 - - - - - -\n",
    );
    send(&rig, lines.as_bytes()).await;
    rig.until("audit", 3).await;
    let seen = rig.taken();
    let data = |name: &str| seen[0].text(&format!("/metadata/{name}"));
    assert_eq!(data("share@32473.user"), r"corp\ana");
    assert_eq!(data("share@32473.path"), r#"C:\a]b"c"#);
    assert_eq!((data("share@32473.odd"), data("meta.sequenceId")), (r"x\y", "10"));
    assert_eq!(seen[0].text("/description"), "read [this is message]: two: colons");
    assert_eq!(seen[0].text("/time"), "2026-03-04T09:10:11.123456Z");
    assert_eq!(
        (seen[0].text("/source"), seen[0].text("/actor/id")),
        ("syslog://nas1", "files@nas1")
    );
    assert_eq!(seen[1].text("/description"), r#"{"invoice":7}"#);
    assert_eq!(
        (seen[2].text("/source"), seen[2].text("/origin/ip")),
        ("syslog://127.0.0.1", "127.0.0.1")
    );
    assert!(seen[2].flags().contains(&"time_missing"));
    assert!(seen.iter().all(|event| event.text("/action") == "syslog.message"));
    assert!(lines.contains(seen[0].raw()));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counted_messages_keep_their_line_ends() {
    let rig = Rig::with(&PLAIN).await;
    let first = "<110>1 2026-03-04T09:10:11Z web1 app 7 - - first line\nsecond line café";
    let second = "<110>1 2026-03-04T09:10:12Z web1 app 7 - - 33 is only text";
    let stream = format!("{} {first}{} {second}", first.len(), second.len());
    // In pieces, as a network may bring them.
    let mut connection = connect(&rig).await;
    for piece in stream.as_bytes().chunks(11) {
        connection.write_all(piece).await.unwrap();
        connection.flush().await.unwrap();
    }
    rig.until("audit", 2).await;
    let seen = rig.taken();
    assert_eq!((seen[0].raw(), seen[1].raw()), (first, second));
    assert!(seen[1].text("/description").starts_with("33 "));
    drop(connection);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_date_without_a_year_belongs_to_the_year_that_is_nearest() {
    let lines = b"<13>Dec 31 23:59:59 gate1 sshd[99]: Failed password for ana\n\
                  <13>Jan  1 00:00:01 gate1 sshd[99]: Accepted password for ana\n";
    for now in [1_798_761_602_000, 1_798_761_598_000] {
        let clock = Arc::new(ManualClock::new(now));
        let rig = Rig::on_clock(&clock, &PLAIN).await;
        send(&rig, lines).await;
        rig.until("audit", 2).await;
        let seen = rig.taken();
        let times: Vec<&str> = seen.iter().map(|event| event.text("/time")).collect();
        assert_eq!(times, ["2026-12-31T23:59:59Z", "2027-01-01T00:00:01Z"], "{now}");
        for event in &seen {
            assert!(event.flags().contains(&"year_guessed") && event.flags().contains(&"rfc3164"));
        }
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_connection_ends_its_last_message() {
    let rig = Rig::with(&PLAIN).await;
    send(&rig, b"\n\n<13>whole\n<13>last without an end").await;
    rig.until("audit", 2).await;
    send(&rig, b"99 <13>half of what was counted").await;
    rig.until("audit", 3).await;
    let seen = rig.taken();
    assert_eq!(seen[1].raw(), "<13>last without an end");
    assert!(seen[2].flags().contains(&"raw_cut") && !seen[1].flags().contains(&"raw_cut"));
    send(&rig, b"").await;
    send(&rig, format!("<13>{}\n<13>next\n", "x".repeat(70_000)).as_bytes()).await;
    rig.until("audit", 5).await;
    let seen = rig.taken();
    assert_eq!((seen[3].raw().len(), seen[4].raw()), (65_536, "<13>next"));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_loses_nothing_that_was_recorded_and_connections_are_bounded() {
    let settings = [PLAIN[0], ("syslog_connections_max", "1")];
    let rig = Rig::with(&settings).await;
    let mut first = connect(&rig).await;
    first.write_all(b"<13>one\n").await.unwrap();
    rig.until("audit", 1).await;
    // One beyond is closed at once, and the first goes on.
    let mut second = connect(&rig).await;
    let closed = tokio::io::AsyncReadExt::read(&mut second, &mut [0; 1]).await;
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    first.write_all(b"<13>two\n").await.unwrap();
    rig.until("audit", 2).await;
    let data = rig.stop().await;
    let rig = Rig::over(data, &settings).await;
    assert_eq!(rig.taken().len(), 2);
    send(&rig, b"<13>three\n").await;
    rig.until("audit", 3).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_stops_the_reading_and_loses_nothing() {
    let settings = [PLAIN[0], ("min_free_bytes", "1000")];
    let (rig, engine) = Rig::faulty(&settings).await;
    send(&rig, b"<13>before\n").await;
    rig.until("audit", 1).await;
    engine.set_free_bytes(Some(1));
    while !rig.server.registry().is_disk_low() {
        let _answer = rig.post("/v1/events", &[], "{}").await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut waiting = connect(&rig).await;
    for number in 0..100 {
        waiting.write_all(format!("<13>number {number}\n").as_bytes()).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(rig.size("audit"), 1);
    engine.set_free_bytes(None);
    rig.until("audit", 101).await;
    drop(waiting);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_has_a_port_of_its_own_with_a_key_that_stays() {
    let rig = Rig::with(&[("syslog_tls_listen", "127.0.0.1:0")]).await;
    let address = rig.server.syslog_addresses()[0];
    // What is no handshake is no message.
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(b"<13>in the clear\n").await.unwrap();
    let pin = std::fs::read_to_string(rig.data().join("tls/syslog.pin")).unwrap();
    let pin: tls::Pin = pin.trim().parse().unwrap();
    let known = tls::Known::ByKey(pin);
    let mut connector = tls::connector(known, tls::Http::One, Duration::from_secs(10)).unwrap();
    let uri: http::Uri = format!("https://{address}").parse().unwrap();
    let mut stream = TokioIo::new(connector.call(uri).await.unwrap());
    stream.write_all(b"14 <13>over tls 1<13>and a line\n").await.unwrap();
    stream.flush().await.unwrap();
    rig.until("audit", 2).await;
    let seen = rig.taken();
    assert_eq!((seen[0].raw(), seen[1].raw()), ("<13>over tls 1", "<13>and a line"));
    drop((plain, stream));
    rig.stop().await;
}
