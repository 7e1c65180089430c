//! Asks witnesses for the logs: translates between `witness-client` and the trait of `log-core`.

use std::sync::Arc;
use std::time::Duration;

use base::clock::Clock;
use bytes::Bytes;
use formats::Origin;
use futures_util::future::{BoxFuture, FutureExt as _};
use log_core::witness::{Answer, CallError, LogPolicy, WitnessAddress, WitnessCalls};
use witness_client::{AuthoritiesError, UrlError, WitnessClient, WitnessUrl};

/// Asks witnesses over HTTP and HTTPS.
#[derive(Clone, Debug)]
pub struct HttpWitnesses(WitnessClient);

impl HttpWitnesses {
    /// For the witnesses of `policies`; `timeout` bounds each call, by `clock`. The machine's certificate
    /// authorities are read only if a witness has to be asked over HTTPS.
    pub fn new<'a>(
        timeout: Duration,
        policies: impl Iterator<Item = &'a LogPolicy>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, AuthoritiesError> {
        let mut peers = policies.flat_map(LogPolicy::peers);
        let https = peers.any(|peer| url(&peer.address).is_ok_and(|url| url.is_https()));
        WitnessClient::new(timeout, https, clock).map(Self)
    }
}

fn url(address: &WitnessAddress) -> Result<WitnessUrl, UrlError> {
    WitnessUrl::parse(address.as_str().as_bytes())
}

impl WitnessCalls for HttpWitnesses {
    fn address(given: &[u8]) -> Result<WitnessAddress, CallError> {
        let url = WitnessUrl::parse(given).map_err(CallError::new)?;
        Ok(WitnessAddress::of_checked(url.as_str().to_owned()))
    }

    fn add_checkpoint<'a>(
        &'a self,
        witness: &'a WitnessAddress,
        body: Bytes,
    ) -> BoxFuture<'a, Result<Answer, CallError>> {
        async move {
            let url = url(witness).map_err(CallError::new)?;
            let answer = self.0.add_checkpoint(&url, body).await;
            answer.map(translated).map_err(CallError::new)
        }
        .boxed()
    }

    fn monitored_checkpoint<'a>(
        &'a self,
        witness: &'a WitnessAddress,
        origin: &'a Origin,
    ) -> BoxFuture<'a, Result<Option<Bytes>, CallError>> {
        async move {
            let url = url(witness).map_err(CallError::new)?;
            self.0.monitored_checkpoint(&url, origin).await.map_err(CallError::new)
        }
        .boxed()
    }
}

fn translated(answer: witness_client::Answer) -> Answer {
    use witness_client::Answer as Said;
    match answer {
        Said::Cosigned(lines) => Answer::Cosigned(lines),
        Said::Conflict { size } => Answer::Conflict { size },
        Said::Unprocessable { said } => Answer::Unprocessable { said },
        Said::Unknown { status, said } => Answer::Unknown { status, said },
        Said::Busy { status, retry_after, said } => Answer::Busy { status, retry_after, said },
        Said::Refused { status, said } => Answer::Refused { status, said },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_one_form_and_bad_ones_say_what_a_good_one_is() {
        let address = HttpWitnesses::address(b"http://w.example/a/").unwrap();
        assert_eq!(address.as_str(), "http://w.example/a");
        assert!(url(&address).is_ok());
        let refused = HttpWitnesses::address(b"ftp://w.example").unwrap_err().to_string();
        assert!(refused.contains("http[s]://HOST"), "{refused}");
    }

    #[tokio::test]
    async fn a_witness_that_is_away_is_an_error_in_the_client_s_words() {
        let clock = Arc::new(base::clock::SystemClock::new());
        let witnesses = HttpWitnesses::new(Duration::from_secs(5), [].into_iter(), clock).unwrap();
        let address = HttpWitnesses::address(b"http://127.0.0.1:1").unwrap();
        let error = witnesses.add_checkpoint(&address, Bytes::from("old 0\n")).await.unwrap_err();
        assert_eq!(error.to_string(), "witness cannot be reached");
        assert!(std::error::Error::source(&error).is_some());
        let origin = Origin::new("a").unwrap();
        witnesses.monitored_checkpoint(&address, &origin).await.unwrap_err();
    }
}
