//! A file of the server into one of ours, over as many connections as it takes.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base::backoff::Backoff;
use base::clock::machine::sleep;
use base::durable;
use bytes::Bytes;
use http::{Method, StatusCode, header};
use http_client::Answer;
use tempfile::NamedTempFile;

use super::parent;
use crate::api::{self, ANSWER_BYTES_MAX, Api, ApiError};
use crate::error::CliError;
use crate::ui::{Progress, Ui};

/// How long nothing may come before the connection is made anew.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Connections in a row that bring nothing.
const ATTEMPTS_MAX: u32 = 6;
const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_LONGEST: Duration = Duration::from_secs(5);

/// A whole file under a name that nobody looks for. It is removed when it is dropped.
#[derive(Debug)]
pub(super) struct Downloaded {
    file: NamedTempFile,
    path: PathBuf,
    pub(super) bytes: u64,
}

impl Downloaded {
    /// The file, from its start.
    pub(super) fn reopen(&self) -> Result<File, CliError> {
        let reopened = self.file.reopen();
        reopened.map_err(|source| CliError::Read { path: self.path.clone(), source })
    }

    /// Gives the file its name, under which there must be nothing. The link is the commit point: a crash
    /// before it leaves a hidden file.
    pub(super) fn keep(self, target: &Path) -> Result<(), CliError> {
        let unwritten = |source| CliError::Write { path: target.to_owned(), source };
        self.file.as_file().sync_all().map_err(unwritten)?;
        let kept = self.file.persist_noclobber(target).map_err(|error| error.error);
        if kept.as_ref().is_err_and(|it| it.kind() == std::io::ErrorKind::AlreadyExists) {
            return Err(CliError::Exists { path: target.to_owned() });
        }
        kept.map_err(unwritten)?;
        durable::sync_dir(parent(target)).map_err(|error| unwritten(error.source))
    }
}

/// The file, and how much of it has come.
struct Download<'a> {
    api: &'a Api,
    path: String,
    target: &'a Path,
    file: NamedTempFile,
    bytes: u64,
    /// What the server calls this version of the file.
    tag: Option<header::HeaderValue>,
}

pub(super) async fn download(
    api: &Api,
    path: &str,
    target: &Path,
    ui: &Ui,
) -> Result<Downloaded, CliError> {
    let made =
        tempfile::Builder::new().prefix(".cairn-").suffix(".part").tempfile_in(parent(target));
    let file = made.map_err(|source| CliError::Write { path: target.to_owned(), source })?;
    let path = format!("{path}/download");
    let mut download = Download { api, path, target, file, bytes: 0, tag: None };
    let mut progress = ui.progress("downloading", "bytes", 0);
    let mut backoff = Backoff::new(PAUSE_FIRST, PAUSE_LONGEST);
    loop {
        let before = download.bytes;
        match download.go_on(&mut progress).await {
            Ok(()) => break,
            Err(CliError::Api(error)) if error.is_passing() => {
                if download.bytes > before {
                    backoff.reset();
                }
                if backoff.failures() + 1 >= ATTEMPTS_MAX {
                    return Err(error.into());
                }
                sleep(backoff.failed()).await;
            }
            Err(error) => return Err(error),
        }
    }
    let Download { file, bytes, .. } = download;
    Ok(Downloaded { file, path: target.to_owned(), bytes })
}

impl Download<'_> {
    /// Asks for what has not come yet, and writes what comes. An error may be passing.
    async fn go_on(&mut self, progress: &mut Progress) -> Result<(), CliError> {
        let mut request = self.api.request(Method::GET, &self.path);
        if self.bytes > 0 {
            request = request.header(header::RANGE, format!("bytes={}-", self.bytes));
            if let Some(tag) = &self.tag {
                request = request.header(header::IF_RANGE, tag);
            }
        }
        let mut answer = self.api.ask(api::built(request.body(Bytes::new()))).await?;
        let total = match answer.status() {
            StatusCode::OK => {
                // The whole file from the start, also if a part of it was asked for.
                self.start_over()?;
                self.tag = answer.headers().get(header::ETAG).cloned();
                length(&answer)
            }
            StatusCode::PARTIAL_CONTENT if starts_at(&answer) == Some(self.bytes) => {
                length(&answer).map(|length| length.saturating_add(self.bytes))
            }
            StatusCode::PARTIAL_CONTENT => {
                return Err(ApiError::BadAnswer { what: "it is another part of the file" }.into());
            }
            _ => {
                let refused = answer.whole(ANSWER_BYTES_MAX).await;
                return Err(api::refused(&refused.map_err(|it| self.api.no_answer(it))?).into());
            }
        };
        progress.set_total(total.unwrap_or(0));
        while let Some(part) =
            answer.part(SILENCE_MAX).await.map_err(|error| self.api.no_answer(error))?
        {
            let written = self.file.as_file_mut().write_all(&part);
            written.map_err(|source| self.unwritten(source))?;
            self.bytes += u64::try_from(part.len()).unwrap_or(0);
            progress.set(self.bytes);
        }
        match total {
            Some(total) if total != self.bytes => {
                Err(ApiError::BadAnswer { what: "it ends before its end" }.into())
            }
            _ => Ok(()),
        }
    }

    fn start_over(&mut self) -> Result<(), CliError> {
        self.bytes = 0;
        let file = self.file.as_file_mut();
        let emptied = file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0)));
        emptied.map(drop).map_err(|source| self.unwritten(source))
    }

    fn unwritten(&self, source: std::io::Error) -> CliError {
        CliError::Write { path: self.target.to_owned(), source }
    }
}

fn length(answer: &Answer) -> Option<u64> {
    answer.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The first byte of a part: `Content-Range: bytes 5-9/10`.
fn starts_at(answer: &Answer) -> Option<u64> {
    let range = answer.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}
