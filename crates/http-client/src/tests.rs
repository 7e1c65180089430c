//! The client against sockets that answer as they are told.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use base::clock::{ManualClock, SystemClock};

use super::*;

const LONG: Duration = Duration::from_mins(1);

fn options(redirects: Redirects) -> Options {
    Options {
        known: Known::ByNothing,
        connect_timeout: LONG,
        answer_timeout: LONG,
        idle_connections_max: 1,
        redirects,
    }
}

fn client(redirects: Redirects) -> Client {
    Client::new(options(redirects), Arc::new(SystemClock::new())).unwrap()
}

/// Gives each connection the next of these answers, once it has sent a request without a body.
fn serve(answers: &'static [&'static str]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for (stream, answer) in listener.incoming().zip(answers) {
            answer_one(stream.unwrap(), answer);
        }
    });
    url
}

fn answer_one(mut stream: TcpStream, answer: &str) {
    let (mut request, mut byte) = (Vec::new(), [0]);
    while !request.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        request.extend_from_slice(&byte);
    }
    stream.write_all(answer.as_bytes()).unwrap();
}

fn asked(url: &str) -> Request<Bytes> {
    get(url.parse().unwrap(), HeaderMap::new())
}

const FIVE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
const MOVED: &str =
    "HTTP/1.1 302 Found\r\nlocation: /b\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn a_body_of_the_limit_is_read_and_one_byte_more_is_not() {
    let url = serve(&[FIVE, FIVE]);
    let client = client(Redirects::Answers);
    let whole = client.ask(asked(&url)).await.unwrap().whole(5).await.unwrap();
    assert_eq!((whole.status(), &whole.body()[..]), (StatusCode::OK, &b"hello"[..]));
    let refused = client.ask(asked(&url)).await.unwrap().whole(4).await.unwrap_err();
    assert!(matches!(refused, CallError::TooLong { max: 4 }), "{refused:?}");
}

#[tokio::test]
async fn what_breaks_off_or_is_away_is_told_apart() {
    let url = serve(&["HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello", ""]);
    let client = client(Redirects::Answers);
    let broken = client.ask(asked(&url)).await.unwrap().whole(9).await.unwrap_err();
    assert!(matches!(broken, CallError::BrokenOff(_)), "{broken:?}");
    let silent = client.ask(asked(&url)).await.unwrap_err();
    assert!(matches!(silent, CallError::Unreachable(_)), "{silent:?}");
    let away = client.ask(asked("http://127.0.0.1:1")).await.unwrap_err();
    assert_eq!(away.to_string(), "the server cannot be reached");
}

/// Moves the clock beyond the timeout once somebody sleeps by it.
async fn run_out(clock: &ManualClock) {
    while clock.sleepers() == 0 {
        tokio::task::yield_now().await;
    }
    clock.advance(LONG);
}

#[tokio::test]
async fn an_answer_that_takes_too_long_ends_by_the_clock_before_its_head_and_within_its_body() {
    let clock = Arc::new(ManualClock::new(0));
    let shared = Arc::<ManualClock>::clone(&clock);
    let client = Client::new(options(Redirects::Answers), shared).unwrap();
    // Nobody accepts, so the system does, and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", listener.local_addr().unwrap());
    let (late, ()) = tokio::join!(client.ask(asked(&silent)), run_out(&clock));
    assert_eq!(late.unwrap_err().to_string(), "no answer within 60000 ms");

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let half = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        answer_one(stream.try_clone().unwrap(), "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhe");
        // Until the client has given up.
        drop(stream.read(&mut [0]));
    });
    let answer = client.ask(asked(&half)).await.unwrap();
    let (late, ()) = tokio::join!(answer.whole(9), run_out(&clock));
    assert!(matches!(late, Err(CallError::Timeout { timeout: LONG })), "{late:?}");
}

#[tokio::test]
async fn a_redirect_is_followed_once_where_that_is_asked_for() {
    let url = serve(&[MOVED, FIVE]);
    let answer = client(Redirects::OnceWithinOrigin).ask(asked(&url)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);

    let url = serve(&[MOVED, MOVED]);
    let second = client(Redirects::OnceWithinOrigin).ask(asked(&url)).await.unwrap_err();
    let to = "/b".to_owned();
    assert!(matches!(second, CallError::Redirect(e) if e == RedirectError::Second { to }));

    let url = serve(&[MOVED]);
    let answer = client(Redirects::Answers).ask(asked(&url)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::FOUND);
    assert_eq!(answer.headers()["location"], "/b");

    let url = serve(&[MOVED]);
    let mut post = asked(&url);
    *post.method_mut() = Method::POST;
    let answer = client(Redirects::OnceWithinOrigin).ask(post).await.unwrap();
    assert_eq!(answer.status(), StatusCode::FOUND, "only a GET is followed");
}
