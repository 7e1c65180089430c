//! An evidence file, made and sent.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use log_proto::audit_v1 as pb;
use log_proto::audit_v1::export_events_response::{Message, Progress};
use serve::principal::Principal;
use serve::refusal::Refusal;
use tonic::Request;

use super::Answers;
use crate::audit::Audit;
use crate::exports::{Exports, Job, State};
use crate::http::exports::{PIECE, made_by, piece};
use crate::refusal;

/// How often the caller is told how far it is.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// Where the sending of an export stands.
struct Sending {
    audit: Audit,
    exports: Exports,
    job: Job,
    told: Option<Job>,
    /// The next byte of the archive, once it is done.
    at: Option<u64>,
}

pub(super) async fn export(
    audit: &Audit,
    request: Request<pb::ExportEventsRequest>,
) -> Result<Answers<pb::ExportEventsResponse>, Refusal> {
    let made_by = made_by(&Principal::of(request.extensions()));
    let request = request.into_inner();
    let log = audit.log(&request.log)?;
    let asked = read(request)?;
    let permit = audit.open_stream()?;
    let exports = audit.exports()?.clone();
    let beginning = exports.clone();
    let begun = base::tasks::blocking(move || beginning.begin(&log, asked, &made_by)).await;
    let job = begun.map_err(|error| refusal::of_export(&error))?;
    let audit = audit.clone();
    let stopping = audit.stopping();
    let sending = Sending { audit, exports, job, told: None, at: None };
    let answers = stream::unfold(Some(sending), |sending| async {
        let mut sending = sending?;
        match sending.next().await {
            Ok(Some(message)) => {
                let answer = pb::ExportEventsResponse { message: Some(message) };
                Some((Ok(answer), Some(sending)))
            }
            Ok(None) => None,
            Err(refusal) => Some((Err(sending.audit.status(refusal)), None)),
        }
    });
    // The stream holds its permit until it ends.
    Ok(Box::pin(answers.take_until(stopping.cancelled_owned()).map(move |answer| {
        let _held = &permit;
        answer
    })))
}

fn read(request: pb::ExportEventsRequest) -> Result<crate::exports::Request, Refusal> {
    let pb::ExportEventsRequest { filter, formats, withhold, complete, deflate, purpose, .. } =
        request;
    let filter = filter.into_iter().map(|it| (it.name, it.value)).collect();
    let request =
        crate::exports::Request::of_parts(filter, &formats, &withhold, complete, deflate, purpose);
    request.map_err(|error| refusal::of_export_request(&error))
}

impl Sending {
    /// The next message; `None` after the last one.
    async fn next(&mut self) -> Result<Option<Message>, Refusal> {
        loop {
            if let Some(at) = self.at {
                return self.piece(at).await;
            }
            let found = self.exports.job(&self.job.log, &self.job.id);
            let job = found.ok_or_else(refusal::export_not_found)?;
            if self.told.as_ref() == Some(&job) {
                match job.state {
                    State::Waiting | State::Running => self.audit.clock().sleep(TELL_EVERY).await,
                    State::Done => self.at = Some(0),
                    State::Failed | State::Withdrawn => return Ok(None),
                }
                continue;
            }
            self.told = Some(job.clone());
            self.job = job.clone();
            return Ok(Some(Message::Progress(Progress {
                state: job.state.name().to_owned(),
                done: job.done,
                total: job.total,
                bytes: job.bytes,
                url: job.url(),
                error: job.error.unwrap_or_default(),
            })));
        }
    }

    async fn piece(&mut self, at: u64) -> Result<Option<Message>, Refusal> {
        if at >= self.job.bytes {
            return Ok(None);
        }
        let (path, range) = (self.exports.archive(&self.job), at..self.job.bytes);
        let read: Result<Bytes, _> = base::tasks::blocking(move || piece(&path, range)).await;
        let bytes = read.map_err(|error| {
            tracing::warn!(%error, "an export cannot be read");
            refusal::export_not_found()
        })?;
        self.at = Some(at + u64::try_from(bytes.len().min(PIECE)).unwrap_or(u64::MAX));
        Ok(Some(Message::Piece(bytes)))
    }
}
