//! What is received goes on to a destination, as a server is configured.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::Rig;

const EVENT: &str = r#"{"id":"d-1","action":"door.opened","source":"/gate","category":"access","operation":"execute","outcome":"success","severity":"low","time":"2026-03-04T09:10:11Z","actor":{"type":"user","id":"u-1"}}"#;

/// A collector of OTLP logs that takes everything, and keeps the bodies.
async fn collector() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&bodies);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let kept = Arc::clone(&kept);
            tokio::spawn(async move { serve(stream, &kept).await });
        }
    });
    (url, bodies)
}

async fn serve(mut stream: TcpStream, kept: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    while let Ok(byte) = stream.read_u8().await {
        head.push(byte);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let text = String::from_utf8(std::mem::take(&mut head)).unwrap().to_lowercase();
        let length = text.split("content-length: ").nth(1).unwrap();
        let mut body = vec![0; length.split("\r\n").next().unwrap().parse().unwrap()];
        stream.read_exact(&mut body).await.unwrap();
        kept.lock().unwrap().push(String::from_utf8(body).unwrap());
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_recorded_goes_on_and_is_listed_and_counted() {
    let (url, bodies) = collector().await;
    let text = format!("[[destination]]\nname = \"siem\"\nkind = \"otlp\"\nurl = \"{url}\"");
    let rig = Rig::configured(&text).await;
    let recorded = rig.post("/v1/events", &[("content-type", "application/json")], EVENT).await;
    assert_eq!(recorded.status, 200, "{}", recorded.text());
    let listed = || async { rig.ask("GET", "/v1/destinations", &[], "").await.json() };
    let sent = async {
        while listed().await["destinations"][0]["logs"][0]["next"] != 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), sent).await.unwrap();
    let all = listed().await;
    let (destination, of_log) = (&all["destinations"][0], &all["destinations"][0]["logs"][0]);
    assert_eq!((&destination["name"], &destination["kind"]), (&json!("siem"), &json!("otlp")));
    assert_eq!((&of_log["log"], &of_log["sent"]), (&json!("audit"), &json!(1)));
    assert!(bodies.lock().unwrap()[0].contains("d-1"));
    let metrics = rig.ask("GET", "/metrics", &[], "").await;
    let labels = "{destination=\"siem\",log=\"audit\"}";
    for line in ["destination_lag_events", "destination_sent_events_total", "destination_stopped"] {
        let line = format!("cairn_{line}{labels} ");
        assert!(metrics.text().contains(&line), "{line}: {}", metrics.text());
    }
    let retried = rig.post("/v1/destinations/siem/retry", &[], "").await;
    assert_eq!((retried.status, retried.json()), (200, json!({"retried": 0})));
    assert_eq!(rig.post("/v1/destinations/other/skip", &[], "").await.status, 404);
    let data = rig.stop().await;
    assert!(data.path().join("destinations/siem/audit.cursor").is_file());
}
