//! Creating, showing, listing and freezing logs.

use log_proto::log_v1 as pb;
use serve::refusal::Refusal;

use super::{Service, answer, convert};
use crate::refusal::{self, IntoRefusal};
use log_core::CreateLog;
use storage::LogName;

pub(super) async fn create_log(
    service: &Service,
    request: pb::CreateLogRequest,
) -> Result<pb::CreateLogResponse, Refusal> {
    let pb::CreateLogRequest { log, origin, deduplicate_entries, kind } = request;
    let kind = convert::log_kind(kind)?;
    let origin = (!origin.is_empty()).then_some(origin);
    let create = CreateLog { name: log, origin, kind, deduplicate_entries };
    let log = service.logs().registry().create(create).await.map_err(IntoRefusal::into_refusal)?;
    Ok(pb::CreateLogResponse { log: Some(convert::log(&log)) })
}

pub(super) fn get_log(
    service: &Service,
    request: pb::GetLogRequest,
) -> Result<pb::GetLogResponse, Refusal> {
    let pb::GetLogRequest { log } = request;
    let log = service.log(&log)?;
    Ok(pb::GetLogResponse { log: Some(convert::log(&log)) })
}

/// The page token is the last name of the page before.
pub(super) fn list_logs(
    service: &Service,
    request: pb::ListLogsRequest,
) -> Result<pb::ListLogsResponse, Refusal> {
    let pb::ListLogsRequest { page_size, page_token } = request;
    let limit = convert::page_size(page_size)?;
    let after = match page_token.as_str() {
        "" => None,
        token => Some(
            LogName::new(token)
                .map_err(|_| refusal::bad_field("page_token", "one of an answer before"))?,
        ),
    };
    let found = service.logs().registry().list(after.as_ref(), limit + 1);
    let (logs, more) = answer::page(&found, limit, convert::log);
    let next_page_token = match found[..logs.len()].last() {
        Some(last) if more => last.name().as_str().to_owned(),
        _ => String::new(),
    };
    Ok(pb::ListLogsResponse { logs, next_page_token })
}

pub(super) async fn freeze_log(
    service: &Service,
    request: pb::FreezeLogRequest,
) -> Result<pb::FreezeLogResponse, Refusal> {
    let pb::FreezeLogRequest { log } = request;
    let log = service.log(&log)?;
    let last = log.freeze().await.map_err(IntoRefusal::into_refusal)?;
    Ok(pb::FreezeLogResponse { log: Some(convert::log(&log)), checkpoint: last.note.clone() })
}
