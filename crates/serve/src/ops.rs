//! The operator's pages: `/healthz`, `/readyz` and `/metrics`.

use std::fmt;
use std::sync::Arc;

use http::{HeaderValue, Response, StatusCode, header};

use crate::body::{Body, full, plain};
use crate::health::Health;

/// Which page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Whether the process answers at all: 200 until the port is closed.
    Healthz,
    /// Whether it serves as it should: 200, or 503 and why not.
    Readyz,
    /// Everything counted, in Prometheus' text form.
    Metrics,
}

impl Target {
    /// Its path, on every server of ours.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Healthz => "/healthz",
            Self::Readyz => "/readyz",
            Self::Metrics => "/metrics",
        }
    }
}

/// Answers the operator's requests. Cloning it is cheap.
#[derive(Clone)]
pub struct Ops {
    health: Health,
    scrape: Arc<dyn Fn() -> String + Send + Sync>,
}

impl fmt::Debug for Ops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ops").field("health", &self.health).finish_non_exhaustive()
    }
}

impl Ops {
    /// `scrape` gives the text of `/metrics`.
    pub fn new(health: Health, scrape: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self { health, scrape: Arc::new(scrape) }
    }

    /// The answer to a GET.
    pub fn answer(&self, target: Target) -> Response<Body> {
        match target {
            Target::Healthz => plain(StatusCode::OK, "ok"),
            Target::Readyz => match self.health.readiness() {
                Ok(()) => plain(StatusCode::OK, "ready"),
                Err(reason) => plain(StatusCode::SERVICE_UNAVAILABLE, &reason),
            },
            Target::Metrics => {
                let mut response = Response::new(full((self.scrape)()));
                let headers = response.headers_mut();
                let text = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(text));
                headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
                response
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use base::tasks::Supervisor;

    use super::*;

    #[test]
    fn a_stop_fails_readiness_and_nothing_else() {
        let health = Health::new(Supervisor::new(), || Ok::<(), &str>(()));
        let ops = Ops::new(health.clone(), || "# EOF\n".to_owned());
        let status = |target| ops.answer(target).status();
        assert_eq!(status(Target::Readyz), StatusCode::OK);
        health.stop();
        assert_eq!(status(Target::Readyz), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(status(Target::Healthz), StatusCode::OK);
        assert_eq!(status(Target::Metrics), StatusCode::OK);
    }
}
