use base::tasks::Supervisor;
use std::ffi::{OsStr, OsString};
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;

use super::*;
use base::clock::SystemClock;

const PROGRAM: &str = "cairn-test";

/// Two commands: `echo` gives its argument back, `refuse` does what its name says.
fn start(data_dir: &Path) -> AdminServer {
    let echo = |arguments: Vec<OsString>| async move {
        only(&arguments).map(|argument| argument.display().to_string())
    };
    let commands = Commands::new(PROGRAM)
        .with("echo", echo)
        .with("refuse", |_| async { Err("no".to_owned()) });
    AdminServer::start(data_dir, commands, Arc::new(SystemClock::new()), &Supervisor::new())
        .unwrap()
}

/// On a thread that may block.
async fn ask(data_dir: &Path, words: &[&str]) -> Result<String, CallError> {
    let data_dir = data_dir.to_owned();
    let words: Vec<OsString> = words.iter().map(OsString::from).collect();
    let call = move || {
        let words: Vec<&OsStr> = words.iter().map(OsString::as_os_str).collect();
        call(&data_dir, PROGRAM, &words, None)
    };
    tokio::task::spawn_blocking(call).await.unwrap()
}

/// What an error says, without the folder's name.
fn said(result: Result<String, CallError>, folder: &Path) -> String {
    result.unwrap_err().to_string().replace(&folder.display().to_string(), "DIR")
}

#[tokio::test]
async fn commands_are_answered_and_only_the_owner_may_give_them() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let socket = folder.path().join(SOCKET);
    let metadata = std::fs::symlink_metadata(&socket).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    assert_eq!(ask(folder.path(), &["echo", "ä b\nc"]).await.unwrap(), "ä b\nc");
    let long = "x".repeat(TEXT_BYTES_MAX);
    assert_eq!(ask(folder.path(), &["echo", &long]).await.unwrap(), long);
    let longer = ask(folder.path(), &["echo", &(long + "x")]).await.unwrap_err();
    assert!(matches!(longer, CallError::Broken { .. }));
    server.stop().await;
    assert!(!socket.exists());
}

#[tokio::test]
async fn what_is_refused_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let path = folder.path();
    insta::assert_snapshot!(said(ask(path, &["refuse"]).await, path), @"no");
    insta::assert_snapshot!(
        said(ask(path, &["echo"]).await, path),
        @"the command takes one argument, not 0"
    );
    insta::assert_snapshot!(
        said(ask(path, &["erase", "1"]).await, path),
        @"the server does not know the command erase: are both of one version?"
    );
    insta::assert_snapshot!(
        said(ask(path, &[]).await, path),
        @"a request names a program and a command"
    );
    let other = {
        let path = path.to_owned();
        let other = move || call(&path, "cairn-other", &["echo".as_ref(), "a".as_ref()], None);
        tokio::task::spawn_blocking(other).await.unwrap()
    };
    insta::assert_snapshot!(
        said(other, path),
        @"cairn-test runs here, not cairn-other: name another --data-dir"
    );
    server.stop().await;
}

#[tokio::test]
async fn where_no_server_answers_the_error_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    insta::assert_snapshot!(
        said(ask(path, &["echo", "a"]).await, path),
        @"DIR: not a data folder of cairn-test: name the right one with --data-dir"
    );
    insta::assert_snapshot!(
        said(ask(&path.join("none"), &["echo", "a"]).await, path),
        @"DIR/none: not a data folder of cairn-test: name the right one with --data-dir"
    );
    std::fs::create_dir(path.join("keys")).unwrap();
    let no_server = said(ask(path, &["echo", "a"]).await, path);
    insta::assert_snapshot!(
        no_server,
        @"no cairn-test runs over DIR: start it first, or name its data folder with --data-dir"
    );
    // As a killed server leaves it.
    drop(UnixListener::bind(path.join(SOCKET)).unwrap());
    assert_eq!(said(ask(path, &["echo", "a"]).await, path), no_server);
    let denied = CallError::Denied { path: "DIR".into(), program: PROGRAM };
    insta::assert_snapshot!(
        denied,
        @"DIR: permission denied: run the command as the user that cairn-test runs as (sudo -u USER …)"
    );
}

#[tokio::test]
async fn a_socket_left_behind_is_replaced_and_a_successor_s_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(UnixListener::bind(folder.path().join(SOCKET)).unwrap());
    drop(UnixListener::bind(folder.path().join(".admin.sock.tmp")).unwrap());
    let first = start(folder.path());
    assert_eq!(ask(folder.path(), &["echo", "a"]).await.unwrap(), "a");
    let second = start(folder.path());
    drop(first);
    assert_eq!(ask(folder.path(), &["echo", "b"]).await.unwrap(), "b");
    second.stop().await;
}

#[tokio::test]
async fn a_folder_with_a_long_path_serves_too() {
    let folder = tempfile::tempdir().unwrap();
    let long = folder.path().join("d".repeat(200)).join("e".repeat(200));
    let server = start(&long);
    assert_eq!(ask(&long, &["echo", "a"]).await.unwrap(), "a");
    server.stop().await;
}

#[tokio::test]
async fn callers_that_say_nothing_or_nonsense_do_not_keep_others_out() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let connect = || UnixStream::connect(folder.path().join(SOCKET)).unwrap();
    let _silent = connect();
    for nonsense in [&[255][..], &[1, 255, 255, 255, 255], &[1, 0, 0, 16, 1]] {
        let mut caller = connect();
        caller.write_all(nonsense).unwrap();
        let read = move || caller.read_to_end(&mut Vec::new());
        // Either way no answer comes.
        let answer = tokio::task::spawn_blocking(read).await.unwrap();
        assert_eq!(answer.unwrap_or(0), 0);
    }
    assert_eq!(ask(folder.path(), &["echo", "a"]).await.unwrap(), "a");
    server.stop().await;
}

#[test]
fn arguments_are_bytes() {
    let word = OsString::from_vec(vec![0xff, 0, b'\n']);
    let bytes = request([b"p".as_slice(), word.as_bytes()]).unwrap();
    assert_eq!(bytes, [2, 0, 0, 0, 1, b'p', 0, 0, 0, 3, 0xff, 0, b'\n']);
    assert!(request(vec![b"w".as_slice(); WORDS_MAX]).is_ok());
    assert!(request(vec![b"w".as_slice(); WORDS_MAX + 1]).is_err());
}
