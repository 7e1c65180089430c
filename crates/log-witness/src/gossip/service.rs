//! The calls of others.

use bytes::Bytes;
use formats::{Evidence, Origin};
use log_proto::gossip_v1 as pb;
use log_proto::gossip_v1::gossip_service_server::GossipService;
use log_proto::gossip_v1::report_checkpoint_request::Report;
use tokio::sync::SemaphorePermit;
use tonic::{Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::book::Offered;
use super::exchange::{self, BadField, CHECKPOINTS_MAX, EVIDENCE_MAX, Known};
use super::head::HeadError;
use super::{Gossip, NoConviction, lock};

/// Calls at a time. Each may cost some hundred signature verifications.
pub(super) const CALLS_MAX: usize = 16;
/// How long a refused caller should wait.
const RETRY_AFTER: std::time::Duration = std::time::Duration::from_secs(1);

#[tonic::async_trait]
impl GossipService for Gossip {
    async fn pull(
        &self,
        request: Request<pb::PullRequest>,
    ) -> Result<Response<pb::PullResponse>, Status> {
        let _permit = self.permit()?;
        let known = exchange::known(request.get_ref()).map_err(bad_field)?;
        let gossip = self.clone();
        let answer = base::tasks::blocking(move || gossip.answer(&known)).await;
        Ok(Response::new(answer))
    }

    async fn push(
        &self,
        request: Request<pb::PushRequest>,
    ) -> Result<Response<pb::PushResponse>, Status> {
        let _permit = self.permit()?;
        let pb::PushRequest { checkpoints, evidence } = request.into_inner();
        if checkpoints.len() > CHECKPOINTS_MAX {
            let expected = "at most 256 checkpoints";
            return Err(bad_field(BadField { field: "checkpoints", expected }));
        }
        if evidence.len() > EVIDENCE_MAX {
            let expected = "at most 8 files of evidence";
            return Err(bad_field(BadField { field: "evidence", expected }));
        }
        self.take(&checkpoints, &evidence).await;
        Ok(Response::new(pb::PushResponse {}))
    }

    async fn report_checkpoint(
        &self,
        request: Request<pb::ReportCheckpointRequest>,
    ) -> Result<Response<pb::ReportCheckpointResponse>, Status> {
        let _permit = self.permit()?;
        let answer = match request.into_inner().report {
            Some(Report::Checkpoint(note)) => self.report_note(&note).await?,
            Some(Report::Evidence(evidence)) => self.report_evidence(&evidence).await?,
            None => {
                let expected = "a checkpoint or evidence";
                return Err(bad_field(BadField { field: "report", expected }));
            }
        };
        Ok(Response::new(answer))
    }

    async fn get_evidence(
        &self,
        request: Request<pb::GetEvidenceRequest>,
    ) -> Result<Response<pb::GetEvidenceResponse>, Status> {
        let _permit = self.permit()?;
        let hash = exchange::origin_hash("origin_hash", &request.get_ref().origin_hash);
        let origin = self.inner.witness.public().origin(&hash.map_err(bad_field)?);
        let evidence = origin.and_then(|origin| self.evidence(&origin));
        let evidence =
            evidence.ok_or_else(|| Status::not_found("no evidence is held against that log"))?;
        Ok(Response::new(pb::GetEvidenceResponse { evidence }))
    }
}

impl Gossip {
    fn permit(&self) -> Result<SemaphorePermit<'_>, Status> {
        self.inner.calls.try_acquire().map_err(|_| {
            let details = ErrorDetails::with_retry_info(Some(RETRY_AFTER));
            let text = "too many calls are in flight";
            Status::with_error_details(tonic::Code::ResourceExhausted, text, details)
        })
    }

    fn answer(&self, known: &Known) -> pb::PullResponse {
        let now = self.inner.clock.monotonic();
        let turn = getrandom::u32().map_or(0, |random| random as usize);
        let accused = self.inner.witness.public().accused();
        let answer = exchange::answer(&lock(&self.inner.book), &accused, known, now, turn);
        let wanted = answer.wanted.iter().take(CHECKPOINTS_MAX);
        let wanted = wanted.map(|hash| Bytes::copy_from_slice(hash.as_bytes())).collect();
        let evidence = answer.convicted.iter().filter_map(|origin| self.evidence(origin));
        let evidence = evidence.take(EVIDENCE_MAX).collect();
        let (_, checkpoints) = self.notes(answer.heads);
        pb::PullResponse { checkpoints, evidence, wanted }
    }

    async fn report_note(&self, note: &[u8]) -> Result<pb::ReportCheckpointResponse, Status> {
        let (origin, offered) = match self.offer(note).await {
            Ok(offered) => offered,
            Err(HeadError::UnknownLog) => return Ok(standing(pb::Standing::UnknownLog)),
            Err(HeadError::NotSigned(_)) => return Ok(standing(pb::Standing::NotShown)),
            Err(HeadError::Malformed(_)) => {
                let expected = "a signed checkpoint";
                return Err(bad_field(BadField { field: "checkpoint", expected }));
            }
        };
        Ok(match offered {
            Offered::UnknownLog => standing(pb::Standing::UnknownLog),
            Offered::Known => self.with_newest(&origin, pb::Standing::Known),
            Offered::Pending { suspect: true } => self.with_newest(&origin, pb::Standing::Suspect),
            Offered::Pending { suspect: false } | Offered::Dropped => {
                self.with_newest(&origin, pb::Standing::Pending)
            }
            Offered::WrongEmptyRoot
            | Offered::ContradictsNewest(_)
            | Offered::ContradictsPending(_)
            | Offered::Convicted => self.with_evidence(&origin),
        })
    }

    async fn report_evidence(&self, bytes: &[u8]) -> Result<pb::ReportCheckpointResponse, Status> {
        let Ok(evidence) = Evidence::parse(bytes) else {
            let expected = "an evidence file";
            return Err(bad_field(BadField { field: "evidence", expected }));
        };
        match self.convict(&evidence).await {
            Ok(()) => Ok(self.with_evidence(evidence.origin())),
            Err(NoConviction::UnknownLog) => Ok(standing(pb::Standing::UnknownLog)),
            Err(NoConviction::NotShown(_)) => Ok(standing(pb::Standing::NotShown)),
            Err(error @ (NoConviction::Store(_) | NoConviction::Refused(_))) => {
                tracing::error!(%error, "evidence cannot be kept");
                Err(Status::unavailable("evidence cannot be kept now: report it again"))
            }
        }
    }

    fn with_newest(&self, origin: &Origin, found: pb::Standing) -> pb::ReportCheckpointResponse {
        let book = lock(&self.inner.book);
        let now = self.inner.clock.monotonic();
        let newest = book.log(&origin.sha256(), now).and_then(|told| told.newest.cloned());
        drop(book);
        let newest = newest.and_then(|newest| self.signed(origin, &newest));
        let checkpoint = newest.map(|signed| Bytes::copy_from_slice(signed.as_bytes()));
        let checkpoint = checkpoint.unwrap_or_default();
        pb::ReportCheckpointResponse { checkpoint, ..standing(found) }
    }

    fn with_evidence(&self, origin: &Origin) -> pb::ReportCheckpointResponse {
        let evidence = self.evidence(origin).unwrap_or_default();
        pb::ReportCheckpointResponse { evidence, ..standing(pb::Standing::Contradicts) }
    }
}

fn standing(standing: pb::Standing) -> pb::ReportCheckpointResponse {
    pb::ReportCheckpointResponse { standing: standing.into(), ..Default::default() }
}

fn bad_field(bad: BadField) -> Status {
    let details = ErrorDetails::with_bad_request_violation(bad.field, bad.expected);
    Status::with_error_details(tonic::Code::InvalidArgument, bad.to_string(), details)
}
