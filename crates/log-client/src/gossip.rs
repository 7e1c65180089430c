//! Telling witnesses what was seen, and hearing what they know (`cairn.gossip.v1.GossipService`).
//!
//! What is reported proves itself, so a witness need not know who reports it; and what a witness answers
//! proves nothing here, unless it is evidence, which anyone can verify.

use std::time::Duration;

use bytes::Bytes;
use formats::{Evidence, Trust};
use log_proto::gossip_v1::{
    self as proto, gossip_service_client::GossipServiceClient, report_checkpoint_request::Report,
};
use tls::{AuthoritiesError, Http, Url};
use tonic::transport::{Channel, Endpoint};

/// How long one report may take, from connecting to the answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What a witness says about a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// It does not know the log.
    UnknownLog,
    /// No key of the log has signed it, or the evidence shows nothing.
    NotShown,
    /// It is the newest head it knows.
    Known,
    /// It has yet to be compared with what it knows.
    Pending,
    /// It could not be compared for long: the log gives no proof.
    Suspect,
    /// The log contradicted itself, and the witness holds evidence.
    Contradicts,
}

/// Why a witness was not told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The address is not one that is spoken with here.
    #[error("witness address {url:?} is not of the form http[s]://HOST[:PORT]")]
    Address {
        /// The address as it was given.
        url: String,
    },
    /// The address is one of HTTPS, and nobody can say which server to believe.
    #[error(transparent)]
    Authorities(#[from] AuthoritiesError),
    /// It could not be asked, or refused.
    #[error("the witness at {url} did not take the report")]
    Call {
        /// Its address.
        url: String,
        /// What it said.
        #[source]
        source: Box<tonic::Status>,
    },
    /// It answered with something that has no meaning.
    #[error("the answer of the witness at {url} has no known standing")]
    Answer {
        /// Its address.
        url: String,
    },
}

/// Reports evidence to the witness at an address.
pub async fn report_evidence(url: &str, evidence: &Evidence) -> Result<Standing, ReportError> {
    report(url, Report::Evidence(evidence.format().into())).await
}

/// Reports a signed checkpoint that somebody was shown.
pub async fn report_checkpoint(url: &str, note: Bytes) -> Result<Standing, ReportError> {
    report(url, Report::Checkpoint(note)).await
}

/// The addresses of the witnesses that a policy names, each once.
pub fn witness_urls(trust: &Trust) -> Vec<String> {
    let Trust::Policy(policy) = trust else { return Vec::new() };
    let urls = policy.witnesses().iter().filter_map(formats::policy::Witness::url);
    let mut urls: Vec<String> = urls.map(|url| String::from_utf8_lossy(url).into_owned()).collect();
    urls.sort();
    urls.dedup();
    urls
}

async fn report(url: &str, report: Report) -> Result<Standing, ReportError> {
    let mut client = GossipServiceClient::new(channel(url)?);
    let request = proto::ReportCheckpointRequest { report: Some(report) };
    let answer = client
        .report_checkpoint(request)
        .await
        .map_err(|status| ReportError::Call { url: url.to_owned(), source: Box::new(status) })?;
    standing(answer.get_ref().standing()).ok_or_else(|| ReportError::Answer { url: url.to_owned() })
}

/// Gossip lies at the root of the port, whatever the prefix of submissions.
fn channel(url: &str) -> Result<Channel, ReportError> {
    let address = || ReportError::Address { url: url.to_owned() };
    let server = url.parse::<Url>().map_err(|_| address())?.server();
    let connector = tls::connector(server.known(), Http::Two, TIMEOUT)?;
    let endpoint = Endpoint::from(server.uri().clone());
    let endpoint = endpoint.connect_timeout(TIMEOUT).timeout(TIMEOUT);
    Ok(endpoint.connect_with_connector_lazy(connector))
}

fn standing(standing: proto::Standing) -> Option<Standing> {
    Some(match standing {
        proto::Standing::Unspecified => return None,
        proto::Standing::UnknownLog => Standing::UnknownLog,
        proto::Standing::NotShown => Standing::NotShown,
        proto::Standing::Known => Standing::Known,
        proto::Standing::Pending => Standing::Pending,
        proto::Standing::Suspect => Standing::Suspect,
        proto::Standing::Contradicts => Standing::Contradicts,
    })
}
